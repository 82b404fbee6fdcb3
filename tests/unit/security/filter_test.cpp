// SPDX-License-Identifier: Apache-2.0
// Conditions judged on events: the operators, and Falco's way with values that are not there.
#include "security/rules/filter.h"

#include <doctest/doctest.h>

#include "fake_host.h"
#include "security/rules/compiler.h"

namespace trivet::security {
namespace {

struct Judge {
  FakeHost host;
  event_header header{};
  RuleEvent event;
  Definitions definitions;

  Judge() {
    host.facts().add(
        tree({.name = "sshd"}, {tree({.name = "bash"}, {tree({.name = "cat",
                                                              .exe = "/usr/bin/cat",
                                                              .args = {"cat", "-n", "Secret Key"},
                                                              .uid = 1000})})}));
    event.type = CALL_OPENAT;
    event.process = host.facts().named("cat");
    event.parent = host.facts().process(event.process->parent);
    event.header = &header;
    event.facts = &host.facts();
    event.path = "/etc/ssh/key";
    event.result = 3;
    definitions.lists["readers"] = {{}, {{"cat", 0, false}, {"more_readers", 0, false}}};
    definitions.lists["more_readers"] = {{}, {{"less", 0, false}, {"(a b)", 0, true}}};
    add_macro("is_cat", "proc.name = cat");
    add_macro("outer", "(is_cat and not fd.name = /x)");
  }
  void add_macro(const std::string& name, const std::string& condition) {
    definitions.macros[name] = {{}, source(condition)};
  }
  static SourceText source(const std::string& text) {
    return SourceText(text, std::make_shared<const TextFile>(TextFile{"f.yaml", text}), 1, 1);
  }
  // "true", "false" or the error.
  std::string operator()(const std::string& condition) {
    Compiler compiler(definitions);
    auto compiled = compiler.condition(source(condition));
    if (auto problem = std::get_if<CompileProblem>(&compiled)) {
      return (problem->unbuilt ? "unbuilt: " : "") + problem->error.message;
    }
    Evaluation evaluation;
    evaluation.resize(compiler.slots(), compiler.memos());
    evaluation.begin(event);
    return evaluation.matches(*std::get<std::shared_ptr<const Filter>>(compiled)) ? "true"
                                                                                  : "false";
  }
};

TEST_CASE("operators") {
  Judge judge;
  const char* yes[] = {
      "proc.name = cat",
      "proc.name != dog",
      "proc.name in (dog, cat)",
      "proc.name in (readers)",
      "proc.name in (dog, readers)",
      "not proc.name in (more_readers)",
      "proc.args startswith -n",
      "proc.args endswith Key",
      "proc.args contains \"Secret K\"",
      "proc.args icontains \"SECRET key\"",
      "not proc.args contains secret",
      "fd.name glob /etc/*/key",
      "fd.name glob '/etc/ssh/[a-k]ey'",
      "fd.name glob '*/?ey'",
      "not fd.name glob /etc/?",
      "fd.name pmatch (/var, /etc/ssh)",
      "not fd.name pmatch (/etc/ss)",
      "fd.num >= 3 and fd.num <= 3 and fd.num > 2 and fd.num < 4",
      "fd.num in (1, 2, 3)",
      "user.uid = 1000",
      "evt.is_open_read = true",
      "evt.is_open_write != true",
      "proc.pname exists",
      "proc.aname = sshd",
      "proc.aname in (init, bash)",
      "proc.aname[2] = sshd",
      "outer",
      "is_cat and is_cat or fd.name = x",
      "evt.type in (open, openat)",
      "evt.num >= 0",
  };
  for (const char* condition : yes) {
    CAPTURE(condition);
    CHECK(judge(condition) == "true");
    CHECK(judge(std::string("not (") + condition + ")") == "false");
  }
}

TEST_CASE("without a value every comparison is false, whatever the operator") {
  Judge judge;
  const char* no[] = {
      "container.image.repository = x",
      "container.image.repository != x",
      "container.image.repository in (x)",
      "container.image.repository contains x",
      "container.image.repository exists",
      "container.privileged = false",
      "proc.aname[9] != x",
      "fd.sip != 1.2.3.4",
      "fd.sport < 1000",
  };
  for (const char* condition : no) {
    CAPTURE(condition);
    CHECK(judge(condition) == "false");
    CHECK(judge(std::string("not ") + condition) == "true");
  }
}

TEST_CASE("addresses compare with networks, at either end or at both") {
  Judge judge;
  judge.event.type = CALL_CONNECT;
  judge.event.family = 2;
  judge.event.local = *IpAddress::parse("10.0.0.1");
  judge.event.remote = *IpAddress::parse("203.0.113.7");
  judge.event.remote_port = 443;
  CHECK(judge("fd.sip = 203.0.113.7") == "true");
  CHECK(judge("fd.snet = \"203.0.113.0/24\"") == "true");
  CHECK(judge("fd.snet in (\"10.0.0.0/8\", \"192.168.0.0/16\")") == "false");
  CHECK(judge("fd.net = \"10.0.0.0/8\"") == "true");
  CHECK(judge("fd.net != \"10.0.0.0/8\"") == "false");
  CHECK(judge("fd.ip != 1.1.1.1") == "true");
  CHECK(judge("fd.port = 443") == "true");
  CHECK(judge("fd.port != 443") == "false");
  CHECK(judge("fd.snet = \"203.0.113.8/30\"") == "false");
  CHECK(judge("fd.snet = \"0.0.0.0/0\"") == "true");
  CHECK(judge("fd.sip = ::1") == "false");
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
      {"fd.num = three", "\"three\" is not a number, as fd.num is"},
      {"fd.num contains 3", "fd.num is a number: it cannot be compared with contains"},
      {"proc.name < x", "proc.name is text: it cannot be compared with <"},
      {"evt.is_open_read = yes", "\"yes\" is not true or false, as evt.is_open_read is"},
      {"fd.sip = 1.2.3", "\"1.2.3\" is not an address, as fd.sip is"},
      {"fd.snet = \"1.2.3.0/33\"", "\"1.2.3.0/33\" is not an address, as fd.snet is"},
      {"proc.name[1] = x", "proc.name takes nothing in brackets: write proc.name"},
      {"proc.aname[x] = x", "proc.aname takes a number in brackets: write proc.aname[1]"},
      {"evt.arg = x", "evt.arg needs a name in brackets"},
      {"proc.aenv[HOME] = x", "unbuilt: the field proc.aenv is not built yet"},
      {"evt.arg[1] = x", "unbuilt: evt.arg by number is not built: write the argument's name"},
      {"evt.arg.request = x", "unbuilt: no event built so far has an argument \"request\""},
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
    judge.add_macro("m" + std::to_string(i), "(" + inner + " and " + inner + ")");
  }
  CHECK(judge("m80") == "true");
  CHECK(judge("m200") == "macros nest too deep here: simplify them");
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
}

}  // namespace
}  // namespace trivet::security
