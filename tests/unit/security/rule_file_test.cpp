// SPDX-License-Identifier: Apache-2.0
// Rule files: what they define, how later ones change it, and where each mistake is.
#include <doctest/doctest.h>

#include "security/rules/rule_set.h"

namespace trivet::security {
namespace {

LoadedRules load(const std::vector<std::string>& files) {
  std::vector<TextFile> texts;
  for (std::size_t i = 0; i < files.size(); ++i) {
    texts.push_back({std::string(1, static_cast<char>('a' + i)) + ".yaml", files[i]});
  }
  return load_rules(texts, {});
}

std::string first_error(const std::vector<std::string>& files) {
  auto loaded = load(files);
  return loaded.errors.empty() ? "" : loaded.errors.front().to_string();
}

std::string rule(const std::string& condition, const std::string& name = "r") {
  return "- rule: " + name + "\n  desc: d\n  condition: " + condition +
         "\n  output: o %proc.name\n  priority: info\n";
}

TEST_CASE("mistakes are named with file, line and column") {
  struct Row {
    const char* what;
    std::string text;
    std::string error;
  };
  const Row rows[] = {
      {"not YAML", "- rule: [", "a.yaml:1:1: this is not YAML: "},
      {"a comma that yaml-cpp never passes", ",",
       "a.yaml:1:1: this is not YAML: start each item with \"- \""},
      {"not a list", "rule: x\n",
       "a.yaml:1:1: a rule file is a list of items: start each with \"- rule:\", \"- macro:\" or "
       "\"- list:\""},
      {"unknown item", "- rulez: x\n",
       "a.yaml:1:3: expected one of the keys rule, macro, list, required_engine_version or "
       "required_plugin_versions"},
      {"unknown key", "- rule: x\n  conditon: y\n",
       "a.yaml:2:3: unknown key \"conditon\": did you mean \"condition\"?"},
      {"missing key", "- rule: x\n  desc: d\n  condition: evt.num = 1\n  priority: info\n",
       "a.yaml:1:3: the rule \"x\" needs the key output"},
      {"priority",
       "- rule: x\n  desc: d\n  condition: evt.num = 1\n  output: o\n  priority: warming\n",
       "a.yaml:5:13: unknown priority \"warming\": did you mean \"Warning\"?"},
      {"key twice", "- rule: x\n  desc: d\n  desc: e\n",
       "a.yaml:3:3: the key desc is written twice: remove one"},
      {"rule twice", rule("evt.num = 1") + rule("evt.num = 2"),
       "a.yaml:6:3: the rule \"r\" was defined at line 1 of this file: remove one, or add to the "
       "first "
       "with \"override: {...: append}\""},
      {"macro twice",
       "- macro: m\n  condition: evt.num = 1\n- macro: m\n  condition: evt.num = 1\n",
       "a.yaml:3:3: the macro \"m\" was defined at line 1 of this file: remove one, or add to the "
       "first with \"override: {...: append}\""},
      {"list items", "- list: l\n  items: x\n",
       "a.yaml:2:10: items must be a list: write [one, another]"},
      {"append to nothing",
       "- list: known\n  items: [x]\n- list: knwn\n  items: [y]\n  append: true\n",
       "a.yaml:3:3: there is no list \"knwn\" to change: did you mean \"known\"?"},
      {"plain scalar", rule("proc.name = a and fd.nme = b"),
       "a.yaml:3:32: unknown field \"fd.nme\": did you mean \"fd.name\"?"},
      {"quoted scalar", rule("\"proc.name = 'a' and fd.nme = b\""),
       "a.yaml:3:35: unknown field \"fd.nme\": did you mean \"fd.name\"?"},
      {"folded scalar",
       rule(">\n    proc.name = a\n      and proc.pname = b\n\n    and fd.nme = b"),
       "a.yaml:7:9: unknown field \"fd.nme\": did you mean \"fd.name\"?"},
      {"literal scalar", rule("|\n    proc.name = a\n    and nosuch"),
       "a.yaml:5:9: unknown macro \"nosuch\": define it, or compare a field"},
      {"plain over lines", rule("proc.name = a\n      and fd.nme = b"),
       "a.yaml:4:11: unknown field \"fd.nme\": did you mean \"fd.name\"?"},
      {"in a macro", "- macro: m\n  condition: >\n    (proc.name = a\n     and)\n" + rule("m"),
       "a.yaml:4:9: expected a field, a macro, \"not\" or \"(\" instead of \")\""},
      {"in the output",
       "- rule: r\n  desc: d\n  condition: evt.num = 1\n  output: a %proc.nam\n  priority: info\n",
       "a.yaml:4:14: unknown field \"proc.nam\": did you mean \"proc.name\"?"},
      {"end of a folded scalar", rule(">\n    proc.name = a and"),
       "a.yaml:4:22: expected a field, a macro, \"not\" or \"(\" instead of the end of the "
       "condition"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    auto error = first_error({row.text});
    CHECK(error.substr(0, row.error.size()) == row.error);
  }
}

TEST_CASE("a file of nothing, of comments, or of versions defines nothing") {
  CHECK(first_error({""}).empty());
  CHECK(first_error({"# nothing\n"}).empty());
  CHECK(
      first_error({"- required_engine_version: 0.57.0\n- required_plugin_versions:\n    - name: c\n"
                   "      version: 1\n"})
          .empty());
}

TEST_CASE("later files replace, append and switch") {
  std::string base =
      "- list: l\n  items: [a]\n- macro: m\n  condition: (proc.name in (l))\n" + rule("m");
  auto filter_text = [&](const std::string& more) {
    auto loaded = load({base, more});
    INFO(more);
    for (const auto& error : loaded.errors) MESSAGE(error.to_string());
    REQUIRE(loaded.errors.empty());
    return std::move(loaded.rules);
  };
  auto set_of = [](const RuleSet& rules) {
    const Test& test = rules.rules().at(0)->filter->test;
    return std::vector<std::string>(test.set.begin(), test.set.end());
  };
  CHECK(set_of(filter_text("")) == std::vector<std::string>{"a"});
  CHECK(set_of(filter_text("- list: l\n  items: [b]\n")) == std::vector<std::string>{"b"});
  CHECK(set_of(filter_text("- list: l\n  items: [b]\n  override: {items: append}\n")).size() == 2);
  CHECK(set_of(filter_text("- list: l\n  items: [b]\n  append: true\n")).size() == 2);
  auto appended = filter_text("- macro: m\n  condition: or proc.name = z\n  append: true\n");
  CHECK(appended.rules().at(0)->filter->kind == Filter::Kind::any);
  auto off = filter_text("- rule: r\n  enabled: false\n");
  CHECK(off.statuses().at(0).state == RuleState::disabled);
  auto louder = filter_text("- rule: r\n  priority: critical\n  override: {priority: replace}\n");
  CHECK(louder.rules().at(0)->priority == Priority::critical);
  auto replaced = filter_text(rule("proc.name = q"));
  CHECK(replaced.rules().at(0)->filter->test.text == "q");
}

TEST_CASE("an error in an appended part is placed in the file that appended") {
  CHECK(first_error({rule("proc.name = a"),
                     "- rule: r\n  condition: and nosuch\n  override: {condition: append}\n"}) ==
        "b.yaml:2:18: unknown macro \"nosuch\": define it, or compare a field");
}

TEST_CASE("exceptions exclude what they list") {
  auto loaded = load({rule("evt.type = execve") + "  exceptions:\n"
                                                  "    - name: pairs\n"
                                                  "      fields: [proc.name, fd.directory]\n"
                                                  "      comps: [=, startswith]\n"
                                                  "      values:\n"
                                                  "        - [cat, \"/a b\"]\n"
                                                  "        - [dog, /b]\n"
                                                  "    - name: one\n"
                                                  "      fields: proc.name\n"
                                                  "      values: [x, y]\n"});
  for (const auto& error : loaded.errors) MESSAGE(error.to_string());
  REQUIRE(loaded.errors.empty());
  const Filter& filter = *loaded.rules.rules().at(0)->filter;
  REQUIRE(filter.kind == Filter::Kind::all);
  REQUIRE(filter.children.size() == 3);
  CHECK(filter.children[1]->kind == Filter::Kind::negation);
  CHECK(filter.children[1]->children[0]->children.size() == 2);
  CHECK(filter.children[2]->children[0]->test.set.size() == 2);
}

TEST_CASE("what is not built yet is a remark, not an error") {
  auto loaded =
      load({rule("evt.type = ptrace", "p") + rule("proc.aenv[A] = b", "e") +
            rule("evt.type in (connect, sendto)", "c") +
            "- rule: k\n  desc: d\n  condition: ka.verb = x\n  output: o\n  priority: info\n"
            "  source: k8s_audit\n"});
  REQUIRE(loaded.errors.empty());
  REQUIRE(loaded.warnings.size() == 4);
  CHECK(loaded.warnings[0].to_string() ==
        "a.yaml:1:3: the rule \"p\" is skipped: events of type ptrace are not built yet");
  CHECK(loaded.warnings[1].to_string() ==
        "a.yaml:8:14: the rule \"e\" is skipped: the field proc.aenv is not built yet");
  CHECK(loaded.warnings[2].message == "the rule \"c\" does not see events of type sendto yet");
  CHECK(loaded.warnings[3].message ==
        "the rule \"k\" is skipped: events of the source k8s_audit are not built yet");
  CHECK(loaded.rules.rules().size() == 1);
}

TEST_CASE("a file with a thousand mistakes tells some and stops") {
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += rule("nosuch" + std::to_string(i), "r" + std::to_string(i));
  CHECK(load({text}).errors.size() == kMaxRuleErrors);
}

TEST_CASE("lists that multiply are stopped") {
  std::string text = "- list: l0\n  items: [a, b]\n";
  for (int i = 1; i < 40; ++i) {
    auto inner = "l" + std::to_string(i - 1);
    text += "- list: l" + std::to_string(i) + "\n  items: [" + inner + ", " + inner + "]\n";
  }
  CHECK(first_error({text + rule("proc.name in (l39)")}).find("the lists here hold more than") !=
        std::string::npos);
}

}  // namespace
}  // namespace trivet::security
