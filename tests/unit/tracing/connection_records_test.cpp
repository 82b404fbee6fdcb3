// SPDX-License-Identifier: Apache-2.0
#include "tracing/connection_records.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>

namespace trivet::tracing {
namespace {

socket_state_event end(std::uint8_t old_state, int error) {
  socket_state_event event{};
  event.header.time_ns = 5'000'000'000;
  event.protocol = IPPROTO_TCP;
  event.state = SOCKET_CLOSED;
  event.old_state = old_state;
  event.error = static_cast<std::uint8_t>(error);
  event.opened_ns = 2'000'000'000;
  event.flags = SOCKET_CONNECTED;
  return event;
}

TEST_CASE("a connection's end is told apart by the error and by the state before") {
  CHECK(to_record(end(TCP_LAST_ACK, 0)).end == "closed");
  CHECK(to_record(end(TCP_FIN_WAIT2, 0)).end == "closed");
  CHECK(to_record(end(TCP_CLOSING, 0)).end == "closed");
  CHECK(to_record(end(TCP_ESTABLISHED, ECONNRESET)).end == "reset");
  CHECK(to_record(end(TCP_CLOSE_WAIT, EPIPE)).end == "reset");
  CHECK(to_record(end(TCP_SYN_SENT, ECONNREFUSED)).end == "refused");
  CHECK(to_record(end(TCP_SYN_SENT, ETIMEDOUT)).end == "timeout");
  CHECK(to_record(end(TCP_ESTABLISHED, ETIMEDOUT)).end == "timeout");
  CHECK(to_record(end(TCP_SYN_SENT, EHOSTUNREACH)).end == "error");
  CHECK(to_record(end(TCP_ESTABLISHED, 0)).end == "aborted");
  CHECK(to_record(end(TCP_CLOSE_WAIT, 0)).end == "aborted");
}

TEST_CASE("whose connection it was is unknown where its beginning was not seen") {
  auto event = end(TCP_LAST_ACK, 0);
  CHECK(to_record(event).role == "client");
  CHECK(to_record(event).opened->boot_ns == 2'000'000'000);
  CHECK(to_record(event).duration.ns == 3'000'000'000);
  event.flags = 0;
  CHECK(to_record(event).role == "server");
  event.opened_ns = 0;
  CHECK(to_record(event).role == "");
  CHECK_FALSE(to_record(event).opened);
  CHECK(to_record(event).duration.ns == 0);
}

}  // namespace
}  // namespace trivet::tracing
