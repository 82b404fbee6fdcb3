// SPDX-License-Identifier: Apache-2.0
#include "security/rules/condition.h"

#include <doctest/doctest.h>

namespace trivet::security {
namespace {

std::string shape(const Operand& operand) {
  std::string out = operand.name.text;
  if (operand.kind == Operand::Kind::text) return "'" + out + "'";
  if (operand.kind != Operand::Kind::field) {
    out += "(";
    for (const auto& inner : operand.operands) out += (out.back() == '(' ? "" : " ") + shape(inner);
    out += ")";
  }
  if (operand.argument) out += "[" + *operand.argument + "]";
  return out;
}

// The tree in prefix form: (or (= a.b x) (not m)).
std::string shape(const Expression& e) {
  std::string out;
  switch (e.kind) {
    case Expression::Kind::macro:
      return e.name.text;
    case Expression::Kind::comparison:
      out = "(" + std::string(info_of(e.op).name);
      for (const auto& info : modifiers()) {
        if (info.modifier == e.modifier) out += "-" + std::string(info.name);
      }
      out += " " + shape(e.left);
      for (const auto& value : e.values) out += " " + value.text;
      if (e.right) out += " <" + shape(*e.right) + ">";
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
      {"fd.name glob '/a/*/\\\\[x'", "(glob fd.name /a/*/\\[x)"},
      {"fd.name = \"a\\tb\\x41\\/c\\ d\"", "(= fd.name a\tbA/c\\d)"},
      {"fd.name = 'it\\'s'", "(= fd.name it's)"},
      {"fd.name = \"ends with \\\\\"", "(= fd.name ends with \\)"},
      {"proc.aname[\"2\"] = x", "(= proc.aname[2] x)"},
      {"evt.arg['a b'] = x", "(= evt.arg[a b] x)"},
      {"proc.name startswith anyof (a, b)", "(startswith-anyof proc.name a b)"},
      {"proc.name != allof(a)", "(!=-allof proc.name a)"},
      {"proc.name = oneof ()", "(=-oneof proc.name)"},
      {"proc.name = anyof", "(= proc.name anyof)"},
      {"proc.name in my_list and a", "(and (in proc.name my_list) a)"},
      {"tolower(proc.name) = x", "(= tolower(proc.name) x)"},
      {"toupper( basename( proc.exepath ) ) = X", "(= toupper(basename(proc.exepath)) X)"},
      {"proc.name = val(proc.pname)", "(= proc.name <proc.pname>)"},
      {"proc.name = val(proc.aname[2]) and a", "(and (= proc.name <proc.aname[2]>) a)"},
      {"tolower(proc.name) = tolower(proc.pname)", "(= tolower(proc.name) <tolower(proc.pname)>)"},
      {"proc.name in val(proc.aname)", "(in proc.name <proc.aname>)"},
      {"join(\", \", proc.aname) contains x", "(contains join(', ' proc.aname) x)"},
      {"concat(fd.name, 'x') = y", "(= concat(fd.name 'x') y)"},
      {"getopt((\"-n\", -t), \"nt:\")[t] = v", "(= getopt(('-n' '-t') 'nt:')[t] v)"},
      {"len(proc.args) > 0x10", "(> len(proc.args) 0x10)"},
      {"not(a)and(b)or(c)", "(or (and (not a) b) c)"},
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
       "7: expected an operator after fd.name (=, ==, !=, <, <=, >, >=, contains, icontains, "
       "bcontains, startswith, bstartswith, endswith, glob, iglob, regex, in, intersects, pmatch "
       "or "
       "exists) instead of the end of the condition"},
      {"fd.name in /etc", "11: expected a list in parentheses after in instead of \"/\""},
      {"fd.name in (a b)", "14: expected \",\" or \")\" in the list instead of \"b\""},
      {"fd.name in (a,", "14: expected a value instead of the end of the condition"},
      {"fd.name in (a", "11: this list is never closed: add \")\""},
      {"fd.name = \"x", "10: this quote is never closed: add \""},
      {"proc.aname[2 = x", "10: this bracket is never closed: add \"]\""},
      {"proc.aname[\"2] = x", "11: this quote is never closed: add \""},
      {"fd.name = \"a\\db\"",
       "12: \"\\d\" means nothing within quotes: write \"\\\\\" for a backslash"},
      {"fd.name = \"\\x4\"", "11: \\x needs two hexadecimal digits that are not 00"},
      {"fd.name = '\\x00'", "11: \\x needs two hexadecimal digits that are not 00"},
      {"tolower(proc.name = x", "18: expected \",\" or \")\" instead of \"=\""},
      {"tolower(proc.name", "7: this parenthesis is never closed: add \")\""},
      {"tolower() and a",
       "10: expected an operator after tolower (=, ==, !=, <, <=, >, >=, contains, icontains, "
       "bcontains, startswith, bstartswith, endswith, glob, iglob, regex, in, intersects, pmatch "
       "or "
       "exists) instead of \"and\""},
      {"proc.name = val(tolower(proc.name))", "16: val() takes a field: transformers need none"},
      {"proc.name in anyof (a)", "13: in takes no anyof: it takes a list already"},
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
  std::string calls;
  for (int i = 0; i < 100'000; ++i) calls += "tolower(";
  CHECK(parsed(calls).find("transformers nest too deep") != std::string::npos);
  std::string fine = std::string(90, '(') + "a" + std::string(90, ')');
  CHECK(parsed(fine) == "a");
}

}  // namespace
}  // namespace trivet::security
