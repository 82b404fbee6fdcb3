// SPDX-License-Identifier: Apache-2.0
// Falco's own rule files, unchanged, where they are at hand.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "deeds.h"
#include "security/security.h"
#include "trivet/records/alert.h"

namespace trivet::security {
namespace {

// Empty where the files are not there.
std::string falco_file(const std::string& name) {
  const char* data = std::getenv("TRIVET_SHARED_DATA");
  std::filesystem::path path = data ? data : "../shared/data";
  path = path / "falco" / name;
  return std::filesystem::exists(path) ? path.string() : std::string();
}

#define FALCO_FILE_OR_SKIP(variable, name)                                         \
  std::string variable = falco_file(name);                                         \
  if (variable.empty()) {                                                          \
    MESSAGE("skipped: set TRIVET_SHARED_DATA to a folder that holds falco/" name); \
    return;                                                                        \
  }

struct Falco {
  FakeHost host;
  SecurityPlugin plugin;

  explicit Falco(const std::string& file) {
    auto configured =
        plugin.configure(host.config("rules_files = [\"" + file + "\"]\nrule_matching = \"all\""));
    REQUIRE_MESSAGE(configured.has_value(), (configured ? "" : configured.error().to_string()));
    REQUIRE(plugin.start(host).has_value());
  }
  ~Falco() { plugin.stop(); }

  // The rules that matched since the last call.
  std::vector<std::string> alerts() {
    std::vector<std::string> names;
    for (const auto& alert : host.records<Alert>()) names.push_back(alert.rule);
    host.forget_records();
    return names;
  }
};

using Names = std::vector<std::string>;

// How many rules the file has, each of which is judged.
std::size_t loaded_rules(const std::string& file) {
  FakeHost host;
  auto text = host.files.read(file);
  REQUIRE(text.has_value());
  // As shipped this list is empty, so that no event can match the rule that asks it.
  const TextFile choices{"choices.yaml",
                         "- list: namespace_scope_network_only_subnet\n"
                         "  items: [prod]\n  override: {items: append}\n"};
  bool incubating = file.find("incubating") != file.npos;
  auto loaded = load_rules(incubating ? std::vector{*text, choices} : std::vector{*text}, {});
  for (const auto& error : loaded.findings.errors) MESSAGE(error.to_string());
  CHECK(loaded.findings.errors.empty());
  for (const auto& status : loaded.rules.statuses()) {
    INFO(status.definition.name << ": " << name_of(status.state) << ": " << status.reason);
    CHECK(status.state == RuleState::loaded);
  }
  return loaded.rules.statuses().size();
}

TEST_CASE("every stable rule is judged") {
  FALCO_FILE_OR_SKIP(file, "falco_rules.yaml");
  CHECK(loaded_rules(file) == 25);
}

TEST_CASE("every incubating rule is judged") {
  FALCO_FILE_OR_SKIP(file, "falco-incubating_rules.yaml");
  CHECK(loaded_rules(file) == 31);
}

TEST_CASE("Read sensitive file untrusted: cat reads /etc/shadow, by whatever path") {
  FALCO_FILE_OR_SKIP(file, "falco_rules.yaml");
  Falco falco(file);
  auto shell = falco.host.facts().add(tree(
      {.name = "bash", .exe = "/usr/bin/bash", .args = {"bash"}},
      {tree(
          {.name = "cat", .exe = "/usr/bin/cat", .args = {"cat", "/etc/shadow"}, .tty = 34816})}));
  auto cat = falco.host.facts().named("cat");
  open_file(falco.host, cat, {.raw = "/etc/shadow", .path = "/etc/shadow"});
  auto records = falco.host.records<Alert>();
  REQUIRE(records.size() == 1);
  CHECK(records[0].rule == "Read sensitive file untrusted");
  CHECK(records[0].priority == "Warning");
  CHECK(records[0].source == "syscall");
  CHECK(records[0].output ==
        "Sensitive file opened for reading by non-trusted program | file=/etc/shadow gparent=<NA> "
        "ggparent=<NA> gggparent=<NA> evt_type=openat user=root user_uid=0 user_loginuid=-1 "
        "process=cat proc_exepath=/usr/bin/cat parent=bash command=cat /etc/shadow terminal=34816");
  falco.host.forget_records();

  open_file(falco.host, cat, {.raw = "/proc/self/root/etc/shadow", .path = "/etc/shadow"});
  CHECK(falco.alerts() == Names{"Read sensitive file untrusted"});
  open_file(falco.host, cat, {.raw = "/etc/passwd", .path = "/etc/passwd"});
  open_file(falco.host, cat, {.raw = "/etc/shadow", .path = "/etc/shadow", .flags = O_WRONLY});
  open_file(falco.host, cat, {.raw = "/etc/shadow"});                           // failed
  open_file(falco.host, shell, {.raw = "/etc/shadow", .path = "/etc/shadow"});  // trusted: a shell
  CHECK(falco.alerts() == Names{});
}

TEST_CASE("Clear Log Activities: a log is opened with O_TRUNC") {
  FALCO_FILE_OR_SKIP(file, "falco_rules.yaml");
  Falco falco(file);
  auto bash = falco.host.facts().add(tree({.name = "bash", .args = {"bash"}}));
  open_file(
      falco.host, bash,
      {.raw = "/var/log/syslog", .path = "/var/log/syslog", .flags = O_WRONLY | O_CREAT | O_TRUNC});
  CHECK(falco.alerts() == Names{"Clear Log Activities"});
  open_file(falco.host, bash,
            {.raw = "/var/log/syslog", .path = "/var/log/syslog", .flags = O_WRONLY | O_APPEND});
  CHECK(falco.alerts() == Names{});
}

TEST_CASE("Search Private Keys or Passwords: grep and find") {
  FALCO_FILE_OR_SKIP(file, "falco_rules.yaml");
  Falco falco(file);
  auto shell = falco.host.facts().add(
      tree({.name = "bash", .args = {"bash"}},
           {tree({.name = "grep", .args = {"grep", "-r", "BEGIN RSA PRIVATE", "/"}}),
            tree({.name = "find", .args = {"find", "/", "-name", "id_rsa"}}),
            tree({.name = "ls", .args = {"ls", "id_rsa"}})}));
  execute(falco.host, falco.host.facts().named("grep"));
  execute(falco.host, falco.host.facts().named("find"));
  execute(falco.host, falco.host.facts().named("ls"));
  CHECK(falco.alerts() ==
        Names{"Search Private Keys or Passwords", "Search Private Keys or Passwords"});
}

TEST_CASE("Create Symlink and Hardlink Over Sensitive Files") {
  FALCO_FILE_OR_SKIP(file, "falco_rules.yaml");
  Falco falco(file);
  auto ln = falco.host.facts().add(tree({.name = "ln", .args = {"ln", "-s", "/etc", "x"}}));
  link_file(falco.host, ln, {.old_path = "/etc", .new_path = "x", .base = "/tmp"});
  CHECK(falco.host.records<Alert>().at(0).output.find("target=/etc linkpath=/tmp/x ") !=
        std::string::npos);
  CHECK(falco.alerts() == Names{"Create Symlink Over Sensitive Files"});
  link_file(
      falco.host, ln,
      {.old_path = "../etc/shadow", .new_path = "x", .base = "/tmp", .call = call_named("linkat")});
  CHECK(falco.alerts() == Names{"Create Hardlink Over Sensitive Files"});
  link_file(falco.host, ln, {.old_path = "/srv/data", .new_path = "x", .base = "/tmp"});
  CHECK(falco.alerts() == Names{});
}

TEST_CASE("Run shell untrusted: a shell below a server") {
  FALCO_FILE_OR_SKIP(file, "falco_rules.yaml");
  Falco falco(file);
  falco.host.facts().add(tree({.name = "nginx", .args = {"nginx: worker process"}},
                              {tree({.name = "perl", .args = {"perl", "x.cgi"}},
                                    {tree({.name = "sh", .args = {"sh", "-c", "id"}})})}));
  falco.host.facts().add(tree({.name = "bash", .args = {"bash"}},
                              {tree({.name = "dash", .args = {"sh", "-c", "id"}})}));
  execute(falco.host, falco.host.facts().named("sh"));
  CHECK(falco.alerts() == Names{"Run shell untrusted"});
  execute(falco.host, falco.host.facts().named("dash"));
  execute(falco.host, falco.host.facts().named("sh"), PROCESS_SNAPSHOT);
  CHECK(falco.alerts() == Names{});
}

TEST_CASE("Disallowed SSH Connection Non Standard Port") {
  FALCO_FILE_OR_SKIP(file, "falco_rules.yaml");
  Falco falco(file);
  auto ssh = falco.host.facts().add(tree({.name = "ssh", .args = {"ssh", "h", "-p", "443"}}));
  connect_socket(falco.host, ssh, {.remote = "203.0.113.7", .port = 443});
  CHECK(falco.alerts() == Names{"Disallowed SSH Connection Non Standard Port"});
  connect_socket(falco.host, ssh, {.remote = "203.0.113.7", .port = 443, .result = -115});
  CHECK(falco.alerts() == Names{"Disallowed SSH Connection Non Standard Port"});
  connect_socket(falco.host, ssh, {.remote = "203.0.113.7", .port = 22});
  connect_socket(falco.host, ssh, {.remote = "203.0.113.7", .port = 443, .result = -111});
  connect_socket(falco.host, ssh, {.remote = "192.168.1.1", .port = 443});
  CHECK(falco.alerts() == Names{});
}

TEST_CASE("execution from /dev/shm and from a memfd") {
  FALCO_FILE_OR_SKIP(file, "falco_rules.yaml");
  Falco falco(file);
  falco.host.facts().add(tree({.name = "bash", .args = {"bash"}},
                              {tree({.name = "x", .exe = "/dev/shm/x", .args = {"/dev/shm/x"}}),
                               tree({.name = "3", .args = {"y"}, .exe_memfd = true})}));
  execute(falco.host, falco.host.facts().named("x"));
  CHECK(falco.alerts() == Names{"Execution from /dev/shm"});
  execute(falco.host, falco.host.facts().named("3"));
  CHECK(falco.alerts() == Names{"Fileless execution via memfd_create"});
}

}  // namespace
}  // namespace trivet::security
