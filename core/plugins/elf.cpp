// SPDX-License-Identifier: Apache-2.0
#include "plugins/elf.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace trivet::plugins {
namespace {

// A plugin library has some tens of sections; a debug build some hundreds.
constexpr std::size_t max_sections = 16384;
constexpr std::uint64_t max_names_bytes = 1 << 20;
// A BPF object is some hundred kilobytes.
constexpr std::uint64_t max_section_bytes = 16 << 20;

bool read_exactly(int fd, void* out, std::size_t size, std::uint64_t offset) {
  auto* at = static_cast<char*>(out);
  while (size > 0) {
    ssize_t got = ::pread(fd, at, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

bool inside(std::uint64_t offset, std::uint64_t size, std::uint64_t whole) {
  return offset <= whole && size <= whole - offset;
}

}  // namespace

Result<ElfFile> ElfFile::open(int fd, std::string name) {
  ElfFile file(fd, std::move(name));
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_error(errno, "cannot read " + file.name_);
  file.file_size_ = status.st_size < 0 ? 0 : static_cast<std::uint64_t>(status.st_size);

  Elf64_Ehdr header{};
  if (file.file_size_ < sizeof(header) || !read_exactly(fd, &header, sizeof(header), 0) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return Error{file.name_ + " is not an ELF file"};
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return Error{file.name_ + " is not a 64-bit little-endian ELF file"};
  }
  const Error damaged{file.name_ + " is damaged: its table of sections does not fit the file"};
  std::size_t count = header.e_shnum;
  if (header.e_shentsize != sizeof(Elf64_Shdr) || count == 0 || count > max_sections ||
      header.e_shstrndx >= count ||
      !inside(header.e_shoff, count * sizeof(Elf64_Shdr), file.file_size_)) {
    return damaged;
  }
  std::vector<Elf64_Shdr> table(count);
  if (!read_exactly(fd, table.data(), count * sizeof(Elf64_Shdr), header.e_shoff)) return damaged;

  const Elf64_Shdr& names_header = table[header.e_shstrndx];
  if (names_header.sh_size > max_names_bytes ||
      !inside(names_header.sh_offset, names_header.sh_size, file.file_size_)) {
    return damaged;
  }
  std::string names(names_header.sh_size, '\0');
  if (!read_exactly(fd, names.data(), names.size(), names_header.sh_offset)) return damaged;

  for (const Elf64_Shdr& section : table) {
    if (section.sh_type == SHT_NULL || section.sh_type == SHT_NOBITS) continue;
    if (section.sh_name >= names.size() ||
        !inside(section.sh_offset, section.sh_size, file.file_size_)) {
      return damaged;
    }
    std::size_t end = names.find('\0', section.sh_name);
    if (end == std::string::npos) return damaged;
    file.sections_.push_back(
        {names.substr(section.sh_name, end - section.sh_name), section.sh_offset, section.sh_size});
  }
  return file;
}

std::vector<std::string> ElfFile::sections() const {
  std::vector<std::string> names;
  for (const Section& section : sections_) names.push_back(section.name);
  return names;
}

const ElfFile::Section* ElfFile::find(const std::string& section) const {
  auto found = std::find_if(sections_.begin(), sections_.end(),
                            [&](const Section& s) { return s.name == section; });
  return found == sections_.end() ? nullptr : &*found;
}

Result<std::vector<std::byte>> ElfFile::read(const std::string& section) const {
  const Section* found = find(section);
  if (!found) return Error{name_ + " has no section " + section, ENOENT};
  if (found->size > max_section_bytes) {
    return Error{"section " + section + " of " + name_ + " is larger than 16 MiB", EFBIG};
  }
  std::vector<std::byte> bytes(found->size);
  if (!read_exactly(fd_, bytes.data(), bytes.size(), found->offset)) {
    return Error{"cannot read section " + section + " of " + name_, EIO};
  }
  return bytes;
}

}  // namespace trivet::plugins
