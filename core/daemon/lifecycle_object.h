// SPDX-License-Identifier: Apache-2.0
// The core's own BPF object, from which host facts are built.
#pragma once

#include "trivet/bpf.h"

namespace trivet {

// The "plugin" under which the broker finds the objects embedded in the trivet program itself.
inline constexpr const char* kCorePlugin = "core";
inline constexpr const char* kSnapshotProgram = "process_snapshot";

inline ObjectSpec lifecycle_object() {
  return {.name = "lifecycle",
          .hooks = {{"process", {{"tp_btf", {"process_fork", "process_exec", "process_exit"}}}},
                    {"process_snapshot", {{"iter", {kSnapshotProgram}}}, false}}};
}

}  // namespace trivet
