// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "records/format.h"
#include "trivet/records/all.h"

using namespace trivet;
using nlohmann::json;

namespace {

// date -u -d @1700000000.123456789 +%FT%T.%NZ
constexpr std::int64_t kRealNs = 1'700'000'000'123'456'789;
constexpr const char* kIsoTime = "2023-11-14T22:13:20.123456789Z";

const Origin kOrigin{"web-1", kRealNs - 5'000};

Alert sample_alert() {
  Alert alert;
  alert.time = Time{5'000};
  alert.pid = 42;
  alert.process = "cat";
  alert.rule = "Read sensitive file untrusted";
  alert.priority = "Warning";
  alert.source = "syscall";
  alert.tags = {"filesystem", "T1555"};
  alert.output = "Sensitive file opened (file=/etc/shadow)";
  alert.output_fields.items = {{"fd.name", std::string("/etc/shadow")},
                               {"proc.pid", std::uint64_t{42}},
                               {"container.id", std::monostate{}}};
  return alert;
}

}  // namespace

TEST_CASE("times are RFC 3339 in UTC with nanoseconds") {
  CHECK(iso_time(kRealNs) == kIsoTime);
  CHECK(iso_time(0) == "1970-01-01T00:00:00.000000000Z");
  CHECK(iso_time(-1) == "1969-12-31T23:59:59.999999999Z");
  CHECK(clock_time(kRealNs) == "22:13:20.123456789");
}

TEST_CASE("a record's JSON has a member for each column, by name and type") {
  HttpRequest request;
  request.time = Time{5'000};
  request.uid = std::nullopt;
  request.peer_address = *IpAddress::parse("2001:db8::1");
  request.peer_port = 8080;
  request.path = "/a\"b\n\xff";
  request.status = 404;
  request.latency = Duration{1'500'000};
  request.request_headers.items = {
      {"host", std::string("x")}, {"accept", std::string("a")}, {"host", std::string("y")}};
  request.process_start_ns = std::numeric_limits<std::uint64_t>::max();
  std::string text = to_json(HttpRequest::schema(), &request, kOrigin);
  CHECK(text.find('\n') == text.npos);

  auto parsed = json::parse(text);
  CHECK(parsed.size() == HttpRequest::schema().columns.size() + 1);
  for (const auto& column : HttpRequest::schema().columns) {
    CHECK(parsed.contains(std::string(column.name)));
  }
  CHECK(parsed["hostname"] == "web-1");
  CHECK(parsed["time"] == kIsoTime);
  CHECK(parsed["uid"].is_null());
  CHECK(parsed["local_address"].is_null());
  CHECK(parsed["peer_address"] == "2001:db8::1");
  CHECK(parsed["peer_port"] == 8080);
  CHECK(parsed["path"] == "/a\"b\n\xEF\xBF\xBD");
  CHECK(parsed["status"] == 404);
  CHECK(parsed["latency"] == 1'500'000);
  CHECK(parsed["request_headers"]["host"] == json::array({"x", "y"}));
  CHECK(parsed["request_headers"]["accept"] == "a");
  CHECK(parsed["response_headers"] == json::object());
  CHECK(parsed["process_start_ns"] == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("an alert prints as Falco's JSON") {
  auto parsed = json::parse(to_falco_json(sample_alert(), kOrigin));
  // The members of Falco's json_output, with json_include_output_property and tags on.
  CHECK(parsed ==
        json{{"hostname", "web-1"},
             {"output", "22:13:20.123456789: Warning Sensitive file opened (file=/etc/shadow)"},
             {"output_fields",
              {{"fd.name", "/etc/shadow"}, {"proc.pid", 42}, {"container.id", nullptr}}},
             {"priority", "Warning"},
             {"rule", "Read sensitive file untrusted"},
             {"source", "syscall"},
             {"tags", {"filesystem", "T1555"}},
             {"time", kIsoTime}});
}

TEST_CASE("an alert's own JSON holds all that Falco's does, the output without time and priority") {
  auto alert = sample_alert();
  auto own = json::parse(to_json(Alert::schema(), &alert, kOrigin));
  auto falco = json::parse(to_falco_json(alert, kOrigin));
  for (const auto& [name, value] : falco.items()) {
    CAPTURE(name);
    if (name == "output")
      CHECK(value == "22:13:20.123456789: Warning " + own[name].get<std::string>());
    else
      CHECK(own[name] == value);
  }
}

TEST_CASE("an alert prints as Falco's text") {
  auto alert = sample_alert();
  CHECK(to_falco_text(alert, kOrigin) ==
        "22:13:20.123456789: Warning Sensitive file opened (file=/etc/shadow)");
  alert.output = "name=\x1b[2J\n";
  CHECK(to_falco_text(alert, kOrigin) == "22:13:20.123456789: Warning name=\\x1b[2J\\n");
}

TEST_CASE("compact lines stand under their headings") {
  Flow flow;
  flow.time = Time{5'000};
  flow.pid = 7;
  flow.process = "curl";
  flow.protocol = "tcp";
  flow.direction = "egress";
  flow.peer_address = *IpAddress::parse("192.0.2.1");
  flow.peer_port = 443;
  flow.state = "open";
  flow.verdict = "FORWARDED";
  flow.rule = "(default)";
  flow.sent_bytes = 1234;
  std::string heading = line_heading(Flow::schema(), false);
  std::string line = to_line(Flow::schema(), &flow, kOrigin, false);
  CAPTURE(heading);
  CAPTURE(line);
  CHECK(line.find("192.0.2.1") == heading.find("peer_address"));
  CHECK(line.find("FORWARDED") == heading.find("verdict"));
  CHECK(line.rfind("1234") + 4 == heading.find("sent_bytes") + 10);
  CHECK(line.find('\x1b') == line.npos);
}

TEST_CASE("colour comes only if asked for, and only from trivet") {
  Flow flow;
  flow.process = "\x1b[31mevil";
  flow.verdict = "DROPPED";
  CHECK(to_line(Flow::schema(), &flow, kOrigin, false).find('\x1b') == std::string::npos);
  std::string line = to_line(Flow::schema(), &flow, kOrigin, true);
  CHECK(line.find("\x1b[31mDROPPED\x1b[0m") != line.npos);
  CHECK(line.find("\x1b[31mevil") == line.npos);
}

TEST_CASE("a duration keeps three digits in the unit that suits it") {
  struct Row {
    std::int64_t ns;
    const char* shown;
  };
  const Row rows[] = {{0, "0ns"},
                      {850, "850ns"},
                      {1'500, "1.50us"},
                      {12'340, "12.3us"},
                      {999'999, "1.00ms"},
                      {123'456'789, "123ms"},
                      {999'600'000, "1.00s"},
                      {90'000'000'000, "90.0s"}};
  for (const auto& row : rows) {
    HttpRequest request;
    request.latency = Duration{row.ns};
    std::string line = to_line(HttpRequest::schema(), &request, kOrigin, false);
    CAPTURE(line);
    CHECK(line.ends_with(std::string(" ") + row.shown));
  }
}

TEST_CASE("the documentation describes every record type as it is declared") {
  std::ifstream file(TRIVET_SOURCE_DIR "/docs/records.md");
  std::string document(std::istreambuf_iterator<char>(file), {});
  for (const auto* schema : all_record_schemas()) {
    std::string expected = describe(*schema);
    CAPTURE(expected);  // what docs/records.md should say
    CHECK(document.find(expected) != document.npos);
  }
}

TEST_CASE("random bytes in every text column still give valid JSON and one clean line") {
  std::uint32_t seed = 1;
  auto random_bytes = [&] {
    std::string bytes(20, '\0');
    for (auto& byte : bytes) byte = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
    return bytes;
  };
  for (int i = 0; i < 2000; ++i) {
    Alert alert;
    alert.rule = random_bytes();
    alert.process = random_bytes();
    alert.output = random_bytes();
    alert.tags = {random_bytes()};
    alert.output_fields.items = {{random_bytes(), random_bytes()}};
    if (!json::accept(to_json(Alert::schema(), &alert, kOrigin))) FAIL("invalid JSON");
    if (!json::accept(to_falco_json(alert, kOrigin))) FAIL("invalid Falco JSON");
    for (unsigned char c : to_line(Alert::schema(), &alert, kOrigin, false)) {
      if (c < 0x20 || c == 0x7f) FAIL("a control character");
    }
  }
}
