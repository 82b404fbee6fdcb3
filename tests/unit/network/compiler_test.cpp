// SPDX-License-Identifier: Apache-2.0
#include "network/policy_compiler.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "config/toml_file.h"
#include "policy_model.h"

using namespace trivet;
using namespace trivet::network;

namespace {

Rule rule(const std::string& name, policy_verdict verdict) {
  Rule made;
  made.name = name;
  made.verdict = verdict;
  return made;
}

Policy read(const std::string& text) {
  PlainFiles files;
  auto table = parse_toml("policy.toml", "schema = 1\n" + text, files);
  REQUIRE(table);
  auto policy = read_policy(**table, {});
  REQUIRE_MESSAGE(policy, (policy ? "" : policy.error().to_string()));
  return std::move(*policy);
}

Question ask(const std::string& address, std::uint16_t port, std::set<Selector> selectors = {}) {
  const auto range = parse_address_range(address);
  REQUIRE(range);
  return {FLOW_EGRESS, range->family, range->address, 6, port, false, std::move(selectors)};
}

// The deciding rule, after the name of the audit rule if one matched.
std::string decides(const Policy& policy, const Question& question) {
  const auto compiled = compile(policy);
  REQUIRE(compiled);
  const Answer answer = by_tables(*compiled, question);
  CHECK(answer == by_rules(policy, question));
  return (answer.audited.empty() ? "" : answer.audited + ", ") + answer.rule;
}

std::string written(const char* name, const char* verdict, const std::string& more = {}) {
  return std::string("[[rule]]\nname = \"") + name + "\"\ndirection = \"egress\"\nverdict = \"" +
         verdict + "\"\n" + more + "\n";
}

// A policy of a few dozen rules that overlap as often as they can, and questions at their edges.
class Chaos {
 public:
  explicit Chaos(unsigned seed) : random_(seed) {}

  Policy policy() {
    Policy made;
    made.ingress = one_of(std::vector{POLICY_ALLOW, POLICY_DENY});
    made.egress = one_of(std::vector{POLICY_ALLOW, POLICY_DENY});
    for (int i = 0; i < 12; ++i) {
      AddressSet set;
      for (int k = number(3); k >= 0; --k) set.in.push_back(range());
      for (int k = number(2); k > 0; --k) set.out.push_back(range());
      made.address_sets.push_back(set);
    }
    for (int i = 0; i < 40; ++i) {
      Rule one = rule("r" + std::to_string(i),
                      one_of(std::vector{POLICY_ALLOW, POLICY_ALLOW, POLICY_DENY, POLICY_REJECT,
                                         POLICY_AUDIT, POLICY_PASS}));
      one.tier = static_cast<std::uint32_t>(number(3));
      one.direction = number(3) ? FLOW_EGRESS : FLOW_INGRESS;
      if (number(4)) {
        one.peers.in = {static_cast<std::uint32_t>(number(12))};
        if (!number(3)) one.peers.out = {static_cast<std::uint32_t>(number(12))};
      }
      for (int k = number(3); k > 0; --k) one.services.push_back(service());
      for (int k = number(3); k > 0; --k) {
        Subject subject = {selector()};
        if (number(2)) subject.push_back(selector());
        std::ranges::sort(subject);
        subject.erase(std::unique(subject.begin(), subject.end()), subject.end());
        one.subjects.push_back(subject);
      }
      made.rules.push_back(one);
    }
    return made;
  }

  Question question() {
    const AddressRange at = range();
    Question made{number(3) ? FLOW_EGRESS : FLOW_INGRESS, at.family, at.address};
    made.protocol = one_of(std::vector<std::uint8_t>{6, 6, 6, 17, 1, 58, 132, 255});
    made.port = static_cast<std::uint16_t>(made.protocol == 1 || made.protocol == 58 ? number(256)
                                                                                     : port());
    made.no_ports = number(5) == 0 || made.protocol == 255;
    for (int k = number(4); k > 0; --k) made.selectors.insert(selector());
    return made;
  }

 private:
  int number(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  template <class T>
  T one_of(const std::vector<T>& all) {
    return all[static_cast<std::size_t>(number(static_cast<int>(all.size())))];
  }
  AddressRange range() {
    static const std::vector<const char*> texts = {
        "0.0.0.0/0", "10.0.0.0/8",    "10.1.0.0/16",   "10.1.2.0/24",
        "10.1.2.3",  "10.1.2.4",      "192.0.2.0/24",  "192.0.2.128/25",
        "::/0",      "2001:db8::/32", "2001:db8::/48", "2001:db8::1"};
    return *parse_address_range(one_of(texts));
  }
  std::uint16_t port() {
    return one_of(std::vector<std::uint16_t>{0, 1, 79, 80, 81, 255, 256, 443, 8000, 8099, 65535});
  }
  Service service() {
    Service made{one_of(std::vector<std::uint8_t>{6, 6, 6, 17, 17, 132, 0, 1})};
    if (made.protocol == 1) made.low = made.high = static_cast<std::uint16_t>(number(256));
    if (made.protocol != 6 && made.protocol != 17) return made;
    if (number(4) == 0) return made;
    made.low = port();
    made.high = number(2) ? made.low : port();
    if (made.low > made.high) std::swap(made.low, made.high);
    return made;
  }
  Selector selector() { return {Selector::Kind::user, std::to_string(number(6))}; }

  std::mt19937 random_;
};

}  // namespace

TEST_CASE("The tables give every connection the verdict that the rules give it") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    Chaos chaos(seed);
    const Policy policy = chaos.policy();
    const auto compiled = compile(policy);
    REQUIRE(compiled);
    for (int i = 0; i < 500; ++i) {
      const Question question = chaos.question();
      const Answer expected = by_rules(policy, question);
      const Answer given = by_tables(*compiled, question);
      CAPTURE(seed);
      CAPTURE(i);
      CAPTURE(int{question.protocol});
      CAPTURE(question.port);
      CAPTURE(question.no_ports);
      CAPTURE(int{question.family});
      CAPTURE(expected.rule);
      CAPTURE(given.rule);
      REQUIRE(given == expected);
    }
  }
}

TEST_CASE("Deny wins over reject and both over allow in a tier, whatever their order") {
  const Policy policy = read(
      written("a", "allow") + written("b", "audit", "peer = \"10.0.0.0/8\"") +
      written("c", "reject", "l4 = \"tcp/25\"") + written("d", "deny", "peer = \"10.1.0.0/16\""));
  CHECK(decides(policy, ask("192.0.2.1", 80)) == "a");
  CHECK(decides(policy, ask("192.0.2.1", 25)) == "c");
  CHECK(decides(policy, ask("10.2.0.1", 80)) == "b, a");
  CHECK(decides(policy, ask("10.1.0.1", 25)) == "d");
}

TEST_CASE("A lower tier is asked first, and pass leaves what else it says to the next") {
  const Policy policy = read(written("first allows", "allow", "tier = 1\npeer = \"10.0.0.0/8\"") +
                             written("not of these", "pass", "tier = 1\nl4 = \"tcp/22\"") +
                             written("then denies", "deny", "tier = 2") +
                             written("never reached", "allow", "tier = 3"));
  CHECK(decides(policy, ask("10.0.0.1", 80)) == "first allows");
  CHECK(decides(policy, ask("10.0.0.1", 22)) == "then denies");
  CHECK(decides(policy, ask("192.0.2.1", 80)) == "then denies");
}

TEST_CASE("A subject's parts must all be true, a set's need one") {
  const Policy policy = read(
      "[set.subject.web]\nitems = [{ user = \"www\", exe = \"/bin/a\" }, { group = \"web\" }]\n" +
      written("web", "deny", "subject = \"@web\""));
  const Selector user{Selector::Kind::user, "www"}, exe{Selector::Kind::executable, "/bin/a"},
      group{Selector::Kind::group, "web"};
  CHECK(decides(policy, ask("10.0.0.1", 80, {user})) == "(default)");
  CHECK(decides(policy, ask("10.0.0.1", 80, {user, exe})) == "web");
  CHECK(decides(policy, ask("10.0.0.1", 80, {group})) == "web");
}

TEST_CASE("An exception leaves an address to the sets that hold it otherwise") {
  const Policy policy =
      read("[set.cidr.office]\nitems = [\"10.0.0.0/8\", \"!10.1.0.0/16\"]\n" +
           written("office", "deny", "peer = \"@office\"") +
           written("but one", "deny", "peer = [\"10.1.0.0/16\", \"!10.1.0.9\"]\nl4 = \"tcp/80\"") +
           written("not the office", "audit", "peer = \"!@office\""));
  CHECK(decides(policy, ask("10.2.0.1", 80)) == "office");
  CHECK(decides(policy, ask("10.1.0.1", 443)) == "not the office, (default)");
  CHECK(decides(policy, ask("10.1.0.1", 80)) == "but one");
  CHECK(decides(policy, ask("10.1.0.9", 80)) == "not the office, (default)");
}

TEST_CASE("Entities stand for the addresses that they are named after") {
  const std::pair<const char*, const char*> rows[] = {{"127.9.9.9", "host, loopback"},
                                                      {"::1", "host, loopback"},
                                                      {"192.168.3.4", "lan"},
                                                      {"fe80::1", "lan"},
                                                      {"198.51.100.1", "host"},
                                                      {"8.8.8.8", "world"},
                                                      {"2a00::1", "world"}};
  for (const auto& [address, expected] : rows) {
    CAPTURE(address);
    std::string is;
    for (const std::string entity : {"any", "host", "lan", "loopback", "world"}) {
      const Policy policy = read(written("r", "deny", "peer = \"" + entity + "\""));
      const auto compiled = compile(policy, {{*parse_address_range("198.51.100.1")}, 0});
      REQUIRE(compiled);
      CHECK(compiled->about_host == (entity == "host" || entity == "world"));
      const bool in = by_tables(*compiled, ask(address, 80)).rule == "r";
      if (entity == "any") {
        CHECK(in);
      } else if (in) {
        is += (is.empty() ? "" : ", ") + entity;
      }
    }
    CHECK(is == expected);
  }
}

TEST_CASE("A rule is as if it were not there from its time on") {
  // date -u -d 2027-01-01 +%s
  constexpr std::int64_t kThen = 1'798'761'600'000'000'000;
  const Policy policy = read(written("gone", "deny", "valid_until = \"2027-01-01T00:00:00Z\"") +
                             written("a", "allow"));
  const auto before = compile(policy, {{}, kThen - 1});
  REQUIRE(before);
  CHECK(before->changes_ns == kThen);
  CHECK(by_tables(*before, ask("10.0.0.1", 80)).rule == "gone");
  const auto after = compile(policy, {{}, kThen});
  REQUIRE(after);
  CHECK_FALSE(after->changes_ns);
  CHECK(by_tables(*after, ask("10.0.0.1", 80)).rule == "a");
}

TEST_CASE("What no judgement can reach takes no room") {
  Policy policy;
  policy.rules = {rule("all", POLICY_DENY)};
  for (int i = 0; i < 1000; ++i) policy.rules.push_back(rule(std::to_string(i), POLICY_ALLOW));
  const auto compiled = compile(policy);
  REQUIRE(compiled);
  CHECK(compiled->terms.size() == 3);  // an empty list, and one with its end
}

TEST_CASE("Ten thousand addresses in one set are one kind of peer") {
  Policy policy;
  policy.rules = {rule("blocked", POLICY_DENY)};
  policy.rules[0].peers.in = {0};
  policy.address_sets.resize(1);
  for (int i = 0; i < 10'000; ++i) {
    policy.address_sets[0].in.push_back(*parse_address_range("10." + std::to_string(i / 250) + "." +
                                                             std::to_string(i % 250) + ".1"));
  }
  const auto compiled = compile(policy);
  REQUIRE(compiled);
  CHECK(compiled->prefixes.size() == 10'000);
  CHECK(compiled->peers.size() == 2);
}

TEST_CASE("A policy that does not fit the kernel's maps is refused whole") {
  Policy many_rules;
  many_rules.rules.resize(POLICY_RULES_MAX + 1);
  Policy many_selectors, many_terms;
  for (int i = 0; i <= POLICY_SELECTORS_MAX; ++i) {
    many_selectors.rules.push_back(rule(std::to_string(i), POLICY_DENY));
    many_selectors.rules.back().subjects = {{{Selector::Kind::user, std::to_string(i)}}};
  }
  for (int i = 0; i <= POLICY_LIST_MAX; ++i) {
    many_terms.rules.push_back(rule(std::to_string(i), POLICY_DENY));
    many_terms.rules.back().subjects = {{{Selector::Kind::user, std::to_string(i % 23)},
                                         {Selector::Kind::group, std::to_string(i / 23)}}};
    std::ranges::sort(many_terms.rules.back().subjects.front());
  }
  Policy many_prefixes;
  many_prefixes.address_sets.resize(1);
  for (int i = 0; i <= POLICY_PREFIXES_MAX; ++i) {
    AddressRange range = *parse_address_range("2001:db8::1");
    range.address[10] = static_cast<std::uint8_t>(i >> 16);
    range.address[11] = static_cast<std::uint8_t>(i >> 8);
    range.address[12] = static_cast<std::uint8_t>(i);
    many_prefixes.address_sets[0].in.push_back(range);
  }
  const std::pair<const Policy*, const char*> cases[] = {
      {&many_rules, "has 16385 rules, but 16384 fit"},
      {&many_selectors, "has 257 different cgroups, units, programs"},
      {&many_terms, "has 513 subjects for one and the same peer and service, but 512 fit"},
      {&many_prefixes, "has 65537 different address ranges, but 65536 fit"}};
  for (const auto& [policy, sentence] : cases) {
    CAPTURE(sentence);
    const auto compiled = compile(*policy);
    REQUIRE_FALSE(compiled);
    CHECK(compiled.error().message.find(sentence) != std::string::npos);
  }
}

TEST_CASE("A range of one family is not about the other") {
  const std::tuple<const char*, const char*, bool> rows[] = {
      {"::/0", "10.0.0.1", false},
      {"::/0", "2001:db8::1", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"::ffff:10.0.0.0/104", "10.0.0.1", true}};
  for (const auto& [range, address, expected] : rows) {
    CAPTURE(range);
    const Policy policy = read(written("r", "deny", std::string("peer = \"") + range + "\""));
    CHECK((decides(policy, ask(address, 80)) == "r") == expected);
  }
}
