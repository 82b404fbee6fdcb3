// SPDX-License-Identifier: Apache-2.0
// Any bytes as a plugin library, up to the point where it would be opened.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "broker/unique_fd.h"
#include "plugins/elf.h"
#include "plugins/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  trivet::UniqueFd fd(::memfd_create("elf", MFD_CLOEXEC));
  if (::write(fd.get(), data, size) != static_cast<ssize_t>(size)) return 0;
  (void)trivet::plugins::read_manifest(fd.get(), "input", "fuzz");
  auto elf = trivet::plugins::ElfFile::open(fd.get(), "input");
  if (!elf) return 0;
  for (const auto& section : elf->sections()) {
    auto bytes = elf->read(section);
    if (bytes && bytes->size() > size) std::abort();
  }
  return 0;
}
