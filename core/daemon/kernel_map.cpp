// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel_map.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace trivet {

namespace {

long bpf_call(int command, bpf_attr& attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof(attributes));
}

// The kernel sizes values of per-CPU maps by possible CPUs, which can outnumber those present:
// /sys/devices/system/cpu/possible holds "0-7" or "0".
std::size_t possible_cpus() {
  static const std::size_t count = [] {
    std::ifstream file("/sys/devices/system/cpu/possible");
    std::string text;
    if (!(file >> text)) return static_cast<std::size_t>(get_nprocs_conf());
    const auto last = text.find_last_of("-,");
    return std::stoul(last == std::string::npos ? text : text.substr(last + 1)) + 1;
  }();
  return count;
}

bool per_cpu(std::uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

std::uint64_t address(const void* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}

}  // namespace

KernelMap::KernelMap(broker::LoadedMap map) : map_(std::move(map)), value_size_(map_.value_size) {
  if (per_cpu(map_.type)) value_size_ = (map_.value_size + 7) / 8 * 8 * possible_cpus();
}

Error KernelMap::failure(const char* action) const {
  return system_error(errno, std::string("cannot ") + action + " BPF map " + map_.name);
}

Result<bool> KernelMap::lookup(std::span<const std::byte> key, std::span<std::byte> value) const {
  if (key.size() != map_.key_size || value.size() < value_size_)
    return Error{"BPF map " + map_.name + " has keys or values of another size"};
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(map_.fd.get());
  attributes.key = address(key.data());
  attributes.value = address(value.data());
  if (bpf_call(BPF_MAP_LOOKUP_ELEM, attributes) == 0) return true;
  if (errno == ENOENT) return false;
  return failure("read");
}

Result<void> KernelMap::update(std::span<const std::byte> key, std::span<const std::byte> value) {
  if (key.size() != map_.key_size || value.size() != value_size_)
    return Error{"BPF map " + map_.name + " has keys or values of another size"};
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(map_.fd.get());
  attributes.key = address(key.data());
  attributes.value = address(value.data());
  attributes.flags = BPF_ANY;
  if (bpf_call(BPF_MAP_UPDATE_ELEM, attributes) == 0) return {};
  return failure("write");
}

Result<bool> KernelMap::erase(std::span<const std::byte> key) {
  if (key.size() != map_.key_size)
    return Error{"BPF map " + map_.name + " has keys of another size"};
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(map_.fd.get());
  attributes.key = address(key.data());
  if (bpf_call(BPF_MAP_DELETE_ELEM, attributes) == 0) return true;
  if (errno == ENOENT) return false;
  return failure("delete from");
}

Result<void> KernelMap::each(const std::function<bool(std::span<const std::byte>,
                                                      std::span<const std::byte>)>& visit) const {
  std::vector<std::byte> key(map_.key_size), next(map_.key_size), value(value_size_);
  bool first = true;
  // A hash that changes meanwhile can send the walk back to its start: bound it.
  for (std::uint64_t steps = 0; steps <= 2ull * map_.max_entries; ++steps) {
    bpf_attr attributes{};
    attributes.map_fd = static_cast<std::uint32_t>(map_.fd.get());
    attributes.key = first ? 0 : address(key.data());
    attributes.next_key = address(next.data());
    if (bpf_call(BPF_MAP_GET_NEXT_KEY, attributes) != 0) {
      if (errno == ENOENT) return {};
      return failure("walk");
    }
    first = false;
    key.swap(next);
    const auto found = lookup(key, value);
    if (!found) return found.error();
    if (*found && !visit(key, value)) return {};
  }
  return {};
}

}  // namespace trivet
