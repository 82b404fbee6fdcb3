// SPDX-License-Identifier: Apache-2.0
// The internet sockets of this host by cookie. The reader thread applies their events; another
// thread may apply a snapshot at the same time; any thread looks up. Bounded: closed sockets stay
// for a grace time, and past max_sockets the oldest closed ones go first, then what is new is
// refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <unordered_map>

#include "core/sockets.h"
#include "trivet/facts.h"

namespace trivet {

class SocketTable {
 public:
  struct Limits {
    std::size_t max_sockets = 200'000;
    std::uint64_t closed_grace_ns = 10'000'000'000;
  };
  struct Counts {
    std::size_t sockets = 0;    // known, closed ones included
    std::uint64_t evicted = 0;  // closed ones forgotten early for lack of room
    std::uint64_t refused = 0;  // never known for lack of room
  };

  explicit SocketTable(Limits limits) : limits_(limits) {}

  void apply(const socket_state_event& event);

  // A snapshot tells every open socket that some task holds, once for each task, through apply().
  // Between these two; what is known as open since before `start_ns` and was not told has closed
  // unseen. One thread at a time.
  void begin_snapshot();
  void end_snapshot(std::uint64_t start_ns);

  // Forgets what has been closed for long enough.
  void refresh(std::uint64_t now_ns);

  SocketRef find(std::uint64_t cookie) const;
  void each(const std::function<void(const SocketRef&)>& visit) const;
  Counts counts() const;

 private:
  struct Holder {
    TaskKey task;
    std::uint64_t cgroup_id = 0;
  };
  struct Entry {
    SocketRef socket;
    std::uint64_t told_ns = 0;    // of the newest event
    std::uint64_t closed_ns = 0;  // 0 while it is open
    std::uint32_t snapshot = 0;   // the last one that told it
    Holder holder;                // whom that one found it with: its owner, else the first
  };
  struct Gone {
    std::uint64_t closed_ns;
    std::uint64_t cookie;
  };

  void apply_snapshot(Entry& entry, Socket told, std::uint64_t time_ns);
  void close(Entry& entry, std::uint64_t time_ns);
  // Room for one more, made at the expense of closed ones.
  bool make_room();
  // How many sockets that made fewer: one that was used again since it closed stays.
  std::size_t forget_oldest();

  const Limits limits_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<std::uint64_t, Entry> sockets_;
  std::deque<Gone> gone_;  // by time of closing
  std::uint32_t snapshot_ = 0;
  std::uint64_t evicted_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace trivet
