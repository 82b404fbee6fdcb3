// SPDX-License-Identifier: Apache-2.0
#include "speakers.h"

#include <charconv>
#include <cstdio>

#include "tracing/http2_wire.h"

namespace trivet::tracing {
namespace {

std::string big(std::uint64_t value, unsigned size) {
  std::string bytes;
  while (size-- > 0) bytes += static_cast<char>(value >> (8 * size));
  return bytes;
}
std::string little(std::uint64_t value, unsigned size) {
  std::string bytes;
  for (unsigned i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}
std::string z(const std::string& text) {
  return text + '\0';
}

// The number that a text ends with, but for what is no digit.
std::optional<std::uint32_t> number_in(std::string_view text) {
  while (!text.empty() && (text.back() < '0' || text.back() > '9')) text.remove_suffix(1);
  const std::size_t before = text.find_last_not_of("0123456789");
  text.remove_prefix(before == std::string_view::npos ? 0 : before + 1);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

class Http final : public Speaker {
 public:
  explicit Http(unsigned dialect) : dialect_(dialect) {}
  std::string question(std::uint32_t number) override {
    const std::string target = " /n/" + std::to_string(number) + " HTTP/1.1\r\nHost: h\r\n";
    if (kind(number) == 1) return "HEAD" + target + "\r\n";
    if (kind(number) != 2) return "GET" + target + "\r\n";
    const std::string body(number % 3000, 'q');
    return "POST" + target + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  std::string answer(std::uint32_t number) override {
    const std::string body = "number " + std::to_string(number);
    const std::string head = "HTTP/1.1 200 OK\r\nX-Number: " + std::to_string(number) + "\r\n";
    const std::string sized = "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    switch (kind(number)) {
      case 1:
        return head + sized;
      case 2:
        return "HTTP/1.1 100 Continue\r\n\r\n" + head + sized + body;
      case 3:
        return head + "Transfer-Encoding: chunked\r\n\r\n7\r\nnumber \r\n" +
               std::string(1, "0123456789abcdef"[body.size() - 7]) + "\r\n" + body.substr(7) +
               "\r\n0\r\n\r\n";
      case 4:
        return "HTTP/1.1 304 Not Modified\r\nX-Number: " + std::to_string(number) + "\r\n\r\n";
      default:
        return head + sized + body;
    }
  }

 private:
  unsigned kind(std::uint32_t number) const { return dialect_ == 0 ? 0 : (number * 7u) % 5; }
  unsigned dialect_;
};

// Header blocks are libnghttp2's; the answer's number stands in a field whose name is in the static
// table, as others may stay unknown for good after a loss. Answers change places now and then.
class Http2 final : public Speaker {
 public:
  explicit Http2(unsigned dialect) : dialect_(dialect) {}
  std::vector<std::pair<bool, std::string>> opening() override {
    const std::string settings = frame_of(Http2Frame::settings, 0, 0);
    if (dialect_ == 0) return {{false, settings}, {true, std::string(http2_preface) + settings}};
    return {{true, std::string(http2_preface) + settings}, {false, settings}};
  }
  std::string question(std::uint32_t number) override {
    if (first_ == 0) first_ = number;
    const bool body = dialect_ == 2 && number % 3 == 0;
    std::string bytes = client_.headers(
        stream(number),
        request_of(body ? "POST" : "GET", "/n/" + std::to_string(number),
                   {{"user-agent", "speaker"}, {"x-asked", std::to_string(number % 50)}}),
        !body);
    if (body) bytes += data_of(stream(number), std::string(number % 3000, 'q'));
    return bytes;
  }
  std::string answer(std::uint32_t number) override {
    if (held_ == 0 && number % 7 == 0) {
      held_ = number;
      return unasked();
    }
    std::string bytes = whole(number);
    if (held_ != 0) bytes += whole(std::exchange(held_, 0));
    return bytes;
  }
  std::string unasked() override { return frame_of(Http2Frame::ping, 0, 0, "12345678"); }

 private:
  std::uint32_t stream(std::uint32_t number) const { return 2 * (number - first_) + 1; }
  std::string whole(std::uint32_t number) {
    const std::string text = std::to_string(number);
    std::string bytes = server_.headers(
        stream(number), response_of(number % 5 == 0 ? "418" : "200", {{"etag", text}}));
    if (number % 4 == 0) return bytes + data_of(stream(number), "number " + text);
    return bytes + data_of(stream(number), "number ", false) + unasked() +
           data_of(stream(number), text);
  }

  unsigned dialect_;
  Encoder client_, server_;
  std::uint32_t first_ = 0;
  std::uint32_t held_ = 0;  // the answer that lets the next one go first
};

class Redis final : public Speaker {
 public:
  explicit Redis(unsigned dialect) : pushes_(dialect == 0) {}
  std::string question(std::uint32_t number) override {
    const std::string key = "key:" + std::to_string(number);
    return "*2\r\n$3\r\nGET\r\n$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
  }
  std::string answer(std::uint32_t number) override {
    const std::string value = "value:" + std::to_string(number);
    if (number % 5 == 0) return "-ERR no " + value + "\r\n";
    if (number % 5 == 1) return "+" + value + "\r\n";
    if (number % 5 == 2) {
      return "*2\r\n:7\r\n$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
    }
    return "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  }
  std::string unasked() override {
    return pushes_ ? ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n" : "";
  }

 private:
  bool pushes_;
};

class Postgresql final : public Speaker {
 public:
  explicit Postgresql(unsigned dialect) : dialect_(dialect % 3) {}
  std::vector<std::pair<bool, std::string>> opening() override {
    return {{true, message(0, big(196608, 4) + z("user") + z("u") + '\0')},
            {false, message('R', big(0, 4)) + message('S', z("a") + z("b")) + ready()}};
  }
  std::string question(std::uint32_t number) override {
    const std::string text = "SELECT " + std::to_string(number);
    if (dialect_ == 0) return message('Q', z(text));
    const std::string name = dialect_ == 1 ? "" : "s" + std::to_string(number % 4);
    return (dialect_ == 1 ? "" : message('C', "S" + z(name))) +
           message('P', z(name) + z(text) + std::string(2, '\0')) +
           message('B', z("") + z(name) + std::string(6, '\0')) + message('E', z("") + big(0, 4)) +
           message('S', "");
  }
  std::string answer(std::uint32_t number) override {
    const std::string prefix = dialect_ == 0 ? "" : message('1', "") + message('2', "");
    if (number % 7 == 0) {
      return (dialect_ == 2 ? message('3', "") : "") +
             message('E', "C" + z("42000") + "M" + z("no " + std::to_string(number)) + '\0') +
             ready();
    }
    return (dialect_ == 2 ? message('3', "") : "") + prefix +
           message('D', big(1, 2) + big(3, 4) + "row") +
           message('C', z("SELECT " + std::to_string(number))) + ready();
  }
  std::string unasked() override { return message('A', big(1, 4) + z("news") + z("hi")); }

 private:
  static std::string message(char type, const std::string& body) {
    return (type ? std::string(1, type) : "") + big(body.size() + 4, 4) + body;
  }
  static std::string ready() { return message('Z', "I"); }
  unsigned dialect_;
};

class Mysql final : public Speaker {
 public:
  explicit Mysql(unsigned dialect)
      : kind_(dialect % 4), eof_(dialect / 4 % 2), compressed_(dialect / 8 % 2) {}
  std::vector<std::pair<bool, std::string>> opening() override {
    const std::uint32_t all = 0xffffffff;
    const std::uint32_t mine =
        1u << 9 | 1u << 15 | (eof_ ? 0 : 1u << 24) | (compressed_ ? 1u << 5 : 0);
    return {{false, packet(0, "\x0a" + z("8.0.36") + little(7, 4) + z("abcdefgh") +
                                  little(all & 0xffff, 2) + '-' + little(2, 2) +
                                  little(all >> 16, 2) + little(21, 1) + std::string(10, '\0') +
                                  z("ijklmnopqrst") + z("mysql_native_password"))},
            {true, packet(1, little(mine, 4) + little(1 << 24, 4) + '-' + std::string(23, '\0') +
                                 z("u") + std::string(1, '\0'))},
            {false, packet(2, ok(0))}};
  }
  std::string question(std::uint32_t number) override {
    const std::string text = "UPDATE t SET a = " + std::to_string(number);
    if (kind_ != 3) return framed(packet(0, '\3' + text));
    return framed(packet(0, '\x16' + text)) +
           framed(packet(0, '\x17' + little(0xffffffff, 4) + '\0' + little(1, 4)));
  }
  std::string answer(std::uint32_t number) override {
    if (kind_ == 1)
      return framed(packet(1, "\xff" + little(1064, 2) + "#42000no " + std::to_string(number)));
    if (kind_ == 2) {
      std::string result = packet(1, "\1") + packet(2, definition());
      unsigned next = 3;
      if (eof_) result += packet(next++, "\xfe" + little(0, 2) + little(2, 2));
      result += packet(next++, std::string("\3row", 4));
      result += eof_ ? packet(next, "\xfe" + little(0, 2) + little(2 | 8, 2))
                     : packet(next, "\xfe" + little(0, 2) + little(2 | 8, 2) + little(0, 2));
      return framed(result) + framed(packet(next + 1, ok(number)));
    }
    std::string prepared;
    if (kind_ == 3) {
      prepared =
          packet(1, '\0' + little(number, 4) + little(0, 2) + little(1, 2) + '\0' + little(0, 2)) +
          packet(2, definition());
      if (eof_) prepared += packet(3, "\xfe" + little(0, 2) + little(2, 2));
      prepared = framed(prepared);
    }
    return prepared + framed(packet(1, ok(number)));
  }

 private:
  static std::string packet(unsigned sequence, const std::string& payload) {
    return little(payload.size(), 3) + little(sequence, 1) + payload;
  }
  std::string framed(const std::string& packets) const {
    return compressed_ ? little(packets.size(), 3) + std::string(4, '\0') + packets : packets;
  }
  static std::string ok(std::uint32_t number) {
    const std::string affected = number < 251 ? little(number, 1) : "\xfd" + little(number, 3);
    return '\0' + affected + std::string(1, '\0') + little(2, 2) + little(0, 2);
  }
  static std::string definition() { return "\3def" + std::string(30, '\1'); }
  unsigned kind_;
  bool eof_;
  bool compressed_;
};

class Dns final : public Speaker {
 public:
  explicit Dns(unsigned) {}
  std::string question(std::uint32_t number) override { return framed(number, false); }
  std::string answer(std::uint32_t number) override { return framed(number, true); }

 private:
  // Few ids, so that they are used again soon.
  static std::string framed(std::uint32_t number, bool response) {
    const std::string bytes =
        dns_message(static_cast<std::uint16_t>(number % 100), number, response);
    return big(bytes.size(), 2) + bytes;
  }
};

struct Read {
  Numbers operator()(const HttpRequest& r) const {
    std::optional<std::uint32_t> answered;
    for (const auto& [name, value] : r.response_headers.items) {
      const auto* text = std::get_if<std::string>(&value);
      if ((name == "x-number" || name == "etag") && text) answered = number_in(*text);
    }
    const bool body = !r.response_body.empty() && !r.response_body_truncated;
    // A body and a head of different answers: one of them is wrong.
    if (body && answered && number_in(r.response_body) != answered) answered = 0;
    return {number_in(r.path), answered, r.error.empty()};
  }
  Numbers operator()(const RedisRequest& r) const {
    if (r.command == "PUSH" || r.arguments.empty() || r.arguments_truncated) return {};
    return {number_in(r.arguments[0]), r.response_truncated ? std::nullopt : number_in(r.response),
            r.error.empty()};
  }
  Numbers operator()(const PostgresqlRequest& r) const {
    if (r.operation == "NOTIFICATION" || r.query_truncated) return {};
    return {number_in(r.query), number_in(r.status.empty() ? r.command_tag : r.error_message),
            r.error.empty()};
  }
  Numbers operator()(const MysqlRequest& r) const {
    if (r.operation == "PREPARE" || r.query_truncated) return {};
    const bool known = r.response_bytes > 0 && (r.affected_rows > 0 || !r.status.empty());
    return {number_in(r.query),
            !known             ? std::nullopt
            : r.status.empty() ? std::optional(static_cast<std::uint32_t>(r.affected_rows))
                               : number_in(r.error_message),
            r.error.empty()};
  }
  Numbers operator()(const DnsRequest& r) const {
    std::optional<std::uint32_t> answered;
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!r.answers.empty() &&
        std::sscanf(r.answers[0].c_str(), "A %u.%u.%u.%u", &a, &b, &c, &d) == 4) {
      answered = a << 24 | b << 16 | c << 8 | d;
    }
    return {number_in(r.question_name), answered, r.error.empty()};
  }
  Numbers operator()(const GrpcRequest&) const { return {}; }
  Numbers operator()(const HttpMessage&) const { return {}; }
  Numbers operator()(const TlsHandshake&) const { return {}; }
};

}  // namespace

std::string dns_message(std::uint16_t id, std::uint32_t number, bool response) {
  const std::string label = "n" + std::to_string(number);
  std::string bytes = big(id, 2) + big(response ? 0x8180 : 0x0100, 2) + big(1, 2) +
                      big(response, 2) + big(0, 4) + big(label.size(), 1) + label +
                      std::string("\4test\0", 6) + big(1, 2) + big(1, 2);
  if (response)
    bytes += big(0xc00c, 2) + big(1, 2) + big(1, 2) + big(60, 4) + big(4, 2) + big(number, 4);
  return bytes;
}

std::unique_ptr<Speaker> make_speaker(std::string_view protocol, Random& random) {
  const auto dialect = static_cast<unsigned>(random() % 16);
  if (protocol == "http") return std::make_unique<Http>(dialect % 3);
  if (protocol == "http2") return std::make_unique<Http2>(dialect % 3);
  if (protocol == "redis") return std::make_unique<Redis>(dialect % 4);
  if (protocol == "postgresql") return std::make_unique<Postgresql>(dialect);
  if (protocol == "mysql") return std::make_unique<Mysql>(dialect);
  return std::make_unique<Dns>(dialect);
}

Numbers numbers_of(const AnyRequest& record) {
  Numbers numbers = std::visit(Read{}, record);
  std::visit(
      [&numbers](const auto& told) {
        if constexpr (requires { told.assumed; }) numbers.assumed = told.assumed;
      },
      record);
  return numbers;
}

}  // namespace trivet::tracing
