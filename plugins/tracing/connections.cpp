// SPDX-License-Identifier: Apache-2.0
#include "tracing/connections.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trivet::tracing {
namespace {

// How long a finished record waits for its process: the task is told right after the call that
// moved the bytes, which may be after the answer has come.
constexpr std::uint64_t owner_patience_ns = 200'000'000;
// A verdict in the kernel's map is copied to its socket by the next packet; then the entry may go.
constexpr std::uint64_t verdict_keep_ns = 10'000'000'000;
// Data of a deferred accept comes with the connection; the server accepts it within moments.
constexpr std::uint64_t deferred_keep_ns = 5'000'000'000;
constexpr std::size_t deferred_max_bytes = 4 << 20;
// A silent connection without outstanding requests is forgotten: its close may have been lost.
constexpr std::uint64_t silence_ns = 600'000'000'000;

// Unix sockets have none.
IpAddress address(const std::uint8_t (&bytes)[16]) {
  const bool any = std::ranges::any_of(bytes, [](std::uint8_t byte) { return byte != 0; });
  return any ? IpAddress::v6(bytes) : IpAddress();
}

// Memory of a record that waits, about: what bodies and long texts make of it.
std::size_t size_of(const AnyRequest& request) {
  std::size_t bytes = sizeof(AnyRequest);
  std::visit(
      [&bytes](const auto& record) {
        for (const Column& column : record.schema().columns) {
          const Value value = column.get(&record);
          if (const auto* text = std::get_if<std::string_view>(&value)) bytes += text->size();
        }
      },
      request);
  return bytes;
}

bool same_ends(const socket_ends& a, const socket_ends& b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}

}  // namespace

class Connections::Connection final : public Conversation::Listener {
 public:
  Connection(Connections& table, std::uint64_t socket_cookie, const socket_ends& socket_ends_)
      : cookie(socket_cookie),
        ends(socket_ends_),
        conversation(table.options_, table.shared_, *this),
        table_(table) {}

  void on_exchange(AnyRequest request) override {
    std::visit(
        [this](auto& record) {
          record.socket_cookie = cookie;
          record.local_address = address(ends.local_address);
          record.local_port = ends.local_port;
          record.peer_address = address(ends.peer_address);
          record.peer_port = ends.peer_port;
        },
        request);
    if (waiting.empty() && owned()) {
      publish(std::move(request));
      return;
    }
    if (waiting.empty()) {
      waiting_since_ns = table_.now_ns_;
      table_.unowned_.push_back(this);
    }
    waiting_bytes += size_of(request);
    waiting.push_back(std::move(request));
  }

  void on_need(Need need) override {
    decided = need != Need::unknown;
    if (decided) {
      table_.outlet_.decide(cookie, need == Need::every_byte ? PAYLOAD_WHOLE : PAYLOAD_BOUNDED);
    } else {
      table_.outlet_.forget(cookie);
    }
  }

  // The server is who received the request, the client who sent it: the request's own direction.
  bool owned() const { return owner_keys[conversation.request_direction()].tgid != 0; }

  // Publishes what waits for its process, which is known now or will not be.
  void publish_waiting() {
    if (waiting.empty()) return;
    table_.unowned_.remove(this);
    for (AnyRequest& request : std::exchange(waiting, {})) publish(std::move(request));
    waiting_bytes = 0;
  }

  std::size_t memory() const { return sizeof(Connection) + conversation.memory() + waiting_bytes; }

  const std::uint64_t cookie;
  socket_ends ends;
  Conversation conversation;
  ProcessRef owners[2];
  TaskKey owner_keys[2];
  std::uint64_t owner_cgroups[2] = {0, 0};
  std::vector<AnyRequest> waiting;
  std::size_t waiting_bytes = 0;
  std::uint64_t waiting_since_ns = 0;
  std::uint64_t last_ns = 0;
  std::size_t accounted = 0;  // its part of the table's memory
  bool decided = false;       // the kernel has a verdict on it
  std::list<Connection*>::iterator place;

 private:
  void publish(AnyRequest request) {
    const unsigned direction = conversation.request_direction();
    const TaskKey& key = owner_keys[direction];
    std::visit(
        [&](auto& record) {
          record.pid = key.tgid;
          record.process_start_ns = key.start_ns;
          record.process_exec_count = key.exec_count;
          record.cgroup_id = owner_cgroups[direction];
          set_process(record, owners[direction]);
        },
        request);
    if (key.tgid == 0) ++table_.counts_.unowned;
    table_.outlet_.publish(std::move(request));
  }

  Connections& table_;
};

Connections::Connections(const Options& options, ConnectionLimits limits, Shared& shared,
                         Outlet& outlet)
    : options_(options), limits_(limits), outlet_(outlet), shared_(shared) {}

Connections::~Connections() = default;

void Connections::on_payload(const socket_payload_event& event, std::string_view tail) {
  now_ns_ = std::max<std::uint64_t>(now_ns_, event.header.time_ns);
  const std::string_view bytes = tail.substr(0, event.captured_bytes);
  if (event.direction > PAYLOAD_SENT || bytes.size() != event.captured_bytes ||
      event.captured_bytes > event.payload_bytes) {
    return;
  }
  counts_.bytes += event.payload_bytes;
  if (event.flags & PAYLOAD_LISTENER) {
    defer(event, bytes);
    return;
  }
  auto found = connections_.find(event.header.socket_cookie);
  if (found == connections_.end()) {
    // What was under way when it was decided, or the end of what is not followed.
    if (event.payload_bytes == 0 || ignored_.contains(event.header.socket_cookie)) return;
    Connection& connection = open(event.header.socket_cookie, event.ends);
    join_deferred(connection);
    feed(connection, event, bytes);
    settle(connection);
    return;
  }
  feed(*found->second, event, bytes);
  settle(*found->second);
}

void Connections::feed(Connection& connection, const socket_payload_event& event,
                       std::string_view bytes) {
  connection.last_ns = now_ns_;
  if (event.flags & PAYLOAD_RST) connection.conversation.on_reset();
  if (event.payload_bytes == 0 && !(event.flags & PAYLOAD_FIN)) return;
  const bool deferred = event.flags & PAYLOAD_LISTENER;
  connection.conversation.on_segment(
      event.direction == PAYLOAD_RECEIVED ? Conversation::received : Conversation::sent,
      {.sequence = event.tcp_sequence,
       .ack = event.tcp_ack,
       .time_ns = event.header.time_ns,
       .bytes = bytes,
       .unseen = event.payload_bytes - event.captured_bytes,
       .in_order = (event.flags & PAYLOAD_IN_ORDER) != 0 || deferred,
       .first = (event.flags & PAYLOAD_FIRST) != 0 || deferred,
       .opening = (event.flags & PAYLOAD_OPENING) != 0 || deferred,
       .followed = (event.flags & PAYLOAD_FOLLOWED) != 0 || deferred,
       .fin = (event.flags & PAYLOAD_FIN) != 0});
}

void Connections::on_owner(const socket_owner_event& event, const ProcessRef& process) {
  now_ns_ = std::max<std::uint64_t>(now_ns_, event.header.time_ns);
  if (event.direction > PAYLOAD_SENT) return;
  auto found = connections_.find(event.header.socket_cookie);
  if (found == connections_.end() && ignored_.contains(event.header.socket_cookie)) return;
  const bool fresh = found == connections_.end();
  Connection& connection = fresh ? open(event.header.socket_cookie, event.ends) : *found->second;
  connection.last_ns = now_ns_;
  own(connection, event.direction, event.header, process);
  if (fresh) join_deferred(connection);
  if (connection.owned()) connection.publish_waiting();
  settle(connection);
}

void Connections::own(Connection& connection, unsigned direction, const event_header& header,
                      const ProcessRef& process) {
  connection.owners[direction] = process;
  connection.owner_keys[direction] = task_key(header.task);
  connection.owner_cgroups[direction] = header.cgroup_id;
}

void Connections::on_text(const socket_payload_event& event, std::string_view tail,
                          const ProcessRef& process) {
  const std::uint64_t cookie = event.header.socket_cookie;
  if (event.direction > PAYLOAD_SENT || ignored_.contains(cookie)) return;
  auto found = connections_.find(cookie);
  if (found == connections_.end() && event.payload_bytes == 0) return;
  now_ns_ = std::max<std::uint64_t>(now_ns_, event.header.time_ns);
  Connection& connection = found == connections_.end() ? open(cookie, event.ends) : *found->second;
  own(connection, event.direction, event.header, process);
  on_payload(event, tail);
}

void Connections::refuse(std::uint64_t cookie) {
  if (auto found = connections_.find(cookie); found != connections_.end()) {
    ignore(*found->second);
  } else {
    ignore(cookie);
  }
}

void Connections::on_close(const socket_close_event& event) {
  now_ns_ = std::max<std::uint64_t>(now_ns_, event.header.time_ns);
  auto found = connections_.find(event.header.socket_cookie);
  if (found == connections_.end()) return;
  found->second->conversation.close("closed");
  drop(*found->second);
}

void Connections::tick(std::uint64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  while (!unowned_.empty() && unowned_.front()->waiting_since_ns + owner_patience_ns <= now_ns_) {
    Connection& connection = *unowned_.front();
    connection.publish_waiting();
    account(connection);
  }
  // Below a second of silence there is nothing to do for a connection.
  constexpr std::uint64_t second = 1'000'000'000;
  for (auto next = by_activity_.begin(); next != by_activity_.end();) {
    Connection& connection = **next++;
    if (connection.last_ns + second > now_ns_) break;
    Conversation& conversation = connection.conversation;
    if (conversation.outstanding() || conversation.waiting_for_segments()) {
      conversation.on_idle(now_ns_);
    }
    if (connection.last_ns + std::max(silence_ns, 2 * options_.request_timeout_ns) <= now_ns_) {
      conversation.close("timeout");
      drop(connection);
    } else {
      account(connection);
    }
  }
  while (!decided_.empty() && decided_.front().time_ns + verdict_keep_ns <= now_ns_) {
    outlet_.forget(decided_.front().cookie);
    ignored_.erase(decided_.front().cookie);
    decided_.pop_front();
  }
  while (!deferred_.empty() &&
         deferred_.front().event.header.time_ns + deferred_keep_ns <= now_ns_) {
    ++counts_.deferred_lost;
    deferred_bytes_ -= deferred_.front().bytes.size();
    deferred_.pop_front();
  }
}

Connections::Connection& Connections::open(std::uint64_t cookie, const socket_ends& ends) {
  if (connections_.size() >= limits_.connections) evict();
  ++counts_.opened;
  auto& slot = connections_[cookie];
  slot = std::make_unique<Connection>(*this, cookie, ends);
  slot->last_ns = now_ns_;
  slot->place = by_activity_.insert(by_activity_.end(), slot.get());
  return *slot;
}

void Connections::defer(const socket_payload_event& event, std::string_view bytes) {
  if (deferred_.size() >= limits_.deferred_segments ||
      deferred_bytes_ + bytes.size() > deferred_max_bytes) {
    ++counts_.deferred_lost;
    return;
  }
  deferred_bytes_ += bytes.size();
  deferred_.push_back({event, std::string(bytes)});
}

void Connections::join_deferred(Connection& connection) {
  for (auto next = deferred_.begin(); next != deferred_.end();) {
    if (!same_ends(next->event.ends, connection.ends)) {
      ++next;
      continue;
    }
    Deferred deferred = std::move(*next);
    next = deferred_.erase(next);
    deferred_bytes_ -= deferred.bytes.size();
    feed(connection, deferred.event, deferred.bytes);
  }
}

void Connections::settle(Connection& connection) {
  if (connection.conversation.finished()) {
    ignore(connection);
    return;
  }
  account(connection);
  by_activity_.splice(by_activity_.end(), by_activity_, connection.place);
  while (shared_.budget.used_bytes > shared_.budget.limit_bytes && !by_activity_.empty()) evict();
}

void Connections::account(Connection& connection) {
  const std::size_t memory = connection.memory();
  shared_.budget.used_bytes += memory - connection.accounted;
  connection.accounted = memory;
}

void Connections::ignore(Connection& connection) {
  const std::uint64_t cookie = connection.cookie;
  connection.decided = false;  // the entry is replaced, not removed
  drop(connection);
  ignore(cookie);
}

void Connections::ignore(std::uint64_t cookie) {
  ++counts_.ignored;
  if (decided_.size() >= PAYLOAD_VERDICTS / 2) {
    outlet_.forget(decided_.front().cookie);
    ignored_.erase(decided_.front().cookie);
    decided_.pop_front();
  }
  if (!ignored_.insert(cookie).second) return;
  outlet_.decide(cookie, PAYLOAD_IGNORE);
  decided_.push_back({cookie, now_ns_});
}

void Connections::drop(Connection& connection) {
  connection.publish_waiting();
  if (connection.decided) outlet_.forget(connection.cookie);
  shared_.budget.used_bytes -= connection.accounted;
  by_activity_.erase(connection.place);
  connections_.erase(connection.cookie);
}

void Connections::evict() {
  Connection& oldest = *by_activity_.front();
  ++counts_.evicted;
  oldest.conversation.close("capacity");
  drop(oldest);
}

}  // namespace trivet::tracing
