// SPDX-License-Identifier: Apache-2.0
// Rule files: what they define, how later ones change it, and where each mistake is.
#include <doctest/doctest.h>

#include "rule_files.h"

namespace trivet::security {
namespace {

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
      {"unknown key", "- rule: x\n  conditon: y\n",
       "a.yaml:2:3: unknown key \"conditon\": did you mean \"condition\"?"},
      {"unknown key of an exception",
       rule("evt.num = 1") + "  exceptions:\n    - name: e\n      field: proc.name\n",
       "a.yaml:8:7: unknown key \"field\": did you mean \"fields\"?"},
      {"missing key", "- rule: x\n  desc: d\n  condition: evt.num = 1\n  priority: info\n",
       "a.yaml:1:3: the rule \"x\" needs the key output"},
      {"priority",
       "- rule: x\n  desc: d\n  condition: evt.num = 1\n  output: o\n  priority: warming\n",
       "a.yaml:5:13: unknown priority \"warming\": did you mean \"Warning\"?"},
      {"key twice", "- rule: x\n  desc: d\n  desc: e\n",
       "a.yaml:3:3: the key desc is written twice: remove one"},
      {"list items", "- list: l\n  items: x\n",
       "a.yaml:2:10: items must be a list: write [one, another]"},
      {"append to nothing",
       "- list: known\n  items: [x]\n- list: knwn\n  items: [y]\n  append: true\n",
       "a.yaml:3:3: there is no list \"knwn\" to change: did you mean \"known\"?"},
      {"append and override",
       "- list: l\n  items: [x]\n- list: l\n  items: [y]\n  append: true\n  override: {items: "
       "append}\n",
       "a.yaml:5:11: append and override cannot go together: remove append"},
      {"override of nothing", rule("evt.num = 1") + "- rule: r\n  override: {condition: append}\n",
       "a.yaml:7:14: override says to append condition, but the item has no condition"},
      {"a key that override does not name",
       rule("evt.num = 1") +
           "- rule: r\n  tags: [a]\n  priority: error\n  override: {priority: replace}\n",
       "a.yaml:7:9: override does not say what to do with tags: add tags: append or replace"},
      {"a priority appended",
       rule("evt.num = 1") + "- rule: r\n  priority: error\n  override: {priority: append}\n",
       "a.yaml:8:24: priority cannot be appended to: write replace"},
      {"override of another word",
       rule("evt.num = 1") + "- rule: r\n  tags: [a]\n  override: {tags: add}\n",
       "a.yaml:8:20: override knows append and replace only"},
      {"override of an unknown key",
       rule("evt.num = 1") + "- rule: r\n  tags: [a]\n  override: {tag: append}\n",
       "a.yaml:8:14: \"tag\" cannot be changed: did you mean \"tags\"?"},
      {"another source", rule("evt.num = 1") + rule("evt.num = 1") + "  source: k8s_audit\n",
       "a.yaml:11:11: the rule \"r\" had the source syscall: give the new one another name"},
      {"enabled of no rule", "- rule: r\n  enabled: false\n",
       "a.yaml:1:3: there is no rule \"r\" to change: define it earlier"},
      {"append of nothing", rule("evt.num = 1") + "- rule: r\n  append: true\n",
       "a.yaml:6:3: append: true takes condition or exceptions, and the item has neither"},
      {"a macro's name", "- macro: a-b\n  condition: evt.num = 1\n",
       "a.yaml:1:3: a macro's name is letters, digits and underscores, a letter first"},
      {"a list's name", "- list: a b\n  items: []\n",
       "a.yaml:1:3: a list's name is one word without ()\"'=,"},
      {"an empty condition", rule("\" \""), "a.yaml:3:14: condition must not be empty"},
      {"a list item's quotes", "- list: l\n  items: ['\"a\" b\"']\n",
       "a.yaml:2:10: the item \"a\" b\": a quote within quotes is written \\\""},
      {"engine too new", "- required_engine_version: 0.99.0\n",
       "a.yaml:1:28: this file asks for Falco's engine 0.99.0; trivet speaks the language of "
       "0.63.0: "
       "use an older version of the file"},
      {"engine of another kind", "- required_engine_version: 1.0.0\n",
       "a.yaml:1:28: this file asks for Falco's engine 1.0.0; trivet speaks"},
      {"engine that is no version", "- required_engine_version: new\n",
       "a.yaml:1:28: \"new\" is no version: write it as 0.63.0, or as one number"},
      {"plugin without version", "- required_plugin_versions:\n    - name: c\n",
       "a.yaml:2:7: a plugin that is required has the keys name and version"},
      {"an alias bomb",
       "- list: a\n  items: &a [x, x, x, x, x, x, x, x, x, x]\n"
       "- &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n- &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, "
       "*b]\n"
       "- &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n- &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, "
       "*d]\n"
       "- &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n- &g [*f, *f, *f, *f, *f, *f, *f, *f, *f, "
       "*f]\n",
       "a.yaml:"},
      {"an alias within what it stands for", "- &a [*a]\n",
       "a.yaml:1:7: this is not YAML that can be read: this alias stands for what it is part of"},
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
    CAPTURE(std::string(row.what));
    auto error = first_error({row.text});
    CHECK(error.substr(0, row.error.size()) == row.error);
  }
}

TEST_CASE("a file of nothing, of comments, or of versions defines nothing") {
  CHECK(first_error({""}).empty());
  CHECK(first_error({"# nothing\n"}).empty());
  auto loaded =
      load({"- required_engine_version: 0.57.0\n- required_engine_version: 31\n"
            "- required_plugin_versions:\n"
            "    - name: container\n      version: 0.4.0\n"
            "    - name: json\n      version: 0.7.0\n"
            "      alternatives: [{name: k8smeta, version: 0.1.0}]\n"
            "    - name: k8saudit\n      version: 0.7.0\n"});
  CHECK(loaded.findings.errors.empty());
  REQUIRE(loaded.findings.warnings.size() == 1);
  CHECK(loaded.findings.warnings[0].to_string() ==
        "a.yaml:9:7: the plugin \"k8saudit\" is not there: rules of its source are skipped");
}

TEST_CASE("later items replace, append and switch") {
  const std::string base =
      "- list: l\n  items: [a]\n- macro: m\n  condition: (proc.name in (l))\n" + rule("m") +
      "  tags: [one]\n";
  struct Row {
    std::string more;
    const char* matching;  // of a, b and c
  };
  const Row rows[] = {
      {"", "a"},
      {"- list: l\n  items: [b]\n", "b"},
      {"- list: l\n  items: [b]\n  override: {items: replace}\n", "b"},
      {"- list: l\n  items: [b]\n  override: {items: append}\n", "ab"},
      {"- list: l\n  items: [b]\n  append: true\n", "ab"},
      {"- list: k\n  items: [c, l]\n- macro: m\n  condition: proc.name in (k)\n", "ac"},
      {"- macro: m\n  condition: or proc.name = c\n  append: true\n", "ac"},
      {"- macro: m\n  condition: or proc.name = c\n  override: {condition: append}\n", "ac"},
      {"- macro: m\n  condition: later\n- macro: later\n  condition: proc.name = b\n", "b"},
      {"- rule: r\n  enabled: false\n", ""},
      {"- rule: r\n  enabled: false\n- rule: r\n  enabled: true\n", "a"},
      {"- rule: r\n  enabled: false\n  override: {enabled: replace}\n", ""},
      {rule("proc.name = b"), "b"},
      {"- rule: r\n  condition: or proc.name = b\n  append: true\n", "ab"},
      {"- rule: r\n  condition: or proc.name = b\n  override: {condition: append}\n", "ab"},
      {"- rule: r\n  condition: proc.name = c\n  override: {condition: replace}\n", "c"},
      {"- rule: r\n  exceptions: [{name: x, fields: proc.name, values: [a]}]\n"
       "  override: {exceptions: append}\n",
       ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.more);
    auto loaded = load({base, row.more});
    for (const auto& error : loaded.findings.errors) MESSAGE(error.to_string());
    CHECK(loaded.findings.errors.empty());
    std::string found;
    for (const char* name : {"a", "b", "c"}) {
      if (matching(loaded.rules, name) == "r") found += name;
    }
    CHECK(found == std::string(row.matching));
  }
}

TEST_CASE("an override changes each key as it says") {
  auto loaded =
      load({rule("proc.name = a") + "  tags: [one, one]\n",
            "- rule: r\n  desc: more\n  output: and %proc.pid\n  tags: [two]\n"
            "  priority: critical\n  warn_evttypes: false\n  skip-if-unknown-filter: true\n"
            "  override: {desc: append, output: append, tags: append, priority: replace,\n"
            "             warn_evttypes: replace, skip-if-unknown-filter: replace}\n"});
  for (const auto& error : loaded.findings.errors) MESSAGE(error.to_string());
  REQUIRE(loaded.rules.statuses().size() == 1);
  const auto& changed = loaded.rules.statuses()[0].definition;
  CHECK(changed.description == "d more");
  CHECK(changed.output.text() == "o %proc.name and %proc.pid");
  CHECK(changed.tags == std::vector<std::string>{"one", "two"});
  CHECK(changed.priority == Priority::critical);
  CHECK_FALSE(changed.warn_event_types);
  CHECK(changed.skip_if_unknown);
  auto replaced = load({rule("proc.name = a") + "  tags: [one]\n",
                        "- rule: r\n  tags: [two]\n  override: {tags: replace}\n"});
  CHECK(replaced.rules.statuses()[0].definition.tags == std::vector<std::string>{"two"});
}

TEST_CASE("what Falco takes and is likely a mistake is a warning") {
  struct Row {
    std::string text;
    const char* warning;
  };
  const Row rows[] = {
      {rule("proc.name = a") + rule("proc.name = b"),
       "a.yaml:6:3: the rule \"r\" replaces that of line 1: to add to it, write override: {...: "
       "append}"},
      {"- macro: m\n  condition: evt.num = 1\n- macro: m\n  condition: evt.num = 1\n",
       "a.yaml:3:3: the macro \"m\" replaces that of line 1: to add to it, write override: {...: "
       "append}"},
      {rule("evt.type = execve") + "  author: me\n",
       "a.yaml:6:3: unknown key \"author\": nothing reads it"},
      {"- rulez: x\n", "a.yaml:1:3: an item \"rulez\" is passed over: did you mean \"rule\"?"},
      {rule("evt.type = execve and proc.name = a") +
           "- rule: r\n  condition: and proc.name = b\n  tags: [x]\n  append: true\n",
       "a.yaml:8:9: append: true takes condition and exceptions only: tags is left as it was; "
       "write "
       "override: {tags: replace}"},
      {rule("proc.name != a"),
       "a.yaml:1:3: the rule \"r\" is judged on every event: compare evt.type, or write "
       "warn_evttypes: false"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    auto loaded = load({row.text});
    for (const auto& error : loaded.findings.errors) MESSAGE(error.to_string());
    CHECK(loaded.findings.errors.empty());
    REQUIRE_FALSE(loaded.findings.warnings.empty());
    CHECK(loaded.findings.warnings[0].to_string() == row.warning);
  }
  CHECK(load({rule("proc.name != a") + "  warn_evttypes: false\n"}).findings.warnings.empty());
}

TEST_CASE("a rule with an unknown field is an error, or skipped if it says so") {
  auto text = rule("proc.nme = a");
  CHECK(first_error({text}) ==
        "a.yaml:3:14: unknown field \"proc.nme\": did you mean \"proc.name\"?");
  auto loaded = load({text + "  skip-if-unknown-filter: true\n"});
  CHECK(loaded.findings.errors.empty());
  CHECK(loaded.rules.statuses()[0].state == RuleState::skipped);
}

TEST_CASE("an error in an appended part is placed in the file that appended") {
  CHECK(first_error({rule("proc.name = a"),
                     "- rule: r\n  condition: and nosuch\n  override: {condition: append}\n"}) ==
        "b.yaml:2:18: unknown macro \"nosuch\": define it, or compare a field");
}

TEST_CASE("what is not built yet is a remark, not an error") {
  auto loaded =
      load({rule("evt.type = read", "p") + rule("proc.aenv[A] = b", "e") +
            rule("evt.type in (connect, write)", "c") +
            "- rule: k\n  desc: d\n  condition: ka.verb = x\n  output: o\n  priority: info\n"
            "  source: k8s_audit\n"});
  REQUIRE(loaded.findings.errors.empty());
  REQUIRE(loaded.findings.warnings.size() == 4);
  CHECK(loaded.findings.warnings[0].to_string() ==
        "a.yaml:1:3: the rule \"p\" is skipped: events of type read are not built yet");
  CHECK(loaded.findings.warnings[1].to_string() ==
        "a.yaml:8:14: the rule \"e\" is skipped: the field proc.aenv is not built yet");
  CHECK(loaded.findings.warnings[2].message ==
        "the rule \"c\" does not see events of type write yet");
  CHECK(loaded.findings.warnings[3].message ==
        "the rule \"k\" is skipped: events of the source k8s_audit are not built yet");
  CHECK(loaded.rules.rules().size() == 1);
}

TEST_CASE("a file with a thousand mistakes tells some and stops") {
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += rule("nosuch" + std::to_string(i), "r" + std::to_string(i));
  CHECK(load({text}).findings.errors.size() == Findings::kMost);
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
