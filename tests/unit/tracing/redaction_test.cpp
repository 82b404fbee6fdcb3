// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "tracing/redaction.h"
#include "wire.h"

namespace trivet::tracing {
namespace {

const NamePatterns names = {"*token", "password", "sig"};

std::pair<std::string, Scalar> field(const std::string& name, const std::string& value) {
  return {name, value};
}

}  // namespace

TEST_CASE("parameters are hidden by name, however the name is written") {
  const std::pair<const char*, const char*> table[] = {
      {"", ""},
      {"a=1&b", "a=1&b"},
      {"token=x", "token=<redacted>"},
      {"a=1&Access_Token=x&b=2", "a=1&Access_Token=<redacted>&b=2"},
      {"p%61ssword=x&q=p%61ssword", "p%61ssword=<redacted>&q=p%61ssword"},
      {"user[password]=x&password[]=y&login.password=z",
       "user[password]=<redacted>&password[]=<redacted>&login.password=<redacted>"},
      {"password=a;b=c&d=e", "password=<redacted>&d=e"},
      {"b=c;password=a", "b=c;password=<redacted>"},
      {"passwords=x&my_sig=y&sig=", "passwords=x&my_sig=y&sig=<redacted>"},
      {"=x&&token==y&", "=x&&token=<redacted>&"},
  };
  for (const auto& [text, expected] : table) {
    CAPTURE(text);
    CHECK(redact_parameters(text, names) == expected);
  }
}

TEST_CASE("URLs in headers lose the same, and what identifies a user") {
  const std::pair<const char*, const char*> table[] = {
      {"/a?token=x&b=1", "/a?token=<redacted>&b=1"},
      {"https://example.org/cb?b=1#access_token=x&b=2",
       "https://example.org/cb?b=1#access_token=<redacted>&b=2"},
      {"http://user:pass@example.org:80/", "http://<redacted>@example.org:80/"},
      {"/redirect?to=http://user@host/", "/redirect?to=http://user@host/"},
  };
  for (const auto& [text, expected] : table) {
    CAPTURE(text);
    CHECK(redact_url(text, names) == expected);
  }
}

TEST_CASE("cookies keep their names, and the attributes of Set-Cookie") {
  const NamePatterns all = {"*"};
  CHECK(redact_cookies("a=1; b=2", all) == "a=<redacted>; b=<redacted>");
  CHECK(redact_cookies("a=1; token=2; c", names) == "a=1; token=<redacted>;<redacted>");
  CHECK(redact_cookies("a=1", {}) == "a=1");
  CHECK(redact_set_cookie("id=x; Path=/; HttpOnly", all) == "id=<redacted>; Path=/; HttpOnly");
  CHECK(redact_set_cookie("id=x; Path=/", names) == "id=x; Path=/");
}

TEST_CASE("members of JSON are hidden by name, at any depth and in any state") {
  const std::pair<const char*, const char*> table[] = {
      {R"({"user":"u","password":"p\"w","n":1})", R"({"user":"u","password":"<redacted>","n":1})"},
      {R"({"a":{"token" : 17},"b":[{"sig":null}]})",
       R"({"a":{"token" : "<redacted>"},"b":[{"sig":"<redacted>"}]})"},
      {R"({"p\u0061ssword":"x"})", R"({"p\u0061ssword":"<redacted>"})"},
      {R"({"password":"cut of)", R"({"password":"<redacted>")"},
      {R"({"token":["x"]})", R"({"token":["x"]})"},
      {R"(["token","x"])", R"(["token","x"])"},
      {R"("token)", R"("token)"},
      {"{", "{"},
  };
  for (const auto& [text, expected] : table) {
    CAPTURE(text);
    CHECK(redact_json(text, names) == expected);
  }
}

TEST_CASE("a list of names says what is wrong with it and what to write instead") {
  const std::pair<std::vector<std::string>, const char*> table[] = {
      {{""}, "write \"*\" to hide every value"},
      {{"token=abc"}, "write \"token\""},
      {{"Authorization: Basic"}, "write \"Authorization\""},
      {{std::string(300, 'a')}, "write its beginning and *"},
      {std::vector<std::string>(300, "a"), "* stands for any letters"},
  };
  for (const auto& [list, message] : table) {
    auto read = NamePatterns::read(list);
    REQUIRE_FALSE(read);
    CHECK(read.error().message.find(message) != std::string::npos);
  }
}

TEST_CASE("the usual secrets of an exchange are not kept, as shipped") {
  WireOf<HttpRequest> wire;
  wire.client(
      "POST /login?next=/&access_token=s3cret HTTP/1.1\r\nAUTHORIZATION: Basic s3cret\r\n"
      "Proxy-Authorization: s3cret\r\nX-Api-Key: s3cret\r\nX-Auth-Token: s3cret\r\n"
      "Cookie: session=s3cret; theme=s3cret\r\nReferer: http://a/?token=s3cret\r\n"
      "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 24\r\n\r\n"
      "user=joe&password=s3cret");
  wire.server(
      "HTTP/1.1 200 OK\r\nSet-Cookie: session=s3cret; Secure\r\n"
      "Content-Type: application/json; charset=utf-8\r\nContent-Length: 35\r\n\r\n"
      R"({"id":7, "refresh_token": "s3cret"})");
  REQUIRE(wire.records.size() == 1);
  const HttpRequest& r = wire.records[0];
  CHECK(r.query == "next=/&access_token=<redacted>");
  CHECK(r.request_body == "user=joe&password=<redacted>");
  CHECK(r.response_body == R"({"id":7, "refresh_token": "<redacted>"})");
  CHECK(r.request_body_bytes == 24);
  CHECK_FALSE(r.request_body_truncated);
  const auto& request = r.request_headers.items;
  CHECK(request[0] == field("authorization", "<redacted>"));
  CHECK(request[1] == field("proxy-authorization", "<redacted>"));
  CHECK(request[2] == field("x-api-key", "<redacted>"));
  CHECK(request[3] == field("x-auth-token", "<redacted>"));
  CHECK(request[4] == field("cookie", "session=<redacted>; theme=<redacted>"));
  CHECK(request[5] == field("referer", "http://a/?token=<redacted>"));
  CHECK(r.response_headers.items[0] == field("set-cookie", "session=<redacted>; Secure"));
}

}  // namespace trivet::tracing
