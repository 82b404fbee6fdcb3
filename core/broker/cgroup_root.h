// SPDX-License-Identifier: Apache-2.0
// Where the cgroup2 hierarchy is mounted.
#pragma once

#include <string>
#include <string_view>

#include "trivet/result.h"

namespace trivet::broker {

// From the text of /proc/self/mountinfo: the mount point of the hierarchy's root; empty if it is
// mounted nowhere.
std::string cgroup_root_in(std::string_view mountinfo);

// The same of this process; an error says what to do.
Result<std::string> cgroup_root();

}  // namespace trivet::broker
