// SPDX-License-Identifier: Apache-2.0
// The verbs that the core itself carries out. Each returns the exit status and has printed its
// errors.
#pragma once

#include "cli/commands.h"

namespace trivet {

int run(const RunOptions& options);
int check(const CheckOptions& options);
int doctor(const DoctorOptions& options);
int rules(const RulesOptions& options);
int replay(const ReplayOptions& options);

}  // namespace trivet
