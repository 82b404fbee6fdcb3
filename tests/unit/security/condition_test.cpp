// SPDX-License-Identifier: Apache-2.0
#include "security/rules/condition.h"

#include <doctest/doctest.h>

namespace trivet::security {
namespace {

// The tree in prefix form: (or (= a.b x) (not m)).
std::string shape(const Expression& e) {
  std::string out;
  switch (e.kind) {
    case Expression::Kind::macro:
      return e.name.text;
    case Expression::Kind::comparison:
      out = "(" + std::string(name_of(e.op)) + " " + e.name.text;
      if (!e.argument.empty()) out += "[" + e.argument + "]";
      for (const auto& value : e.values) out += " " + value.text;
      return out + ")";
    case Expression::Kind::all:
      out = "(and";
      break;
    case Expression::Kind::any:
      out = "(or";
      break;
    case Expression::Kind::negation:
      out = "(not";
      break;
  }
  for (const auto& child : e.children) out += " " + shape(*child);
  return out + ")";
}

std::string parsed(std::string_view text) {
  auto result = parse_condition(text);
  if (auto problem = std::get_if<ConditionProblem>(&result)) {
    return std::to_string(problem->offset) + ": " + problem->message;
  }
  return shape(*std::get<std::unique_ptr<Expression>>(result));
}

TEST_CASE("conditions parse as Falco's do") {
  struct Row {
    const char* text;
    const char* tree;
  };
  const Row rows[] = {
      {"a", "a"},
      {"a and b or c", "(or (and a b) c)"},
      {"a or b and c", "(or a (and b c))"},
      {"not a and not (b or c)", "(and (not a) (not (or b c)))"},
      {"not not a", "(not (not a))"},
      {"(((a)))", "a"},
      {"fd.num>=0 and fd.num=-1", "(and (>= fd.num 0) (= fd.num -1))"},
      {"proc.name!=\"sshd\"", "(!= proc.name sshd)"},
      {"proc.name == 'a b'", "(= proc.name a b)"},
      {"proc.aname[2] in (a, \"b c\" , d)", "(in proc.aname[2] a b c d)"},
      {"fd.name in ()", "(in fd.name)"},
      {"proc.pname exists and a", "(and (exists proc.pname) a)"},
      {"evt.type in (open,openat)", "(in evt.type open openat)"},
      {"proc.pname in (runc:[0:PARENT], runc)", "(in proc.pname runc:[0:PARENT] runc)"},
      {"proc.cmdline startswith \"sh -c \\\"x\\\"\"", "(startswith proc.cmdline sh -c \"x\")"},
      {"fd.name glob '/a/*/\\[x'", "(glob fd.name /a/*/\\[x)"},
      {"evt.arg.flags contains O_TRUNC", "(contains evt.arg.flags O_TRUNC)"},
      {"\n a\n\tand\r\n b ", "(and a b)"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(parsed(row.text) == row.tree);
  }
}

TEST_CASE("a condition that is wrong says where and what to write") {
  struct Row {
    const char* text;
    const char* problem;
  };
  const Row rows[] = {
      {"", "0: expected a field, a macro, \"not\" or \"(\" instead of the end of the condition"},
      {"a and",
       "5: expected a field, a macro, \"not\" or \"(\" instead of the end of the condition"},
      {"and a", "0: \"and\" needs a condition on its left"},
      {"a b", "2: expected \"and\" or \"or\" before \"b\""},
      {"(a", "0: this parenthesis is never closed: add \")\""},
      {"(a b)", "3: expected \"and\", \"or\" or \")\" before \"b\""},
      {"a)", "1: a parenthesis is closed that was not opened: remove it"},
      {"fd.name",
       "7: expected an operator after fd.name (=, !=, <, <=, >, >=, in, intersects, "
       "pmatch, startswith, endswith, contains, icontains, glob, iglob or exists) "
       "instead of the end of the condition"},
      {"fd.name in /etc", "11: expected a list in parentheses after in instead of \"/\""},
      {"fd.name in (a b)", "14: expected \",\" or \")\" in the list instead of \"b\""},
      {"fd.name in (a,", "14: expected a value instead of the end of the condition"},
      {"fd.name in (a", "11: this list is never closed: add \")\""},
      {"fd.name = \"x", "10: this quote is never closed: add \""},
      {"proc.aname[2 = x", "10: this bracket is never closed: add \"]\""},
      {"proc.name regex x", "10: the operator regex is not built yet"},
      {"tolower(proc.name) = x", "0: the transformer tolower() is not built yet"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    CHECK(parsed(row.text) == row.problem);
  }
}

TEST_CASE("nesting is bounded, so that no rule can exhaust the stack") {
  std::string deep(100'000, '(');
  CHECK(parsed(deep).find("nest deeper than 100 levels") != std::string::npos);
  std::string nots;
  for (int i = 0; i < 100'000; ++i) nots += "not ";
  CHECK(parsed(nots + "a").find("nest deeper than 100 levels") != std::string::npos);
  std::string fine = std::string(90, '(') + "a" + std::string(90, ')');
  CHECK(parsed(fine) == "a");
}

}  // namespace
}  // namespace trivet::security
