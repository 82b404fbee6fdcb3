// SPDX-License-Identifier: Apache-2.0
// What each transformer makes of a value, of several, and of none; and outputs that use them.
#include "security/rules/transformer.h"

#include "judge.h"

namespace trivet::security {
namespace {

TEST_CASE("every transformer changes values, and has no value where its field has none") {
  Judge judge;
  // Base64 of "aaabbb" (RFC 4648, section 4) without and with padding follows from the file's name.
  judge.event.path = "/etc/YWFhYmJi";
  struct Row {
    const char* name;
    const char* yes;
    const char* no;
    const char* absent;
  };
  const Row rows[] = {
      {"tolower", "tolower(proc.args) = '-n secret key'", "tolower(proc.args) = '-n Secret Key'",
       "tolower(proc.aname[9]) != x"},
      {"tolower", "tolower(proc.args) = tolower(proc.args)",
       "tolower(proc.name) = tolower(proc.args)", "tolower(proc.name) != tolower(proc.aname[9])"},
      {"toupper", "toupper(proc.name) = CAT", "toupper(proc.name) = cat",
       "toupper(proc.aname[9]) exists"},
      {"toupper", "toupper(proc.aname) in (SSHD)", "toupper(proc.aname) in (sshd)",
       "toupper(proc.aname[9]) in (SSHD)"},
      {"b64", "b64(fd.filename) = aaabbb", "b64(fd.filename) = aaabb", "b64(proc.aname[9]) != x"},
      {"b64", "b64('YQ==') = a", "b64('YQ') = aa", "b64('Y') exists"},
      {"b64", "b64('YWI') = ab", "b64('YWI=') = abc", "b64('Y W') exists"},
      {"basename", "basename(proc.exepath) = cat", "basename(proc.exepath) = /usr/bin/cat",
       "basename(proc.aname[9]) = ''"},
      {"basename", "basename('/usr/bin/') = ''", "basename('/usr/bin/') = bin",
       "basename(container.image.repository) exists"},
      {"basename", "basename('cat') = cat", "basename('/cat') = /cat",
       "basename(proc.aname[9]) exists"},
      {"len", "len(proc.name) = 3", "len(proc.name) > 3", "len(proc.aname[9]) = 0"},
      {"len", "len(proc.aname) = 2", "len(proc.aname) = 8", "len(fd.ip) >= 0"},
      {"len", "len(getopt(('a'), 'a')) = 0", "len(getopt(('-a'), 'a')) = 0",
       "len(proc.aname[9]) >= 0"},
      {"join", "join('->', proc.aname) = 'bash->sshd'", "join(',', proc.aname) = 'sshd,bash'",
       "join(',', fd.ip) exists"},
      {"join", "join(', ', ('a', 'b')) = 'a, b'", "join('', ('a', 'b')) = 'a, b'",
       "join(proc.aname[9], proc.aname) exists"},
      {"concat", "concat(proc.name, ' ', proc.pname) = 'cat bash'",
       "concat(proc.name, proc.pname) = bashcat", "concat(proc.name, proc.aname[9]) exists"},
      {"concat", "tolower(concat('AAA', 'BBB')) = aaabbb", "len(concat('aaa', 'bbb')) = 3",
       "concat(proc.aname[9], 'x') = x"},
      {"getopt", "getopt(proc.args, 'n') intersects (n)", "getopt(proc.args, 'x') intersects (n)",
       "getopt(proc.aname[9], 'n') exists"},
      {"getopt", "getopt(proc.args, 'n:')[n] = Secret", "getopt(proc.args, 'n')[n] = Secret",
       "getopt(proc.args, 'n')[x] exists"},
  };
  for (const auto& row : rows) {
    for (const char* condition : {row.yes, row.no, row.absent}) {
      CAPTURE(condition);
      bool expected = condition == row.yes;
      CHECK(judge(condition) == (expected ? "true" : "false"));
      CHECK(judge(std::string("not ") + condition) == (expected ? "false" : "true"));
    }
  }
  for (const auto& transformer : transformers()) {
    CAPTURE(transformer.name);
    CHECK(std::ranges::find(rows, transformer.name, [](const Row& row) {
            return std::string_view(row.name);
          }) != std::end(rows));
  }
}

TEST_CASE("getopt() reads arguments as getopt(3) does, up to the first that is no option") {
  Judge judge;
  struct {
    const char* call;
    const char* found;  // joined by blanks
  } rows[] = {
      {"('-n', '')", "n"},
      {"('-t', 'hello')", "t hello"},
      {"('-nt', 'hello')", "n t hello"},
      {"('-nthello')", "n t hello"},
      {"('-n', '--', '-t', 'x')", "n"},
      {"('--long', '-n')", "n"},
      {"('-x', '-n')", "? n"},
      {"('arg', '-n')", ""},
      {"('-', '-n')", ""},
      {"('-t')", ""},  // one empty text: the value is missing
      {"('-t', '-n')", "t -n"},
      {"('-n', '-n')", "n n"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.call);
    CHECK(judge.show("%join(' ', getopt(" + std::string(row.call) + ", 'nt:'))") == row.found);
  }
  CHECK(judge("getopt(('-t', 'a', '-t', 'b'), 't:')[t] = b") == "true");
  CHECK(judge("getopt(('-t'), 't:')[t] = ''") == "true");
  CHECK(judge("len(getopt(('-t'), 't:')) = 1") == "true");
  CHECK(judge("getopt(('-n'), ':n')[n] = n") == "true");
}

TEST_CASE("a transformer that cannot take its operands says what it takes") {
  Judge judge;
  struct {
    const char* condition;
    const char* error;
  } rows[] = {
      {"tolower() = x", "tolower() takes one field"},
      {"tolower(proc.name, proc.pname) = x", "tolower() takes one field"},
      {"toupper(fd.num) = 3", "toupper() takes a field of text"},
      {"b64(evt.failed) = x", "b64() takes a field of text"},
      {"len(fd.num) = 1", "len() takes a field of text, or one with several values"},
      {"len(proc.name) = x", "\"x\" is not a number, as len() is"},
      {"len(proc.name) contains 1", "len() is a number: it cannot be compared with contains"},
      {"join(proc.aname, ',') = x",
       "join() takes a separator and a field with several values: join(\", \", proc.aname)"},
      {"concat(proc.name) = x", "concat() takes two texts or more, each with one value"},
      {"concat(proc.name, fd.num) = x", "concat() takes two texts or more, each with one value"},
      {"getopt(proc.args) in (x)",
       "getopt() takes arguments and the options to look for: getopt(proc.args, \"lp:e:\")"},
      {"getopt(proc.args, 'n')[nt] = x", "getopt() takes one letter in brackets: getopt(...)[e]"},
      {"getopt(proc.args, 'n')[] = x", "getopt() takes one letter in brackets"},
      {"tolower(proc.name)[1] = x", "tolower() takes nothing in brackets"},
      {"tolower(proc.nam) = x", "unknown field \"proc.nam\": did you mean \"proc.name\"?"},
      {"proc.name = val(fd.num)",
       "fd.num has another type than proc.name: they cannot be compared"},
      {"fd.name pmatch val(proc.exepath)", "pmatch cannot compare with another field"},
      {"fd.name regex tolower(proc.exepath)", "regex cannot compare with another field"},
      {"proc.name = val(proc.nam)", "unknown field \"proc.nam\": did you mean \"proc.name\"?"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.condition);
    CHECK(judge(row.condition) == row.error);
  }
}

TEST_CASE("outputs show fields, transformed and padded, and <NA> for what is not there") {
  Judge judge;
  struct {
    const char* output;
    const char* shown;
  } rows[] = {
      {"%proc.name", "cat"},
      {"*%proc.name of %container.image.repository", "cat of <NA>"},
      {"100%% of %proc.name.", "100% of cat."},
      {"%proc.aname[2]/%proc.aname[9]", "sshd/<NA>"},
      {"%toupper(proc.name) %basename(proc.exepath)!", "CAT cat!"},
      {"[%5proc.name]", "[cat  ]"},
      {"[%2proc.name]", "[ca]"},
      {"%evt.arg.flags %evt.arg[flags] %evt.arg[3]", "O_RDONLY O_RDONLY O_RDONLY"},
      {"%evt.arg[0] %evt.arg[2] %evt.arg[99]", "3 /etc/ssh/key <NA>"},
      {"%proc.aname", "bash,sshd"},
      {"(%container.info)", "()"},
      {"trailing break\n", "trailing break"},
      {"a % b", "f.yaml:1:3: a field's name must follow \"%\"; write \"%%\" for a percent sign"},
      {"a %", "f.yaml:1:3: a field's name must follow \"%\"; write \"%%\" for a percent sign"},
      {"a %proc.nam", "f.yaml:1:4: unknown field \"proc.nam\": did you mean \"proc.name\"?"},
      {"%tolower(fd.num)", "f.yaml:1:2: tolower() takes a field of text"},
      {"%tolower(proc.name", "f.yaml:1:9: this parenthesis is never closed: add \")\""},
      {"%proc.aname[2", "f.yaml:1:12: this bracket is never closed: add \"]\""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.output);
    CHECK(judge.show(row.output) == row.shown);
  }
  judge.show("%fd.num %tolower(proc.name) %tolower(proc.name) %container.image.repository");
  Fields expected{{{"fd.num", std::int64_t{3}},
                   {"tolower(proc.name)", std::string("cat")},
                   {"container.image.repository", std::monostate()}}};
  CHECK(judge.fields == expected);
}

}  // namespace
}  // namespace trivet::security
