// SPDX-License-Identifier: Apache-2.0
// The kernel's side of rules: which system calls and requests of io_uring are hooked, and what is
// told of them. Follows other rules while it runs, so that no call goes unseen meanwhile. The
// plugin's, on its worker.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "security/rules/reach.h"
#include "trivet/host.h"

namespace trivet::security {

// Whether 32-bit system calls are seen: automatic, where the kernel has any.
enum class CompatCalls { automatic, on, off };

class CallHooks {
 public:
  // The objects that tell what these rules could match: "syscalls" first; "paths", where paths
  // lead, where rules ask for calls that have any and open nothing; "rings", the opens of io_uring,
  // where they ask for opens.
  static std::vector<ObjectSpec> objects(const Reach& reach, CompatCalls compat);

  // Hooks and tells what `reach` asks for. Begins anew.
  Result<void> start(Host& host, const Reach& reach, CompatCalls compat);
  // Hooks and tells it too, or alone, without a gap in what was told before. False where only a
  // start can.
  Result<bool> widen(const Reach& reach);
  Result<void> narrow(const Reach& reach);
  void stop();

 private:
  Result<void> attach(const ObjectSpec& spec);
  Result<void> tell(const Reach& reach);
  Result<void> retarget(const Reach& reach);

  Host* host_ = nullptr;
  CompatCalls compat_ = CompatCalls::automatic;
  Reach told_;
  std::map<std::string, std::unique_ptr<Object>> objects_;  // by name; those that are needed
};

}  // namespace trivet::security
