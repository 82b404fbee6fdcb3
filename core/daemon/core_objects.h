// SPDX-License-Identifier: Apache-2.0
// The core's own BPF objects, from which host facts are built.
#pragma once

#include "trivet/bpf.h"

namespace trivet {

// The "plugin" under which the broker finds the objects embedded in the trivet program itself.
inline constexpr const char* kCorePlugin = "core";
inline constexpr const char* kProcessSnapshot = "process_snapshot";
inline constexpr const char* kSocketSnapshot = "socket_snapshot";

inline ObjectSpec lifecycle_object() {
  return {.name = "lifecycle",
          .hooks = {{"process", {{"tp_btf", {"process_fork", "process_exec", "process_exit"}}}},
                    {"process_snapshot", {{"iter", {kProcessSnapshot}}}, false}}};
}

inline ObjectSpec sockets_object() {
  return {
      .name = "sockets",
      .hooks = {
          {"socket_state", {{"tp_btf", {"socket_changed"}}}},
          {"socket_life",
           {{"cgroup", {"socket_created", "socket_bound4", "socket_bound6", "socket_released"}}},
           false},
          {"socket_owner",
           {{"tp_btf", {"socket_sent", "socket_received"}},
            {"fentry",
             {"socket_inet_sendmsg", "socket_inet6_sendmsg", "socket_inet_recvmsg",
              "socket_inet6_recvmsg"}}},
           false},
          {"socket_snapshot", {{"iter", {kSocketSnapshot}}}, false}}};
}

}  // namespace trivet
