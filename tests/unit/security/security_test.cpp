// SPDX-License-Identifier: Apache-2.0
// The plugin from its configuration to its alerts.
#include "security/security.h"

#include <doctest/doctest.h>

#include "deeds.h"
#include "trivet/records/alert.h"

namespace trivet::security {
namespace {

const char* const kTwoRules = R"(
- rule: Shadow read
  desc: d
  condition: evt.type = openat and evt.is_open_read = true and fd.name = /etc/shadow
  output: read %fd.name by %proc.name (%container.image.repository)
  priority: WARNING
  tags: [files, T1555]
- rule: Any shadow
  desc: d
  condition: evt.type in (open, openat) and fd.filename = shadow
  output: >
    any 100%%
    %fd.filename
  priority: notice
)";

struct Running {
  FakeHost host;
  SecurityPlugin plugin;
  ProcessRef cat;
  explicit Running(const std::string& yaml, const std::string& more = "") {
    auto done = plugin.configure(with_rules(host, yaml, more));
    REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().to_string()));
    REQUIRE(plugin.start(host).has_value());
    cat = host.facts().add(tree({.name = "cat", .exe = "/usr/bin/cat", .args = {"cat"}}));
  }
  ~Running() { plugin.stop(); }
};

std::string refusal(const std::string& yaml, const std::string& more = "") {
  FakeHost host;
  SecurityPlugin plugin;
  auto done = plugin.configure(with_rules(host, yaml, more));
  return done ? "" : done.error().to_string();
}

TEST_CASE("a match is an alert with the rule, the subject and the filled-in output") {
  Running run(kTwoRules);
  open_file(run.host, run.cat, {.raw = "/etc/shadow", .path = "/etc/shadow"});
  auto alerts = run.host.records<Alert>();
  REQUIRE(alerts.size() == 1);  // the first rule only
  CHECK(alerts[0].rule == "Shadow read");
  CHECK(alerts[0].priority == "Warning");
  CHECK(alerts[0].tags == std::vector<std::string>{"files", "T1555"});
  CHECK(alerts[0].output == "read /etc/shadow by cat (<NA>)");
  CHECK(alerts[0].process == "cat");
  CHECK(alerts[0].pid == run.cat->key.tgid);
  Fields expected{
      {{"fd.name", std::string("/etc/shadow")},
       {"proc.name", std::string("cat")},
       {"container.image.repository", std::monostate()},
       // A number of nanoseconds since 1970, whether or not the template has it.
       {"evt.time", std::int64_t{60'000'000'000} + run.host.facts().boot_to_real_ns()}}};
  CHECK(alerts[0].output_fields == expected);
  // Falco 0.44 shows its rules so.
  CHECK(run.host.metrics().value("falcosecurity_falco_rules_matches_total",
                                 {{"rule_name", "Shadow read"},
                                  {"priority", "4"},
                                  {"source", "syscall"},
                                  {"tag_files", "true"},
                                  {"tag_T1555", "true"}}) == 1);
  CHECK(run.host.metrics().value("trivet_security_events_total", {{"type", "openat"}}) == 1);
  CHECK(run.host.metrics().value("trivet_security_rules", {{"state", "loaded"}}) == 2);
}

TEST_CASE("rule_matching = all raises every rule that matches") {
  Running run(kTwoRules, "rule_matching = \"all\"");
  open_file(run.host, run.cat, {.raw = "/etc/shadow", .path = "/etc/shadow"});
  auto alerts = run.host.records<Alert>();
  REQUIRE(alerts.size() == 2);
  CHECK(alerts[1].output == "any 100% shadow");
}

// What the kernel is told to tell of a call.
unsigned wanted_profiles(FakeHost& host, std::string_view call) {
  calls_wanted wanted{};
  std::uint32_t only = 0;
  auto found = TypedMap<std::uint32_t, calls_wanted>(host.map("calls_wanted")).lookup(only, wanted);
  REQUIRE(found.has_value());
  REQUIRE(*found);
  for (std::size_t type = 0; type < kExecve; ++type) {
    if (kCalls[type].name == call) return wanted.profiles[type];
  }
  return 0;
}

TEST_CASE("only the hooks and profiles that rules need are asked for") {
  Running run(kTwoRules, "compat_syscalls = \"off\"");
  // System calls, and the opens of rings.
  REQUIRE(run.host.specs.size() == 2);
  CHECK(run.host.specs[1].name == "rings");
  const auto& spec = run.host.specs[0];
  REQUIRE(spec.hooks.size() == 1);
  CHECK(spec.hooks[0].name == "calls");
  CHECK(spec.hooks[0].tiers[0].tracepoints ==
        std::vector<std::string>{"syscalls/sys_exit_open", "syscalls/sys_exit_openat"});
  syscalls_config settings{};
  REQUIRE(spec.config.size() == sizeof(settings));
  std::memcpy(&settings, spec.config.data(), sizeof(settings));
  CHECK(wanted_profiles(run.host, "openat") != 0);
  CHECK(wanted_profiles(run.host, "connect") == 0);
  // Main's, and its parent's.
  CHECK(settings.own_tgids[0] == static_cast<std::uint32_t>(getpid()));
  CHECK(settings.own_tgids[1] == static_cast<std::uint32_t>(getppid()));
  rings_config rings{};
  REQUIRE(run.host.specs[1].config.size() == sizeof(rings));
  std::memcpy(&rings, run.host.specs[1].config.data(), sizeof(rings));
  CHECK(rings.own_tgids[0] == static_cast<std::uint32_t>(getpid()));

  Running nothing(
      "- rule: r\n  desc: d\n  condition: evt.type = execve\n  output: o\n  priority: info");
  CHECK(nothing.host.specs.empty());
}

TEST_CASE("where paths lead is asked of the kernel if rules name calls that open nothing") {
  Running run("- rule: r\n  desc: d\n  condition: evt.type = chmod\n  output: o\n  priority: info");
  REQUIRE(run.host.specs.size() == 2);
  CHECK(run.host.specs[1].name == "paths");
  REQUIRE(run.host.specs[1].hooks.size() == 1);
  CHECK_FALSE(run.host.specs[1].hooks[0].required);
}

TEST_CASE("32-bit calls have a hook of their own where they are wanted") {
  Running run(kTwoRules, "compat_syscalls = \"on\"");
  REQUIRE_FALSE(run.host.specs.empty());
  const auto& hooks = run.host.specs[0].hooks;
  REQUIRE(hooks.size() == 2);
  CHECK(hooks[1].name == "compat");
  CHECK(hooks[1].required);
}

// What `trivet rules` answers to these words.
Result<std::string> ask(const SecurityPlugin& plugin, const std::string& verb,
                        const std::vector<std::string>& words = {}) {
  for (const auto& offered : plugin.offline_verbs()) {
    if (offered.name == "rules " + verb) return offered.answer(words);
  }
  return Error{"no such verb"};
}

TEST_CASE("rules are switched by name, tag and priority, the last word winning") {
  auto states = [](const std::string& more) {
    FakeHost host;
    SecurityPlugin plugin;
    REQUIRE(plugin.configure(with_rules(host, kTwoRules, more)).has_value());
    auto answer = ask(plugin, "ls");
    REQUIRE(answer.has_value());
    return *answer;
  };
  CHECK(states("").find("disabled") == std::string::npos);
  CHECK(
      states("disable_rules = [\"Any shadow\"]") ==
      R"([{"name":"Shadow read","priority":"Warning","state":"loaded","reason":""},)"
      R"({"name":"Any shadow","priority":"Notice","state":"disabled","reason":"disabled by name"}])");
  CHECK(states("disable_tags = [\"files\"]").find("disabled by tag") != std::string::npos);
  CHECK(states("priority = \"warning\"").find("less urgent than Warning") != std::string::npos);
  auto mixed = states("disable_rules = [\"*\"]\nenable_tags = [\"T1555\"]");
  CHECK(mixed.find(R"("Shadow read","priority":"Warning","state":"loaded")") != std::string::npos);
  CHECK(mixed.find("disabled by name") != std::string::npos);

  // Falco's `rules:`, in order.
  struct Row {
    const char* steps;
    bool shadow_read, any_shadow;
  };
  const Row rows[] = {
      {R"({disable = {rule = "*"}})", false, false},
      {R"({disable = {rule = "*"}}, {enable = {tag = "files"}})", true, false},
      {R"({disable = {rule = "*"}}, {enable = {rule = "Any*"}})", false, true},
      {R"({enable = {rule = "*"}}, {disable = {tag = "files"}})", false, true},
      {R"({disable = {rule = "*shad?w*"}})", true, true},
      {R"({disable = {rule = "*shadow"}}, {enable = {rule = "*"}})", true, true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.steps);
    auto answer = states("rules = [" + std::string(row.steps) + "]");
    CHECK((answer.find(R"("Shadow read","priority":"Warning","state":"loaded")") !=
           std::string::npos) == row.shadow_read);
    CHECK((answer.find(R"("Any shadow","priority":"Notice","state":"loaded")") !=
           std::string::npos) == row.any_shadow);
  }
}

TEST_CASE("`trivet rules` shows a rule, the fields and the events") {
  FakeHost host;
  SecurityPlugin plugin;
  REQUIRE(plugin.configure(with_rules(host, kTwoRules)).has_value());
  auto shown = ask(plugin, "show", {"Any shadow"});
  REQUIRE(shown.has_value());
  CHECK(*shown ==
        R"({"name":"Any shadow","description":"d","priority":"Notice","source":"syscall",)"
        R"("tags":"","place":"rules.yaml:8:3","state":"loaded","reason":"",)"
        R"("events":"open, openat",)"
        R"("condition":"evt.type in (open, openat) and fd.filename = shadow",)"
        R"("output":"any 100%% %fd.filename"})");
  CHECK(ask(plugin, "show", {"Any shadw"}).error().message ==
        "there is no rule \"Any shadw\": did you mean \"Any shadow\"?");
  CHECK_FALSE(ask(plugin, "show").has_value());
  CHECK(ask(plugin, "fields")->find(R"({"name":"proc.aname, proc.aname[N]","type":"text",)") !=
        std::string::npos);
  CHECK(ask(plugin, "events")
            ->find(R"({"type":"symlink","seen":true,"arguments":"res, target, linkpath"})") !=
        std::string::npos);
  CHECK(ask(plugin, "events")->find(R"({"type":"close","seen":false,"arguments":""})") !=
        std::string::npos);
}

TEST_CASE("what is wrong in the table is named with its place") {
  CHECK(refusal(kTwoRules, "disable_rules = [\"Shadow reed\"]") ==
        "trivet.toml:2:17: there is no rule \"Shadow reed\": did you mean \"Shadow read\"?");
  CHECK(refusal(kTwoRules, "rules = [{disable = {rule = \"Shadow reed\"}}]") ==
        "trivet.toml:2:9: there is no rule \"Shadow reed\": did you mean \"Shadow read\"?");
  CHECK(refusal(kTwoRules, "rules = [{disable = {}}]").find("write one of disable and enable") !=
        std::string::npos);
  CHECK(refusal(kTwoRules, "rules = [{disabel = {rule = \"*\"}}]").find("disabel") !=
        std::string::npos);
  CHECK(refusal(kTwoRules, "rule_matchin = \"all\"").find("rule_matching") != std::string::npos);
  CHECK(refusal(kTwoRules, "priority = \"loud\"").starts_with("trivet.toml:2:"));
}

TEST_CASE("every error of the files is told, the first first") {
  CHECK(refusal("- rule: a\n  desc: d\n  condition: fd.nme = x\n  output: o\n  priority: info\n"
                "- rule: b\n  desc: d\n  condition: nosuch\n  output: o\n  priority: info\n") ==
        "rules.yaml:3:14: unknown field \"fd.nme\": did you mean \"fd.name\"?\n"
        "    3 |   condition: fd.nme = x\n"
        "      |              ^\n"
        "rules.yaml:8:14: unknown macro \"nosuch\": define it, or compare a field\n"
        "    8 |   condition: nosuch\n"
        "      |              ^");
}

TEST_CASE("a record whose parts contradict its size is counted and nothing else") {
  Running run(kTwoRules);
  syscall_event event{};
  set_task(event.header, run.cat);
  event.call = call_named("openat");
  event.text_size[0] = 4000;
  run.host.deliver(event, "short");
  event.text_size[0] = 0;
  event.flags = CALL_HAS_SOCKET;
  run.host.deliver(event, "short");
  event.flags = 0;
  event.call = kExecve;
  run.host.deliver(event, "");
  CHECK(run.host.metrics().value("trivet_security_malformed_events_total") == 3);
  CHECK(run.host.records<Alert>().empty());
}

TEST_CASE("an event of an unknown process is judged; its proc fields have no value") {
  Running run(kTwoRules);
  open_file(run.host, nullptr, {.raw = "/etc/shadow", .path = "/etc/shadow"});
  CHECK(run.host.records<Alert>().at(0).output == "read /etc/shadow by <NA> (<NA>)");
}

TEST_CASE("new rules are adopted live, and the kernel tells what they need") {
  Running run(kTwoRules);
  std::string other = kTwoRules;
  other.replace(other.find("100%%"), 5, "now");
  other.replace(other.find("Shadow read"), 11, "Shadow seen");
  FakeHost host;
  SecurityPlugin next;
  REQUIRE(next.configure(with_rules(host, other)).has_value());
  CHECK(run.plugin.adopt(next));
  open_file(run.host, run.cat, {.raw = "/etc/shadow", .path = "/etc/shadow"});
  CHECK(run.host.records<Alert>().at(0).rule == "Shadow seen");

  SecurityPlugin wider;
  REQUIRE(wider
              .configure(with_rules(host,
                                    "- rule: c\n  desc: d\n  condition: evt.type = connect\n"
                                    "  output: o\n  priority: info\n"))
              .has_value());
  CHECK(run.plugin.adopt(wider));
  CHECK(run.host.tracepoints["calls"] == std::vector<std::string>{"syscalls/sys_exit_connect"});
  CHECK(wanted_profiles(run.host, "connect") != 0);
  CHECK(wanted_profiles(run.host, "openat") == 0);
  CHECK(run.host.specs.size() == 2);  // attached once: calls, and rings
  SecurityPlugin back;
  REQUIRE(back.configure(with_rules(host, kTwoRules)).has_value());
  CHECK(run.plugin.adopt(back));
  CHECK(wanted_profiles(run.host, "openat") != 0);
  REQUIRE(run.host.specs.size() == 3);
  CHECK(run.host.specs[2].name == "rings");  // which connects had no use for
}

TEST_CASE(
    "a flood of one kind raises five alerts, others in its midst too, and one tells of the rest") {
  Running run(kTwoRules);
  auto read = [&](const std::string& raw) {
    syscall_event event{};
    event.call = call_named("openat");
    event.result = event.descriptor = 3;
    event.file_mode = S_IFREG;
    deliver_call(run.host, run.cat, event, {raw, ""}, {"", ""}, raw);
  };
  for (int i = 0; i < 1000; ++i) read("/etc/shadow");
  CHECK(run.host.records<Alert>().size() == 5);
  read("/etc/other/shadow");  // another rule
  run.cat = run.host.facts().add(tree({.name = "x", .exe = "/tmp/x", .args = {"x"}}));
  read("/etc/shadow");  // another program
  CHECK(run.host.records<Alert>().size() == 7);
  run.plugin.stop();
  auto alerts = run.host.records<Alert>();
  REQUIRE(alerts.size() == 8);
  CHECK(alerts[6].exe == "/tmp/x");
  CHECK(alerts[7].rule == "Shadow read");
  CHECK(alerts[7].held == 995);
  CHECK(alerts[7].held_first == Time{60'000'000'000});
  CHECK(alerts[7].output ==
        "Held back: 995 alerts in 0 s of this rule in this cgroup, 0 of them unlike those raised; "
        "one: read /etc/shadow by cat (<NA>)");
  CHECK(run.host.metrics().value("trivet_security_held_alerts_total",
                                 {{"rule_name", "Shadow read"}}) == 995);
}

TEST_CASE("when the kernel refuses the hooks, start fails and nothing is left") {
  FakeHost host;
  SecurityPlugin plugin;
  REQUIRE(plugin.configure(with_rules(host, kTwoRules)).has_value());
  host.refuse_attach = Error{"no hook"};
  auto started = plugin.start(host);
  REQUIRE_FALSE(started.has_value());
  CHECK(started.error().message == "no hook");
  CHECK(host.attached == 0);
}

}  // namespace
}  // namespace trivet::security
