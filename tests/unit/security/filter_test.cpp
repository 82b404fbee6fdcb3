// SPDX-License-Identifier: Apache-2.0
// Names in conditions: fields, lists, macros; and how the graph of all conditions is built.
#include "security/rules/filter.h"

#include "judge.h"
#include "security/rules/glob.h"

namespace trivet::security {
namespace {

TEST_CASE("macros and lists stand for what they are") {
  Judge judge;
  for (const char* condition : {"outer", "is_cat and is_cat or fd.name = x", "proc.name = one",
                                "evt.type in (open, openat)", "not (not is_cat or fd.name = /x)"}) {
    CAPTURE(condition);
    CHECK(judge(condition) == "true");
  }
}

TEST_CASE("what names mean nothing, or the wrong thing, is said") {
  Judge judge;
  judge.add_macro("self", "self");
  judge.add_macro("ping", "pong");
  judge.add_macro("pong", "not ping");
  struct Row {
    const char* condition;
    const char* error;
  };
  const Row rows[] = {
      {"fd.nme = x", "unknown field \"fd.nme\": did you mean \"fd.name\"?"},
      {"is_cta", "unknown macro \"is_cta\": did you mean \"is_cat\"?"},
      {"self", "the macro \"self\" uses itself"},
      {"ping", "the macro \"ping\" uses itself"},
      {"evt.type = opne", "unknown event type \"opne\": did you mean \"open\"?"},
      {"evt.type = anyof (open, opne)", "unknown event type \"opne\": did you mean \"open\"?"},
      {"fd.num = three", "\"three\" is not a number, as fd.num is"},
      {"fd.num = 1e3", "\"1e3\" is not a number, as fd.num is"},
      {"fd.num contains 3", "fd.num is a number: it cannot be compared with contains"},
      {"evt.is_open_read = yes", "\"yes\" is not true or false, as evt.is_open_read is"},
      {"evt.is_open_read < true",
       "evt.is_open_read is true or false: it cannot be compared with <"},
      {"fd.sip = 1.2.3", "\"1.2.3\" is not an address, as fd.sip is"},
      {"fd.sip startswith 1", "fd.sip is an address: it cannot be compared with startswith"},
      {"fd.snet = \"1.2.3.0/33\"", "\"1.2.3.0/33\" is not an address, as fd.snet is"},
      {"fd.port = nosuchservice", "\"nosuchservice\" is not a number, as fd.port is"},
      {"proc.name[1] = x", "proc.name takes nothing in brackets: write proc.name"},
      {"proc.aname[x] = x", "proc.aname takes a number in brackets: write proc.aname[1]"},
      {"evt.arg = x", "evt.arg needs a name in brackets"},
      {"proc.aenv[HOME] = x", "unbuilt: the field proc.aenv is not built yet"},
      {"evt.arg.queuelen = x", "unbuilt: no event built so far has an argument \"queuelen\""},
      {"proc.name = readers", "\"readers\" is a list: write in (readers)"},
      {"proc.name startswith readers", "\"readers\" is a list: write startswith anyof (readers)"},
      {"proc.name bcontains xy", "\"xy\" is not bytes in hexadecimal, such as CAFE01"},
      {"proc.name regex '('", "\"(\" is no regular expression: missing ): ("},
      {"proc.name regex '\\\\d'",
       "\"\\d\" is no regular expression: invalid escape sequence: \\d: write [0-9] for \\d"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.condition);
    CHECK(judge(row.condition) == row.error);
  }
}

TEST_CASE("macros nest without limit on their number, but not on their depth") {
  Judge judge;
  judge.add_macro("m0", "proc.name = cat");
  for (int i = 1; i <= 200; ++i) {
    auto inner = "m" + std::to_string(i - 1);
    // Twice: judged in linear time only if each macro is judged once.
    judge.add_macro("m" + std::to_string(i), "(" + inner + " and not not " + inner + ")");
  }
  CHECK(judge("m80") == "true");
  CHECK(judge("m200") == "macros nest too deep here: simplify them");
}

TEST_CASE("equal parts of conditions are one node, and what decides most cheaply comes first") {
  Judge judge;
  FilterGraph graph;
  Compiler compiler(judge.definitions, graph);
  auto compile = [&](const std::string& condition) {
    return std::get<NodeId>(compiler.condition(Judge::source(condition)));
  };
  auto one = compile("proc.aname in (readers) and proc.name = cat and fd.num >= 0");
  CHECK(compile("fd.num >= 0 and (proc.name = cat and proc.aname in (readers))") == one);
  CHECK(compile("not not (is_cat and proc.aname in (readers) and is_cat and fd.num >= 0)") == one);
  CHECK(compile("proc.name = cat or (evt.num = 1 and proc.name in ())") ==
        compile("proc.name = cat"));
  CHECK(compile("proc.name in ()") == FilterGraph::kNever);

  std::vector<std::string> order;
  for (NodeId child : graph.children(graph.node(one))) {
    order.push_back(graph.sources()[graph.comparison(graph.node(child)).left].name);
  }
  CHECK(order == std::vector<std::string>{"proc.name", "fd.num", "proc.aname"});
}

TEST_CASE("globs cannot be made slow") {
  std::string pattern, text(20'000, 'a');
  for (int i = 0; i < 200; ++i) pattern += "*a";
  CHECK_FALSE(glob_matches(pattern + "b", text));
  CHECK(glob_matches("*", ""));
  CHECK(glob_matches("[", "["));
  CHECK(glob_matches("[!a]x", "bx"));
  CHECK_FALSE(glob_matches("[]", "x"));
  CHECK(glob_matches("\\*", "*"));
  CHECK(glob_matches("A[b-d]?", "aCx", Case::ignored));
}

TEST_CASE("paths are matched part by part") {
  PathTree tree;
  for (const char* path : {"/var/log", "/etc//ssh/", "/srv/*/.ssh", "/opt/[ab]?/x", "usr"}) {
    CHECK(tree.add(path));
  }
  std::string deep;
  for (int i = 0; i < 3000; ++i) deep += "/a";
  CHECK_FALSE(tree.add(deep));
  for (const char* path : {"/var/log", "/var/log/", "/var/log/a/b", "/etc/ssh/key",
                           "/srv/u/.ssh/id", "/opt/az/x", "/usr/bin", "//var//log//x"}) {
    CAPTURE(path);
    CHECK(tree.covers(path));
  }
  for (const char* path :
       {"", "/", "/var", "/var/logs", "/etc", "/srv/u/v/.ssh", "/opt/cz/x", "/opt/a/z/x"}) {
    CAPTURE(path);
    CHECK_FALSE(tree.covers(path));
  }
  tree.add("/");
  CHECK(tree.covers("/anything"));
}

}  // namespace
}  // namespace trivet::security
