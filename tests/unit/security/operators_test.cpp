// SPDX-License-Identifier: Apache-2.0
// The truth of each operator and modifier, on values that match, that do not and that are not
// there.
#include "security/rules/operators.h"

#include <set>

#include "judge.h"

namespace trivet::security {
namespace {

struct Row {
  const char* op;
  const char* yes;
  const char* no;
  const char* absent;  // a field without a value: false, and true behind `not`
};

// proc.name is "cat", proc.args "-n Secret Key", fd.name "/etc/ssh/key", fd.num 3, user.uid 1000.
// container.image.repository and proc.aname[9] have no value.
const Row kRows[] = {
    {"=", "proc.name = cat", "proc.name = Cat", "container.image.repository = cat"},
    {"=", "fd.num = 0x3", "fd.num = 4", "fd.sport = 3"},
    {"=", "evt.is_open_read = true", "evt.is_open_read = false", "container.privileged = false"},
    {"==", "proc.name == cat", "proc.name == dog", "container.image.repository == cat"},
    {"!=", "proc.name != dog", "proc.name != cat", "container.image.repository != cat"},
    {"!=", "fd.num != 4", "fd.num != 3", "fd.sport != 4"},
    {"!=", "evt.is_open_write != true", "evt.is_open_write != false",
     "container.privileged != true"},
    {"!=", "proc.pname != cat", "proc.pname != bash", "fd.sip != 1.2.3.4"},
    {"<", "fd.num < 4", "fd.num < 3", "fd.sport < 4"},
    {"<", "proc.name < cau", "proc.name < cat", "proc.aname[9] < z"},
    {"<=", "fd.num <= 3", "fd.num <= 2", "fd.sport <= 3"},
    {"<=", "proc.name <= cat", "proc.name <= car", "proc.aname[9] <= z"},
    {">", "fd.num > -1", "fd.num > 3", "fd.sport > 2"},
    {">", "proc.name > ca", "proc.name > cat", "proc.aname[9] > a"},
    {">=", "fd.num >= 3", "fd.num >= 4", "fd.sport >= 0"},
    {">=", "proc.name >= cat", "proc.name >= dog", "proc.aname[9] >= a"},
    {"contains", "proc.args contains \"Secret K\"", "proc.args contains secret",
     "container.image.repository contains c"},
    {"icontains", "proc.args icontains \"SECRET key\"", "proc.args icontains secrets",
     "container.image.repository icontains c"},
    {"bcontains", "proc.name bcontains 6174", "proc.name bcontains 6175",
     "container.image.repository bcontains 61"},
    {"startswith", "proc.args startswith -n", "proc.args startswith n",
     "container.image.repository startswith c"},
    {"bstartswith", "proc.name bstartswith 6361", "proc.name bstartswith 61",
     "container.image.repository bstartswith 61"},
    {"endswith", "proc.args endswith Key", "proc.args endswith key",
     "container.image.repository endswith c"},
    {"glob", "fd.name glob '/etc/*/[a-k]ey'", "fd.name glob /etc/?", "proc.aname[9] glob *"},
    {"glob", "fd.name glob '*/?ey'", "fd.name glob 'etc*'", "container.image.repository glob *"},
    {"iglob", "fd.name iglob '/ETC/*/[A-K]EY'", "fd.name iglob '/ETC/*/[L-Z]EY'",
     "proc.aname[9] iglob *"},
    {"regex", "fd.name regex '/etc/[a-z]+/k.y'", "fd.name regex '/etc/[a-z]+'",
     "proc.aname[9] regex '.*'"},
    {"in", "proc.name in (dog, cat)", "proc.name in (dog)", "container.image.repository in (cat)"},
    {"in", "proc.name in (dog, readers)", "proc.name in (more_readers)",
     "container.image.repository in (readers)"},
    {"in", "proc.name in readers", "proc.name in more_readers", "container.id in none"},
    {"in", "fd.num in (1, 2, 3)", "fd.num in (4, 5)", "fd.sport in (1, 2, 3)"},
    {"in", "evt.is_open_read in (true)", "evt.is_open_read in (false)",
     "container.privileged in (true, false)"},
    {"in", "proc.name in (cat, none)", "proc.name in (none)", "proc.aname[9] in ()"},
    {"intersects", "proc.name intersects (dog, cat)", "proc.name intersects (dog)",
     "container.image.repository intersects (cat)"},
    {"pmatch", "fd.name pmatch (/var, /etc/ssh)", "fd.name pmatch (/etc/ss, /etc/ssh/key/x)",
     "proc.aname[9] pmatch (/)"},
    {"pmatch", "fd.name pmatch (/etc/s*)", "fd.name pmatch (/e*/*/*/*)",
     "proc.aname[9] pmatch (/*)"},
    {"exists", "proc.pname exists", "container.image.repository exists", "proc.aname[9] exists"},
};

// Proc.name "cat" against lists.
const Row kModifierRows[] = {
    {"oneof", "proc.name startswith oneof (c, d)", "proc.name startswith oneof (c, ca)",
     "proc.aname[9] startswith oneof (c)"},
    {"oneof", "proc.name = oneof (cat, dog)", "proc.name = oneof (dog, cow)",
     "proc.aname[9] = oneof (cat)"},
    {"oneof", "fd.num > oneof (2, 5)", "fd.num > oneof (1, 2)", "fd.sport > oneof (1)"},
    {"anyof", "proc.name contains anyof (x, at)", "proc.name contains anyof (x, y)",
     "proc.aname[9] contains anyof (x)"},
    {"anyof", "proc.name = anyof (dog, readers)", "proc.name = anyof (none)",
     "proc.aname[9] = anyof (cat)"},
    {"anyof", "proc.name != anyof (dog, cat)", "proc.name != anyof (cat)",
     "proc.aname[9] != anyof (cat)"},
    {"anyof", "proc.name regex anyof ('d.*', 'c.*')", "proc.name regex anyof ('a', 't')",
     "proc.aname[9] regex anyof ('.*')"},
    {"allof", "proc.args contains allof (Secret, Key)", "proc.args contains allof (Secret, key)",
     "proc.aname[9] contains allof (x)"},
    {"allof", "proc.name != allof (dog, cow)", "proc.name != allof (dog, cat)",
     "proc.aname[9] != allof (cat)"},
    {"allof", "proc.name glob allof (c*, *t)", "proc.name glob allof (c*, *x)",
     "proc.aname[9] glob allof (*)"},
    {"allof", "proc.name endswith allof (at, t)", "proc.name endswith allof ()",
     "proc.aname[9] endswith allof (t)"},
};

void judge_rows(std::span<const Row> rows) {
  Judge judge;
  for (const auto& row : rows) {
    for (const char* condition : {row.yes, row.no, row.absent}) {
      CAPTURE(condition);
      bool expected = condition == row.yes;
      CHECK(judge(condition) == (expected ? "true" : "false"));
      CHECK(judge(std::string("not ") + condition) == (expected ? "false" : "true"));
      CHECK(judge(std::string("not not (") + condition + ")") == (expected ? "true" : "false"));
    }
  }
}

TEST_CASE("every operator is true, false, and false of what has no value") {
  judge_rows(kRows);
  for (const auto& info : operators()) {
    CAPTURE(info.name);
    CHECK(std::ranges::find(kRows, info.name, [](const Row& row) {
            return std::string_view(row.op);
          }) != std::end(kRows));
  }
}

TEST_CASE("every modifier counts the values that match") {
  judge_rows(kModifierRows);
  for (const auto& info : modifiers()) {
    CAPTURE(info.name);
    CHECK(std::ranges::find(kModifierRows, info.name, [](const Row& row) {
            return std::string_view(row.op);
          }) != std::end(kModifierRows));
  }
}

TEST_CASE("fields compare with fields") {
  const Row rows[] = {
      {"=", "proc.name = val(proc.aname[0])", "proc.name = val(proc.pname)",
       "proc.name = val(proc.aname[9])"},
      {"!=", "proc.name != val(proc.pname)", "proc.name != val(proc.aname[0])",
       "proc.name != val(proc.aname[9])"},
      {"<", "fd.num < val(user.uid)", "user.uid < val(fd.num)", "fd.num < val(fd.sport)"},
      {"endswith", "proc.exepath endswith val(proc.name)", "proc.exepath endswith val(proc.pname)",
       "proc.exepath endswith val(proc.aname[9])"},
      {"in", "proc.pname in val(proc.aname)", "proc.name in val(proc.aname)",
       "proc.aname[9] in val(proc.aname)"},
      {"glob", "proc.name glob val(proc.aname[0])", "proc.name glob val(proc.pname)",
       "proc.aname[9] glob val(proc.name)"},
      {"=", "evt.is_open_read != val(evt.is_open_write)",
       "evt.is_open_read = val(evt.is_open_write)", "evt.is_open_read = val(container.privileged)"},
  };
  judge_rows(rows);
}

TEST_CASE("of several values any may match") {
  const Row rows[] = {
      {"=", "proc.aname = sshd", "proc.aname = cat", "fd.ip = 1.2.3.4"},
      {"!=", "proc.aname != sshd", "proc.aname != anyof (none)", "fd.ip != 1.2.3.4"},
      {"in", "proc.aname in (init, bash)", "proc.aname in (cat)", "fd.port in (1)"},
      {"startswith", "proc.aname startswith ss", "proc.aname startswith c", "fd.port > 0"},
      {"exists", "proc.aname exists", "fd.ip exists", "fd.port exists"},
      {"=", "proc.apid = 1000", "proc.apid = 1002", "fd.net = 0.0.0.0/0"},
  };
  judge_rows(rows);
}

TEST_CASE("a list is in another if each of its items is, and intersects it if some item is") {
  Judge judge;
  struct {
    const char* condition;
    const char* answer;
  } rows[] = {
      {"getopt(('-a', '-b'), 'ab') in (a, b, c)", "true"},
      {"getopt(('-a', '-b'), 'ab') in (a, c)", "false"},
      {"getopt(('-a', '-b'), 'ab') intersects (b, c)", "true"},
      {"getopt(('-a', '-b'), 'ab') intersects (c)", "false"},
      {"getopt(('a'), 'ab') in (a)", "true"},  // no item that is not
      {"getopt(('a'), 'ab') intersects (a)", "false"},
      {"getopt(('-a'), 'ab') exists", "true"},
      {"getopt(('-a'), 'ab') = a", "getopt() is a list: compare it with in, intersects or exists"},
      {"getopt(('-a'), 'ab') contains anyof (a)",
       "getopt() is a list: compare it with in, intersects or exists"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.condition);
    CHECK(judge(row.condition) == row.answer);
  }
}

TEST_CASE("addresses compare with networks, at either end or at both") {
  Judge judge;
  judge.connect();
  struct {
    const char* condition;
    bool answer;
  } rows[] = {
      {"fd.sip = 203.0.113.7", true},
      {"fd.sip != 203.0.113.8", true},
      {"fd.snet = \"203.0.113.0/24\"", true},
      {"fd.snet = 203.0.113.0/24", true},
      {"fd.snet in (\"10.0.0.0/8\", \"192.168.0.0/16\")", false},
      {"fd.snet in (10.0.0.0/8, 203.0.0.0/9)", true},
      {"fd.snet intersects (203.0.113.7, ::1)", true},
      {"fd.snet = anyof (10.0.0.0/8, 203.0.113.4/30)", true},
      {"fd.snet != allof (10.0.0.0/8, 203.0.113.4/30)", false},
      {"fd.net = 10.0.0.0/8", true},
      {"fd.net != 10.0.0.0/8", false},
      {"fd.ip != 1.1.1.1", true},
      {"fd.ip in (10.0.0.1, 1.1.1.1)", true},
      {"fd.port = 443", true},
      {"fd.port = https", true},  // as /etc/services has it
      {"fd.port != 443", false},
      {"fd.port in (22, 40000)", true},
      {"fd.rport = 0x1bb", true},
      {"fd.snet = 203.0.113.8/30", false},
      {"fd.snet = 0.0.0.0/0", true},
      {"fd.snet = ::/0", false},
      {"fd.sip = ::1", false},
      {"fd.sip = val(fd.rip)", true},
      {"fd.sip = val(fd.cip)", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.condition);
    CHECK(judge(row.condition) == (row.answer ? "true" : "false"));
  }
}

TEST_CASE("bytes that are no UTF-8 match as bytes, and as U+FFFD by regex") {
  Judge judge;
  judge.event.path = "/tmp/bad\xff\n";
  struct {
    const char* condition;
    bool answer;
  } rows[] = {
      {"fd.name contains \"\\xFF\"", true},
      {"fd.name endswith \"\\n\"", true},
      {"fd.name glob \"/tmp/bad??\"", true},
      {"fd.name bcontains FF0A", true},
      {"fd.name regex \"/tmp/bad\xef\xbf\xbd\\n\"", true},
      {"fd.name regex \"/tmp/bad.\\n\"", true},
      {"fd.name regex \"/tmp/bad..\\n\"", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.condition);
    CHECK(judge(row.condition) == (row.answer ? "true" : "false"));
  }
}

TEST_CASE("a regular expression is judged in time and memory that are bounded") {
  Judge judge;
  judge.event.path = "/" + std::string(100'000, 'a');
  CHECK(judge("fd.name regex '/(a*)*b'") == "false");
  CHECK(judge("fd.name regex '/((a|aa)+)+'") == "true");
  CHECK(judge("fd.name regex '((a{1,100}){1,100}){1,100}'").find("is no regular expression") !=
        std::string::npos);
}

}  // namespace
}  // namespace trivet::security
