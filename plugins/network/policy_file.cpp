// SPDX-License-Identifier: Apache-2.0
#include "network/policy_file.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <optional>

#include "network/policy_sets.h"

namespace trivet::network {

namespace {

// Rule names stand in records, metrics and on terminals.
constexpr std::size_t kMaxNameBytes = 128;
constexpr std::int64_t kMaxTier = 1000;

const std::vector<std::string> kDirections = {"ingress", "egress"};
const std::vector<std::string> kDefaults = {"allow", "deny"};
const std::vector<std::string> kVerdicts = {"allow", "deny", "reject", "audit", "pass"};
const std::vector<std::string> kModes = {"enforce", "audit"};

policy_verdict verdict_named(const std::string& name) {
  static const std::map<std::string, policy_verdict> verdicts = {{"allow", POLICY_ALLOW},
                                                                 {"deny", POLICY_DENY},
                                                                 {"reject", POLICY_REJECT},
                                                                 {"audit", POLICY_AUDIT},
                                                                 {"pass", POLICY_PASS}};
  return verdicts.at(name);
}

// "2027-01-01T00:00:00Z" as CLOCK_REALTIME in ns.
std::optional<std::int64_t> parse_time(const std::string& text) {
  std::tm time{};
  int read = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &time.tm_year, &time.tm_mon,
                  &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec, &read) != 6 ||
      read != 20 || text.size() != 20) {
    return std::nullopt;
  }
  const std::tm written = time;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  const auto seconds = timegm(&time);
  // What does not come back as it was written, such as a 30th of February, is no date.
  if (time.tm_mon + 1 != written.tm_mon || time.tm_mday != written.tm_mday ||
      time.tm_hour != written.tm_hour || time.tm_min != written.tm_min ||
      time.tm_sec != written.tm_sec || written.tm_year < 1970 || written.tm_year > 2200) {
    return std::nullopt;
  }
  return std::int64_t{seconds} * 1'000'000'000;
}

// One of `allowed`; its absence is an error too.
void required_choice(ConfigReader& read, const Config& table, const std::string& key,
                     std::string& out, const std::vector<std::string>& allowed) {
  read.choice(key, out, allowed);
  if (!read.failed() && out.empty()) {
    std::string words;
    for (const auto& word : allowed) words += (words.empty() ? "" : " or ") + word;
    read.fail(key,
              {"the rule lacks " + key + ": write " + key + " = " + words, 0, table.place("")});
  }
}

void read_defaults(const Config& table, Policy& policy, ConfigReader& outer) {
  ConfigReader read(table);
  std::string ingress = "allow", egress = "allow", mode = "enforce", other_l2 = "pass";
  read.choice("ingress", ingress, kDefaults);
  read.choice("egress", egress, kDefaults);
  read.choice("mode", mode, kModes);
  read("other_l2", other_l2);
  if (other_l2 != "pass") {
    read.fail("other_l2",
              {"policy judges the packets of sockets, which are IP: frames of other kinds (ARP, "
               "LLC, VRRP below IP) pass whatever is written here, so write other_l2 = \"pass\""});
  }
  if (auto done = read.finish(); !done) return outer.fail("defaults", done.error());
  policy.ingress = verdict_named(ingress);
  policy.egress = verdict_named(egress);
  policy.audit = mode == "audit";
}

// "tcp/22 from 10.0.0.0/8", "udp/53", "any from 127.0.0.0/8".
Result<FailsafeEntry> parse_failsafe(const std::string& text, flow_direction direction) {
  const std::string word = direction == FLOW_INGRESS ? " from " : " to ";
  const auto at = text.find(word);
  auto service = parse_service(text.substr(0, at));
  if (!service) {
    return std::move(service).error().within("fail-safe entry \"" + text + "\"");
  }
  FailsafeEntry entry{direction, *service, {}};
  if (at != std::string::npos) {
    auto peer = parse_address_range(text.substr(at + word.size()));
    if (!peer) return std::move(peer).error().within("fail-safe entry \"" + text + "\"");
    entry.peer = *peer;
  }
  return entry;
}

void read_failsafe(const Config& table, Policy& policy, ConfigReader& outer) {
  ConfigReader read(table);
  for (const auto direction : {FLOW_INGRESS, FLOW_EGRESS}) {
    const std::string key = direction == FLOW_INGRESS ? "ingress" : "egress";
    std::vector<std::string> entries;
    read(key, entries);
    for (const auto& text : entries) {
      auto entry = parse_failsafe(text, direction);
      if (!entry) {
        read.fail(key, std::move(entry).error());
        break;
      }
      policy.failsafe.push_back(*entry);
    }
  }
  if (!read.failed() && policy.failsafe.size() > POLICY_FAILSAFE_MAX) {
    read.fail("", {"the fail-safe list has " + std::to_string(policy.failsafe.size()) +
                       " entries: at most " + std::to_string(POLICY_FAILSAFE_MAX) +
                       " fit, merge address ranges",
                   0, table.place("")});
  }
  if (auto done = read.finish(); !done) outer.fail("failsafe", done.error());
}

// A table, or the name of a set.
void read_subjects(const Config& table, const PolicySets& sets, Rule& rule, ConfigReader& read) {
  if (auto text = table.text("subject"); text && *text) {
    read.known("subject");
    auto subjects = sets.subjects(**text);
    if (!subjects) return read.fail("subject", std::move(subjects).error());
    rule.subjects = std::move(*subjects);
  } else if (auto inner = read.table("subject")) {
    auto subject = read_subject(*inner);
    if (!subject) return read.fail("subject", std::move(subject).error());
    rule.subjects.push_back(std::move(*subject));
  }
}

void read_peers(const Config& table, PolicySets& sets, Rule& rule, ConfigReader& read) {
  std::vector<std::string> texts;
  read("peer", texts);
  if (read.failed()) return;
  const auto keys = table.keys();
  if (texts.empty() && std::ranges::find(keys, "peer") != keys.end()) {
    return read.fail("peer", {"an empty list matches nothing: leave peer out for any"});
  }
  auto peers = sets.peers(texts);
  if (!peers) return read.fail("peer", std::move(peers).error());
  rule.peers = std::move(*peers);
}

// What no hook here can serve is refused, not ignored.
void check_hooks(const Rule& rule, ConfigReader& read) {
  if (rule.direction != FLOW_INGRESS) return;
  if (rule.verdict == POLICY_REJECT) {
    read.fail("verdict",
              {"reject tells a process of this host that connects that it is refused: nothing here "
               "can answer a peer, so write verdict = \"deny\" for ingress"});
  }
  for (const auto& service : rule.services) {
    if (service.protocol != 1 && service.protocol != 58) continue;
    read.fail("l4", {"the kernel answers ICMP before any socket sees it, and policy judges the "
                     "packets of sockets: ICMP can be judged on egress only"});
  }
}

// An empty list is an error: it would read as "none" and mean "any".
void read_services(const Config& table, Rule& rule, ConfigReader& read) {
  std::vector<std::string> texts;
  read("l4", texts);
  if (read.failed()) return;
  const auto keys = table.keys();
  if (texts.empty() && std::ranges::find(keys, "l4") != keys.end()) {
    return read.fail("l4", {"an empty list matches nothing: leave l4 out for any"});
  }
  for (const auto& text : texts) {
    auto service = parse_service(text);
    if (!service) return read.fail("l4", std::move(service).error());
    rule.services.push_back(*service);
  }
}

Result<Rule> read_rule(const Config& table, PolicySets& sets) {
  ConfigReader read(table);
  Rule rule;
  std::string direction, verdict;
  read("name", rule.name);
  if (!read.failed()) {
    const auto keys = table.keys();
    if (std::ranges::find(keys, "name") == keys.end()) {
      read.fail("name", {"the rule lacks a name: write name = \"...\"", 0, table.place("")});
    } else if (rule.name.empty() || rule.name[0] == '(' || rule.name.size() > kMaxNameBytes) {
      read.fail("name", {"\"" + rule.name + "\" is no name for a rule: write 1 to " +
                         std::to_string(kMaxNameBytes) + " bytes that do not start with ("});
    }
  }
  required_choice(read, table, "direction", direction, kDirections);
  required_choice(read, table, "verdict", verdict, kVerdicts);
  std::int64_t tier = rule.tier;
  read.range("tier", tier, 0, kMaxTier);
  rule.tier = static_cast<std::uint32_t>(tier);
  read("log", rule.log);
  std::string valid_until;
  read("valid_until", valid_until);
  if (!valid_until.empty()) {
    rule.valid_until_ns = parse_time(valid_until);
    if (!rule.valid_until_ns) {
      read.fail("valid_until", {"\"" + valid_until +
                                "\" is no time: write one in UTC such as "
                                "\"2027-01-01T00:00:00Z\""});
    }
  }
  read_subjects(table, sets, rule, read);
  read_peers(table, sets, rule, read);
  read_services(table, rule, read);
  if (!read.failed()) {
    rule.direction = direction == "ingress" ? FLOW_INGRESS : FLOW_EGRESS;
    rule.verdict = verdict_named(verdict);
    check_hooks(rule, read);
  }
  if (auto done = read.finish(); !done) return done.error();
  return rule;
}

}  // namespace

Result<Policy> read_policy(const Config& file, const std::vector<TextFile>& set_files) {
  ConfigReader read(file);
  Policy policy;
  PolicySets sets(policy, set_files);
  std::int64_t schema = 0;
  read("schema", schema);
  if (!read.failed() && schema != 1) {
    read.fail("schema", {schema == 0 ? "the policy lacks schema = 1 at its top"
                                     : "schema " + std::to_string(schema) +
                                           " is unknown here: write schema = 1"});
  }
  if (auto table = read.table("defaults")) read_defaults(*table, policy, read);
  if (auto table = read.table("failsafe")) read_failsafe(*table, policy, read);
  if (auto table = read.table("set")) {
    if (auto done = sets.read(*table); !done) read.fail("set", done.error());
  }
  std::map<std::string, Place> places;
  for (const auto& table : read.tables("rule")) {
    auto rule = read_rule(*table, sets);
    if (!rule) {
      read.fail("rule", std::move(rule).error());
      break;
    }
    const Place place = table->place("name");
    const auto [first, fresh] = places.emplace(rule->name, place);
    if (!fresh) {
      read.fail("rule", {"the name \"" + rule->name + "\" is taken by the rule in line " +
                             std::to_string(first->second.line) + ": give this one another",
                         0, place});
      break;
    }
    policy.rules.push_back(std::move(*rule));
  }
  if (auto done = read.finish(); !done) return done.error();
  return policy;
}

}  // namespace trivet::network
