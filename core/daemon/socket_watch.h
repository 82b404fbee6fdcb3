// SPDX-License-Identifier: Apache-2.0
// Keeps the sockets among host facts up to date: the hooks that tell them, a snapshot at the start,
// and one now and then, since events of sockets may be lost and descriptors may change hands. Main
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "broker/client.h"
#include "facts/host_facts.h"
#include "trivet/log.h"
#include "trivet/result.h"

namespace trivet {

class SocketWatch {
 public:
  // Loads the hooks and takes the first snapshot, if the kernel allows one. All outlive it.
  static Result<std::unique_ptr<SocketWatch>> start(broker::Client& broker, HostFacts& facts,
                                                    Log& log);
  ~SocketWatch();

  const std::vector<HookState>& hooks() const { return object_.hooks; }
  // Takes a snapshot if the last one is long enough ago, measured by what it cost.
  void refresh(std::uint64_t now_ns);

 private:
  SocketWatch(broker::Client& broker, HostFacts& facts, Log& log, broker::LoadedObject object)
      : broker_(broker), facts_(facts), log_(log), object_(std::move(object)) {}
  Result<void> take_snapshot();

  broker::Client& broker_;
  HostFacts& facts_;
  Log& log_;
  broker::LoadedObject object_;
  std::uint64_t next_ns_ = 0;
};

}  // namespace trivet
