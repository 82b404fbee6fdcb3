// SPDX-License-Identifier: Apache-2.0
// Reads named sections of a 64-bit little-endian ELF file through its descriptor, before anything
// in the file may run. Every offset and size is checked against the file: a truncated or made-up
// file is an error, never more than a bounded read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "trivet/result.h"

namespace trivet::plugins {

// Not thread-safe. Borrows the descriptor.
class ElfFile {
 public:
  // `name` is what errors call the file.
  static Result<ElfFile> open(int fd, std::string name);

  // Names of its sections, in order.
  std::vector<std::string> sections() const;
  bool has(const std::string& section) const { return find(section) != nullptr; }
  // The bytes of a section; ENOENT as the error's code where there is none.
  Result<std::vector<std::byte>> read(const std::string& section) const;

 private:
  struct Section {
    std::string name;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  ElfFile(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  const Section* find(const std::string& section) const;

  int fd_;
  std::string name_;
  std::uint64_t file_size_ = 0;
  std::vector<Section> sections_;
};

}  // namespace trivet::plugins
