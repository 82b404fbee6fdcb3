// SPDX-License-Identifier: Apache-2.0
// Exceptions of rules: what they exclude, how later files change them, and where each mistake is.
#include <doctest/doctest.h>

#include <cstring>

#include "rule_files.h"

namespace trivet::security {
namespace {

TEST_CASE("exceptions exclude what they list") {
  struct Row {
    const char* exceptions;
    const char* matching;  // of cat, dog, cow and (x)
  };
  const Row rows[] = {
      {"[]", "cat dog cow (x)"},
      {"", "cat dog cow (x)"},
      {"[{name: e, fields: [proc.name, proc.cwd], values: [[cat, /srv/], [dog, /tmp/]]}]",
       "dog cow (x)"},
      {"[{name: e, fields: [proc.name, proc.cwd], comps: [=, startswith], values: [[cat, /s], "
       "[dog, "
       "/s]]}]",
       "cow (x)"},
      {"[{name: e, fields: [proc.name], comps: [in], values: [[[cat, dog]]]}]", "cow (x)"},
      {"[{name: e, fields: [proc.name], comps: [in], values: [[pets]]}]", "cow (x)"},
      {"[{name: e, fields: [proc.name], comps: [in], values: [[[pets, cow]]]}]", "(x)"},
      {"[{name: e, fields: [proc.name], comps: [in], values: [['(cat, cow)']]}]", "dog (x)"},
      {"[{name: e, fields: proc.name, values: [cat, cow]}]", "dog (x)"},
      {"[{name: e, fields: proc.name, values: [pets]}]", "cow (x)"},
      {"[{name: e, fields: proc.name, values: [(x)]}]", "cat dog cow"},
      {"[{name: e, fields: proc.cmdline, comps: in, values: ['cat a b']}]", "dog cow (x)"},
      {"[{name: e, fields: proc.cwd, comps: pmatch, values: [/srv]}]", ""},
      {"[{name: e, fields: proc.name, comps: startswith anyof, values: [c, d]}]", "(x)"},
      {"[{name: e, fields: [proc.name], comps: ['  contains   allof '], values: [[[a, t]]]}]",
       "dog cow (x)"},
      {"[{name: e, fields: [proc.name, proc.cwd], values: []}, {name: f, fields: proc.name}]",
       "cat dog cow (x)"},
      {"[{name: e, fields: proc.name, values: [cat]}, {name: f, fields: proc.name, values: [dog]}]",
       "cow (x)"},
  };
  const std::string pets = "- list: pets\n  items: [cat, dog]\n";
  for (const auto& row : rows) {
    CAPTURE(std::string(row.exceptions));
    auto loaded = load({pets + rule("evt.type = execve or evt.num = 0") +
                        "  exceptions: " + row.exceptions + "\n"});
    for (const auto& error : loaded.findings.errors) MESSAGE(error.to_string());
    CHECK(loaded.findings.errors.empty());
    std::string found;
    for (const char* name : {"cat", "dog", "cow", "(x)"}) {
      if (matching(loaded.rules, name) == "r")
        found += std::string(found.empty() ? "" : " ") + name;
    }
    CHECK(found == std::string(row.matching));
  }
}

TEST_CASE("exceptions are appended to, and replaced") {
  const std::string base = rule("evt.type = execve") +
                           "  exceptions: [{name: e, fields: [proc.name], values: [[cat]]}]\n";
  struct Row {
    const char* more;
    const char* matching;
  };
  const Row rows[] = {
      {"[{name: e, values: [[dog]]}]\n  append: true\n", "cow"},
      {"[{name: e, values: [[dog]]}]\n  override: {exceptions: append}\n", "cow"},
      {"[{name: f, fields: proc.name, values: [cow]}]\n  override: {exceptions: append}\n", "dog"},
      {"[{name: f, fields: proc.name, values: [cow]}]\n  override: {exceptions: replace}\n",
       "cat dog"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.more);
    auto loaded = load({base, std::string("- rule: r\n  exceptions: ") + row.more});
    for (const auto& error : loaded.findings.errors) MESSAGE(error.to_string());
    std::string found;
    for (const char* name : {"cat", "dog", "cow"}) {
      if (matching(loaded.rules, name) == "r")
        found += std::string(found.empty() ? "" : " ") + name;
    }
    CHECK(found == std::string(row.matching));
  }
}

TEST_CASE("a mistake in an exception is placed there") {
  struct Row {
    const char* exceptions;
    const char* error;
  };
  const Row rows[] = {
      {"x", "a.yaml:6:15: exceptions must be a list"},
      {"[x]", "a.yaml:6:16: an exception has the keys name, fields, comps, values"},
      {"[{fields: x}]", "a.yaml:6:16: an exception needs the key name"},
      {"[{name: e}]", "a.yaml:6:16: the exception \"e\" needs the key fields"},
      {"[{name: e, fields: [a, b], comps: [=]}]", "a.yaml:6:49: fields and comps must be as many"},
      {"[{name: e, fields: [a], comps: in}]",
       "a.yaml:6:46: fields and comps must both be lists, or both be words"},
      {"[{name: e, fields: [a], comps: [in anyof]}]", "a.yaml:6:47: \"in anyof\" compares nothing"},
      {"[{name: e, fields: [a], comps: [like]}]", "a.yaml:6:47: \"like\" compares nothing"},
      {"[{name: e, fields: [a, b], values: [[x]]}]",
       "a.yaml:6:51: expected a list of 2 values, one for each field of the exception"},
      {"[{name: e, fields: [a], values: [[]]}]", "a.yaml:6:48: expected a list of 1 values"},
      {"[{name: e, fields: [a], values: [[~]]}]",
       "a.yaml:6:49: expected a word or a list of words here"},
      {"[{name: e, fields: {a: b}}]", "a.yaml:6:34: expected a word or a list of words here"},
      {"[{name: e, fields: [a], values: [[[x]]]}]",
       "a.yaml:6:49: = takes one value: write = anyof in comps for a list"},
      {"[{name: e, fields: a, values: [[x]]}]",
       "a.yaml:6:46: a value for the one field of this exception must be a word"},
      {"[{name: e, fields: proc.nme, values: [x]}]",
       "a.yaml:6:34: unknown field \"proc.nme\": did you mean \"proc.name\"?"},
      {"[{name: e, fields: fd.num, values: [3, x]}]", "a.yaml:6:54: \"x\" is not a number"},
      {"[{name: e, fields: a}, {name: e, fields: a}]",
       "a.yaml:6:38: there are two exceptions \"e\" here: give each its own name"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.exceptions));
    auto error = first_error({rule("evt.num = 1") + "  exceptions: " + row.exceptions + "\n"});
    CHECK(error.substr(0, std::strlen(row.error)) == std::string(row.error));
  }
}

}  // namespace
}  // namespace trivet::security
