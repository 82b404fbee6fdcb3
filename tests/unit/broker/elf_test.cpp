// SPDX-License-Identifier: Apache-2.0
#include "plugins/elf.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "broker/unique_fd.h"
#include "plugins/manifest.h"

using namespace trivet;
using namespace trivet::plugins;

namespace {

UniqueFd file_of(const std::string& bytes) {
  UniqueFd fd(::memfd_create("elf", MFD_CLOEXEC));
  REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

// A program that another project built.
std::string bin_true() {
  std::ifstream file("/bin/true", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Whatever the bytes are, reading them ends.
void read_everything(const std::string& bytes) {
  UniqueFd fd = file_of(bytes);
  auto elf = ElfFile::open(fd.get(), "x");
  if (!elf) return;
  for (const std::string& section : elf->sections()) {
    auto content = elf->read(section);
    if (content) CHECK(content->size() <= bytes.size());
  }
}

}  // namespace

TEST_CASE("sections of a real program are found by name") {
  UniqueFd fd(::open("/bin/true", O_RDONLY | O_CLOEXEC));
  auto elf = ElfFile::open(fd.get(), "/bin/true");
  REQUIRE(elf.has_value());
  auto names = elf->sections();
  for (const char* name : {".text", ".dynamic", ".interp"}) {
    CHECK(std::find(names.begin(), names.end(), name) != names.end());
  }
  auto interpreter = elf->read(".interp");
  REQUIRE(interpreter.has_value());
  CHECK(std::string(reinterpret_cast<const char*>(interpreter->data()))
            .starts_with("/lib64/ld-linux"));
  auto missing = elf->read(".trivet.plugin");
  REQUIRE(!missing);
  CHECK(missing.error().code == ENOENT);
  CHECK(!read_manifest(fd.get(), "/bin/true", "true"));
}

TEST_CASE("a file that was cut anywhere is refused or read within its bounds") {
  std::string whole = bin_true();
  REQUIRE(whole.size() > 1000);
  for (std::size_t size = 0; size < whole.size(); size += size < 200 ? 1 : 509) {
    read_everything(whole.substr(0, size));
  }
  // The table of sections is at the end: without it nothing can be found.
  UniqueFd cut = file_of(whole.substr(0, whole.size() / 2));
  CHECK(!ElfFile::open(cut.get(), "x"));
  UniqueFd text = file_of("#!/bin/sh\n");
  auto script = ElfFile::open(text.get(), "plugin.so");
  REQUIRE(!script);
  CHECK(script.error().message == "plugin.so is not an ELF file");
}

TEST_CASE("made-up headers are refused or read within their bounds") {
  std::string whole = bin_true();
  std::mt19937 random(1);
  std::uint64_t table = 0;
  std::copy_n(whole.begin() + 40, 8, reinterpret_cast<char*>(&table));
  for (int i = 0; i < 2000; i++) {
    std::string bytes = whole;
    bytes[16 + random() % 48] = static_cast<char>(random());
    bytes[table + random() % (bytes.size() - table)] = static_cast<char>(random());
    read_everything(bytes);
  }
}

TEST_CASE("a manifest needs a name, a version and a fingerprint") {
  auto good = parse_manifest("name=x\nversion=1\nsummary=a = b\nfingerprint=ab\nlater=1\n");
  REQUIRE(good.has_value());
  CHECK(good->name == "x");
  CHECK(good->summary == "a = b");
  for (const char* bad :
       {"", "name=x\nversion=1\n", "version=1\nfingerprint=a\n", "name", "=\n=\n"}) {
    CAPTURE(bad);
    CHECK(!parse_manifest(bad));
  }
}

TEST_CASE("names of plugins and objects cannot be paths") {
  for (const char* good : {"security", "http1", "a_b"}) CHECK(valid_name(good));
  for (const char* bad :
       {"", "a/b", "..", "A", "1a", "a.so", "a b", "_a", "a23456789012345678901234567890123"}) {
    CAPTURE(bad);
    CHECK(!valid_name(bad));
  }
}
