// SPDX-License-Identifier: Apache-2.0
#include "broker/listener.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

using namespace trivet;
using broker::Listener;
using broker::TrustedFiles;
namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() {
    ::umask(022);
    char name[] = "/tmp/trivet-listener-XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
    ::chmod(name, 0755);
  }
  ~Folder() { fs::remove_all(path); }
  std::string at(const std::string& name) const { return path + "/" + name; }
  std::string path;
};

Result<Listener> open(const std::string& path) {
  TrustedFiles folders({0}, {});
  return Listener::open("control", path, {"root", "root"}, folders);
}

// Leaves a socket behind as a process that was killed does.
void leave_socket(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
}

bool is_root() {
  if (::geteuid() == 0) return true;
  MESSAGE("skipped: needs root");
  return false;
}

}  // namespace

TEST_CASE("a listener makes its folder and socket, and leaves neither") {
  if (!is_root()) return;
  Folder folder;
  {
    auto listener = open(folder.at("run/trivet.sock"));
    REQUIRE_MESSAGE(listener.has_value(), (listener ? "" : listener.error().message));
    struct stat status {};
    REQUIRE(::stat(folder.at("run/trivet.sock").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0660);
    CHECK(status.st_uid == 0);
    REQUIRE(::stat(folder.at("run").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0755);
  }
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("a folder that was there stays, and so does what else is in it") {
  if (!is_root()) return;
  Folder folder;
  fs::create_directory(folder.at("run"));
  CHECK(open(folder.at("run/trivet.sock")).has_value());
  CHECK(fs::is_empty(folder.at("run")));
  CHECK(fs::exists(folder.at("run")));
}

TEST_CASE("a folder that others can write, that is another's or that a link names is refused") {
  if (!is_root()) return;
  Folder folder;
  fs::create_directory(folder.at("shared"));
  ::chmod(folder.at("shared").c_str(), 01777);
  fs::create_directory(folder.at("foreign"));
  REQUIRE(::chown(folder.at("foreign").c_str(), 4711, 4711) == 0);
  fs::create_directory(folder.at("own"));
  fs::create_directory_symlink(folder.at("own"), folder.at("link"));
  for (const char* name : {"shared", "foreign", "link"}) {
    CAPTURE(name);
    auto refused = open(folder.at(name) + "/trivet.sock");
    REQUIRE(!refused);
    CHECK(refused.error().message.find(folder.at(name)) != std::string::npos);
  }
  CHECK(fs::is_empty(folder.at("own")));
  CHECK(fs::is_empty(folder.at("shared")));
}

TEST_CASE("a second start neither takes nor removes the socket of the first") {
  if (!is_root()) return;
  Folder folder;
  std::string path = folder.at("trivet.sock");
  auto first = open(path);
  REQUIRE(first.has_value());
  auto second = open(path);
  REQUIRE(!second);
  CHECK(second.error().code == EADDRINUSE);
  CHECK(fs::is_socket(path));
  // Not even where the socket looks dead, as between bind and listen.
  fs::remove(path);
  leave_socket(path);
  CHECK(!open(path));
  CHECK(fs::is_socket(path));
}

TEST_CASE("a socket and a lock file that a killed process left are replaced, other files are not") {
  if (!is_root()) return;
  Folder folder;
  leave_socket(folder.at("trivet.sock"));
  leave_socket(folder.at("other.sock"));
  REQUIRE(::symlink("/nonexistent", folder.at("link.sock").c_str()) == 0);
  CHECK(open(folder.at("trivet.sock")).has_value());
  CHECK(!fs::exists(folder.at("trivet.sock")));
  auto refused = open(folder.at("link.sock"));
  REQUIRE(!refused);
  CHECK(refused.error().code == EEXIST);
  CHECK(fs::is_socket(folder.at("other.sock")));
}
