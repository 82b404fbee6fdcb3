// SPDX-License-Identifier: Apache-2.0
#include "broker/probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

#include "broker/libbpf_log.h"
#include "broker/unique_fd.h"

namespace trivet::broker {
namespace {

constexpr std::string_view entry_section = "uprobe";
constexpr std::string_view return_section = "uretprobe";
constexpr std::string_view multi_suffix = "/multi";

// From linux/bpf.h of 6.6, which the library does not know: BPF_TRACE_UPROBE_MULTI,
// BPF_F_UPROBE_MULTI_RETURN, and the part of union bpf_attr that BPF_LINK_CREATE takes.
constexpr std::uint32_t trace_uprobe_multi = 48;
constexpr std::uint32_t uprobe_multi_return = 1;
struct MultiLink {
  std::uint32_t program;
  std::uint32_t target;
  std::uint32_t attach_type;
  std::uint32_t flags;
  std::uint64_t path;
  std::uint64_t offsets;
  std::uint64_t reference_counters;
  std::uint64_t cookies;
  std::uint32_t count;
  std::uint32_t multi_flags;
  std::uint32_t pid;
  std::uint32_t padding;
};

std::string_view section_of(const bpf_program* program) {
  return bpf_program__section_name(program);
}

bool runs_at_return(const bpf_program* program) {
  return section_of(program).starts_with(return_section);
}

bool is_multi(const bpf_program* program) {
  return is_probe(program) && section_of(program).ends_with(multi_suffix);
}

// The kernel takes a path: one that leads to this very file, whatever has its name by now.
std::string path_of(int file) {
  return "/proc/self/fd/" + std::to_string(file);
}

Result<void> attach_multi(const bpf_program* program, int file, std::span<const ProbePlace> places,
                          std::vector<Probe>& probes) {
  std::vector<std::uint64_t> offsets;
  std::vector<std::uint64_t> cookies;
  for (const ProbePlace& place : places) {
    if (place.at_return != runs_at_return(program)) continue;
    offsets.push_back(place.offset);
    cookies.push_back(place.cookie);
  }
  if (offsets.empty()) return {};
  const std::string path = path_of(file);
  MultiLink wanted{};
  wanted.program = static_cast<std::uint32_t>(bpf_program__fd(program));
  wanted.attach_type = trace_uprobe_multi;
  wanted.path = reinterpret_cast<std::uint64_t>(path.c_str());
  wanted.offsets = reinterpret_cast<std::uint64_t>(offsets.data());
  wanted.cookies = reinterpret_cast<std::uint64_t>(cookies.data());
  wanted.count = static_cast<std::uint32_t>(offsets.size());
  wanted.multi_flags = runs_at_return(program) ? uprobe_multi_return : 0;
  UniqueFd link(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &wanted, sizeof(wanted))));
  if (!link) return system_error(errno, "cannot attach " + std::string(section_of(program)));
  probes.push_back({std::move(link), nullptr});
  return {};
}

Result<void> attach_each(const bpf_program* program, int file, std::span<const ProbePlace> places,
                         std::vector<Probe>& probes) {
  const std::string path = path_of(file);
  for (const ProbePlace& place : places) {
    if (place.at_return != runs_at_return(program)) continue;
    bpf_uprobe_opts options{};
    options.sz = sizeof(options);
    options.bpf_cookie = place.cookie;
    options.retprobe = place.at_return;
    LibbpfLog log;
    LinkPtr link(
        bpf_program__attach_uprobe_opts(program, -1, path.c_str(), place.offset, &options));
    if (!link) {
      return Error{"cannot attach " + std::string(section_of(program)) + ": " + log.reason(errno),
                   errno};
    }
    probes.push_back({UniqueFd(), std::move(link)});
  }
  return {};
}

// Nobody calls it.
[[gnu::noinline, gnu::used]] void try_place() {
  asm volatile("");
}

// Where in trivet's own file that function begins.
std::uint64_t offset_of_try_place() {
  struct Search {
    std::uint64_t address;
    std::uint64_t offset;
  } search{reinterpret_cast<std::uint64_t>(&try_place), 0};
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* data) {
        auto& sought = *static_cast<Search*>(data);
        for (int i = 0; i < object->dlpi_phnum; i++) {
          const auto& segment = object->dlpi_phdr[i];
          const std::uint64_t start = object->dlpi_addr + segment.p_vaddr;
          if (segment.p_type != PT_LOAD || sought.address < start ||
              sought.address >= start + segment.p_memsz) {
            continue;
          }
          sought.offset = sought.address - start + segment.p_offset;
          return 1;
        }
        return 0;
      },
      &search);
  return search.offset;
}

}  // namespace

void DestroyLink::operator()(bpf_link* link) const {
  bpf_link__destroy(link);
}

bool is_probe(const bpf_program* program) {
  return section_of(program).starts_with(entry_section) || runs_at_return(program);
}

void prepare_probe(bpf_program* program) {
  if (!is_multi(program)) return;
  bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(trace_uprobe_multi));
}

Result<void> try_probe(const bpf_program* program) {
  UniqueFd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!self) return system_error(errno, "cannot open trivet's own program");
  const ProbePlace place{offset_of_try_place(), 0, runs_at_return(program)};
  std::vector<Probe> probes;
  return attach_probe(program, self.get(), std::span(&place, 1), probes);
}

Result<void> attach_probe(const bpf_program* program, int file, std::span<const ProbePlace> places,
                          std::vector<Probe>& probes) {
  return is_multi(program) ? attach_multi(program, file, places, probes)
                           : attach_each(program, file, places, probes);
}

}  // namespace trivet::broker
