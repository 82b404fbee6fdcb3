// SPDX-License-Identifier: Apache-2.0
// The verbs that ask the running daemon: each prints its answer and returns the exit status.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "cli/query_output.h"
#include "control/request.h"

namespace trivet {

int ask_daemon(const std::string& socket, const std::string& verb,
               const std::vector<std::string>& arguments, bool json);

// Has the daemon put the policy in a file in force, until nobody has confirmed it for `within`; 0:
// for good.
int apply_policy(const std::string& socket, const std::string& path, std::chrono::seconds within,
                 bool json);

int query_daemon(const std::string& socket, const std::string& sql, QueryFormat format);

int observe_daemon(const std::string& socket, const ObserveRequest& request);

// SIGINT and SIGTERM as a readable descriptor, so that a wait can end cleanly; the caller's.
int interrupt_descriptor();

}  // namespace trivet
