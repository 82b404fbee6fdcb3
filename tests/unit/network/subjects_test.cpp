// SPDX-License-Identifier: Apache-2.0
#include "network/subjects.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "fake_host.h"

using namespace trivet;
using namespace trivet::network;

namespace {

namespace fs = std::filesystem;

// A folder of its own that goes with the test.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/trivet-subjects-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::uint64_t inode(const std::string& path) {
  struct stat found {};
  REQUIRE(stat(path.c_str(), &found) == 0);
  return found.st_ino;
}

}  // namespace

TEST_CASE("A cgroup that appears later becomes its subject's, and goes with its folder") {
  Folder cgroups;
  FakeFacts facts;
  facts.cgroup_mount = cgroups.path();
  Subjects subjects(
      {{Selector::Kind::cgroup, "/a.slice/b.service"}, {Selector::Kind::cgroup, "/"}});
  CHECK(subjects.resolve(facts));
  CHECK(subjects.identities().cgroups.at(inode(cgroups.path())) == SelectorBits{0b10});
  CHECK(subjects.unresolved() == std::vector<std::string>{"cgroup /a.slice/b.service"});

  fs::create_directories(cgroups / "a.slice/b.service");
  CHECK(subjects.resolve(facts));
  CHECK(subjects.identities().cgroups.at(inode(cgroups / "a.slice/b.service")) ==
        SelectorBits{0b01});
  CHECK_FALSE(subjects.resolve(facts));

  fs::remove_all(cgroups / "a.slice");
  CHECK(subjects.resolve(facts));
  CHECK(subjects.identities().cgroups.size() == 1);
}

TEST_CASE("A replaced executable counts as long as a process runs it") {
  Folder folder;
  FakeFacts facts;
  facts.cgroup_mount = folder.path();
  const std::string path = folder / "tool";
  std::ofstream(path) << "old";
  const std::uint64_t old_inode = inode(path);
  facts.add(tree({.name = "tool", .exe = path, .exe_inode = old_inode}));
  Subjects subjects({{Selector::Kind::executable, path}});
  CHECK(subjects.resolve(facts));
  CHECK(subjects.identities().executables.size() == 1);

  std::ofstream(folder / "new") << "new";
  fs::rename(folder / "new", path);
  CHECK(subjects.concerns({.exe = path, .exe_inode = inode(path)}));
  CHECK(subjects.resolve(facts));
  CHECK(subjects.identities().executables.size() == 2);
  CHECK_FALSE(subjects.concerns({.exe = path, .exe_inode = inode(path)}));

  facts.remove(facts.named("tool")->key.tgid);
  CHECK(subjects.resolve(facts));
  REQUIRE(subjects.identities().executables.size() == 1);
  CHECK(subjects.identities().executables.begin()->first.inode == inode(path));
}

TEST_CASE("Where the file is out of sight, a running process tells the inode") {
  Folder folder;
  FakeFacts facts;
  facts.cgroup_mount = folder.path();
  const std::string path = folder / "closed/tool";
  facts.add(tree({.name = "tool", .exe = path, .exe_inode = 4711}));
  Subjects subjects({{Selector::Kind::executable, path}});
  CHECK(subjects.resolve(facts));
  REQUIRE(subjects.identities().executables.size() == 1);
  CHECK(subjects.identities().executables.begin()->first.inode == 4711);
}

TEST_CASE("A mount's device is read as proc(5) has it, also of a file system without a disk") {
  std::istringstream mounts(
      "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
      "361 35 0:44 / /a\\040b rw - overlay none rw,lowerdir=/l\n");
  const MountDevices expected = {{36, 98u << 20}, {361, 44}};
  CHECK(read_mount_devices(mounts) == expected);
}

TEST_CASE("A unit's cgroup is found by its processes wherever it lies, and by its name at rest") {
  Folder cgroups;
  FakeFacts facts;
  facts.cgroup_mount = cgroups.path();
  fs::create_directories(cgroups / "app.slice/web.service/worker");
  fs::create_directories(cgroups / "system.slice/db@1.service");
  facts.add(tree({.cgroup = "/app.slice/web.service/worker", .unit = "web.service"}));
  facts.add(tree({.cgroup = "/system.slice/db@1.service", .unit = "db@1.service"}));
  Subjects subjects({{Selector::Kind::unit, "web.service"},
                     {Selector::Kind::unit, "db@*.service"},
                     {Selector::Kind::unit, "none.service"}});
  CHECK(subjects.concerns({.cgroup = "/app.slice/web.service/worker"}));
  CHECK(subjects.resolve(facts));
  const std::map<std::uint64_t, SelectorBits> expected = {
      {inode(cgroups / "app.slice/web.service"), {0b01}},
      {inode(cgroups / "system.slice/db@1.service"), {0b10}}};
  CHECK(subjects.identities().cgroups == expected);
  CHECK(subjects.unresolved() == std::vector<std::string>{"unit none.service"});
  CHECK_FALSE(subjects.concerns({.cgroup = "/app.slice/web.service/worker"}));
  CHECK(subjects.concerns({.cgroup = "/app.slice/other.service"}));
}

TEST_CASE("A container is found by name, image and labels, as its runtime has them") {
  const std::string id(64, 'a'), path = "/docker/docker-" + id + ".scope";
  Folder cgroups;
  FakeFacts facts;
  facts.cgroup_mount = cgroups.path();
  fs::create_directories(cgroups.path() + path + "/inner");
  facts.add(tree({.cgroup = path + "/inner", .container_id = id.substr(0, 12)}));
  Container container;
  container.id = id;
  container.name = "shop-web-1";
  container.image = "docker.io/library/nginx:1.22";
  container.labels = {{"tier", "web"}};
  facts.containers[id.substr(0, 12)] = container;
  Subjects subjects({{Selector::Kind::container_name, "shop-*"},
                     {Selector::Kind::container_image, "*/nginx:*"},
                     {Selector::Kind::container_label, "web", "tier"},
                     {Selector::Kind::container_label, "db", "tier"}});
  CHECK(subjects.resolve(facts));
  const std::map<std::uint64_t, SelectorBits> expected = {{inode(cgroups.path() + path), {0b0111}}};
  CHECK(subjects.identities().cgroups == expected);
}

TEST_CASE("Users, groups and namespaces are told by their numbers") {
  Folder folder;
  FakeFacts facts;
  facts.cgroup_mount = folder.path();
  facts.users[33] = "www-data";
  facts.groups[2'000'000] = "directory";
  std::ofstream(folder / "blue") << "";
  Subjects subjects({{Selector::Kind::user, "www-data"},
                     {Selector::Kind::user, "1000"},
                     {Selector::Kind::group, "directory"},
                     {Selector::Kind::netns, folder / "blue"},
                     {Selector::Kind::host, ""}});
  CHECK(subjects.resolve(facts));
  CHECK(subjects.unresolved() == std::vector<std::string>{"group directory"});
  facts.add(tree({.gid = 2'000'000}));
  CHECK(subjects.resolve(facts));
  const std::map<Trait, SelectorBits> expected = {
      {{POLICY_TRAIT_USER, 33}, {0b00001}},
      {{POLICY_TRAIT_USER, 1000}, {0b00010}},
      {{POLICY_TRAIT_GROUP, 2'000'000}, {0b00100}},
      {{POLICY_TRAIT_NETNS, static_cast<std::uint32_t>(inode(folder / "blue"))}, {0b01000}},
      {{POLICY_TRAIT_HOST, 1}, {0b10000}}};
  CHECK(subjects.identities().traits == expected);
}
