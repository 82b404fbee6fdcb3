// SPDX-License-Identifier: Apache-2.0
// What the tests of the broker share: a main process is a child without descriptors of ours, so it
// tells what it found through shared memory.
#pragma once

#include <doctest/doctest.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "broker/broker.h"

namespace trivet {

// Sentences about what was not as it should be, shared by both processes.
class Findings {
 public:
  Findings() : text_(map()) {}
  ~Findings() { ::munmap(text_, size); }
  void expect(bool good, const std::string& sentence) {
    if (good) return;
    std::size_t used = std::strlen(text_);
    std::snprintf(text_ + used, size - used, "%s; ", sentence.c_str());
  }
  std::string text() const { return text_; }

 private:
  static constexpr std::size_t size = 64 * 1024;
  static char* map() {
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return static_cast<char*>(memory);
  }
  char* text_;
};

// A folder that is gone at the end of the test.
struct TemporaryFolder {
  TemporaryFolder() {
    char name[] = "/tmp/trivet-broker-XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
    ::chmod(name, 0755);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
  std::string path;
};

inline ObjectSpec lifecycle() {
  return {"lifecycle",
          {{"fork", {{"tp_btf", {"process_fork"}}}},
           {"exec", {{"tp_btf", {"process_exec"}}}},
           {"exit", {{"tp_btf", {"process_exit"}}}}},
          {},
          {}};
}

// The test goes on after the run, and its main process starts programs.
inline broker::BrokerOptions options() {
  broker::BrokerOptions options;
  options.confined = false;
  options.plugin_directory = "/nonexistent";
  return options;
}

inline std::string real_path(const char* path) {
  return std::filesystem::canonical(path).string();
}

// Ids of all programs, maps and links in the kernel.
inline std::vector<std::set<std::uint32_t>> kernel_objects() {
  std::vector<std::set<std::uint32_t>> objects;
  for (int command : {BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID}) {
    auto& ids = objects.emplace_back();
    bpf_attr attr{};
    while (::syscall(SYS_bpf, command, &attr, sizeof(attr)) == 0) {
      ids.insert(attr.next_id);
      attr.start_id = attr.next_id;
    }
  }
  return objects;
}

// Programs and maps are freed after a grace period.
inline bool gone_within(const std::vector<std::set<std::uint32_t>>& before,
                        std::chrono::seconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    auto now = kernel_objects();
    bool left = false;
    for (std::size_t i = 0; i < now.size(); i++) {
      for (auto id : now[i]) left = left || !before[i].contains(id);
    }
    if (!left) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace trivet
