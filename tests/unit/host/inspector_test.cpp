// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "facts/inspector.h"
#include "facts/sha256.h"
#include "temporary_folder.h"

namespace trivet {
namespace {

using namespace std::chrono_literals;

const std::string kId(64, 'c');

// Files of the test's own in the place of root's.
class TestFiles final : public HostFiles {
 public:
  explicit TestFiles(std::string folder) : folder_(std::move(folder)) {}
  Result<std::vector<Named>> container_state(const std::string& id) override {
    ++asked;
    std::vector<Named> files;
    UniqueFd file(::open((folder_ + "/" + id).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return Error{"no such container", ENOENT};
    files.push_back({"docker config", std::move(file)});
    return files;
  }
  Result<UniqueFd> environment(const TaskKey& task) override {
    ++asked;
    return open("environ-" + std::to_string(task.tgid));
  }
  Result<UniqueFd> executable(const TaskKey& task) override {
    ++asked;
    return open("exe-" + std::to_string(task.tgid));
  }
  inline static std::atomic<int> asked = 0;

 private:
  Result<UniqueFd> open(const std::string& name) {
    UniqueFd file(::open((folder_ + "/" + name).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return Error{"gone", ESRCH};
    return file;
  }
  const std::string folder_;
};

struct World {
  World() : inspector(std::make_unique<TestFiles>(folder.path(".")), 0) { TestFiles::asked = 0; }
  TemporaryFolder folder;
  Inspector inspector;
};

bool within(std::chrono::milliseconds limit, const std::function<bool()>& ask) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!ask()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

TEST_CASE("SHA-256 is that of FIPS 180-4") {
  const auto hash = [](const std::string& text) {
    Sha256 sum;
    sum.add(std::as_bytes(std::span(text)));
    return sum.hex();
  };
  CHECK(hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hash(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("a container is unknown until its runtime has written its files") {
  World world;
  world.inspector.want_container(kId);
  CHECK_FALSE(world.inspector.container(kId));
  REQUIRE(within(2s, [] { return TestFiles::asked == 1; }));
  world.folder.write(kId, R"({"Name":"/late","State":{"StartedAt":"2024-05-06T07:08:09Z"}})");
  REQUIRE(within(5s, [&] { return world.inspector.container(kId) != nullptr; }));
  CHECK(world.inspector.container(kId.substr(0, 12))->name == "late");
  CHECK(world.inspector.counts().containers == 1);
  const int asked = TestFiles::asked;
  for (int i = 0; i < 100; ++i) world.inspector.want_container(kId);
  std::this_thread::sleep_for(20ms);
  CHECK(TestFiles::asked == asked);
}

TEST_CASE("more containers than there is room for wait in a bounded queue, the rest counted") {
  World world;
  for (int i = 0; i < 20'000; ++i) {
    std::string id = std::to_string(i);
    world.inspector.want_container(std::string(64 - id.size(), '0') + id);
  }
  // All of these share twelve zeros, so they are one container by its short id.
  CHECK(world.inspector.counts().dropped == 0);
  for (int i = 0; i < 20'000; ++i) {
    std::string id = std::to_string(i);
    world.inspector.want_container(id + std::string(64 - id.size(), 'f'));
  }
  CHECK(world.inspector.counts().dropped > 0);
}

TEST_CASE("an environment comes within the patience, is kept, and is unknown for who has gone") {
  World world;
  world.folder.write("environ-10", std::string("PATH=/bin\0HOME=/root\0", 21));
  Process process;
  process.key = {1, 10, 0};
  const auto found = world.inspector.environment(process, 2s);
  REQUIRE(found);
  CHECK(*found == std::vector<std::string>{"PATH=/bin", "HOME=/root"});
  CHECK(world.inspector.environment(process, 0ms) == found);
  process.key = {1, 11, 0};
  CHECK_FALSE(world.inspector.environment(process, 2s));
}

TEST_CASE("an executable's hash is read once for all its processes, and only of the same inode") {
  World world;
  world.folder.write("exe-10", "abc");
  struct stat status {};
  REQUIRE(::stat(world.folder.path("exe-10").c_str(), &status) == 0);
  Process process;
  process.key = {1, 10, 0};
  process.exe_inode = status.st_ino;
  CHECK(world.inspector.exe_sha256(process, 2s) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  process.key = {2, 12, 0};
  CHECK(world.inspector.exe_sha256(process, 0ms));
  CHECK(TestFiles::asked == 1);
  process.key = {1, 10, 0};
  process.exe_inode = status.st_ino + 1;
  CHECK_FALSE(world.inspector.exe_sha256(process, 2s));
}

}  // namespace
}  // namespace trivet
