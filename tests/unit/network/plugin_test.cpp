// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "fake_host.h"
#include "network/network.h"
#include "trivet/records/flow.h"

using namespace trivet;
using namespace trivet::network;

namespace {

constexpr auto kDenyTen = R"(schema = 1
[[rule]]
name = "not ten"
direction = "egress"
peer = "10.0.0.0/8"
verdict = "deny"
)";
constexpr auto kDenyTwenty = R"(schema = 1
[[rule]]
name = "harmless"
direction = "ingress"
verdict = "allow"
[[rule]]
name = "not twenty"
direction = "egress"
peer = "20.0.0.0/8"
verdict = "deny"
)";

flow_event refused(std::uint64_t epoch, std::uint32_t rule) {
  flow_event event{};
  inet_pton(AF_INET6, "::ffff:10.1.2.3", event.peer_address);
  event.peer_port = 443;
  event.protocol = 6;
  event.direction = FLOW_EGRESS;
  event.verdict = FLOW_DROPPED;
  event.state = FLOW_REFUSED;
  event.dropped_packets = 1;
  event.epoch = epoch;
  event.rule = rule;
  return event;
}

std::uint64_t epoch_of(FakeHost& host) {
  std::uint64_t epoch = 0;
  const std::uint32_t zero = 0;
  TypedMap<std::uint32_t, std::uint64_t>(host.map("policy_epoch")).lookup(zero, epoch).value();
  return epoch;
}

// The rule that the first list's first term of a generation names; every policy here has one rule
// about addresses.
policy_term term_of(FakeHost& host, std::uint64_t epoch) {
  policy_term term{};
  const auto first = static_cast<std::uint32_t>(POLICY_SLOT(epoch) * POLICY_TERMS_MAX + 1);
  TypedMap<std::uint32_t, policy_term>(host.map("policy_terms")).lookup(first, term).value();
  return term;
}

// The class of 10.0.0.0/8's or 20.0.0.0/8's addresses; 0 where a generation has none.
std::uint32_t class_of(FakeHost& host, std::uint64_t epoch, std::uint8_t first_byte) {
  const policy_prefix4 key{POLICY_SLOT_BITS + 8, static_cast<std::uint32_t>(POLICY_SLOT(epoch)),
                           first_byte};
  std::uint32_t found = 0;
  TypedMap<policy_prefix4, std::uint32_t>(host.map("policy_prefixes4")).lookup(key, found).value();
  return found;
}

}  // namespace

TEST_CASE("Without a policy the plugin starts, allows everything and only tells flows") {
  FakeHost host;
  NetworkPlugin plugin;
  REQUIRE(plugin.configure(host.config("")));
  REQUIRE(plugin.start(host));
  CHECK(epoch_of(host) == 1);
  policy_generation generation{};
  const std::uint32_t slot = 1;
  CHECK(TypedMap<std::uint32_t, policy_generation>(host.map("policy_generations"))
            .lookup(slot, generation)
            .value());
  CHECK(generation.selectors == 0);
  CHECK(generation.default_verdict[FLOW_INGRESS] == POLICY_ALLOW);
  CHECK(generation.default_verdict[FLOW_EGRESS] == POLICY_ALLOW);
  plugin.stop();
  CHECK(host.attached == 0);
}

TEST_CASE("A denied connect becomes a flow that names the rule and the process") {
  FakeHost host;
  host.files.texts["p.toml"] = kDenyTen;
  const auto curl = host.facts().add(tree({.name = "curl", .exe = "/usr/bin/curl"}));
  NetworkPlugin plugin;
  REQUIRE(plugin.configure(host.config("policy_file = \"p.toml\"")));
  REQUIRE(plugin.start(host));
  auto event = refused(epoch_of(host), 0);
  event.header.task = {curl->key.start_ns, curl->key.tgid, curl->key.exec_count};
  host.deliver(event);
  const auto flows = host.records<Flow>();
  REQUIRE(flows.size() == 1);
  CHECK(flows[0].process == "curl");
  CHECK(flows[0].rule == "not ten");
  CHECK(flows[0].verdict == "DROPPED");
  CHECK(flows[0].state == "refused by policy");
  CHECK(flows[0].peer_address.to_string() == "10.1.2.3");
  CHECK(flows[0].peer_port == 443);
  CHECK(flows[0].local_address.family == 0);
  CHECK(host.metrics().value("hubble_flows_processed_total", {{"protocol", "TCP"},
                                                              {"type", "Drop"},
                                                              {"subtype", "Policy denied"},
                                                              {"verdict", "DROPPED"}}) == 1);
  plugin.stop();
}

TEST_CASE("What tracing saw is counted under Hubble's names") {
  FakeHost host;
  NetworkPlugin plugin;
  REQUIRE(plugin.configure(host.config("")));
  REQUIRE(plugin.start(host));
  HttpRequest request;
  request.method = "GET";
  request.version = "1.1";
  request.role = "server";
  request.latency = Duration{20'000'000};
  host.publish(request);  // without an answer
  request.status = 404;
  host.publish(request);
  DnsRequest query;
  query.question_type = "A";
  query.response_code = "NXDOMAIN";
  host.publish(query);
  query.response_code = "NOERROR";
  query.answers = {"CNAME www.example.org", "A 192.0.2.1", "A 192.0.2.2"};
  host.publish(query);
  CHECK(host.metrics().value("hubble_http_requests_total", {{"method", "GET"},
                                                            {"reporter", "server"},
                                                            {"protocol", "HTTP/1.1"},
                                                            {"status", "404"}}) == 1);
  CHECK(host.metrics().value("hubble_dns_queries_total",
                             {{"rcode", ""}, {"qtypes", "A"}, {"ips_returned", "0"}}) == 2);
  CHECK(host.metrics().value(
            "hubble_dns_responses_total",
            {{"rcode", "Non-Existent Domain"}, {"qtypes", "A"}, {"ips_returned", "0"}}) == 1);
  CHECK(host.metrics().value("hubble_dns_responses_total",
                             {{"rcode", "No Error"}, {"qtypes", "A"}, {"ips_returned", "2"}}) == 1);
  for (const char* type : {"A", "CNAME"})
    CHECK(host.metrics().value("hubble_dns_response_types_total",
                               {{"type", type}, {"qtypes", "A"}}) == 1);
  plugin.stop();
}

TEST_CASE("A new policy is written beside the old one, then put in force by one word") {
  FakeHost host;
  host.files.texts["p.toml"] = kDenyTen;
  NetworkPlugin plugin, next;
  REQUIRE(plugin.configure(host.config("policy_file = \"p.toml\"")));
  REQUIRE(plugin.start(host));
  const std::uint64_t old_epoch = epoch_of(host);
  const policy_term old_term = term_of(host, old_epoch);
  CHECK(class_of(host, old_epoch, 10) == 1);

  host.files.texts["p.toml"] = kDenyTwenty;
  REQUIRE(next.configure(host.config("policy_file = \"p.toml\"")));
  CHECK(plugin.adopt(next));
  CHECK(POLICY_SLOT(epoch_of(host)) != POLICY_SLOT(old_epoch));
  CHECK(host.attached == 1);
  CHECK(host.metrics().value("trivet_network_policy_rules") == 2);

  CHECK(class_of(host, old_epoch, 10) == 1);
  CHECK(class_of(host, epoch_of(host), 10) == 0);
  CHECK(class_of(host, epoch_of(host), 20) == 1);
  const policy_term kept = term_of(host, old_epoch);
  CHECK(std::memcmp(&kept, &old_term, sizeof(kept)) == 0);

  SUBCASE("and events of either policy name their own rules") {
    host.deliver(refused(old_epoch, 0));
    host.deliver(refused(epoch_of(host), 1));
    const auto flows = host.records<Flow>();
    CHECK(flows.at(0).rule == "not ten");
    CHECK(flows.at(1).rule == "not twenty");
  }
  plugin.stop();
}

TEST_CASE("Changed settings take force without a restart, which would forget every connection") {
  FakeHost host;
  NetworkPlugin plugin, next;
  REQUIRE(plugin.configure(host.config("")));
  REQUIRE(plugin.start(host));
  policy_settings written{};
  const std::uint32_t zero = 0;
  TypedMap<std::uint32_t, policy_settings> settings(host.map("policy_settings"));
  REQUIRE(settings.lookup(zero, written).value());
  CHECK(written.interval_ns == 5'000'000'000);
  REQUIRE(
      next.configure(host.config("flow_interval_s = 6\nudp_idle_s = 7\n"
                                 "denials_per_second = 8\n")));
  CHECK(plugin.adopt(next));
  CHECK(host.specs.size() == 1);
  REQUIRE(settings.lookup(zero, written).value());
  CHECK(written.interval_ns == 6'000'000'000);
  CHECK(written.udp_idle_ns == 7'000'000'000);
  CHECK(written.denials_per_second == 8);
  plugin.stop();
}

TEST_CASE(
    "A changed fail-safe list or table size needs a restart, as it is part of what is loaded") {
  for (const auto* change : {"[failsafe]\negress = [\"udp/53\"]\n", "size"}) {
    CAPTURE(change);
    const bool setting = std::string(change) == "size";
    FakeHost host;
    host.files.texts["p.toml"] = "schema = 1\n";
    NetworkPlugin plugin, next;
    REQUIRE(plugin.configure(host.config("policy_file = \"p.toml\"")));
    REQUIRE(plugin.start(host));
    const auto epoch = epoch_of(host);
    host.files.texts["p.toml"] = std::string("schema = 1\n") + (setting ? "" : change);
    REQUIRE(next.configure(host.config(std::string("policy_file = \"p.toml\"\n") +
                                       (setting ? "udp_flows = 1000\n" : ""))));
    CHECK_FALSE(plugin.adopt(next));
    CHECK(epoch_of(host) == epoch);
    plugin.stop();
  }
}

TEST_CASE("Names that come from events of no known policy or rule do no harm") {
  FakeHost host;
  NetworkPlugin plugin;
  REQUIRE(plugin.configure(host.config("")));
  REQUIRE(plugin.start(host));
  host.deliver(refused(0, 0));
  host.deliver(refused(epoch_of(host), 12345));
  host.deliver(refused(epoch_of(host), FLOW_RULE_FAILSAFE));
  const auto flows = host.records<Flow>();
  CHECK(flows.at(0).rule == "(forgotten)");
  CHECK(flows.at(1).rule == "(forgotten)");
  CHECK(flows.at(2).rule == "(fail-safe)");
  plugin.stop();
}

TEST_CASE("Mistakes in the plugin's table carry their place") {
  struct Row {
    const char* text;
    const char* place;
    const char* sentence;
  };
  const Row rows[] = {
      {"policy_fil = \"p.toml\"", "trivet.toml:1", "policy_file"},
      {"flow_interval_s = 0", "trivet.toml:1:19", "flow_interval_s"},
      {"policy_file = \"/nowhere/p.toml\"", "trivet.toml:1:15", "/nowhere/p.toml"},
      {"policy_file = \"bad.toml\"", "bad.toml:1:10", "schema 7"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    FakeHost host;
    host.files.texts["bad.toml"] = "schema = 7\n";
    NetworkPlugin plugin;
    const auto done = plugin.configure(host.config(row.text));
    REQUIRE_FALSE(done);
    const std::string error = done.error().to_string();
    CAPTURE(error);
    CHECK(error.starts_with(row.place));
    CHECK(error.find(row.sentence) != std::string::npos);
  }
}

TEST_CASE("A policy that is too large is refused at configure, at its file") {
  std::string text = "schema = 1\n";
  for (int i = 0; i <= POLICY_RULES_MAX; ++i) {
    text += "[[rule]]\nname = \"r" + std::to_string(i) +
            "\"\ndirection = \"egress\"\nverdict = \"deny\"\n";
  }
  FakeHost host;
  host.files.texts["p.toml"] = text;
  NetworkPlugin plugin;
  const auto done = plugin.configure(host.config("policy_file = \"p.toml\""));
  REQUIRE_FALSE(done);
  CHECK(done.error().to_string().starts_with("p.toml"));
  CHECK(done.error().message.find("16384 fit") != std::string::npos);
}

TEST_CASE("What the kernel counts becomes metrics, summed over CPUs") {
  FakeHost host;
  constexpr std::size_t kCpus = 3;
  FakeMap& counters = host.declare_map("flow_counters", 4, 8 * kCpus);
  const std::uint32_t key = FLOW_COUNT_DROPPED_UDP;
  const std::uint64_t by_cpu[kCpus] = {5, 0, 7};
  REQUIRE(counters.update(std::as_bytes(std::span(&key, 1)), std::as_bytes(std::span(by_cpu))));
  NetworkPlugin plugin;
  REQUIRE(plugin.configure(host.config("")));
  REQUIRE(plugin.start(host));
  host.tick();
  CHECK(host.metrics().value("hubble_drop_total",
                             {{"reason", "POLICY_DENIED"}, {"protocol", "UDP"}}) == 12);
  plugin.stop();
}

TEST_CASE("The policy in force is shown with what each rule did since it was installed") {
  FakeHost host;
  host.files.texts["p.toml"] = kDenyTen;
  FakeMap& counts = host.declare_map("policy_counts", 4, sizeof(policy_count));
  NetworkPlugin plugin;
  REQUIRE(plugin.configure(host.config("policy_file = \"p.toml\"")));
  REQUIRE(plugin.start(host));
  const auto key = static_cast<std::uint32_t>(POLICY_COUNT(POLICY_SLOT(epoch_of(host)), 0));
  const policy_count count{3, 2};
  REQUIRE(counts.update(std::as_bytes(std::span(&key, 1)), std::as_bytes(std::span(&count, 1))));
  const auto shown = host.call("policy show");
  REQUIRE(shown);
  CHECK(*shown ==
        "{\"epoch\":1,\"mode\":\"enforce\",\"ingress\":\"allow\",\"egress\":\"allow\",\"rules\":"
        "[{\"name\":\"not ten\",\"judged\":3,\"dropped\":2}],\"default\":{\"judged\":0,"
        "\"dropped\":0},\"fail-safe\":{\"judged\":0,\"dropped\":0}}");
  plugin.stop();
}

namespace {

// The name of a rule that a policy given as text has.
std::string rule_in_force(FakeHost& host) {
  const auto shown = host.call("policy show");
  REQUIRE(shown);
  const auto at = shown->find("\"rules\":[{\"name\":\"");
  if (at == shown->npos) return "none";
  const auto begin = at + 18;
  return shown->substr(begin, shown->find('"', begin) - begin);
}

}  // namespace

TEST_CASE("An applied policy goes by itself unless somebody confirms it") {
  FakeHost host;
  host.files.texts["p.toml"] = kDenyTen;
  NetworkPlugin plugin;
  REQUIRE(plugin.configure(host.config("policy_file = \"p.toml\"")));
  REQUIRE(plugin.start(host));
  CHECK(host.call("policy confirm").error().message == "no policy waits to be confirmed");
  REQUIRE(host.call("policy apply", {"new.toml", kDenyTwenty, "60"}));
  CHECK(rule_in_force(host) == "harmless");
  const auto again = host.call("policy apply", {"new.toml", kDenyTen, "60"});
  REQUIRE_FALSE(again);
  CHECK(again.error().message.find("waits to be confirmed") != std::string::npos);

  SUBCASE("when the time is over the one before is back, and says so") {
    host.now += 59'000'000'000;
    host.tick();
    CHECK(rule_in_force(host) == "harmless");
    host.now += 1'000'000'000;
    host.tick();
    CHECK(rule_in_force(host) == "not ten");
    CHECK_FALSE(host.call("policy confirm"));
  }
  SUBCASE("confirmed, it stays") {
    REQUIRE(host.call("policy confirm"));
    host.now += 3'600'000'000'000;
    host.tick();
    CHECK(rule_in_force(host) == "harmless");
    SUBCASE("until it is rolled back, which can be taken back too") {
      REQUIRE(host.call("policy rollback"));
      CHECK(rule_in_force(host) == "not ten");
      REQUIRE(host.call("policy rollback"));
      CHECK(rule_in_force(host) == "harmless");
    }
  }
  SUBCASE("a reload puts the configured one in force, and nothing waits any more") {
    NetworkPlugin next;
    REQUIRE(next.configure(host.config("policy_file = \"p.toml\"")));
    CHECK(plugin.adopt(next));
    CHECK(rule_in_force(host) == "not ten");
    CHECK_FALSE(host.call("policy confirm"));
  }
  plugin.stop();
}

TEST_CASE("What cannot be applied is refused whole, at its place") {
  struct Row {
    std::vector<std::string> arguments;
    const char* sentence;
  };
  const Row rows[] = {
      {{"new.toml", "schema = 1\n[[rule]]\nname = \"r\"\n", "60"}, "new.toml:2"},
      {{"new.toml", "schema = ", "60"}, "new.toml:1"},
      {{"new.toml", "schema = 1\n[failsafe]\negress = [\"udp/53\"]\n", "60"}, "new.toml:2"},
      {{"new.toml", "schema = 1\n", "86401"}, "86400 seconds"},
      {{"new.toml", "schema = 1\n", "-1"}, "86400 seconds"},
      {{"new.toml"}, "takes the file's path"}};
  FakeHost host;
  host.files.texts["p.toml"] = kDenyTen;
  NetworkPlugin plugin;
  REQUIRE(plugin.configure(host.config("policy_file = \"p.toml\"")));
  REQUIRE(plugin.start(host));
  for (const auto& row : rows) {
    CAPTURE(row.sentence);
    const auto done = host.call("policy apply", row.arguments);
    REQUIRE_FALSE(done);
    CHECK(done.error().to_string().find(row.sentence) != std::string::npos);
    CHECK(rule_in_force(host) == "not ten");
  }
  CHECK(host.call("policy rollback").error().message.find("no policy before") != std::string::npos);
  plugin.stop();
}
