// SPDX-License-Identifier: Apache-2.0
// Messages as in RFC 1035, 6.2 and later; compression as in 4.1.4.
#include <doctest/doctest.h>

#include "tracing/dns_message.h"
#include "wire.h"

namespace trivet::tracing {
namespace {

using Dns = WireOf<DnsRequest>;

std::string word(unsigned value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}
std::string name(const std::string& text) {
  std::string bytes;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('.', at), text.size());
    bytes += static_cast<char>(end - at);
    bytes += text.substr(at, end - at);
    at = end + 1;
  }
  return bytes + '\0';
}
std::string header(unsigned id, unsigned flags, unsigned answers, unsigned additionals = 0) {
  return word(id) + word(flags) + word(1) + word(answers) + word(0) + word(additionals);
}
std::string ask(unsigned id, const std::string& what, unsigned type = 1) {
  return header(id, 0x0100, 0) + name(what) + word(type) + word(1);
}
const std::string pointer("\xc0\x0c", 2);  // to the question's name
std::string record(const std::string& owner, unsigned type, const std::string& data) {
  return owner + word(type) + word(1) + word(0) + word(60) +
         word(static_cast<unsigned>(data.size())) + data;
}
std::string answer(unsigned id, const std::string& what, const std::string& records, unsigned count,
                   unsigned type = 1, unsigned flags = 0x8180) {
  return header(id, flags, count) + name(what) + word(type) + word(1) + records;
}
std::string framed(const std::string& message) {
  return word(static_cast<unsigned>(message.size())) + message;
}

}  // namespace

TEST_CASE("a message is read with its names, values and flags") {
  const std::string target = name("www.Example.org");
  const auto message = read_dns(answer(
      7, "a.example.org",
      record(pointer, 5, target) + record(target, 1, std::string("\xc0\0\2\1", 4)) +
          record(target, 28, std::string("\x20\1\xd\xb8", 4) + std::string(11, '\0') + "\1") +
          record(pointer, 15, word(10) + "\4mail" + std::string("\xc0\x0e", 2)) +
          record(pointer, 16, "\5hello\3a b") +
          record(pointer, 65, word(1) + std::string(1, '\0')) + record(pointer, 999, "?"),
      7, 1, 0x8583));
  REQUIRE(message);
  CHECK(message->id == 7);
  CHECK(message->response);
  CHECK(message->authoritative);
  CHECK_FALSE(message->truncated);
  CHECK(dns_rcode(message->rcode) == "NXDOMAIN");
  CHECK(message->question_name == "a.example.org");
  CHECK(message->answers == std::vector<std::string>{"CNAME www.Example.org", "A 192.0.2.1",
                                                     "AAAA 2001:db8::1", "MX 10 mail.example.org",
                                                     "TXT \"hello\" \"a b\"", "HTTPS 1 .",
                                                     "TYPE999"});
}

TEST_CASE("EDNS carries DO and the upper bits of the response code") {
  const std::string opt =
      std::string(1, '\0') + word(41) + word(1232) + word(0x0100) + word(0x8000) + word(0);
  const auto message = read_dns(header(1, 0x8180, 0, 1) + name("x") + word(1) + word(1) + opt);
  REQUIRE(message);
  CHECK(message->dnssec_ok);
  CHECK(dns_rcode(message->rcode) == "BADVERS");
}

TEST_CASE("what is no DNS message, or would never end, is refused") {
  const std::string good = ask(1, "example.org");
  CHECK(read_dns(good));
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(read_dns(good.substr(0, size)));
  CHECK_FALSE(read_dns(header(1, 0x0100, 0) + pointer + word(1) + word(1)));  // to itself
  CHECK_FALSE(read_dns(header(1, 0x0140, 0) + name("x") + word(1) + word(1)));
  CHECK_FALSE(read_dns(header(1, 0x0100, 0) + "\x40x" + word(1) + word(1)));
  std::string longest = header(1, 0x0100, 0);
  for (int i = 0; i < 5; ++i) longest += '\x3f' + std::string(63, 'a');
  CHECK_FALSE(read_dns(longest + '\0' + word(1) + word(1)));
  // An answer that lies about its length costs itself, not the question.
  const auto cut = read_dns(answer(1, "x", record(pointer, 1, "1234") + pointer + word(1), 2));
  REQUIRE(cut);
  CHECK(cut->answers.size() == 1);
  CHECK(cut->answer_count == 2);
}

TEST_CASE("names that are not printable are written with escapes") {
  std::string odd = header(1, 0x0100, 0) + '\6' + std::string("a.\0\xff b", 6) + '\0';
  const auto message = read_dns(odd + word(1) + word(1));
  REQUIRE(message);
  CHECK(message->question_name == "a\\.\\000\\255\\032b");
}

TEST_CASE("queries over TCP meet their responses by id, in any order and any pieces") {
  const std::string asked = framed(ask(1, "one.test")) + framed(ask(2, "two.test", 28));
  const std::string answered = framed(answer(2, "two.test", "", 0, 28, 0x8183)) +
                               framed(answer(1, "ONE.test", record(pointer, 1, "\1\2\3\4"), 1));
  for (std::size_t split = 1; split < asked.size(); ++split) {
    CAPTURE(split);
    Dns wire;
    wire.client(asked.substr(0, split));
    wire.client(asked.substr(split));
    wire.server(answered.substr(0, split));
    wire.server(answered.substr(split));
    REQUIRE(wire.records.size() == 2);
    REQUIRE(wire.records[0].question_name == "two.test");
    REQUIRE(wire.records[0].question_type == "AAAA");
    REQUIRE(wire.records[0].response_code == "NXDOMAIN");
    REQUIRE(wire.records[1].answers == std::vector<std::string>{"A 1.2.3.4"});
    REQUIRE(wire.records[1].transport == "tcp");
    REQUIRE(wire.records[1].error == "");
  }
}

TEST_CASE("a query over TCP without a response becomes a record") {
  Dns wire;
  wire.client(framed(ask(1, "one.test")));
  wire.server(framed(answer(2, "one.test", "", 0)));  // another id
  wire.conversation.close("closed");
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].error == "closed");
  CHECK(wire.records[0].response_code == "");
}

TEST_CASE("lost events never give a wrong pair of DNS over TCP") {
  std::mt19937 random(17);
  std::size_t asked = 0;
  std::size_t whole = 0;
  std::size_t wrong = 0;
  while (asked < 100'000) {
    const unsigned requests = 1 + random() % 300;
    const unsigned loss = random() % 4 == 0 ? 500 : 10 + random() % 100;
    Dns wire(random() % 2 == 0);
    // Few ids, so that one that was lost comes again.
    converse(
        wire, random, static_cast<Habit>(random() % 3), requests, loss,
        [](unsigned id) { return framed(ask(id % 32, "n" + std::to_string(id) + ".test")); },
        [](unsigned id) {
          const std::string text = std::to_string(id);
          return framed(answer(id % 32, "n" + text + ".test",
                               record(pointer, 16, static_cast<char>(text.size()) + text), 1));
        });
    asked += requests;
    for (const DnsRequest& r : wire.records) {
      if (!r.error.empty()) continue;
      ++whole;
      const std::string id = r.question_name.substr(1, r.question_name.find('.') - 1);
      if (r.answers != std::vector<std::string>{"TXT \"" + id + "\""}) ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(whole > asked / 2);
}

}  // namespace trivet::tracing
