// SPDX-License-Identifier: Apache-2.0
// For tests of the HTTP API: a server on a socket of its own, and a client that speaks to it in
// bytes as RFC 9110 and RFC 9112 have them.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "log/stream_log.h"
#include "metrics/registry.h"
#include "temporary_folder.h"
#include "trivet/records/alert.h"
#include "trivet/records/flow.h"
#include "trivet/records/http_request.h"

namespace trivet::http_test {

using Json = nlohmann::json;

inline constexpr const char* kToken = "0123456789abcdef-0123456789";

inline sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

inline int listen_at(const std::string& path) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto address = address_of(path);
  REQUIRE(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(listen(listener, 16) == 0);
  return listener;
}

// An answer as a client that knows HTTP reads it.
struct Answer {
  int status = 0;
  std::string head;
  std::string body;
  bool whole = false;  // it ended as its head said
  Json json() const { return Json::parse(body, nullptr, false); }
  std::vector<Json> lines() const {
    std::vector<Json> lines;
    std::istringstream text(body);
    for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  bool says(const std::string& field) const { return head.find(field) != std::string::npos; }
};

class Client {
 public:
  explicit Client(const std::string& path)
      : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto address = address_of(path);
    REQUIRE(connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    patience();
  }
  explicit Client(std::uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    patience();
  }
  ~Client() { close(socket_); }
  Client(const Client&) = delete;

  bool send(const std::string& bytes) {
    return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  bool get(const std::string& target, const std::string& fields = "") {
    return send("GET " + target + " HTTP/1.1\r\nHost: trivet\r\n" + fields + "\r\n");
  }
  void stop_sending() { shutdown(socket_, SHUT_WR); }

  // The next answer, its chunks put together.
  Answer answer() {
    Answer answer;
    while (input_.find("\r\n\r\n") == input_.npos) {
      if (!more()) return answer;
    }
    const std::size_t end = input_.find("\r\n\r\n") + 4;
    answer.head = input_.substr(0, end);
    input_.erase(0, end);
    REQUIRE(answer.head.starts_with("HTTP/1.1 "));
    answer.status = std::stoi(answer.head.substr(9));
    if (answer.status < 200) return answer;
    if (answer.says("Transfer-Encoding: chunked")) {
      for (;;) {
        const auto part = chunk();
        if (!part) return answer;
        if (part->empty()) break;
        answer.body += *part;
      }
      answer.whole = true;
    } else if (const auto at = answer.head.find("Content-Length: "); at != std::string::npos) {
      const std::size_t length = std::stoul(answer.head.substr(at + 16));
      while (input_.size() < length && more()) continue;
      answer.body = input_.substr(0, length);
      answer.whole = answer.body.size() == length;
      input_.erase(0, answer.body.size());
    } else {
      while (more()) continue;
      answer.body = std::exchange(input_, {});
      answer.whole = true;
    }
    return answer;
  }
  // Takes the head of an answer whose body is read by chunk().
  bool take_head() {
    while (input_.find("\r\n\r\n") == input_.npos) {
      if (!more()) return false;
    }
    input_.erase(0, input_.find("\r\n\r\n") + 4);
    return true;
  }
  std::optional<std::string> chunk() {
    while (input_.find("\r\n") == input_.npos) {
      if (!more()) return std::nullopt;
    }
    const std::size_t size = std::stoul(input_, nullptr, 16), begin = input_.find("\r\n") + 2;
    while (input_.size() < begin + size + 2) {
      if (!more()) return std::nullopt;
    }
    auto part = input_.substr(begin, size);
    input_.erase(0, begin + size + 2);
    return part;
  }
  std::string chunks_until(const std::string& word) {
    for (std::string text;;) {
      const auto part = chunk();
      REQUIRE(part);
      text += *part;
      if (part->find(word) != part->npos) return text;
    }
  }
  // Whether the server closes, without a further byte, within the patience.
  bool closed() {
    char byte;
    return input_.empty() && recv(socket_, &byte, 1, 0) == 0;
  }
  std::string raw() {
    while (more()) continue;
    return std::exchange(input_, {});
  }

 private:
  void patience() const {
    const timeval limit{20, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  bool more() {
    char bytes[64 << 10];
    const ssize_t got = recv(socket_, bytes, sizeof(bytes), 0);
    if (got <= 0) return false;
    input_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  const int socket_;
  std::string input_;
};

// A server on a socket of its own and, if asked, on a port.
class Served {
 public:
  explicit Served(ApiOptions options = {}, bool tcp = false) {
    for (const auto* schema : {&Alert::schema(), &Flow::schema(), &HttpRequest::schema()}) {
      tables.declare(*schema);
    }
    ApiListeners listeners{.unix_socket = listen_at(path())};
    if (tcp) {
      listeners.address = ListenAddress{*IpAddress::parse("127.0.0.1"), 0};
      listeners.token = kToken;
    }
    auto started =
        ApiServer::start(std::move(listeners),
                         {tables, engine,
                          [] {
                            return Origin{"host", 0};
                          },
                          [] { return std::string("{\"version\":\"x\"}"); }, *metrics, log},
                         options);
    REQUIRE_MESSAGE(started, (started ? "" : started.error().to_string()));
    server = std::move(*started);
  }

  std::string path() const { return folder.path("socket"); }
  Answer get(const std::string& target, const std::string& fields = "") const {
    Client client(path());
    client.get(target, fields + "Connection: close\r\n");
    return client.answer();
  }
  Answer post(const std::string& type, const std::string& body) const {
    Client client(path());
    client.send("POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: " + type +
                "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.answer();
  }
  void add_alert(const std::string& rule, std::size_t padding = 0) {
    auto alert = std::make_shared<Alert>();
    alert->rule = rule;
    alert->output.assign(padding, 'x');
    tables.append(Alert::schema(), std::move(alert));
  }
  // Waits until a metric's line says so.
  bool soon(const std::string& line) const {
    for (int i = 0; i < 2000; ++i) {
      if (registry.text().find(line + "\n") != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    MESSAGE(registry.text());
    return false;
  }

  TemporaryFolder folder;
  StreamLog log{STDERR_FILENO, LogLevel::error, false};
  Registry registry{1000};
  std::unique_ptr<Metrics> metrics = registry.scope();
  Tables tables{{100'000, 256 << 20}};
  QueryEngine engine{tables, {}, [] { return Origin{"host", 0}; }};
  std::unique_ptr<ApiServer> server;
};

inline std::string encoded(const std::string& text) {
  std::string out;
  char byte[4];
  for (unsigned char c : text) {
    std::snprintf(byte, sizeof(byte), "%%%02X", c);
    out += byte;
  }
  return out;
}

}  // namespace trivet::http_test
