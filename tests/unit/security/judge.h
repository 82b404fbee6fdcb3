// SPDX-License-Identifier: Apache-2.0
// Conditions judged on one event of a small world: cat, started by bash, started by sshd, opens
// /etc/ssh/key for reading.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "fake_host.h"
#include "security/rules/compiler.h"
#include "security/rules/reach.h"

namespace trivet::security {

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
    event.type = call_named("openat");
    event.process = host.facts().named("cat");
    event.parent = host.facts().process(event.process->parent);
    event.header = &header;
    event.facts = &host.facts();
    event.path = "/etc/ssh/key";
    event.result = 3;
    event.number = 7;
    definitions.lists["readers"] = {{}, {{"cat", 0, false}, {"more_readers", 0, false}}};
    definitions.lists["more_readers"] = {{}, {{"less", 0, false}, {"(a b)", 0, true}}};
    definitions.lists["one"] = {{}, {{"cat", 0, false}}};
    definitions.lists["none"] = {{}, {}};
    add_macro("is_cat", "proc.name = cat");
    add_macro("outer", "(is_cat and not fd.name = /x)");
  }
  void add_macro(const std::string& name, const std::string& condition) {
    definitions.macros[name] = {{}, source(condition)};
  }
  static SourceText source(const std::string& text) {
    return SourceText(text, std::make_shared<const TextFile>(TextFile{"f.yaml", text}), 1, 1);
  }
  // A connection from 10.0.0.1:40000 to 203.0.113.7:443 instead.
  void connect() {
    event.type = call_named("connect");
    event.path.clear();
    event.result = 0;
    event.family = 2;
    event.protocol = 6;
    event.local = *IpAddress::parse("10.0.0.1");
    event.local_port = 40000;
    event.remote = *IpAddress::parse("203.0.113.7");
    event.remote_port = 443;
  }

  // "true", "false" or the error.
  std::string operator()(const std::string& condition) {
    FilterGraph graph;
    Compiler compiler(definitions, graph);
    auto compiled = compiler.condition(source(condition));
    if (auto problem = std::get_if<CompileProblem>(&compiled)) {
      return (problem->unbuilt ? "unbuilt: " : "") + problem->error.message;
    }
    NodeId whole = std::get<NodeId>(compiled);
    unsigned profile = is_open(event.type) ? PROFILE_READ : 0;
    NodeId rest = Specializer(graph, event.type, profile).of(whole);
    Evaluation evaluation;
    evaluation.attach(graph);
    evaluation.begin(event);
    bool answer = evaluation.matches(whole);
    // What remains for events of this kind answers the same.
    CHECK_MESSAGE(evaluation.matches(rest) == answer, condition);
    return answer ? "true" : "false";
  }
  // What a template shows.
  std::string show(const std::string& output) {
    FilterGraph graph;
    Compiler compiler(definitions, graph);
    auto compiled = compiler.output(source(output));
    if (auto problem = std::get_if<CompileProblem>(&compiled)) return problem->error.to_string();
    Evaluation evaluation;
    evaluation.attach(graph);
    evaluation.begin(event);
    fields = {};
    return std::get<OutputTemplate>(compiled).fill(evaluation, fields);
  }
  Fields fields;  // of the last show()
};

}  // namespace trivet::security
