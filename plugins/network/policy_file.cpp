// SPDX-License-Identifier: Apache-2.0
#include "network/policy_file.h"

#include <algorithm>
#include <map>
#include <optional>

namespace trivet::network {

namespace {

// Rule names stand in records, metrics and on terminals.
constexpr std::size_t kMaxNameBytes = 128;

const std::vector<std::string> kDirections = {"ingress", "egress"};
const std::vector<std::string> kDefaults = {"allow", "deny"};
const std::vector<std::string> kVerdicts = {"allow", "deny", "audit"};
const std::vector<std::string> kModes = {"enforce", "audit"};

policy_verdict verdict_named(const std::string& name) {
  return name == "deny" ? POLICY_DENY : name == "audit" ? POLICY_AUDIT : POLICY_ALLOW;
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
  std::string ingress = "allow", egress = "allow", mode = "enforce";
  read.choice("ingress", ingress, kDefaults);
  read.choice("egress", egress, kDefaults);
  read.choice("mode", mode, kModes);
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

// Why `path` names no file or cgroup, or nothing if it does. `..` could leave the hierarchy.
std::optional<Error> check_path(const std::string& key, const std::string& path) {
  if (path.empty() || path[0] != '/') {
    return Error{"\"" + path + "\" is not an absolute path: write " +
                 (key == "cgroup" ? "one below the cgroup root, such as /system.slice/nginx.service"
                                  : "the executable's, such as /usr/bin/curl")};
  }
  for (const auto* part : {"/../", "/./", "//"}) {
    if ((path + "/").find(part) != std::string::npos && path != "/") {
      return Error{"\"" + path + "\" holds " + part + ": write the path without detours"};
    }
  }
  return std::nullopt;
}

void read_subject(const Config& table, Rule& rule, ConfigReader& outer) {
  ConfigReader read(table);
  Subject subject;
  read("cgroup", subject.cgroup);
  read("exe", subject.executable);
  while (subject.cgroup.size() > 1 && subject.cgroup.back() == '/') subject.cgroup.pop_back();
  const auto keys = table.keys();
  for (const auto& key : keys) {
    if (read.failed() || (key != "cgroup" && key != "exe")) continue;
    const std::string& path = key == "cgroup" ? subject.cgroup : subject.executable;
    if (auto wrong = check_path(key, path)) read.fail(key, *wrong);
  }
  auto done = read.finish();
  if (!done) return outer.fail("subject", done.error());
  if (subject.cgroup.empty() == subject.executable.empty()) {
    return outer.fail("subject",
                      {"a subject is chosen by one key: write { cgroup = \"/path\" } or { exe = "
                       "\"/path\" }, or leave the subject out for every process",
                       0, table.place("")});
  }
  rule.subjects.push_back(std::move(subject));
}

// Parses each text of a list with `parse`, which gives a Result<T>. An empty list is an error: it
// would read as "none" and mean "any".
template <class T>
void read_list(ConfigReader& read, const std::string& key, Result<T> (*parse)(std::string_view),
               std::vector<T>& out, const Config& table) {
  std::vector<std::string> texts;
  read(key, texts);
  if (read.failed()) return;
  const auto keys = table.keys();
  if (texts.empty() && std::ranges::find(keys, key) != keys.end()) {
    return read.fail(key, {"an empty list matches nothing: leave " + key + " out for any"});
  }
  for (const auto& text : texts) {
    auto parsed = parse(text);
    if (!parsed) return read.fail(key, std::move(parsed).error());
    out.push_back(*parsed);
  }
}

Result<Rule> read_rule(const Config& table) {
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
  if (auto subject = read.table("subject")) read_subject(*subject, rule, read);
  read_list<AddressRange>(read, "peer", parse_address_range, rule.peers, table);
  read_list<Service>(read, "l4", parse_service, rule.services, table);
  if (auto done = read.finish(); !done) return done.error();
  rule.direction = direction == "ingress" ? FLOW_INGRESS : FLOW_EGRESS;
  rule.verdict = verdict_named(verdict);
  return rule;
}

}  // namespace

Result<Policy> read_policy(const Config& file) {
  ConfigReader read(file);
  Policy policy;
  std::int64_t schema = 0;
  read("schema", schema);
  if (!read.failed() && schema != 1) {
    read.fail("schema", {schema == 0 ? "the policy lacks schema = 1 at its top"
                                     : "schema " + std::to_string(schema) +
                                           " is unknown here: write schema = 1"});
  }
  if (auto table = read.table("defaults")) read_defaults(*table, policy, read);
  if (auto table = read.table("failsafe")) read_failsafe(*table, policy, read);
  std::map<std::string, Place> places;
  for (const auto& table : read.tables("rule")) {
    auto rule = read_rule(*table);
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
