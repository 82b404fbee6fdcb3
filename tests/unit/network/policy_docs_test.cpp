// SPDX-License-Identifier: Apache-2.0
// docs/policy.md says what its examples answer; so they must.
#include <doctest/doctest.h>

#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include "config/toml_file.h"
#include "network/policy_compiler.h"
#include "policy_model.h"

using namespace trivet;
using namespace trivet::network;

namespace {

// "exe /bin/a, user b" or "container image x".
std::set<Selector> selectors_in(const std::string& text) {
  static const std::map<std::string, Selector::Kind> kinds = {
      {"exe", Selector::Kind::executable},
      {"unit", Selector::Kind::unit},
      {"user", Selector::Kind::user},
      {"container image", Selector::Kind::container_image}};
  std::set<Selector> selectors;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    part.erase(0, part.find_first_not_of(' '));
    const auto space = part.rfind(' ');
    REQUIRE_MESSAGE(space != part.npos, part);
    selectors.insert({kinds.at(part.substr(0, space)), part.substr(space + 1)});
  }
  return selectors;
}

Question question_in(const std::smatch& line) {
  const auto service = parse_service(line[2].str());
  const auto range = parse_address_range(line[3].str());
  REQUIRE(service);
  REQUIRE(range);
  Question question;
  question.direction = line[1] == "egress" ? FLOW_EGRESS : FLOW_INGRESS;
  question.family = range->family;
  question.address = range->address;
  question.protocol = service->protocol;
  question.port = service->low;
  if (line[4].matched) question.selectors = selectors_in(line[4]);
  return question;
}

std::string said(const Answer& answer) {
  static const char* const verdicts[] = {"allow", "deny", "audit", "reject", "pass"};
  return (answer.audited.empty() ? "" : "audit " + answer.audited + ", ") +
         verdicts[answer.verdict] + ", " + answer.rule;
}

}  // namespace

TEST_CASE("The examples of docs/policy.md answer what stands below them") {
  std::ifstream file(std::string(TRIVET_SOURCE_DIR) + "/docs/policy.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  static const std::regex example("```toml\n([^]*?)```\n\n```text\n([^]*?)```\n");
  static const std::regex answer(R"((\w+) (\S+) (?:to|from) (\S+?)(?: by (.*?))?: (.*))");
  int examples = 0;
  for (std::sregex_iterator found(text.begin(), text.end(), example), end; found != end; ++found) {
    PlainFiles files;
    const auto table = parse_toml("docs/policy.md", "schema = 1\n" + (*found)[1].str(), files);
    REQUIRE(table);
    const auto policy = read_policy(**table, {});
    REQUIRE_MESSAGE(policy, (policy ? "" : policy.error().to_string()));
    const auto compiled = compile(*policy);
    REQUIRE(compiled);
    std::istringstream lines((*found)[2].str());
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      std::smatch parts;
      REQUIRE(std::regex_match(line, parts, answer));
      const Question question = question_in(parts);
      CHECK(said(by_rules(*policy, question)) == parts[5]);
      CHECK(said(by_tables(*compiled, question)) == parts[5]);
    }
    ++examples;
  }
  CHECK(examples == 6);
}
