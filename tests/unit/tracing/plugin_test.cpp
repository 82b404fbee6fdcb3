// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "fake_host.h"
#include "tracing/tracing.h"

namespace trivet::tracing {
namespace {

constexpr std::uint64_t client_cookie = 1;
constexpr std::uint64_t server_cookie = 2;
constexpr std::uint16_t client_port = 40000;
constexpr std::uint16_t server_port = 80;

void address(std::uint8_t (&into)[16], const char* text) {
  inet_pton(AF_INET6, text, into);
}

// Both sockets of a connection over loopback, as the kernel programs tell of them.
class Loopback {
 public:
  Loopback(FakeHost& host, std::uint64_t first_cookie = client_cookie)
      : host_(host), first_cookie_(first_cookie) {}

  // A segment from the client or the server, seen as it leaves one socket and arrives at the other.
  void segment(bool from_client, std::string_view bytes, unsigned flags = 0) {
    payload(from_client, PAYLOAD_SENT, bytes, flags);
    payload(!from_client, PAYLOAD_RECEIVED, bytes, flags);
    next_[from_client] += static_cast<std::uint32_t>(bytes.size()) + ((flags & PAYLOAD_FIN) != 0);
  }

  void payload(bool at_client, payload_direction direction, std::string_view bytes,
               unsigned flags) {
    const bool from_client = at_client == (direction == PAYLOAD_SENT);
    socket_payload_event event{};
    event.header.socket_cookie = first_cookie_ + !at_client;
    event.ends = ends(at_client);
    event.tcp_sequence = next_[from_client];
    event.tcp_ack = next_[!from_client];
    event.payload_bytes = event.captured_bytes = static_cast<__u32>(bytes.size());
    event.direction = static_cast<__u8>(direction);
    event.flags = static_cast<__u8>(flags | PAYLOAD_IN_ORDER | PAYLOAD_FOLLOWED |
                                    (next_[from_client] == 1000) * PAYLOAD_FIRST |
                                    (next_[0] == 1000 && next_[1] == 1000) * PAYLOAD_OPENING);
    // The kernel rounds records up.
    host_.deliver(event, std::string(bytes) + std::string(17, '\xee'));
  }

  void owner(bool at_client, payload_direction direction, const ProcessRef& process) {
    socket_owner_event event{};
    event.header.socket_cookie = first_cookie_ + !at_client;
    event.header.task = {process->key.start_ns, process->key.tgid, process->key.exec_count};
    event.ends = ends(at_client);
    event.direction = static_cast<__u8>(direction);
    host_.deliver(event);
  }

  void close(bool at_client) {
    socket_close_event event{};
    event.header.socket_cookie = first_cookie_ + !at_client;
    host_.deliver(event);
  }

  static socket_ends ends(bool at_client) {
    socket_ends ends{};
    address(ends.local_address, at_client ? "::ffff:127.0.0.2" : "::ffff:127.0.0.1");
    address(ends.peer_address, at_client ? "::ffff:127.0.0.1" : "::ffff:127.0.0.2");
    ends.local_port = at_client ? client_port : server_port;
    ends.peer_port = at_client ? server_port : client_port;
    return ends;
  }

 private:
  FakeHost& host_;
  std::uint64_t first_cookie_;
  std::uint32_t next_[2] = {1000, 1000};  // of the server, of the client
};

struct Started {
  explicit Started(const std::string& toml = "enabled = true") {
    host.declare_map("verdicts", 8, 4);
    curl = host.facts().add(tree({.name = "curl", .exe = "/usr/bin/curl"}));
    nginx =
        host.facts().add(tree({.name = "nginx", .exe = "/usr/sbin/nginx", .unit = "web.service"}));
    REQUIRE(plugin.configure(host.config(toml)));
    REQUIRE(plugin.start(host));
  }
  ~Started() { plugin.stop(); }

  std::size_t verdicts() { return host.map("verdicts").entries.size(); }

  FakeHost host;
  Tracing plugin;
  ProcessRef curl;
  ProcessRef nginx;
};

constexpr std::string_view request =
    "GET /hello?x=1 HTTP/1.1\r\nHost: localhost\r\nCookie: a=b\r\n\r\n";
constexpr std::string_view response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

}  // namespace

TEST_CASE("a request over loopback gives a record at each end, with its process") {
  Started t;
  Loopback wire(t.host);
  wire.segment(true, request);
  wire.owner(true, PAYLOAD_SENT, t.curl);
  wire.owner(false, PAYLOAD_RECEIVED, t.nginx);
  wire.segment(false, response);
  wire.owner(false, PAYLOAD_SENT, t.nginx);
  wire.owner(true, PAYLOAD_RECEIVED, t.curl);

  auto records = t.host.records<HttpRequest>();
  REQUIRE(records.size() == 2);
  const HttpRequest& server = records[0].role == "server" ? records[0] : records[1];
  const HttpRequest& client = records[0].role == "server" ? records[1] : records[0];
  CHECK(server.process == "nginx");
  CHECK(server.exe == "/usr/sbin/nginx");
  CHECK(server.pid == t.nginx->key.tgid);
  CHECK(server.socket_cookie == server_cookie);
  CHECK(server.local_address.to_string() == "127.0.0.1");
  CHECK(server.local_port == server_port);
  CHECK(server.peer_address.to_string() == "127.0.0.2");
  CHECK(server.peer_port == client_port);
  CHECK(client.role == "client");
  CHECK(client.process == "curl");
  CHECK(client.peer_port == server_port);
  CHECK(client.request_headers.items.at(1).second == Scalar("a=<redacted>"));
  Labels labels = {
      {"http_request_method", "GET"}, {"http_response_status_code", "200"}, {"service_name", ""}};
  CHECK(t.host.metrics().observations("http_client_request_duration_seconds", labels) == 1);
  labels.back().second = "web";
  labels.emplace_back("http_route", "/hello");
  CHECK(t.host.metrics().observations("http_server_request_duration_seconds", labels) == 1);
}

TEST_CASE("a record waits a moment for its process") {
  Started t;
  Loopback wire(t.host);
  wire.segment(true, request);
  wire.segment(false, response);
  CHECK(t.host.records<HttpRequest>().empty());
  SUBCASE("which becomes known") {
    wire.owner(true, PAYLOAD_SENT, t.curl);
    REQUIRE(t.host.records<HttpRequest>().size() == 1);
    CHECK(t.host.records<HttpRequest>()[0].process == "curl");
  }
  SUBCASE("or not") {
    t.host.tick();
    CHECK(t.host.records<HttpRequest>().size() == 2);
    t.host.tick();
    CHECK(t.host.metrics().value("trivet_tracing_unowned_total") == 2);
  }
  SUBCASE("until the socket closes") {
    wire.close(true);
    CHECK(t.host.records<HttpRequest>().size() == 1);
  }
}

TEST_CASE("a socket handed to another process belongs to it from then on") {
  Started t;
  Loopback wire(t.host);
  auto worker = t.host.facts().add(tree({.name = "worker"}));
  for (const auto& process : {t.nginx, worker}) {
    wire.segment(true, request);
    wire.owner(false, PAYLOAD_RECEIVED, process);
    wire.segment(false, response);
  }
  auto records = t.host.records<HttpRequest>();
  REQUIRE(records.size() == 2);
  CHECK(records[0].process == "nginx");
  CHECK(records[1].process == "worker");
}

TEST_CASE("the first bytes of a deferred accept come from the listener and join their socket") {
  Started t;
  Loopback client_only(t.host, 100);
  socket_payload_event event{};
  event.header.socket_cookie = 77;  // the listener's
  event.ends = Loopback::ends(false);
  event.tcp_sequence = 1000;
  event.tcp_ack = 1000;
  event.payload_bytes = event.captured_bytes = static_cast<__u32>(request.size());
  event.direction = PAYLOAD_RECEIVED;
  event.flags = PAYLOAD_LISTENER;
  t.host.deliver(event, request);

  Loopback wire(t.host);
  wire.owner(false, PAYLOAD_RECEIVED, t.nginx);
  socket_payload_event answer{};
  answer.header.socket_cookie = server_cookie;
  answer.ends = Loopback::ends(false);
  answer.tcp_sequence = 1000;
  answer.tcp_ack = 1000 + static_cast<__u32>(request.size());
  answer.payload_bytes = answer.captured_bytes = static_cast<__u32>(response.size());
  answer.direction = PAYLOAD_SENT;
  answer.flags = PAYLOAD_IN_ORDER;
  t.host.deliver(answer, response);
  auto records = t.host.records<HttpRequest>();
  REQUIRE(records.size() == 1);
  CHECK(records[0].path == "/hello");
  CHECK(records[0].status == 200u);
  CHECK(records[0].process == "nginx");
}

TEST_CASE("the kernel is told to ignore what no protocol knows, once") {
  Started t;
  Loopback wire(t.host);
  wire.segment(true, "SSH-2.0-OpenSSH_9.2 a greeting");
  wire.segment(true, "and more of it, already under way");
  CHECK(t.verdicts() == 2);
  CHECK(t.host.map("verdicts").entries.begin()->second.at(0) == std::byte{PAYLOAD_IGNORE});
  CHECK(t.host.records<HttpRequest>().empty());
  t.host.tick();  // long after the events' times: the verdicts have done their work
  CHECK(t.verdicts() == 0);
  CHECK(t.host.metrics().value("trivet_tracing_ignored_total") == 2);
  CHECK(t.host.metrics().value("trivet_tracing_connections") == 0);
}

TEST_CASE("a chunked response is asked for whole until the socket closes") {
  Started t;
  Loopback wire(t.host);
  wire.segment(true, request);
  wire.segment(false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
  CHECK(t.verdicts() == 2);
  CHECK(t.host.map("verdicts").entries.begin()->second.at(0) == std::byte{PAYLOAD_WHOLE});
  wire.segment(false, "0\r\n\r\n");
  wire.close(true);
  wire.close(false);
  CHECK(t.verdicts() == 0);
  CHECK(t.host.records<HttpRequest>().size() == 2);
}

TEST_CASE(
    "as memory runs out first bodies go, then all but sizes; no request is forgotten for them") {
  Started t("memory_limit = 2097152\n[http]\nbody_limit = 65536");
  const std::string body(60000, 'x');
  for (std::uint64_t i = 0; i < 150; ++i) {
    Loopback wire(t.host, 1000 + 2 * i);
    wire.segment(true, "POST /" + std::to_string(i) + " HTTP/1.1\r\nX-Long: " +
                           std::string(4000, 'l') + "\r\nContent-Length: 60000\r\n\r\n");
    wire.segment(true, body);
    wire.segment(false, response);
    wire.segment(true, request);
  }
  t.host.tick();
  t.host.tick();
  const auto degraded = [&](const char* kept) {
    return t.host.metrics().value("trivet_tracing_degraded_total", {{"kept", kept}});
  };
  CHECK(degraded("heads") > 50);
  CHECK(degraded("sizes") > 10);
  CHECK(t.host.metrics().value("trivet_tracing_evicted_total") == 0);
  auto records = t.host.records<HttpRequest>();
  std::size_t posted = 0;
  for (const HttpRequest& r : records) {
    if (r.method != "POST") continue;
    ++posted;
    CHECK(r.request_body_bytes == 60000);
    CHECK(r.request_body_truncated == r.request_body.empty());
    CHECK(r.status == 200u);
  }
  CHECK(posted == 300);
}

TEST_CASE("memory is bounded: the connection silent longest goes, its request told") {
  Started t("memory_limit = 1048576");
  for (std::uint64_t i = 0; i < 1000; ++i) {
    Loopback wire(t.host, 1000 + 2 * i);
    wire.segment(true, request);
  }
  t.host.tick();
  CHECK(t.host.metrics().value("trivet_tracing_memory_bytes") <= 1048576);
  CHECK(t.host.metrics().value("trivet_tracing_evicted_total") > 1000);
  auto records = t.host.records<HttpRequest>();
  REQUIRE_FALSE(records.empty());
  CHECK(records[0].error == "capacity");
}

TEST_CASE("an event that claims more bytes than it has is not believed") {
  Started t;
  socket_payload_event event{};
  event.header.socket_cookie = 5;
  event.payload_bytes = event.captured_bytes = 100;
  t.host.deliver(event, "short");
  event.captured_bytes = 4;
  event.payload_bytes = 2;
  t.host.deliver(event, "GET ");
  event.direction = 9;
  t.host.deliver(event, "GET ");
  t.host.tick();
  CHECK(t.host.metrics().value("trivet_tracing_connections") == 0);
}

TEST_CASE("requests count by route, up to a number; what nothing answers to makes no route") {
  Started t("[http]\nmax_routes = 2\nroutes = [\"/files/{path...}\"]");
  Loopback wire(t.host);
  wire.segment(true, "GET /nowhere/7 HTTP/1.1\r\n\r\n");
  wire.owner(true, PAYLOAD_SENT, t.curl);
  wire.owner(false, PAYLOAD_RECEIVED, t.nginx);
  wire.segment(false, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  for (const char* path : {"/users/1", "/users/2", "/files/a/b", "/files/c", "/third", "/fourth"}) {
    wire.segment(true, std::string("GET ") + path + " HTTP/1.1\r\n\r\n");
    wire.segment(false, response);
  }
  const auto observed = [&](const char* route, const char* status) {
    return t.host.metrics().observations("http_server_request_duration_seconds",
                                         {{"http_request_method", "GET"},
                                          {"http_response_status_code", status},
                                          {"service_name", "web"},
                                          {"http_route", route}});
  };
  CHECK(observed("/users/{id}", "200") == 2);
  CHECK(observed("/files/{path...}", "200") == 2);
  CHECK(observed("_OTHER", "200") == 2);
  CHECK(observed("_OTHER", "404") == 1);
  CHECK(t.host.records<HttpRequest>()[0].route == "/nowhere/{id}");
}

TEST_CASE("the configuration is checked to the key") {
  FakeHost host;
  Tracing plugin;
  struct {
    const char* toml;
    const char* message;
  } const table[] = {
      {"memory_limt = 5", "trivet.toml:1:"},
      {"memory_limit = 5", "trivet.toml:1:"},
      {"request_timeout = 0.1", "request_timeout must be from 1 to 86400 seconds"},
      {"[http]\nbody_limit = \"many\"", "trivet.toml:2:"},
      {"[http]\nbody_limits = 5", "body_limit"},
      {"[http]\nredact_headers = 5", "trivet.toml:2:"},
      {"[http]\nredact_headers = [\"Cookie: a\"]",
       "trivet.toml:2:18: redact_headers: \"Cookie: a\" is no name: these lists have names only, "
       "without values; write \"Cookie\""},
      {"[http]\nredact_parameters = [\"\"]", "trivet.toml:2:21: redact_parameters: an empty name"},
      {"[http]\nredact_cookies = [\"a;b\"]", "trivet.toml:2:18: redact_cookies: "},
      {"[http]\nredact_bodies = true", "redact_bodies"},
      {"[http]\nroutes = [\"/users/*\"]", "trivet.toml:2:10: routes: \"/users/*\": a placeholder"},
      {"[http]\nmessage_limit = -1", "trivet.toml:2:"},
      {"[redis]\nredact_literals = true", "redact_literals"},
  };
  for (const auto& row : table) {
    CAPTURE(row.toml);
    auto done = plugin.configure(host.config(row.toml));
    REQUIRE_FALSE(done);
    CHECK(done.error().to_string().find(row.message) != std::string::npos);
  }
  CHECK(plugin.configure(host.config("enabled = true\n[http]\nbody_limit = 1000")));
  REQUIRE(plugin.objects().size() == 2);
  payload_config config{};
  REQUIRE(plugin.objects()[0].config.size() == sizeof(config));
  std::memcpy(&config, plugin.objects()[0].config.data(), sizeof(config));
  CHECK(config.run_bytes == 1000 + (256 << 10));
  std::string all_off;
  for (const char* protocol : {"http", "redis", "postgresql", "mysql", "dns", "tls"}) {
    all_off += "[" + std::string(protocol) + "]\nenabled = false\n";
  }
  CHECK(plugin.configure(host.config(all_off)));
  CHECK(plugin.objects().empty());
}

TEST_CASE("a start that the kernel refuses leaves nothing, and a stop can be followed by a start") {
  FakeHost host;
  Tracing plugin;
  REQUIRE(plugin.configure(host.config("enabled = true")));
  host.refuse_attach = Error{"no hook"};
  CHECK_FALSE(plugin.start(host));
  host.refuse_attach.reset();
  for (int i = 0; i < 2; ++i) {
    CHECK(plugin.start(host));
    CHECK(host.attached == 2);
    plugin.stop();
    CHECK(host.attached == 0);
  }
}

}  // namespace trivet::tracing
