// SPDX-License-Identifier: Apache-2.0
// Messages by the structures of RFC 8446, 4 and 5.1.
#include <doctest/doctest.h>

#include "wire.h"

namespace trivet::tracing {
namespace {

using Tls = WireOf<TlsHandshake>;

std::string number(unsigned value, unsigned size) {
  std::string bytes;
  while (size-- > 0) bytes += static_cast<char>(value >> 8 * size);
  return bytes;
}
std::string vector(const std::string& content, unsigned length_bytes) {
  return number(static_cast<unsigned>(content.size()), length_bytes) + content;
}
std::string record(unsigned type, const std::string& content) {
  return number(type, 1) + number(0x0301, 2) + vector(content, 2);
}
std::string handshake(unsigned type, const std::string& content) {
  return number(type, 1) + vector(content, 3);
}
std::string extension(unsigned type, const std::string& content) {
  return number(type, 2) + vector(content, 2);
}
std::string client_hello() {
  const std::string extensions =
      extension(0x2a2a, "") + extension(0, vector('\0' + vector("www.example.org", 2), 2)) +
      extension(16, vector(vector("h2", 1) + vector("http/1.1", 1), 2)) +
      extension(43, vector(number(0x1a1a, 2) + number(0x0304, 2) + number(0x0303, 2), 1));
  return handshake(1, number(0x0303, 2) + std::string(32, 'r') + vector(std::string(32, 's'), 1) +
                          vector(number(0x3a3a, 2) + number(0x1301, 2) + number(0xc02f, 2), 2) +
                          vector(std::string(1, '\0'), 1) + vector(extensions, 2));
}
std::string server_hello(unsigned cipher, const std::string& extensions,
                         const std::string& random = std::string(32, 'R')) {
  return handshake(2, number(0x0303, 2) + random + vector(std::string(32, 's'), 1) +
                          number(cipher, 2) + number(0, 1) + vector(extensions, 2));
}

}  // namespace

TEST_CASE("a handshake of TLS 1.3 becomes a record, however it is cut") {
  const std::string asked = record(22, client_hello());
  const std::string answered =
      record(22, server_hello(0x1301, extension(43, number(0x0304, 2)))) + record(20, "\1");
  for (std::size_t split = 1; split < asked.size(); ++split) {
    CAPTURE(split);
    Tls wire;
    wire.client(asked.substr(0, split));
    wire.client(asked.substr(split));
    wire.server(answered.substr(0, split % answered.size()));
    wire.server(answered.substr(split % answered.size()));
    REQUIRE(wire.records.size() == 1);
    const TlsHandshake& r = wire.records[0];
    REQUIRE(r.version == "1.3");
    REQUIRE(r.server_name == "www.example.org");
    REQUIRE(r.cipher == "TLS_AES_128_GCM_SHA256");
    REQUIRE(r.alpn_offered == std::vector<std::string>{"h2", "http/1.1"});
    REQUIRE(r.versions_offered == std::vector<std::string>{"1.3", "1.2"});
    REQUIRE(r.ciphers_offered == 2);
    REQUIRE(r.error == "");
    REQUIRE(wire.conversation.finished());
  }
}

TEST_CASE("TLS 1.2 tells the chosen application protocol; hellos may go over several records") {
  Tls wire;
  const std::string hello = client_hello();
  wire.client(record(22, hello.substr(0, 7)) + record(22, hello.substr(7)));
  wire.server(record(22, server_hello(0xc02f, extension(16, vector(vector("h2", 1), 2)))));
  CHECK(wire.records.empty());  // a certificate may follow
  SUBCASE("none follows") {
    wire.server(record(22, handshake(12, "key exchange")));
  }
  SUBCASE("a session goes on") {
    wire.server(record(20, "\1"));
  }
  SUBCASE("what follows is none") {
    wire.server(record(22, handshake(11, vector(vector("no certificate", 3), 3))));
  }
  SUBCASE("the connection ends") {
    wire.conversation.close("closed");
  }
  SUBCASE("it is lost") {
    wire.server(record(22, "lost"), true);
    wire.server(record(22, handshake(12, "key exchange")));
  }
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].version == "1.2");
  CHECK(wire.records[0].alpn == "h2");
  CHECK(wire.records[0].error == "");
  CHECK(wire.records[0].latency.ns == ms);
  CHECK(wire.conversation.finished());
}

TEST_CASE("a server that asks for another hello is waited for") {
  const std::string random(
      "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
      "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c",
      32);
  Tls wire;
  wire.client(record(22, client_hello()));
  wire.server(record(22, server_hello(0x1301, extension(43, number(0x0304, 2)), random)));
  CHECK(wire.records.empty());
  wire.client(record(20, "\1") + record(22, client_hello()));
  wire.server(record(22, server_hello(0x1302, extension(43, number(0x0304, 2)))));
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].retried);
  CHECK(wire.records[0].cipher == "TLS_AES_256_GCM_SHA384");
}

TEST_CASE("a refused handshake tells its alert, one that is cut off that it was closed") {
  Tls wire;
  wire.client(record(22, client_hello()));
  SUBCASE("refused") {
    wire.server(record(21, number(0x0228, 2)));
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].alert == "handshake_failure");
    CHECK(wire.records[0].version == "");
    CHECK(wire.records[0].error == "");
  }
  SUBCASE("another protocol answers") {
    wire.server("HTTP/1.1 400 Bad Request\r\n\r\n");
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].error == "malformed");
  }
  SUBCASE("closed") {
    wire.conversation.close("closed");
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].error == "closed");
  }
}

TEST_CASE("the TLS that a PostgreSQL client asked for is found on its connection") {
  Tls wire;
  wire.client(number(8, 4) + number(80877103, 4));
  wire.server("S");
  wire.client(record(22, client_hello()));
  wire.server(record(22, server_hello(0x1301, extension(43, number(0x0304, 2)))));
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].server_name == "www.example.org");
  CHECK(wire.conversation.finished());
}

}  // namespace trivet::tracing
