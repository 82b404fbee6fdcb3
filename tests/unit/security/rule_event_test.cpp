// SPDX-License-Identifier: Apache-2.0
#include "security/rule_event.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "fake_host.h"

namespace trivet::security {
namespace {

TEST_CASE("paths become absolute as text") {
  struct Row {
    const char* base;
    const char* path;
    const char* absolute;
  };
  const Row rows[] = {
      {"/tmp", "a", "/tmp/a"},
      {"/tmp", "../etc/shadow", "/etc/shadow"},
      {"/tmp", "/etc//x/./y", "/etc/x/y"},
      {"/tmp", "../../..", "/"},
      {"/", "a/b/", "/a/b"},
      {"", "a", "a"},
      {"", "/a/../b", "/b"},
      {"/tmp", "", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.base);
    CAPTURE(row.path);
    CHECK(absolute_path(row.base, row.path) == row.absolute);
  }
}

TEST_CASE("a connection of an IPv6 socket to a mapped IPv4 address is one of IPv4") {
  FakeHost host;
  syscall_event data{};
  data.call = call_named("connect");
  data.flags = CALL_HAS_SOCKET | CALL_SOCKET_CONNECTED;
  call_socket socket{};
  socket.family = AF_INET6;
  inet_pton(AF_INET6, "::ffff:192.0.2.7", socket.remote);
  inet_pton(AF_INET6, "::ffff:192.0.2.1", socket.local);
  const ProcessRef nobody;
  Event<syscall_event> event{data, std::as_bytes(std::span(&socket, 1)), nobody, nobody};
  auto seen = RuleEvent::from(event, host.facts());
  REQUIRE(seen);
  CHECK(seen->family == AF_INET);
  CHECK(seen->remote.to_string() == "192.0.2.7");
  CHECK(seen->local.to_string() == "192.0.2.1");
  inet_pton(AF_INET6, "2001:db8::1", socket.remote);
  auto plain = RuleEvent::from(event, host.facts());
  REQUIRE(plain);
  CHECK(plain->family == AF_INET6);
}

TEST_CASE("flags, errors and capabilities have their names") {
  CHECK(open_flag_names(O_RDONLY) == "O_RDONLY");
  CHECK(open_flag_names(O_WRONLY | O_CREAT | O_TRUNC) == "O_TRUNC|O_CREAT|O_WRONLY");
  CHECK(open_flag_names(O_RDWR | O_SYNC | O_CLOEXEC) == "O_CLOEXEC|O_SYNC|O_RDWR");
  CHECK(open_flag_names(O_RDWR | O_DSYNC) == "O_DSYNC|O_RDWR");
  CHECK(error_name(-2) == "ENOENT");
  CHECK(error_name(-115) == "EINPROGRESS");
  CHECK(error_name(-512) == "-512");
  CHECK(capability_names(1u << 0 | 1u << 21) == "CAP_CHOWN CAP_SYS_ADMIN");
}

}  // namespace
}  // namespace trivet::security
