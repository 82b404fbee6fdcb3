// SPDX-License-Identifier: Apache-2.0
#include "daemon/dispatcher.h"

#include <algorithm>
#include <optional>
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
    : facts_(facts), hosts_(std::move(hosts)), pending_(hosts_.size()) {}

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

void Dispatcher::begin(Pending& pending, const PluginHost& host) const {
  for (unsigned lane = 0; lane < LANE_COUNT; ++lane) {
    pending.room[lane] = host.room(static_cast<enum lane>(lane));
    pending.one_in[lane] = 1;
    if (!has_policy(lane) || host.queue_policy() != QueuePolicy::sample) continue;
    // All while half of the queue is free, then half of them, a quarter, an eighth.
    for (auto free = pending.room[lane];
         free < Worker::kMaxLaneBytes / 2 && pending.one_in[lane] < 8; free *= 2)
      pending.one_in[lane] *= 2;
  }
}

bool Dispatcher::takes(Pending& pending, PluginHost& host, const event_header& header) const {
  const auto lane = static_cast<enum lane>(header.lane);
  const auto taken = pending.share.bytes[lane];
  if (pending.one_in[lane] > 1 && sample_key(header) % pending.one_in[lane] != 0) return false;
  if (taken + header.size <= pending.room[lane]) return true;
  if (!has_policy(lane) || host.queue_policy() != QueuePolicy::drop_oldest) return false;
  pending.room[lane] = host.make_room(lane);
  return taken + header.size <= pending.room[lane];
}

PluginHost::Subject Dispatcher::with_parent(ProcessRef process) const {
  auto parent = process && process->parent.tgid ? facts_.process(process->parent) : nullptr;
  return {std::move(process), std::move(parent)};
}

const PluginHost::Subject& Dispatcher::subject(std::span<const std::byte> event) {
  const auto& header = *reinterpret_cast<const event_header*>(event.data());
  const TaskKey key = task_key(header.task);
  Known& known = known_[known_slot(key, known_.size())];
  if (known.generation != generation_ || known.key != key)
    known = {key, with_parent(facts_.apply(event)), generation_};
  return known.subject;
}

void Dispatcher::dispatch(const lanes::Batch& batch) {
  ++generation_;
  for (std::size_t i = 0; i < hosts_.size(); ++i) begin(pending_[i], *hosts_[i]);

  for (std::size_t number = 0; number < batch.size(); ++number) {
    const auto event = batch.record(number);
    const auto& header = batch.header(number);
    std::optional<PluginHost::Subject> subject;
    if (header.type < EVENT_CORE_TYPES) {
      subject = with_parent(facts_.apply(event));
      ++generation_;
    }
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      if (!hosts_[i]->wants(header.type)) continue;
      if (!takes(pending_[i], *hosts_[i], header)) {
        hosts_[i]->count_dropped(header);
        continue;
      }
      if (!subject) subject = this->subject(event);
      pending_[i].share.add(event, *subject);
    }
  }

  for (std::size_t i = 0; i < hosts_.size(); ++i)
    if (!pending_[i].share.events.empty())
      hosts_[i]->offer(std::exchange(pending_[i].share, hosts_[i]->empty_share()));
}

}  // namespace trivet
