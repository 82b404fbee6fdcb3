// SPDX-License-Identifier: Apache-2.0
#include "network/policy_compiler.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <cstring>
#include <string>

using namespace trivet;
using namespace trivet::network;

namespace {

Rule rule(const std::string& name, policy_verdict verdict) {
  Rule made;
  made.name = name;
  made.verdict = verdict;
  return made;
}

// The 16 bytes as inet_ntop(3) prints them.
std::string printed(const __u64 (&words)[2]) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(AF_INET6, words, text, sizeof(text));
  return text;
}

}  // namespace

TEST_CASE("Rows lie in the order in which verdicts win, and name the rule as it was written") {
  Policy policy;
  policy.rules = {rule("a", POLICY_ALLOW), rule("b", POLICY_AUDIT), rule("c", POLICY_DENY),
                  rule("d", POLICY_ALLOW)};
  const auto compiled = compile(policy);
  REQUIRE(compiled);
  std::string order;
  for (const auto& row : compiled->rows) order += compiled->rules[row.rule];
  CHECK(order == "cbad");
  CHECK(compiled->generation.rows == 4);
}

TEST_CASE("A rule becomes a row for each pair of its peers and services") {
  Policy policy;
  policy.rules = {rule("web", POLICY_ALLOW)};
  policy.rules[0].direction = FLOW_INGRESS;
  policy.rules[0].peers = {*parse_address_range("10.0.0.0/8"),
                           *parse_address_range("2001:db8::/33")};
  policy.rules[0].services = {*parse_service("tcp/80"), *parse_service("udp/8000-8099")};
  const auto compiled = compile(policy);
  REQUIRE(compiled);
  REQUIRE(compiled->rows.size() == 4);
  const policy_row& first = compiled->rows[0];
  CHECK(printed(first.address) == "::ffff:10.0.0.0");
  CHECK(printed(first.mask) == "ffff:ffff:ffff:ffff:ffff:ffff:ff00:0");
  CHECK(first.direction == FLOW_INGRESS);
  CHECK(first.protocol == 6);
  CHECK(first.subject == POLICY_SUBJECT_ANY);
  const policy_row& last = compiled->rows[3];
  CHECK(printed(last.mask) == "ffff:ffff:8000::");
  CHECK(last.protocol == 17);
  CHECK(last.port_low == 8000);
  CHECK(last.port_high == 8099);
}

TEST_CASE("A rule without peer, service and subject is one row that matches everything") {
  Policy policy;
  policy.rules = {rule("all", POLICY_DENY)};
  const auto compiled = compile(policy);
  REQUIRE(compiled);
  const policy_row& row = compiled->rows.at(0);
  CHECK(row.mask[0] == 0);
  CHECK(row.mask[1] == 0);
  CHECK(row.protocol == 0);
  CHECK(row.port_low == 0);
  CHECK(row.port_high == 65535);
  CHECK(row.subject == POLICY_SUBJECT_ANY);
}

TEST_CASE("Rules about the same subject share its bit") {
  Policy policy;
  policy.rules = {rule("a", POLICY_ALLOW), rule("b", POLICY_ALLOW), rule("c", POLICY_ALLOW)};
  policy.rules[0].subjects = {{"/a", ""}};
  policy.rules[1].subjects = {{"", "/bin/b"}};
  policy.rules[2].subjects = {{"/a", ""}};
  const auto compiled = compile(policy);
  REQUIRE(compiled);
  CHECK(compiled->subjects.size() == 2);
  CHECK(compiled->rows[0].subject == 0);
  CHECK(compiled->rows[1].subject == 1);
  CHECK(compiled->rows[2].subject == 0);
  CHECK(compiled->generation.subjects == 2);
}

TEST_CASE("A policy that does not fit the kernel's maps is refused whole") {
  Policy many_rules;
  many_rules.rules.resize(POLICY_RULES_MAX + 1);
  Policy many_rows;
  many_rows.rules.resize(1);
  many_rows.rules[0].peers.resize(100);
  many_rows.rules[0].services.resize(41);
  Policy many_subjects;
  for (int i = 0; i <= POLICY_SUBJECTS_MAX; ++i) {
    many_subjects.rules.push_back(rule(std::to_string(i), POLICY_DENY));
    many_subjects.rules.back().subjects = {{"/" + std::to_string(i), ""}};
  }
  const std::pair<const Policy*, const char*> cases[] = {
      {&many_rules, "has 1025 rules, but 1024 fit"},
      {&many_rows, "has 4100 combinations of a rule's peers and ports, but 4096 fit"},
      {&many_subjects, "has 65 different subjects, but 64 fit"}};
  for (const auto& [policy, sentence] : cases) {
    CAPTURE(sentence);
    const auto compiled = compile(*policy);
    REQUIRE_FALSE(compiled);
    CHECK(compiled.error().message.find(sentence) != std::string::npos);
  }
}

TEST_CASE("A row knows which family it was written for, and a rule without addresses is for both") {
  const std::pair<const char*, int> rows[] = {
      {"::/0", 6}, {"2001:db8::/32", 6}, {"0.0.0.0/0", 4}, {"::ffff:10.0.0.0/104", 4}};
  for (const auto& [text, family] : rows) {
    CAPTURE(text);
    Policy policy;
    policy.rules = {rule("r", POLICY_DENY)};
    policy.rules[0].peers = {*parse_address_range(text)};
    CHECK(compile(policy)->rows.at(0).family == family);
  }
  Policy policy;
  policy.rules = {rule("r", POLICY_DENY)};
  CHECK(compile(policy)->rows.at(0).family == 0);
}
