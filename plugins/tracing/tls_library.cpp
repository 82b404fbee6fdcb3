// SPDX-License-Identifier: Apache-2.0
#include "tracing/tls_library.h"

#include <gelf.h>
#include <libelf.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tracing/tls_calls.h"

namespace trivet::tracing {
namespace {

// Of one section: the symbols of a browser take some 60 MiB.
constexpr std::uint64_t max_section_bytes = 128 << 20;
constexpr off_t max_file_bytes = off_t{2} << 30;
#if defined(__x86_64__)
constexpr GElf_Half this_machine = EM_X86_64;
#else
constexpr GElf_Half this_machine = EM_AARCH64;
#endif

struct Function {
  std::string_view name;
  tls_function kind;
  bool returns;  // what it returns is of interest
};
constexpr std::array<Function, 8> functions = {{
    {"SSL_read", TLS_READ, true},
    {"SSL_write", TLS_WRITE, true},
    {"SSL_read_ex", TLS_READ_EX, true},
    {"SSL_write_ex", TLS_WRITE_EX, true},
    {"SSL_do_handshake", TLS_HANDSHAKE, true},
    {"SSL_shutdown", TLS_SHUTDOWN, false},
    {"SSL_free", TLS_FREE, false},
    {"SSL_new", TLS_NEW, true},
}};

struct EndElf {
  void operator()(Elf* elf) const { elf_end(elf); }
};

// Where the file has what is at that address once it is loaded.
std::optional<std::uint64_t> offset_of(Elf* elf, std::uint64_t address) {
  std::size_t segments = 0;
  if (elf_getphdrnum(elf, &segments) != 0) return std::nullopt;
  for (std::size_t i = 0; i < std::min<std::size_t>(segments, 256); i++) {
    GElf_Phdr segment;
    if (!gelf_getphdr(elf, static_cast<int>(i), &segment)) return std::nullopt;
    if (segment.p_type == PT_LOAD && segment.p_flags & PF_X && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz) {
      return address - segment.p_vaddr + segment.p_offset;
    }
  }
  return std::nullopt;
}

using Offsets = std::array<std::optional<std::uint64_t>, functions.size()>;

// The functions that a table of symbols defines.
Offsets look_into(Elf* elf, Elf_Scn* table, const GElf_Shdr& header) {
  Offsets found;
  Elf_Data* symbols = elf_getdata(table, nullptr);
  if (!symbols || header.sh_entsize == 0) return found;
  const auto count = symbols->d_size / header.sh_entsize;
  for (std::size_t i = 0; i < count; i++) {
    GElf_Sym symbol;
    if (!gelf_getsym(symbols, static_cast<int>(i), &symbol)) break;
    if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
    const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
    // Nearly all names end here.
    if (!name || name[0] != 'S' || name[1] != 'S' || name[2] != 'L') continue;
    const auto named = std::ranges::find(functions, std::string_view(name),
                                         [](const Function& f) { return f.name; });
    if (named == functions.end()) continue;
    found[static_cast<std::size_t>(named - functions.begin())] = offset_of(elf, symbol.st_value);
  }
  return found;
}

std::vector<ProbePlace> places_of(const Offsets& found) {
  std::vector<ProbePlace> places;
  if (!found[0] || !found[1]) return places;
  for (std::size_t i = 0; i < functions.size(); i++) {
    if (!found[i]) continue;
    places.push_back({*found[i], functions[i].kind, false});
    if (functions[i].returns) places.push_back({*found[i], functions[i].kind, true});
  }
  return places;
}

Error damaged() {
  return Error{std::string("cannot read a file of code: ") + elf_errmsg(-1), EINVAL};
}

}  // namespace

Result<std::vector<ProbePlace>> find_tls_functions(int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0) return system_error(errno, "cannot look at a file of code");
  if (status.st_size > max_file_bytes) return Error{"a file of code is too large", EFBIG};
  elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, EndElf> elf(elf_begin(file, ELF_C_READ, nullptr));
  if (!elf) return damaged();
  GElf_Ehdr header;
  if (!gelf_getehdr(elf.get(), &header)) return damaged();
  if (gelf_getclass(elf.get()) != ELFCLASS64 || header.e_machine != this_machine) {
    return Error{"a file of code is not for this machine", ENOEXEC};
  }
  // What others may call comes first; what is linked in is at most among all symbols.
  for (const GElf_Word type : {SHT_DYNSYM, SHT_SYMTAB}) {
    for (Elf_Scn* table = elf_nextscn(elf.get(), nullptr); table;
         table = elf_nextscn(elf.get(), table)) {
      GElf_Shdr section;
      if (!gelf_getshdr(table, &section) || section.sh_type != type) continue;
      if (section.sh_size > max_section_bytes)
        return Error{"a table of symbols is too large", EFBIG};
      auto places = places_of(look_into(elf.get(), table, section));
      if (!places.empty()) return places;
    }
  }
  return std::vector<ProbePlace>();
}

}  // namespace trivet::tracing
