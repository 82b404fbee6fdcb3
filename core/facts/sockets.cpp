// SPDX-License-Identifier: Apache-2.0
#include "facts/sockets.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "trivet/host.h"

namespace trivet {

namespace {

// A connection that nobody has accepted is in no task's hands. After this long it is not waiting
// for one any more: its end was lost.
constexpr std::uint64_t kAcceptPatienceNs = 600'000'000'000;

Socket socket_of(const socket_state_event& event) {
  Socket socket;
  socket.cookie = event.header.socket_cookie;
  socket.protocol = event.protocol;
  socket.state = event.state;
  socket.listening = event.state == SOCKET_LISTENING;
  socket.local = IpAddress::v6(event.local_address);
  socket.local_port = event.local_port;
  if (event.flags & SOCKET_HAS_PEER) {
    socket.remote = IpAddress::v6(event.peer_address);
    socket.remote_port = event.peer_port;
  }
  socket.owner = task_key(event.header.task);
  socket.cgroup_id = event.header.cgroup_id;
  socket.net_namespace = event.net_namespace;
  socket.since_ns = event.header.time_ns;
  return socket;
}

void keep_owner(Socket& socket, const Socket& before) {
  socket.owner = before.owner;
  socket.cgroup_id = before.cgroup_id;
}

}  // namespace

void SocketTable::apply(const socket_state_event& event) {
  const std::uint64_t cookie = event.header.socket_cookie;
  const std::uint64_t time_ns = event.header.time_ns;
  const std::unique_lock lock(mutex_);
  auto found = sockets_.find(cookie);
  if (event.state == SOCKET_CLOSED && !(event.flags & SOCKET_SNAPSHOT)) {
    if (found != sockets_.end()) close(found->second, time_ns);
    return;
  }
  if (found == sockets_.end()) {
    if (!make_room()) {
      ++refused_;
      return;
    }
    found = sockets_.try_emplace(cookie).first;
  }
  Entry& entry = found->second;
  Socket told = socket_of(event);
  if (entry.socket) told.since_ns = entry.socket->since_ns;
  if (event.flags & SOCKET_SNAPSHOT) {
    apply_snapshot(entry, std::move(told), time_ns);
    return;
  }
  if (time_ns < entry.told_ns) return;
  entry.closed_ns = 0;  // connect(2) may use a socket again
  if (entry.socket && told.owner.tgid == 0) keep_owner(told, *entry.socket);
  entry.told_ns = time_ns;
  entry.socket = std::make_shared<const Socket>(std::move(told));
}

void SocketTable::apply_snapshot(Entry& entry, Socket told, std::uint64_t time_ns) {
  if (entry.closed_ns) return;
  if (entry.snapshot != snapshot_) entry.holder = {};
  entry.snapshot = snapshot_;
  const bool owned = entry.socket && entry.socket->owner.tgid != 0;
  const bool owner_holds = !owned || entry.socket->owner.same_process(told.owner);
  if (owner_holds || entry.holder.task.tgid == 0) entry.holder = {told.owner, told.cgroup_id};
  if (!owner_holds) keep_owner(told, *entry.socket);
  // An event that was newer than the look has told more.
  if (time_ns < entry.told_ns) return;
  entry.told_ns = time_ns;
  entry.socket = std::make_shared<const Socket>(std::move(told));
}

void SocketTable::close(Entry& entry, std::uint64_t time_ns) {
  if (entry.closed_ns) return;
  auto closed = std::make_shared<Socket>(*entry.socket);
  closed->state = SOCKET_CLOSED;
  closed->listening = false;
  entry.closed_ns = time_ns;
  entry.told_ns = std::max(entry.told_ns, time_ns);
  gone_.push_back({time_ns, closed->cookie});
  entry.socket = std::move(closed);
}

bool SocketTable::make_room() {
  while (sockets_.size() >= limits_.max_sockets) {
    if (gone_.empty()) return false;
    evicted_ += forget_oldest();
  }
  return true;
}

std::size_t SocketTable::forget_oldest() {
  const Gone oldest = gone_.front();
  gone_.pop_front();
  const auto found = sockets_.find(oldest.cookie);
  if (found == sockets_.end() || found->second.closed_ns != oldest.closed_ns) return 0;
  sockets_.erase(found);
  return 1;
}

void SocketTable::begin_snapshot() {
  const std::unique_lock lock(mutex_);
  ++snapshot_;
}

void SocketTable::end_snapshot(std::uint64_t start_ns) {
  const std::unique_lock lock(mutex_);
  for (auto& [cookie, entry] : sockets_) {
    if (entry.closed_ns) continue;
    if (entry.snapshot == snapshot_) {
      // Its owner has closed it or ended, and somebody else holds it still.
      if (entry.holder.task.same_process(entry.socket->owner)) continue;
      auto held = std::make_shared<Socket>(*entry.socket);
      held->owner = entry.holder.task;
      held->cgroup_id = entry.holder.cgroup_id;
      entry.socket = std::move(held);
      continue;
    }
    if (entry.told_ns >= start_ns) continue;
    const bool waits_for_accept =
        entry.socket->owner.tgid == 0 && start_ns < entry.told_ns + kAcceptPatienceNs;
    if (!waits_for_accept) close(entry, start_ns);
  }
}

void SocketTable::refresh(std::uint64_t now_ns) {
  const std::unique_lock lock(mutex_);
  while (!gone_.empty() && now_ns >= gone_.front().closed_ns + limits_.closed_grace_ns)
    forget_oldest();
}

SocketRef SocketTable::find(std::uint64_t cookie) const {
  const std::shared_lock lock(mutex_);
  const auto found = sockets_.find(cookie);
  return found == sockets_.end() ? nullptr : found->second.socket;
}

void SocketTable::each(const std::function<void(const SocketRef&)>& visit) const {
  std::vector<SocketRef> open;
  {
    const std::shared_lock lock(mutex_);
    open.reserve(sockets_.size());
    for (const auto& [cookie, entry] : sockets_)
      if (!entry.closed_ns) open.push_back(entry.socket);
  }
  for (const auto& socket : open) visit(socket);
}

SocketTable::Counts SocketTable::counts() const {
  const std::shared_lock lock(mutex_);
  return {sockets_.size(), evicted_, refused_};
}

}  // namespace trivet
