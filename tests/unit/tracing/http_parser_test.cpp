// SPDX-License-Identifier: Apache-2.0
#include "tracing/http_parser.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace trivet::tracing {
namespace {

using Kind = HttpParser::Kind;
using Step = HttpParser::Step;

// What a parser made of its input, as text: heads, bodies, the end or the reason for a refusal.
struct Reading {
  HttpParser parser;
  std::string text;
  bool no_body = false;

  explicit Reading(Kind kind) : parser(kind), kind_(kind) {}

  void feed(std::string_view input) {
    for (;;) {
      switch (parser.next(input)) {
        case Step::need_more:
          return;
        case Step::head: {
          const HttpHead& head = parser.head();
          if (kind_ == Kind::request) {
            text += std::string(head.method) + ' ' + std::string(head.target);
          } else {
            text += std::to_string(head.status) + ' ' + std::string(head.reason);
          }
          text += ' ' + std::string(head.version);
          for (const auto& [name, value] : head.fields) {
            text += '|' + std::string(name) + '=' + std::string(value);
          }
          text += '{';
          if (no_body) parser.expect_no_body();
          break;
        }
        case Step::body:
          text += parser.body();
          break;
        case Step::end:
          text += "} ";
          break;
        case Step::failed:
          if (!text.ends_with('!')) text += std::string(parser.reason()) + '!';
          return;
      }
    }
  }

 private:
  Kind kind_;
};

struct Row {
  const char* name;
  Kind kind;
  std::string input;
  std::string expected;
};

// Expected values follow RFC 9112; the section is named where it is not plain.
const std::vector<Row> rows = {
    {"a request without a body", Kind::request, "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n",
     "GET /a?b=c 1.1|Host=x{} "},
    {"pipelined requests", Kind::request,
     "GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /3 "
     "HTTP/1.0\r\n\r\n",
     "GET /1 1.1{} POST /2 1.1|Content-Length=3{abc} GET /3 1.0{} "},
    {"any token is a method", Kind::request, "M-SEARCH * HTTP/1.1\r\n\r\n", "M-SEARCH * 1.1{} "},
    {"empty lines before a request (2.2)", Kind::request, "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
     "GET / 1.1{} "},
    {"white space for one space (3)", Kind::request, "GET  /a\t HTTP/1.1 \r\n\r\n",
     "GET /a 1.1{} "},
    {"bare LF as line end (2.2)", Kind::request, "GET / HTTP/1.1\nHost: x\n\n",
     "GET / 1.1|Host=x{} "},
    {"a folded value becomes one (5.2)", Kind::request,
     "GET / HTTP/1.1\r\nA: b\r\n  c\r\n\td\r\nE: f\r\n\r\n", "GET / 1.1|A=b c d|E=f{} "},
    {"chunks with extension and trailer (7.1)", Kind::request,
     "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
     "4;a=b\r\nWiki\r\n5\r\npedia\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\n\r\n",
     "POST / 1.1|Transfer-Encoding=chunked{Wikipedia} GET / 1.1{} "},
    {"gzip within chunks (6.1)", Kind::response,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
     "200 OK 1.1|Transfer-Encoding=gzip, Chunked{x} "},
    {"no reason phrase (4)", Kind::response, "HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n",
     "204  1.1|Content-Length=0{} "},
    {"the same Content-Length twice", Kind::response,
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
     "200 OK 1.1|Content-Length=1|Content-Length=1{x} "},
    {"a body up to the close", Kind::response, "HTTP/1.0 200 OK\r\n\r\nabc", "200 OK 1.0{abc"},
    {"two different Content-Length (6.3)", Kind::request,
     "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
     "POST / 1.1|Content-Length=1|Content-Length=2{two different Content-Length!"},
    {"a list as Content-Length", Kind::request,
     "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nabcde",
     "POST / 1.1|Content-Length=5, 5{Content-Length is not a number!"},
    {"a signed Content-Length", Kind::request, "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\nabcde",
     "POST / 1.1|Content-Length=+5{Content-Length is not a number!"},
    {"a Content-Length beyond 64 bits", Kind::response,
     "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
     "200 OK 1.1|Content-Length=99999999999999999999{Content-Length is not a number!"},
    {"both framings (6.1)", Kind::request,
     "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
     "POST / 1.1|Content-Length=4|Transfer-Encoding=chunked{"
     "both Transfer-Encoding and Content-Length!"},
    {"a request with an unknown coding (6.3)", Kind::request,
     "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
     "POST / 1.1|Transfer-Encoding=xchunked{"
     "a request whose Transfer-Encoding does not end in chunked!"},
    {"chunked and then something (6.1)", Kind::request,
     "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
     "POST / 1.1|Transfer-Encoding=chunked, gzip{Transfer-Encoding goes on behind chunked!"},
    {"Transfer-Encoding in HTTP/1.0 (6.1)", Kind::request,
     "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
     "POST / 1.0|Transfer-Encoding=chunked{Transfer-Encoding in HTTP/1.0!"},
    {"a folded framing header", Kind::request,
     "POST / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
     "POST / 1.1|Transfer-Encoding={a header that frames the message is folded!"},
    {"a space before the colon (5.1)", Kind::request, "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
     "GET / 1.1{a header without a valid name!"},
    {"a bare CR in a value", Kind::request, "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
     "GET / 1.1{a NUL or a bare CR in a header!"},
    {"a NUL in a value", Kind::request, std::string("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 26),
     "GET / 1.1{a NUL or a bare CR in a header!"},
    {"a third word in the request line", Kind::request, "GET / x HTTP/1.1\r\n\r\n",
     "not an HTTP/1.x request line!"},
    {"HTTP/0.9", Kind::request, "GET /\r\n\r\n", "not an HTTP/1.x request line!"},
    {"another version", Kind::request, "GET / HTTP/2.0\r\n\r\n", "not an HTTP/1.x request line!"},
    {"a status of two digits", Kind::response, "HTTP/1.1 20 OK\r\n\r\n",
     "not an HTTP/1.x status line!"},
    {"a chunk size that is none", Kind::response,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n",
     "200 OK 1.1|Transfer-Encoding=chunked{a chunk size that is not hexadecimal!"},
    {"a chunk size beyond 64 bits", Kind::response,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\n",
     "200 OK 1.1|Transfer-Encoding=chunked{a chunk size of more than 15 digits!"},
    {"a chunk longer than its size", Kind::response,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
     "200 OK 1.1|Transfer-Encoding=chunked{aba chunk is longer than its size!"},
    {"a bare LF behind a chunk size", Kind::response,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n",
     "200 OK 1.1|Transfer-Encoding=chunked{a chunk size that is not hexadecimal!"},
};

}  // namespace

TEST_CASE("messages are read the same whole, split at any byte, and byte by byte") {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Reading whole(row.kind);
    whole.feed(row.input);
    CHECK(whole.text == row.expected);

    for (std::size_t split = 0; split <= row.input.size(); ++split) {
      CAPTURE(split);
      Reading halves(row.kind);
      // Copies, so that a view kept from one piece to the next is found out.
      halves.feed(std::string(row.input, 0, split));
      halves.feed(std::string(row.input, split));
      REQUIRE(halves.text == row.expected);
    }
    Reading bytes(row.kind);
    for (char c : row.input) bytes.feed(std::string(1, c));
    REQUIRE(bytes.text == row.expected);
  }
}

TEST_CASE("a response to HEAD has no body whatever its length says") {
  Reading reading(Kind::response);
  reading.no_body = true;
  reading.feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  reading.feed("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n");
  CHECK(reading.text ==
        "200 OK 1.1|Content-Length=5{} 304 Not Modified 1.1|Transfer-Encoding=chunked{} ");
}

TEST_CASE("a head has limits") {
  SUBCASE("64 KiB") {
    Reading reading(Kind::request);
    reading.feed("GET / HTTP/1.1\r\nA: ");
    for (int i = 0; i < 70; ++i) reading.feed(std::string(1024, 'x'));
    CHECK(reading.text == "GET / 1.1{the head is longer than 64 KiB!");
  }
  SUBCASE("256 headers") {
    Reading reading(Kind::request);
    std::string head = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 257; ++i) head += "a:\r\n";
    reading.feed(head + "\r\n");
    CHECK(reading.text.ends_with("{more than 256 headers!"));
  }
}

TEST_CASE("bytes within a body can be passed over, and only those") {
  HttpParser parser(Kind::response);
  std::string_view input = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab";
  CHECK_FALSE(parser.skip(1));
  REQUIRE(parser.next(input) == Step::head);
  REQUIRE(parser.next(input) == Step::body);
  CHECK_FALSE(parser.skip(9));
  CHECK(parser.skip(8));
  CHECK(parser.next(input) == Step::end);

  input = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na";
  REQUIRE(parser.next(input) == Step::head);
  REQUIRE(parser.next(input) == Step::body);
  CHECK(parser.skip(3));
  CHECK_FALSE(parser.skip(1));
  input = "\r\n0\r\n\r\n";
  CHECK(parser.next(input) == Step::end);
}

TEST_CASE("the end of a stream ends a body that has no length, and nothing else") {
  HttpParser parser(Kind::response);
  CHECK(parser.finish() == Step::need_more);
  std::string_view input = "HTTP/1.0 200 OK\r\n\r\nab";
  REQUIRE(parser.next(input) == Step::head);
  REQUIRE(parser.next(input) == Step::body);
  CHECK(parser.finish() == Step::end);
  input = "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nab";
  REQUIRE(parser.next(input) == Step::head);
  REQUIRE(parser.next(input) == Step::body);
  CHECK(parser.finish() == Step::failed);
}

TEST_CASE("the first bytes tell HTTP/1.x from other protocols") {
  struct {
    std::string bytes;
    Guess request;
    Guess response;
  } const table[] = {
      {"GET / HTTP/1.1\r\n", Guess::yes, Guess::no},
      {"GET / HTTP/1.1\nHost", Guess::yes, Guess::no},
      {"\r\n", Guess::maybe, Guess::no},
      {"\r\nGET / HTTP/1.1\r\n", Guess::yes, Guess::no},
      {"GET  /v9  HTTP/1.1 \r\n", Guess::yes, Guess::no},
      {"GET  /v9", Guess::maybe, Guess::no},
      {std::string(40, '\n'), Guess::no, Guess::no},
      {"GE", Guess::maybe, Guess::no},
      {"GET /" + std::string(5000, 'a'), Guess::maybe, Guess::no},
      {"HTTP/1.1 200 OK\r\n", Guess::no, Guess::yes},
      {"HTTP/1", Guess::no, Guess::maybe},
      {"HTTP/2 200", Guess::no, Guess::no},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Guess::no, Guess::no},
      {"OPTIONS rtsp://x/ RTSP/1.0\r\n", Guess::no, Guess::no},
      {"INVITE sip:a@b SIP/2.0\r\n", Guess::no, Guess::no},
      {"SSH-2.0-OpenSSH_9.2\r\n", Guess::no, Guess::no},
      {"*1\r\n$4\r\nPING\r\n", Guess::no, Guess::no},
      {std::string("\x16\x03\x01\x02\x00\x01", 6), Guess::no, Guess::no},
      {std::string("\x00\x00\x00\x08\x04\xd2\x16\x2f", 8), Guess::no, Guess::no},
      {"EHLO mail.example.org\r\n", Guess::no, Guess::no},
      {"get foo\r\n", Guess::no, Guess::no},
  };
  for (const auto& row : table) {
    CAPTURE(row.bytes);
    CHECK(guess_request(row.bytes) == row.request);
    CHECK(guess_response(row.bytes) == row.response);
  }
}

}  // namespace trivet::tracing
