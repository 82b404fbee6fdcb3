// SPDX-License-Identifier: Apache-2.0
#include "broker/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace trivet;
using broker::TrustedFiles;
namespace fs = std::filesystem;

namespace {

// A folder under /tmp, root's and sticky as everywhere, with a good file in a good folder.
struct Tree {
  Tree() {
    ::umask(022);
    char name[] = "/tmp/trivet-files-XXXXXX";
    REQUIRE(::mkdtemp(name));
    root = name;
    ::chmod(name, 0755);
    fs::create_directory(root + "/etc");
    write("/etc/good", "good");
  }
  ~Tree() { fs::remove_all(root); }
  void write(const std::string& path, const std::string& text) const {
    std::ofstream(root + path) << text;
  }
  std::string at(const std::string& path) const { return root + path; }
  std::string root;
};

// Whoever runs the test stands for the user who called sudo.
TrustedFiles ours() {
  return TrustedFiles({0, ::geteuid()}, {});
}

std::string read(const UniqueFd& fd) {
  char text[64] = {};
  ssize_t size = ::read(fd.get(), text, sizeof(text));
  return size < 0 ? "unreadable" : std::string(text, static_cast<std::size_t>(size));
}

std::string refusal(const Result<UniqueFd>& result) {
  return result ? "opened" : result.error().message;
}

}  // namespace

TEST_CASE("a file of a trusted owner is opened, also through links of trusted owners") {
  Tree tree;
  auto file = ours().open_file(tree.at("/etc/good"));
  REQUIRE_MESSAGE(file.has_value(), refusal(file));
  CHECK(read(*file) == "good");
  fs::create_directory_symlink("etc", tree.at("/relative"));
  fs::create_directory_symlink(tree.at("/etc"), tree.at("/absolute"));
  fs::create_directory_symlink("../relative/../absolute", tree.at("/etc/up"));
  for (const char* path :
       {"/relative/good", "/absolute/good", "/etc/up/good", "/etc/../etc/./good", "//etc///good"}) {
    auto found = ours().open_file(tree.at(path));
    CAPTURE(path);
    REQUIRE_MESSAGE(found.has_value(), refusal(found));
    CHECK(read(*found) == "good");
  }
}

TEST_CASE("what others could write or exchange is refused with the remedy") {
  Tree tree;
  SUBCASE("a file that its group can write") {
    ::chmod(tree.at("/etc/good").c_str(), 0664);
    auto file = ours().open_file(tree.at("/etc/good"));
    CHECK(refusal(file).find("chmod go-w " + tree.at("/etc/good")) != std::string::npos);
  }
  SUBCASE("a file in a folder that everybody can write") {
    ::chmod(tree.at("/etc").c_str(), 0777);
    CHECK(refusal(ours().open_file(tree.at("/etc/good"))).find("chmod go-w " + tree.at("/etc")) !=
          std::string::npos);
  }
  SUBCASE("a sticky folder of root's is good on the way only") {
    auto names = ours().list_folder("/tmp");
    REQUIRE(!names);
    CHECK(names.error().code == EPERM);
  }
  SUBCASE("a file or a folder of another user") {
    // As an ordinary user one's own files are another's than root's.
    if (::geteuid() == 0) REQUIRE(::chown(tree.at("/etc/good").c_str(), 12345, 0) == 0);
    auto file = TrustedFiles({0}, {}).open_file(tree.at("/etc/good"));
    CHECK(refusal(file).find("chown root ") != std::string::npos);
  }
  SUBCASE("a path that ends in a link") {
    fs::create_symlink("good", tree.at("/etc/link"));
    auto file = ours().open_file(tree.at("/etc/link"));
    REQUIRE(!file);
    CHECK(file.error().code == ELOOP);
  }
  SUBCASE("links in a circle") {
    fs::create_symlink("b", tree.at("/a"));
    fs::create_symlink("a", tree.at("/b"));
    auto file = ours().open_file(tree.at("/a/good"));
    REQUIRE(!file);
    CHECK(file.error().code == ELOOP);
  }
}

TEST_CASE("what is no file is refused without waiting for it") {
  Tree tree;
  REQUIRE(::mkfifo(tree.at("/etc/pipe").c_str(), 0600) == 0);
  CHECK(!ours().open_file(tree.at("/etc/pipe")));
  auto folder = ours().open_file(tree.at("/etc"));
  REQUIRE(!folder);
  CHECK(folder.error().code == EISDIR);
  auto missing = ours().open_file(tree.at("/etc/missing"));
  REQUIRE(!missing);
  CHECK(missing.error().code == ENOENT);
  for (const std::string& path :
       {std::string(), std::string("etc/good"), std::string("/etc\0/x", 7)}) {
    CHECK(!ours().open_file(path));
  }
}

TEST_CASE("a folder is listed sorted, without hidden files") {
  Tree tree;
  tree.write("/etc/b.yaml", "");
  tree.write("/etc/a.yaml", "");
  tree.write("/etc/.a.yaml.swp", "");
  auto names = ours().list_folder(tree.at("/etc"));
  REQUIRE(names.has_value());
  CHECK(*names == std::vector<std::string>{"a.yaml", "b.yaml", "good"});
  auto file = ours().list_folder(tree.at("/etc/good"));
  REQUIRE(!file);
  CHECK(file.error().code == ENOTDIR);
}

TEST_CASE("only a build tree trusts the user who called sudo, and says so once") {
  ::setenv("SUDO_UID", "1000", 1);
  CHECK(broker::trusted_owners(false) == std::vector<uid_t>{0});
  CHECK(broker::trusted_owners(true) == std::vector<uid_t>{0, 1000});
  for (const char* wrong : {"", "-1", "x", "1000x", "99999999999999999999"}) {
    CAPTURE(wrong);
    ::setenv("SUDO_UID", wrong, 1);
    CHECK(broker::trusted_owners(true) == std::vector<uid_t>{0});
  }
  ::unsetenv("SUDO_UID");
  CHECK(broker::trusted_owners(true) == std::vector<uid_t>{0});

  Tree tree;
  uid_t user = ::geteuid();
  if (user == 0) {
    user = 12345;
    REQUIRE(::chown(tree.at("/etc/good").c_str(), user, 0) == 0);
  }
  int warnings = 0;
  TrustedFiles files({0, user, ::geteuid()}, [&](std::string_view) { warnings++; });
  CHECK(files.open_file(tree.at("/etc/good")).has_value());
  CHECK(files.open_file(tree.at("/etc/good")).has_value());
  CHECK(warnings == 1);
}
