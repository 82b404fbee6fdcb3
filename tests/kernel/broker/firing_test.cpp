// SPDX-License-Identifier: Apache-2.0
// Whether programs that no longer run are found, and only those, on this kernel.
#include "broker/firing.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <string>
#include <vector>

#include "broker/loader.h"
#include "plugins/elf.h"
#include "plugins/manifest.h"
#include "stage.h"

namespace trivet {
namespace {

// This program carries the object as trivet does.
std::vector<std::byte> lifecycle_bytes() {
  UniqueFd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  auto elf = plugins::ElfFile::open(self.get(), "this test");
  REQUIRE(elf.has_value());
  auto bytes = elf->read(std::string(plugins::object_section_prefix) + "lifecycle");
  REQUIRE(bytes.has_value());
  return std::move(*bytes);
}

std::vector<std::string> silent_hooks(const broker::Loader& loader,
                                      const broker::AttachedObject& object) {
  auto found = loader.find_silent(object.programs(), broker::Reach::quiet);
  REQUIRE(found.has_value());
  std::vector<std::string> hooks;
  for (const auto& silent : *found) hooks.push_back(silent.hook);
  return hooks;
}

}  // namespace

TEST_CASE("a program whose link is gone is found silent, one that was never made to run is not") {
  broker::Loader loader;
  auto object = loader.load(lifecycle_bytes(), lifecycle());
  REQUIRE(object.has_value());
  REQUIRE(object->programs().size() == 3);
  for (int times = 0; times < 20; times++) CHECK(silent_hooks(loader, *object).empty());
  // Of the three in the order of their hooks: fork, exec, exit.
  object->attachments[0].links.begin()->second.reset();
  CHECK(silent_hooks(loader, *object) == std::vector<std::string>{"fork"});
  for (auto& attachment : object->attachments) attachment.links.begin()->second.reset();
  CHECK(silent_hooks(loader, *object) == std::vector<std::string>{"fork", "exit"});
}

TEST_CASE("only deeds that somebody waits for are done") {
  const broker::Places wanted{"tp_btf/sys_exit", "syscalls/sys_exit_open",
                              "syscalls/sys_exit_pause", "cgroup/connect4",
                              "fentry/no_such_function"};
  const broker::Places quiet = broker::perform_deeds(wanted, broker::Reach::quiet);
  CHECK(quiet == broker::Places{"tp_btf/sys_exit", "syscalls/sys_exit_open"});
  const broker::Places loud = broker::perform_deeds(wanted, broker::Reach::packets);
  CHECK(loud.contains("cgroup/connect4"));
}

}  // namespace trivet
