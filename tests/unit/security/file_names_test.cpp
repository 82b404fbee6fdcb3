// SPDX-License-Identifier: Apache-2.0
#include "security/file_names.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "fake_host.h"
#include "security/rules/rule_set.h"

namespace trivet::security {
namespace {

namespace fs = std::filesystem;

// A folder of the build's file system with a secret, a link to the folder and a second name.
struct Files {
  static inline int made = 0;
  fs::path top =
      fs::absolute("file-names-test-" + std::to_string(getpid()) + "-" + std::to_string(made++));
  fs::path secret = top / "protected/secret";
  Files() {
    fs::create_directories(top / "protected");
    std::ofstream(secret) << "x";
    fs::create_symlink(top / "protected", top / "link");
    fs::create_hard_link(secret, top / "second");
    top = fs::canonical(top);
    secret = top / "protected/secret";
  }
  ~Files() { fs::remove_all(top); }
};

struct World {
  Files files;
  FakeFacts facts;
  event_header header{};
  RuleEvent event;
  FileNames names{{files.secret}, true};

  explicit World(std::string_view call) {
    struct stat own {};
    stat("/proc/self/ns/mnt", &own);
    Process cat{.name = "cat", .cwd = files.top};
    cat.mount_namespace = static_cast<std::uint32_t>(own.st_ino);
    event.process = facts.add(tree(cat));
    header.task.tgid = event.process->key.tgid;
    event.header = &header;
    event.facts = &facts;
    for (event.type = 0; kEventTypes[event.type] != call;) ++event.type;
  }
  // The first path as given, seen from the top folder.
  std::vector<FileNames::Reading> given(const std::string& path) {
    base = files.top;
    text = path;
    event.base[0] = base;
    event.given_raw[0] = text;
    event.given[0] = absolute_path(base, text);
    return names.readings(event);
  }
  std::string base, text;
};

TEST_CASE("the paths that rules name are those that conditions compare paths with") {
  auto loaded =
      load_rules({{"r.yaml",
                   "- list: l\n  items: [/etc/shadow, relative]\n"
                   "- rule: r\n  desc: d\n  condition: >\n"
                   "    evt.type = openat and (fd.name in (l) or fd.name startswith /usr/\n"
                   "    or fs.path.name = /etc/passwd or proc.exepath = /bin/cat)\n"
                   "  output: o\n  priority: info\n"}},
                 {});
  REQUIRE(loaded.findings.errors.empty());
  CHECK(paths_named(loaded.rules.graph()) ==
        std::vector<std::string>{"/etc/passwd", "/etc/shadow", "/usr/"});
}

TEST_CASE("a path without links has no other name, and is certain") {
  World world("chmod");
  CHECK(world.given("protected/secret").empty());
  CHECK_FALSE(world.event.uncertain);
}

TEST_CASE(
    "a path through a link is also where the link leads, as far as that can be looked up later") {
  World world("chmod");
  auto readings = world.given("link/./secret");
  REQUIRE(readings.size() == 1);
  CHECK(readings[0].given[0] == world.files.secret);
  CHECK(world.event.uncertain);
}

TEST_CASE("dots behind a link count from where it leads") {
  World world("mkdir");
  auto readings = world.given("link/../protected/new");
  REQUIRE(readings.size() <= 1);
  // As text the same, so nothing else to judge.
  CHECK(world.event.given[0] == world.files.top / "protected/new");
}

TEST_CASE("a removed name is looked up by its folder, not by what it led to") {
  World world("unlink");
  auto readings = world.given("link/gone");
  REQUIRE(readings.size() == 1);
  CHECK(readings[0].given[0] == world.files.top / "protected/gone");
  World itself("unlink");
  CHECK(itself.given("link").empty());
}

TEST_CASE("/proc/self is that of the process, not ours") {
  World world("chmod");
  auto readings = world.given("/proc/self/root" + world.files.secret.string());
  REQUIRE(readings.size() == 1);
  CHECK(readings[0].given[0] == world.files.secret);
  readings = world.given("/proc/self/cwd/protected/secret");
  REQUIRE(readings.size() == 1);
  CHECK(readings[0].given[0] == world.files.secret);
}

TEST_CASE("a hard link of a file that rules name is that file") {
  World world("chmod");
  auto readings = world.given("second");
  REQUIRE(readings.size() == 1);
  CHECK(readings[0].given[0] == world.files.secret);
}

TEST_CASE("where the kernel said where a path led, nothing is uncertain") {
  World world("chmod");
  std::string led_to = world.files.secret;
  world.event.resolved[0] = led_to;
  auto readings = world.given("link/secret");
  REQUIRE(readings.size() == 1);
  CHECK(readings[0].given[0] == world.files.secret);
  CHECK_FALSE(world.event.uncertain);
}

TEST_CASE("the paths of containers and changed roots are not looked up here") {
  World world("chmod");
  world.event.root_elsewhere = true;
  CHECK(world.given("link/secret").empty());
  CHECK(world.event.uncertain);
}

TEST_CASE("an open's file is known by its inode, whatever it is called") {
  World world("openat");
  MountTable mounts;
  mounts.refresh();
  struct stat seen {};
  stat(world.files.secret.c_str(), &seen);
  world.event.path = "/elsewhere/second";
  world.event.inode = seen.st_ino;
  world.event.device = static_cast<std::uint32_t>(major(seen.st_dev) << 20 | minor(seen.st_dev));
  if (!mounts.whole(world.event.device)) return;  // an overlay or the like: no such device
  auto readings = world.names.readings(world.event);
  REQUIRE_FALSE(readings.empty());
  CHECK(readings.back().path == world.files.secret);
}

// Two file systems; part of the first is mounted a second time, and so is all of it.
constexpr const char* kMounts =
    "21 1 254:0 / / rw - ext4 /dev/vda rw\n"
    "22 21 0:30 / /data rw shared:1 - tmpfs tmpfs rw\n"
    "23 21 254:0 /etc /srv/a\\040b rw - ext4 /dev/vda rw\n"
    "24 21 254:0 / /mnt rw - ext4 /dev/vda rw\n"
    "25 24 0:31 / /mnt/deep rw - tmpfs tmpfs rw\n"
    "nonsense\n";

TEST_CASE("a mount that shows what is elsewhere as well gives its files a second name") {
  MountTable mounts;
  mounts.parse(kMounts);
  CHECK(mounts.all_local());
  CHECK(mounts.name_in_whole("/srv/a b/shadow") == "/etc/shadow");
  CHECK(mounts.name_in_whole("/srv/a b") == "/etc");
  CHECK(mounts.name_in_whole("/mnt/etc/shadow") == "/etc/shadow");
  CHECK_FALSE(mounts.name_in_whole("/mnt/deep/x"));
  CHECK_FALSE(mounts.name_in_whole("/mntx/etc"));
  CHECK_FALSE(mounts.name_in_whole("/etc/shadow"));
  CHECK_FALSE(mounts.name_in_whole("/data/x"));
  REQUIRE(mounts.whole(254u << 20));
  CHECK(mounts.whole(254u << 20)->point == "/");
}

TEST_CASE("a file system that another machine or program serves may keep a lookup waiting") {
  MountTable mounts;
  mounts.parse(std::string(kMounts) + "30 21 0:40 / /net rw - nfs4 server:/x rw\n");
  CHECK_FALSE(mounts.all_local());
}

}  // namespace
}  // namespace trivet::security
