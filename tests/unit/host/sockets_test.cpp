// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <netinet/in.h>

#include <cstring>
#include <string>
#include <vector>

#include "facts/host_facts.h"
#include "facts/sockets.h"

namespace trivet {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Told {
  std::uint64_t cookie = 1;
  std::uint64_t time_ns = kSecond;
  std::uint8_t state = SOCKET_ESTABLISHED;
  task_key owner{};
  std::uint32_t flags = SOCKET_HAS_PEER;
  std::uint16_t local_port = 4000;
};

socket_state_event event(const Told& told) {
  socket_state_event out{};
  out.header.size = sizeof(out);
  out.header.type = socket_state_event_id;
  out.header.time_ns = told.time_ns;
  out.header.task = told.owner;
  out.header.socket_cookie = told.cookie;
  // 127.0.0.1 and 192.0.2.7, as RFC 4291 maps them.
  const unsigned char local[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
  const unsigned char peer[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7};
  std::memcpy(out.local_address, local, sizeof(local));
  std::memcpy(out.peer_address, peer, sizeof(peer));
  out.local_port = told.local_port;
  out.peer_port = 443;
  out.protocol = IPPROTO_TCP;
  out.state = told.state;
  out.flags = told.flags;
  out.net_namespace = 4026531840;
  return out;
}

std::size_t open_sockets(const SocketTable& table) {
  std::size_t count = 0;
  table.each([&](const SocketRef&) { ++count; });
  return count;
}

const task_key kNginx{500, 80, 1};
const task_key kWorker{600, 81, 1};

TEST_CASE("an established socket is known by its cookie with its tuple and owner") {
  HostFacts facts("");
  const auto told = event({.cookie = 7, .owner = kNginx});
  facts.apply(std::as_bytes(std::span(&told, 1)));
  const auto socket = facts.socket(7);
  REQUIRE(socket);
  CHECK(socket->local.to_string() == "127.0.0.1");
  CHECK(socket->local_port == 4000);
  CHECK(socket->remote.to_string() == "192.0.2.7");
  CHECK(socket->remote_port == 443);
  CHECK(socket->protocol == IPPROTO_TCP);
  CHECK(socket->owner == TaskKey{500, 80, 1});
  CHECK_FALSE(socket->listening);
  CHECK_FALSE(facts.socket(8));
}

TEST_CASE("a listener has no peer") {
  SocketTable table({});
  table.apply(event({.state = SOCKET_LISTENING, .owner = kNginx, .flags = 0}));
  CHECK(table.find(1)->listening);
  CHECK(table.find(1)->remote.family == 0);
}

TEST_CASE("an event that does not know the owner leaves the one that is known") {
  SocketTable table({});
  table.apply(event({.owner = kNginx}));
  table.apply(event({.time_ns = 2 * kSecond}));
  CHECK(table.find(1)->owner.tgid == 80);
  CHECK(table.find(1)->since_ns == kSecond);
}

TEST_CASE("a closed socket stays known for the grace time, and is not open") {
  SocketTable table({.max_sockets = 10, .closed_grace_ns = 10 * kSecond});
  table.apply(event({}));
  table.apply(event({.time_ns = 5 * kSecond, .state = SOCKET_CLOSED}));
  CHECK(open_sockets(table) == 0);
  CHECK(table.find(1)->state == SOCKET_CLOSED);
  table.refresh(14 * kSecond);
  CHECK(table.find(1));
  table.refresh(15 * kSecond);
  CHECK_FALSE(table.find(1));
  CHECK(table.counts().sockets == 0);
}

TEST_CASE("a socket that connects again after it closed is open again, and is not forgotten") {
  SocketTable table({.max_sockets = 10, .closed_grace_ns = 10 * kSecond});
  table.apply(event({}));
  table.apply(event({.time_ns = 2 * kSecond, .state = SOCKET_CLOSED}));
  table.apply(event({.time_ns = 3 * kSecond}));
  table.refresh(60 * kSecond);
  CHECK(open_sockets(table) == 1);
}

TEST_CASE("past the limit closed sockets make room, then new ones are refused, both counted") {
  SocketTable table({.max_sockets = 3, .closed_grace_ns = 1000 * kSecond});
  for (std::uint64_t cookie = 1; cookie <= 3; ++cookie) table.apply(event({.cookie = cookie}));
  table.apply(event({.cookie = 2, .time_ns = 2 * kSecond, .state = SOCKET_CLOSED}));
  table.apply(event({.cookie = 4, .time_ns = 3 * kSecond}));
  table.apply(event({.cookie = 5, .time_ns = 4 * kSecond}));
  CHECK_FALSE(table.find(2));
  CHECK(table.find(4));
  CHECK_FALSE(table.find(5));
  CHECK(table.counts().evicted == 1);
  CHECK(table.counts().refused == 1);
}

TEST_CASE("a snapshot closes what nobody holds any more, but not what waits to be accepted") {
  SocketTable table({});
  table.apply(event({.cookie = 1, .owner = kNginx}));
  table.apply(event({.cookie = 2}));
  table.apply(event({.cookie = 3, .owner = kNginx}));
  table.begin_snapshot();
  table.apply(event({.cookie = 3,
                     .time_ns = 5 * kSecond,
                     .owner = kNginx,
                     .flags = SOCKET_SNAPSHOT | SOCKET_HAS_PEER}));
  table.end_snapshot(5 * kSecond);
  CHECK(table.find(1)->state == SOCKET_CLOSED);
  CHECK(table.find(2)->state == SOCKET_ESTABLISHED);
  CHECK(table.find(3)->state == SOCKET_ESTABLISHED);
}

TEST_CASE("of several holders the known owner stays; without it, the first one found is it") {
  const auto snapshot = [](const task_key& holder, std::uint64_t time_ns) {
    return event(
        {.time_ns = time_ns, .state = SOCKET_LISTENING, .owner = holder, .flags = SOCKET_SNAPSHOT});
  };
  SocketTable table({});
  table.apply(event({.state = SOCKET_LISTENING, .owner = kWorker, .flags = 0}));
  table.begin_snapshot();
  table.apply(snapshot(kNginx, 5 * kSecond));
  table.apply(snapshot(kWorker, 6 * kSecond));
  table.end_snapshot(5 * kSecond);
  CHECK(table.find(1)->owner.tgid == 81);
  table.begin_snapshot();
  table.apply(snapshot(kNginx, 8 * kSecond));
  table.end_snapshot(8 * kSecond);
  CHECK(table.find(1)->owner.tgid == 80);
}

}  // namespace
}  // namespace trivet
