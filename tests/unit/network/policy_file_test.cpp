// SPDX-License-Identifier: Apache-2.0
#include "network/policy_file.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "config/toml_file.h"

using namespace trivet;
using namespace trivet::network;

namespace {

Result<Policy> read(const std::string& text) {
  PlainFiles files;
  auto table = parse_toml("policy.toml", text, files);
  REQUIRE(table);
  return read_policy(**table);
}

// A rule that is right but for the lines given.
std::string rule_with(const std::string& lines) {
  return "schema = 1\n[[rule]]\nname = \"r\"\ndirection = \"egress\"\nverdict = \"deny\"\n" + lines;
}

}  // namespace

TEST_CASE("A whole policy is read as it was written") {
  const auto policy = read(R"(schema = 1
[defaults]
ingress = "deny"
mode = "audit"
[failsafe]
ingress = ["tcp/22 from 10.0.0.0/8"]
egress = ["udp/53"]
[[rule]]
name = "web"
subject = { cgroup = "/system.slice/nginx.service/" }
direction = "ingress"
peer = ["192.0.2.0/24", "2001:db8::/32"]
l4 = ["tcp/80", "tcp/443"]
verdict = "allow"
[[rule]]
name = "no curl"
subject = { exe = "/usr/bin/curl" }
direction = "egress"
peer = "169.254.169.254"
verdict = "deny"
)");
  REQUIRE(policy);
  CHECK(policy->ingress == POLICY_DENY);
  CHECK(policy->egress == POLICY_ALLOW);
  CHECK(policy->audit);
  REQUIRE(policy->failsafe.size() == 2);
  CHECK(policy->failsafe[0].service == Service{6, 22, 22});
  CHECK(policy->failsafe[0].peer == *parse_address_range("10.0.0.0/8"));
  CHECK(policy->failsafe[1].peer == AddressRange{});
  REQUIRE(policy->rules.size() == 2);
  const Rule& web = policy->rules[0];
  CHECK(web.subjects.at(0).cgroup == "/system.slice/nginx.service");
  CHECK(web.direction == FLOW_INGRESS);
  CHECK(web.peers.size() == 2);
  CHECK(web.services.size() == 2);
  CHECK(policy->rules[1].subjects.at(0).executable == "/usr/bin/curl");
  CHECK(policy->rules[1].verdict == POLICY_DENY);
}

TEST_CASE("Each mistake in a policy is named with its place and remedy") {
  struct Row {
    std::string text;
    const char* place;
    const char* sentence;
  };
  const Row rows[] = {
      {"[defaults]\n", "policy.toml", "lacks schema = 1"},
      {"schema = 2\n", "policy.toml:1:10", "schema 2 is unknown here"},
      {"schema = 1\n[default]\n", "policy.toml:2", "defaults"},
      {"schema = 1\n[defaults]\ningres = \"deny\"\n", "policy.toml:3", "ingress"},
      {"schema = 1\n[defaults]\ningress = \"drop\"\n", "policy.toml:3:11", "deny"},
      {"schema = 1\n[defaults]\nmode = true\n", "policy.toml:3:8", "mode"},
      {"schema = 1\n[failsafe]\ningress = [\"tcp/22 from 10.0.0.1/8\"]\n", "policy.toml:3:11",
       "write 10.0.0.0/8"},
      {"schema = 1\n[failsafe]\negress = [\"tcp/22 from 10.0.0.0/8\"]\n", "policy.toml:3:10",
       "bad port"},
      {"schema = 1\n[[rule]]\ndirection = \"egress\"\nverdict = \"deny\"\n", "policy.toml:2",
       "lacks a name"},
      {"schema = 1\n[[rule]]\nname = \"\"\ndirection = \"egress\"\nverdict = \"deny\"\n",
       "policy.toml:3:8", "is no name for a rule"},
      {"schema = 1\n[[rule]]\nname = \"(default)\"\ndirection = \"egress\"\nverdict = \"deny\"\n",
       "policy.toml:3:8", "is no name for a rule"},
      {"schema = 1\n[[rule]]\nname = \"a\"\nverdict = \"deny\"\n", "policy.toml:2",
       "lacks direction: write direction = ingress or egress"},
      {"schema = 1\n[[rule]]\nname = \"a\"\ndirection = \"egress\"\n", "policy.toml:2",
       "lacks verdict"},
      {rule_with("") + "[[rule]]\nname = \"r\"\ndirection = \"egress\"\nverdict = \"deny\"\n",
       "policy.toml:7:8", "taken by the rule in line 3"},
      {rule_with("peer = \"10.0.0.1/33\"\n"), "policy.toml:6:8", "takes 0 to 32"},
      {rule_with("peer = [\"10.0.0.0/8\", \"10.0.0.1/8\"]\n"), "policy.toml:6:8",
       "write 10.0.0.0/8"},
      {rule_with("peer = []\n"), "policy.toml:6:8", "matches nothing"},
      {rule_with("peer = 10\n"), "policy.toml:6:8", "peer"},
      {rule_with("l4 = \"tcp/70000\"\n"), "policy.toml:6:6", "ports go from 1 to 65535"},
      {rule_with("l4 = [\"http\"]\n"), "policy.toml:6:6", "names no protocol"},
      {rule_with("peers = \"10.0.0.0/8\"\n"), "policy.toml:6", "peer"},
      {rule_with("subject = { exe = \"curl\" }\n"), "policy.toml:6:19", "not an absolute path"},
      {rule_with("subject = { exe = \"/a\", cgroup = \"/b\" }\n"), "policy.toml:6:11",
       "by one key"},
      {rule_with("subject = { }\n"), "policy.toml:6:11", "by one key"},
      {rule_with("subject = { cgroup = \"/../../etc\" }\n"), "policy.toml:6:22", "without detours"},
      {rule_with("subject = { unit = \"nginx\" }\n"), "policy.toml:6", "unit"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto policy = read(row.text);
    REQUIRE_FALSE(policy);
    const std::string error = policy.error().to_string();
    CAPTURE(error);
    CHECK(error.starts_with(row.place));
    CHECK(error.find(row.sentence) != std::string::npos);
  }
}

TEST_CASE("The shipped policies are well formed") {
  for (const auto* name : {"allow_all.toml", "web_server.toml"}) {
    CAPTURE(name);
    PlainFiles files;
    const std::string path = std::string(TRIVET_SOURCE_DIR) + "/config/policies/" + name;
    const auto file = files.read(path);
    REQUIRE(file);
    const auto table = parse_toml(path, file->text, files);
    REQUIRE(table);
    const auto policy = read_policy(**table);
    CHECK_MESSAGE(policy, (policy ? "" : policy.error().to_string()));
  }
}
