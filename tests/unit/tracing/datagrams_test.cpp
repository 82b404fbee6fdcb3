// SPDX-License-Identifier: Apache-2.0
#include "tracing/datagrams.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace trivet::tracing {
namespace {

constexpr std::uint64_t second = 1'000'000'000;

// A resolver's socket and what is told of it.
struct Resolver {
  std::vector<DnsRequest> records;
  Datagrams datagrams{5 * second, [this](DnsRequest record) { records.push_back(record); }};
  std::uint64_t now_ns = second;

  void message(bool response, unsigned id, const std::string& label, std::uint16_t peer_port = 53) {
    now_ns += 1'000'000;
    std::string bytes{static_cast<char>(id >> 8),
                      static_cast<char>(id),
                      static_cast<char>(response ? 0x81 : 0x01),
                      0,
                      0,
                      1,
                      0,
                      0,
                      0,
                      0,
                      0,
                      0};
    bytes += static_cast<char>(label.size()) + label + std::string("\0\0\1\0\1", 5);
    socket_payload_event event{};
    event.header.time_ns = now_ns;
    event.header.socket_cookie = 9;
    event.ends.local_port = 40000;
    event.ends.peer_port = peer_port;
    event.payload_bytes = event.captured_bytes = static_cast<__u32>(bytes.size());
    event.direction = response ? PAYLOAD_RECEIVED : PAYLOAD_SENT;
    event.flags = PAYLOAD_DATAGRAM;
    datagrams.on_datagram(event, bytes);
  }
};

}  // namespace

TEST_CASE("a datagram's response belongs to the query of its id, question and peer") {
  Resolver resolver;
  resolver.message(false, 1, "a");
  resolver.message(false, 2, "b");
  resolver.message(true, 1, "other");    // another question
  resolver.message(true, 2, "b", 5353);  // another peer
  CHECK(resolver.records.empty());
  CHECK(resolver.datagrams.counts().unmatched == 2);
  resolver.message(true, 2, "B");
  resolver.message(true, 1, "a");
  REQUIRE(resolver.records.size() == 2);
  CHECK(resolver.records[0].question_name == "b");
  CHECK(resolver.records[0].role == "client");
  CHECK(resolver.records[0].transport == "udp");
  CHECK(resolver.records[0].latency.ns == 3'000'000);
  CHECK(resolver.records[1].question_name == "a");
}

TEST_CASE("a query sent again is one record, timed from the first; an id used anew is another") {
  Resolver resolver;
  resolver.message(false, 1, "a");
  resolver.message(false, 1, "a");
  resolver.message(true, 1, "a");
  REQUIRE(resolver.records.size() == 1);
  CHECK(resolver.records[0].latency.ns == 2'000'000);
  resolver.message(false, 7, "a");
  resolver.message(false, 7, "b");
  resolver.message(true, 7, "b");
  REQUIRE(resolver.records.size() == 3);
  CHECK(resolver.records[1].error == "superseded");
  CHECK(resolver.records[2].question_name == "b");
}

TEST_CASE("a datagram without a response becomes a record, and there are never too many") {
  Resolver resolver;
  resolver.message(false, 1, "a");
  resolver.datagrams.tick(resolver.now_ns + 4 * second);
  CHECK(resolver.records.empty());
  resolver.datagrams.tick(resolver.now_ns + 5 * second);
  REQUIRE(resolver.records.size() == 1);
  CHECK(resolver.records[0].error == "timeout");
  CHECK(resolver.records[0].latency.ns >= 4'999'000'000);

  for (unsigned i = 0; i < Datagrams::max_queries + 10; ++i) resolver.message(false, i, "a");
  CHECK(resolver.datagrams.outstanding() == Datagrams::max_queries);
  CHECK(resolver.datagrams.counts().evicted == 10);
  REQUIRE(resolver.records.size() == 11);
  CHECK(resolver.records.back().error == "capacity");
  CHECK(resolver.records.back().id == 9);
}

TEST_CASE("the process of a datagram's query is the socket's owner in its direction") {
  Resolver resolver;
  socket_owner_event owner{};
  owner.header.socket_cookie = 9;
  owner.header.task.tgid = 42;
  owner.direction = PAYLOAD_SENT;
  owner.datagrams = 1;
  resolver.message(false, 1, "a");
  resolver.datagrams.on_owner(owner, nullptr);
  resolver.message(true, 1, "a");
  REQUIRE(resolver.records.size() == 1);
  CHECK(resolver.records[0].pid == 42);
  CHECK(resolver.datagrams.counts().unowned == 0);
}

}  // namespace trivet::tracing
