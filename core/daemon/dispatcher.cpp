// SPDX-License-Identifier: Apache-2.0
#include "daemon/dispatcher.h"

#include <algorithm>
#include <utility>

#include "trivet/host.h"

namespace trivet {

namespace {

// A batch may exceed the room that it was read for by its last record; records are shorter than
// this.
constexpr std::size_t kLargestRecord = 64 << 10;

bool has_policy(unsigned lane) {
  return lane == LANE_CANDIDATE || lane == LANE_BULK;
}

// The same for all events of a socket, or of a process where there is no socket.
std::uint64_t sample_key(const event_header& header) {
  const std::uint64_t of =
      header.socket_cookie ? header.socket_cookie : header.task.start_ns ^ header.task.tgid;
  return (of * 0x9E3779B97F4A7C15ull) >> 32;
}

std::size_t known_slot(const TaskKey& key, std::size_t slots) {
  return (key.tgid ^ (key.start_ns >> 20)) % slots;
}

}  // namespace

Dispatcher::Dispatcher(HostFacts& facts, std::vector<PluginHost*> hosts)
    : facts_(facts), hosts_(std::move(hosts)), shares_(hosts_.size()) {}

std::size_t Dispatcher::room(lane of) const {
  std::size_t room = SIZE_MAX;
  if (!has_policy(of)) return room;
  for (const auto* host : hosts_) {
    if (host->queue_policy() != QueuePolicy::wait) continue;
    const auto left = host->room(of);
    room = std::min(room, left > kLargestRecord ? left - kLargestRecord : 0);
  }
  return room;
}

void Dispatcher::begin(Share& share, const PluginHost& host) const {
  for (unsigned lane = 0; lane < LANE_COUNT; ++lane) {
    share.room[lane] = host.room(static_cast<enum lane>(lane));
    share.one_in[lane] = 1;
    if (!has_policy(lane) || host.queue_policy() != QueuePolicy::sample) continue;
    // All while half of the queue is free, then half of them, a quarter, an eighth.
    for (auto free = share.room[lane]; free < Worker::kMaxLaneBytes / 2 && share.one_in[lane] < 8;
         free *= 2)
      share.one_in[lane] *= 2;
  }
}

bool Dispatcher::takes(Share& share, PluginHost& host, const event_header& header) const {
  const auto lane = static_cast<enum lane>(header.lane);
  if (share.one_in[lane] > 1 && sample_key(header) % share.one_in[lane] != 0) return false;
  if (share.bytes[lane] + header.size <= share.room[lane]) return true;
  if (!has_policy(lane) || host.queue_policy() != QueuePolicy::drop_oldest) return false;
  share.room[lane] = host.make_room(lane);
  return share.bytes[lane] + header.size <= share.room[lane];
}

const ProcessRef* Dispatcher::subject(Parcel& parcel, std::span<const std::byte> event) {
  const auto& header = *reinterpret_cast<const event_header*>(event.data());
  const TaskKey key = task_key(header.task);
  Known& known = known_[known_slot(key, known_.size())];
  if (known.generation != generation_ || known.key != key) {
    parcel.processes.push_back(facts_.apply(event));
    known = {key, &parcel.processes.back(), generation_};
  }
  return known.process;
}

void Dispatcher::dispatch(lanes::Batch&& events) {
  const auto parcel = std::make_shared<Parcel>();
  parcel->events = std::move(events);
  const lanes::Batch& batch = parcel->events;
  ++generation_;
  for (std::size_t i = 0; i < hosts_.size(); ++i) begin(shares_[i], *hosts_[i]);

  for (std::size_t number = 0; number < batch.size(); ++number) {
    const auto event = batch.record(number);
    const auto& header = batch.header(number);
    const ProcessRef* process = nullptr;
    if (header.type < EVENT_CORE_TYPES) {
      process = &parcel->processes.emplace_back(facts_.apply(event));
      ++generation_;
    }
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      if (!hosts_[i]->wants(header.type)) continue;
      if (!takes(shares_[i], *hosts_[i], header)) {
        hosts_[i]->count_dropped(header);
        continue;
      }
      if (!process) process = subject(*parcel, event);
      shares_[i].bytes[header.lane] += header.size;
      shares_[i].items.push_back({event, process});
    }
  }

  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    Share& share = shares_[i];
    if (share.items.empty()) continue;
    hosts_[i]->offer(parcel, std::exchange(share.items, {}), std::exchange(share.bytes, {}));
  }
}

}  // namespace trivet
