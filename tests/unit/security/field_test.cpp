// SPDX-License-Identifier: Apache-2.0
// What each field answers for the events of a small world.
#include "security/fields/field.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <set>

#include "fake_host.h"

namespace trivet::security {
namespace {

struct World {
  FakeHost host;
  event_header header{};
  World() {
    Process sshd{.name = "sshd", .exe = "/usr/sbin/sshd", .args = {"sshd:", "root@pts/0"}};
    Process bash{.name = "bash", .exe = "/usr/bin/bash", .args = {"-bash"}};
    Process cat{.name = "cat",
                .exe = "/usr/bin/cat",
                .cwd = "/tmp",
                .args = {"./cat", "-n", "/etc/shadow"},
                .tty = 34816};
    cat.sid = 1001;
    cat.login_uid = 0;
    cat.cap_effective = 1 << 5;
    cat.exe_ctime_ns = 1'700'000'000'000'000'000;
    host.facts().add(tree(sshd, {tree(bash, {tree(cat)})}));
  }
  RuleEvent event(std::size_t type) {
    RuleEvent event;
    event.type = type;
    event.number = 7;
    event.process = host.facts().named("cat");
    event.parent = host.facts().process(event.process->parent);
    header.task = {event.process->key.start_ns, event.process->key.tgid, 0};
    header.tid = event.process->key.tgid;
    header.time_ns = event.process->key.start_ns + 5'000;
    event.header = &header;
    event.facts = &host.facts();
    return event;
  }
};

std::string read(const RuleEvent& event, std::string_view name, const std::string& argument = "") {
  const Field* field = find_field(name);
  REQUIRE(field);
  FieldArgument parsed{argument, {}};
  if (!argument.empty() && argument.find_first_not_of("0123456789") == argument.npos) {
    parsed.index = static_cast<std::uint32_t>(std::stoul(argument));
  }
  return show(field->get(event, parsed));
}

TEST_CASE("the process and its ancestors") {
  World world;
  auto event = world.event(kExecve);
  struct Row {
    const char* field;
    const char* argument;
    const char* value;
  };
  const Row rows[] = {
      {"evt.type", "", "execve"},
      {"evt.num", "", "7"},
      {"evt.res", "", "SUCCESS"},
      {"proc.name", "", "cat"},
      {"proc.exe", "", "./cat"},
      {"proc.exepath", "", "/usr/bin/cat"},
      {"proc.args", "", "-n /etc/shadow"},
      {"proc.cmdline", "", "cat -n /etc/shadow"},
      {"proc.exeline", "", "./cat -n /etc/shadow"},
      {"proc.cwd", "", "/tmp/"},
      {"proc.pid", "", "1002"},
      {"proc.ppid", "", "1001"},
      {"proc.pname", "", "bash"},
      {"proc.pexe", "", "-bash"},
      {"proc.pexepath", "", "/usr/bin/bash"},
      {"proc.pcmdline", "", "bash"},
      {"proc.aname", "", "bash,sshd"},
      {"proc.aname", "0", "cat"},
      {"proc.aname", "2", "sshd"},
      {"proc.aname", "3", "<NA>"},
      {"proc.apid", "1", "1001"},
      {"proc.aexepath", "2", "/usr/sbin/sshd"},
      {"proc.sname", "", "bash"},
      {"proc.tty", "", "34816"},
      {"proc.duration", "", "5000"},
      {"thread.cap_effective", "", "CAP_KILL"},
      {"user.name", "", "root"},
      {"user.loginuid", "", "0"},
      {"group.name", "", "root"},
      {"container.id", "", "host"},
      {"container.image.repository", "", "<NA>"},
      {"k8s.ns.name", "", "<NA>"},
      {"fd.name", "", "<NA>"},
      {"fd.num", "", "<NA>"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.field);
    CAPTURE(row.argument);
    CHECK(read(event, row.field, row.argument) == row.value);
  }
}

TEST_CASE("a container as its runtime describes it") {
  World world;
  Process inside{.name = "nginx", .exe = "/usr/sbin/nginx", .container_id = "0123456789ab"};
  world.host.facts().add(tree(inside));
  Container container;
  container.id = "0123456789ab" + std::string(52, '0');
  container.runtime = "containerd";
  container.name = "web";
  container.image = "registry.example:5000/shop/web:1.2@sha256:beef";
  container.image_digest = "sha256:beef";
  container.labels = {{"app", "shop"}, {"tier", "front"}};
  container.pod_name = "web-0";
  container.pod_namespace = "prod";
  container.privileged = true;
  container.mounts = {{"/srv", "/data", false, "rprivate"}, {"/etc", "/host", true, ""}};
  container.started_ns = 1;
  auto event = world.event(kExecve);
  event.process = world.host.facts().named("nginx");
  event.parent = world.host.facts().process(event.process->parent);
  CHECK(read(event, "container.id") == "0123456789ab");
  CHECK(read(event, "container.name") == "<NA>");
  CHECK(read(event, "container.privileged") == "<NA>");
  world.host.facts().containers["0123456789ab"] = container;
  struct Row {
    const char* field;
    const char* argument;
    const char* value;
  };
  for (const auto& row : std::initializer_list<Row>{
           {"container.name", "", "web"},
           {"container.type", "", "containerd"},
           {"container.image", "", "registry.example:5000/shop/web:1.2@sha256:beef"},
           {"container.image.repository", "", "registry.example:5000/shop/web"},
           {"container.image.tag", "", "1.2"},
           {"container.image.digest", "", "sha256:beef"},
           {"container.privileged", "", "true"},
           {"container.start_ts", "", "1700000000000000001"},
           {"container.mounts", "", "/srv:/data::true:rprivate /etc:/host:ro:false:"},
           {"container.mount.dest", "/srv", "/data"},
           {"container.mount.source", "/host", "/etc"},
           {"container.mount.rdwr", "1", "false"},
           {"container.mount", "7", "<NA>"},
           {"container.label", "tier", "front"},
           {"container.label", "none", "<NA>"},
           {"container.labels", "", "app:shop, tier:front"},
           {"k8s.pod.name", "", "web-0"},
           {"k8s.ns.name", "", "prod"},
           {"k8s.pod.label", "app", "shop"},
       }) {
    CAPTURE(row.field);
    CAPTURE(row.argument);
    CHECK(read(event, row.field, row.argument) == row.value);
  }
}

TEST_CASE("the environment, one variable of it, and the hash of the executable") {
  World world;
  auto event = world.event(kExecve);
  CHECK(read(event, "proc.env") == "<NA>");
  world.host.facts().environments[event.process->key.tgid] = {"HOME=/root", "A=b=c"};
  world.host.facts().hashes["/usr/bin/cat"] = "beef";
  CHECK(read(event, "proc.env") == "HOME=/root A=b=c");
  CHECK(read(event, "proc.env", "A") == "b=c");
  CHECK(read(event, "proc.env", "HOM") == "<NA>");
  CHECK(read(event, "proc.exe_sha256") == "beef");
}

TEST_CASE("an opened file, a folder, and an open that failed") {
  World world;
  auto event = world.event(call_named("openat"));
  event.path = "/etc/pam.d/sshd";
  event.given_raw[0] = "../etc/pam.d/sshd";
  event.open_flags = O_RDWR | O_CREAT;
  event.open_mode = 0755;
  event.result = 4;
  CHECK(read(event, "fd.name") == "/etc/pam.d/sshd");
  CHECK(read(event, "fd.nameraw") == "../etc/pam.d/sshd");
  CHECK(read(event, "fd.directory") == "/etc/pam.d");
  CHECK(read(event, "fd.filename") == "sshd");
  CHECK(read(event, "fd.num") == "4");
  CHECK(read(event, "fd.typechar") == "f");
  CHECK(read(event, "evt.is_open_read") == "true");
  CHECK(read(event, "evt.is_open_write") == "true");
  CHECK(read(event, "evt.is_open_exec") == "true");
  CHECK(read(event, "evt.arg", "flags") == "O_CREAT|O_RDWR");
  CHECK(read(event, "evt.arg", "name") == "/etc/pam.d/sshd");
  CHECK(read(event, "evt.arg", "nosuch") == "<NA>");
  CHECK(read(event, "evt.rawres") == "4");
  event.path = "/shadow";
  CHECK(read(event, "fd.directory") == "/");
  event.file_mode = S_IFDIR;
  CHECK(read(event, "fd.typechar") == "d");
  event.file_mode = 0;
  event.result = -2;
  CHECK(read(event, "fd.num") == "-1");
  CHECK(read(event, "fd.typechar") == "f");
  CHECK(read(event, "evt.res") == "ENOENT");
  CHECK(read(event, "evt.failed") == "true");
}

TEST_CASE("a connection: the remote end is the server") {
  World world;
  auto event = world.event(call_named("connect"));
  event.family = 2;
  event.protocol = 6;
  event.local = *IpAddress::parse("10.0.0.1");
  event.remote = *IpAddress::parse("203.0.113.7");
  event.local_port = 40000;
  event.remote_port = 443;
  event.descriptor = 5;
  CHECK(read(event, "fd.name") == "10.0.0.1:40000->203.0.113.7:443");
  CHECK(read(event, "fd.sip") == "203.0.113.7");
  CHECK(read(event, "fd.cport") == "40000");
  CHECK(read(event, "fd.ip") == "10.0.0.1,203.0.113.7");
  CHECK(read(event, "fd.type") == "ipv4");
  CHECK(read(event, "fd.typechar") == "4");
  CHECK(read(event, "fd.l4proto") == "tcp");
  CHECK(read(event, "fd.connected") == "true");
  CHECK(read(event, "fd.directory") == "<NA>");
  CHECK(read(event, "evt.arg", "addr") == "203.0.113.7:443");
}

TEST_CASE("an unknown process has no value in any field, and none crashes") {
  World world;
  auto event = world.event(kExecve);
  event.process = event.parent = nullptr;
  CHECK(read(event, "proc.name") == "<NA>");
  CHECK(read(event, "proc.aname") == "<NA>");
  CHECK(read(event, "container.id") == "<NA>");
  for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
    event.type = type;
    for (const auto& name : field_names()) read(event, name, "1");
  }
}

TEST_CASE("a chain of parents that loops is left") {
  FakeHost host;
  Process a{.name = "a"};
  a.key = {1, 10, 0};
  a.parent = {1, 10, 0};
  auto loop = host.facts().add(tree(a));
  event_header header{};
  RuleEvent event;
  event.type = kExecve;
  event.process = event.parent = loop;
  event.header = &header;
  event.facts = &host.facts();
  CHECK(read(event, "proc.aname", "1") == "a");
  CHECK(read(event, "proc.aname", "500") == "<NA>");
  CHECK(read(event, "proc.aname").size() < 200);
}

TEST_CASE("field names are unique, and none is both built and unbuilt") {
  std::set<std::string> seen;
  for (const auto& name : field_names()) {
    CAPTURE(name);
    CHECK(seen.insert(name).second);
    CHECK_FALSE(is_unbuilt_field(name));
    CHECK_FALSE(find_field(name)->meaning.empty());
  }
}

}  // namespace
}  // namespace trivet::security
