// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cerrno>

#include "config/toml_file.h"
#include "trivet/config.h"
#include "trivet/records/alert.h"
#include "trivet/value.h"

using namespace trivet;

TEST_CASE("IPv6 addresses print as RFC 5952 recommends") {
  struct Row {
    const char* text;
    const char* expected;
  };
  // Sections 1, 2.2, 4.1, 4.2.1, 4.2.2, 4.2.3 and 4.3 of the RFC.
  const Row rows[] = {
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:aaaa:bbbb:cccc:dddd:0:1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
      {"2001:DB8::1", "2001:db8::1"},
      {"0:0:0:0:0:0:0:0", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"fe80::", "fe80::"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    auto address = IpAddress::parse(row.text);
    REQUIRE(address);
    CHECK(address->family == 6);
    CHECK(address->to_string() == row.expected);
    CHECK(IpAddress::parse(row.expected) == address);
  }
}

TEST_CASE("an IPv4-mapped address is the IPv4 address") {
  auto mapped = IpAddress::parse("::ffff:192.0.2.1");
  REQUIRE(mapped);
  CHECK(mapped->family == 4);
  CHECK(mapped->to_string() == "192.0.2.1");
  CHECK(*mapped == *IpAddress::parse("192.0.2.1"));
}

TEST_CASE("what is no address is refused") {
  for (std::string text :
       {"", "1.2.3", "1.2.3.4.5", "256.0.0.1", "::1::", "12345::", "10.0.0.1/8", "localhost",
        "1:2:3:4:5:6:7:8:9", "::ffff:255.255.255.2550000000000000"}) {
    CAPTURE(text);
    CHECK_FALSE(IpAddress::parse(text));
  }
  CHECK_FALSE(IpAddress::parse(std::string_view("::1\0x", 5)));
  CHECK(IpAddress{}.to_string().empty());
}

TEST_CASE("an error names as much of its place as is known") {
  CHECK(Error{"wrong", 0, {"a.toml", 3, 7}}.to_string() == "a.toml:3:7: wrong");
  CHECK(Error{"wrong", 0, {"a.toml", 3, 0}}.to_string() == "a.toml:3: wrong");
  CHECK(Error{"wrong", 0, {"a.toml", 0, 0}}.to_string() == "a.toml: wrong");
  CHECK(Error{"wrong"}.to_string() == "wrong");
  CHECK(Error{"wrong"}.within("reading x").message == "reading x: wrong");
  CHECK(system_error(ENOENT, "cannot read x").message ==
        "cannot read x: No such file or directory");
}

TEST_CASE("the nearest name is found for a typing mistake only") {
  const std::vector<std::string> names = {"enabled", "rules_files", "priority"};
  CHECK(nearest("enbaled", names) == "enabled");
  CHECK(nearest("rule_files", names) == "rules_files");
  CHECK(nearest("zebra", names).empty());
  CHECK(nearest("", names).empty());
  CHECK(nearest(std::string(100'000, 'a'), names).empty());
}

TEST_CASE("a column is found by its name") {
  const auto& schema = Alert::schema();
  REQUIRE(schema.find("rule"));
  CHECK(schema.find("rule")->type == ColumnType::text);
  CHECK(schema.find("no such column") == nullptr);
}

TEST_CASE("a config reader keeps the first error and its place") {
  PlainFiles files;
  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {"limit = 5\nmode = \"fast\"\n", ""},
      {"", ""},
      {"limit = 11\n", "x.toml:1:9: limit = 11 is out of range: write 1 to 10"},
      {"limit = \"5\"\n", "x.toml:1:9: limit: expected an integer, found a string"},
      {"mode = \"quick\"\n", "x.toml:1:8: mode = \"quick\" is unknown: write one of slow, fast"},
      {"limt = 5\n", "x.toml:1:8: unknown key \"limt\": did you mean \"limit\"?"},
      {"\nzebra = 5\n", "x.toml:2:9: unknown key \"zebra\": known here: limit, mode"},
      {"limt = 5\nmode = 1\n", "x.toml:2:8: mode: expected a string in quotes, found an integer"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    auto table = parse_toml("x.toml", row.text, files);
    REQUIRE(table);
    std::int64_t limit = 3;
    std::string mode = "slow";
    ConfigReader read(**table);
    read.range("limit", limit, 1, 10);
    read.choice("mode", mode, {"slow", "fast"});
    auto result = read.finish();
    CHECK((result ? "" : result.error().to_string()) == row.error);
  }
}

TEST_CASE("a place shows its line with a caret below the column") {
  const std::string text = "one\n\ttwo\x1b[2J three\n" + std::string(300, 'x') + "y\nlast";
  CHECK(source_line({"f", 1, 2}, text) == "    1 | one\n      |  ^");
  // A character that would move the cursor shows as a blank.
  CHECK(source_line({"f", 2, 11}, text) == "    2 |  two [2J three\n      |           ^");
  CHECK(source_line({"f", 4, 5}, text) == "    4 | last\n      |     ^");  // behind the end
  CHECK(source_line({"f", 3, 301}, text) ==
        "    3 | " + std::string(80, 'x') + "y\n      | " + std::string(80, ' ') + "^");
  for (const Place& nowhere :
       {Place{"f", 0, 0}, Place{"f", 1, 0}, Place{"f", 1, 6}, Place{"f", 5, 1}}) {
    CHECK(source_line(nowhere, text).empty());
  }
}
