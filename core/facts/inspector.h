// SPDX-License-Identifier: Apache-2.0
// Completes host facts from files that take a while to reach: what runtimes say about containers,
// environments, hashes of executables. One thread of its own does the reading, one thing after the
// other; the others ask, and look up what it found. Bounded in what waits and in what is kept.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "facts/facts_witness.h"
#include "facts/host_files.h"
#include "trivet/facts.h"

namespace trivet {

class Inspector {
 public:
  struct Counts {
    std::size_t containers = 0;  // described
    std::uint64_t dropped = 0;   // wishes that found no room
    std::uint64_t unknown = 0;   // containers that no runtime described, however often asked
  };

  // `boot_to_real_ns` as Facts has it. `witness`, if any, outlives this.
  Inspector(std::unique_ptr<HostFiles> files, std::int64_t boot_to_real_ns,
            FactsWitness* witness = nullptr);
  ~Inspector();

  // Has the container with that id of 64 digits described, unless it is or will be. Any thread;
  // never waits.
  void want_container(const std::string& id);
  // Short or whole id. Any thread; never waits.
  ContainerRef container(std::string_view id) const;

  // As Facts has them. Any thread but the inspector's own.
  Facts::Environment environment(const Process& process, std::chrono::milliseconds patience);
  std::optional<std::string> exe_sha256(const Process& process, std::chrono::milliseconds patience);

  Counts counts() const;
  // All that has been found out and is still believed. Any thread.
  void tell(FactsWitness& witness) const;

 private:
  using Clock = std::chrono::steady_clock;

  struct ContainerWish {
    std::string id;
    unsigned attempt = 0;
  };
  struct EnvironmentWish {
    TaskKey task;
  };
  struct HashWish {
    ExeIdentity exe;
    TaskKey task;
  };
  using Wish = std::variant<ContainerWish, EnvironmentWish, HashWish>;

  // What was found out by key, the oldest going first for room; an empty value is "it cannot be
  // told", believed for a second.
  template <class Key, class Value>
  struct Findings {
    struct Finding {
      Value value;
      Clock::time_point found;
    };
    std::map<Key, Finding> by_key;
    std::deque<Key> order;
    std::set<Key> asked;  // and not answered yet

    const Finding* find(const Key& key, Clock::time_point now, std::chrono::seconds keep) const;
    void add(const Key& key, Value value, std::size_t limit);
  };

  void run(const std::stop_token& stop);
  // Whether there was room for it. Call with the lock held.
  bool enqueue(Wish wish);
  void fulfil(const ContainerWish& wish);
  void fulfil(const EnvironmentWish& wish);
  void fulfil(const HashWish& wish);

  const std::unique_ptr<HostFiles> files_;
  const std::int64_t boot_to_real_ns_;
  FactsWitness* const witness_;

  mutable std::mutex mutex_;
  std::condition_variable_any wished_;
  std::condition_variable found_;
  std::deque<Wish> wishes_;
  std::multimap<Clock::time_point, ContainerWish> later_;
  std::unordered_map<std::string, ContainerRef> containers_;  // by short id; null: wished for
  std::deque<std::string> containers_order_;                  // by age
  Findings<TaskKey, Facts::Environment> environments_;
  Findings<ExeIdentity, std::optional<std::string>> hashes_;
  std::uint64_t dropped_ = 0;
  std::uint64_t unknown_ = 0;

  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace trivet
