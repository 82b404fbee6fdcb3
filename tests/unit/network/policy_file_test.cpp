// SPDX-License-Identifier: Apache-2.0
#include "network/policy_file.h"

#include <doctest/doctest.h>

#include <filesystem>
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
  return read_policy(
      **table, {{"/etc/trivet/sets/feed.txt", "# feed\n192.0.2.0/24\n !192.0.2.9 # not this\n"},
                {"/etc/trivet/sets/bad.txt", "192.0.2.0/24\n  10.0.0.1/8\n"}});
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
  CHECK(web.subjects.at(0) == Subject{{Selector::Kind::cgroup, "/system.slice/nginx.service"}});
  CHECK(web.direction == FLOW_INGRESS);
  CHECK(policy->address_sets.at(web.peers.in.at(0)).in.size() == 2);
  CHECK(web.services.size() == 2);
  CHECK(policy->rules[1].subjects.at(0) == Subject{{Selector::Kind::executable, "/usr/bin/curl"}});
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
      {rule_with("subject = { }\n"), "policy.toml:6:11", "a subject is chosen by"},
      {rule_with("subject = { cgroup = \"/../../etc\" }\n"), "policy.toml:6:22", "without detours"},
      {rule_with("subject = { unit = \"nginx\" }\n"), "policy.toml:6:20", "write nginx.service"},
      {rule_with("subject = { container = { names = \"a\" } }\n"), "policy.toml:6", "name"},
      {rule_with("subject = { host = false }\n"), "policy.toml:6:20", "host = false says nothing"},
      {rule_with("subject = { netns = \"blue\" }\n"), "policy.toml:6:21", "/run/netns/blue"},
      {rule_with("subject = \"@wbe\"\n[set.subject.web]\nitems = [{ user = \"www\" }]\n"),
       "policy.toml:6:11", "did you mean @web?"},
      {rule_with("peer = \"@ofice\"\n[set.cidr.office]\nitems = [\"10.0.0.0/8\"]\n"),
       "policy.toml:6:8", "did you mean @office?"},
      {rule_with("peer = \"wrold\"\n"), "policy.toml:6:8", "did you mean world?"},
      {rule_with("l4 = \"icmp/300\"\n"), "policy.toml:6:6", "unknown type"},
      {rule_with("l4 = \"ip/0\"\n"), "policy.toml:6:6", "from 1 to 254"},
      {rule_with("tier = 1001\n"), "policy.toml:6:8", "1000"},
      {rule_with("valid_until = \"2027-02-30T00:00:00Z\"\n"), "policy.toml:6:15", "is no time"},
      {rule_with("valid_until = 2027-01-01T00:00:00Z\n"), "policy.toml:6:15", "in quotes"},
      {"schema = 1\n[set.cidr.a]\nitems = [\"10.0.0.0/8\", \"!x\"]\n", "policy.toml:3:9",
       "is not an address range"},
      {"schema = 1\n[set.cidr.a]\n", "policy.toml:2", "the set holds nothing"},
      {"schema = 1\n[set.cidr.a]\nfile = \"none.txt\"\n", "policy.toml:3:8", "network.set_files"},
      {"schema = 1\n[set.cidr.a]\nfile = \"bad.txt\"\n", "/etc/trivet/sets/bad.txt:2:3",
       "write 10.0.0.0/8"},
      {"schema = 1\n[set.fqdn.a]\nitems = [\"a.example\"]\n", "policy.toml:2", "fqdn"},
      {"schema = 1\n[defaults]\nother_l2 = \"deny\"\n", "policy.toml:3:12",
       "write other_l2 = \"pass\""},
      {"schema = 1\n[[rule]]\nname = \"r\"\ndirection = \"ingress\"\nverdict = \"reject\"\n",
       "policy.toml:5:11", "nothing here can answer a peer"},
      {"schema = 1\n[[rule]]\nname = \"r\"\ndirection = \"ingress\"\nverdict = \"deny\"\nl4 = "
       "\"icmp\"\n",
       "policy.toml:6:6", "ICMP can be judged on egress only"},
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

TEST_CASE("What rules can say of subjects, peers and services is read as it was written") {
  const auto policy = read(R"(schema = 1
[set.cidr.feed]
items = "203.0.113.0/24"
file = "feed.txt"
[[rule]]
name = "r"
tier = 7
subject = { container = { image = "nginx*", label = { tier = "web" } }, user = "www-data", host = true }
direction = "egress"
peer = ["@feed", "lan", "!10.9.0.0/16"]
l4 = ["icmp/echo-request", "icmpv6/128", "ip/132", "udp"]
verdict = "reject"
log = false
valid_until = "2027-01-01T00:00:00Z"
)");
  REQUIRE_MESSAGE(policy, (policy ? "" : policy.error().to_string()));
  const Rule& rule = policy->rules.at(0);
  CHECK(rule.tier == 7);
  CHECK(rule.subjects.at(0) == Subject{{Selector::Kind::container_image, "nginx*"},
                                       {Selector::Kind::container_label, "web", "tier"},
                                       {Selector::Kind::user, "www-data"},
                                       {Selector::Kind::host, ""}});
  CHECK(rule.services ==
        std::vector<Service>{{1, 8, 8}, {58, 128, 128}, {132, 0, 65535}, {17, 0, 65535}});
  CHECK(rule.verdict == POLICY_REJECT);
  CHECK_FALSE(rule.log);
  CHECK(rule.valid_until_ns == 1'798'761'600'000'000'000);  // date -u -d 2027-01-01 +%s
  const AddressSet& feed = policy->address_sets.at(0);
  CHECK(feed.in ==
        std::vector{*parse_address_range("192.0.2.0/24"), *parse_address_range("203.0.113.0/24")});
  CHECK(feed.out == std::vector{*parse_address_range("192.0.2.9")});
  CHECK(rule.peers.in.size() == 2);
  CHECK(policy->address_sets.at(rule.peers.out.at(0)).in ==
        std::vector{*parse_address_range("10.9.0.0/16")});
}

TEST_CASE("The shipped policies are well formed") {
  const std::filesystem::path folder = std::string(TRIVET_SOURCE_DIR) + "/config/policies";
  PlainFiles files;
  const auto set = files.read(folder / "sets/blocked.txt");
  REQUIRE(set);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    CAPTURE(entry.path());
    const auto file = files.read(entry.path());
    REQUIRE(file);
    const auto table = parse_toml(entry.path(), file->text, files);
    REQUIRE(table);
    const auto policy = read_policy(**table, {*set});
    CHECK_MESSAGE(policy, (policy ? "" : policy.error().to_string()));
  }
}
