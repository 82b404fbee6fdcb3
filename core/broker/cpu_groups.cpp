// SPDX-License-Identifier: Apache-2.0
#include "broker/cpu_groups.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <fstream>
#include <optional>
#include <string>

namespace trivet::broker {
namespace {

constexpr std::uint32_t cpus_in_group = 4;
constexpr std::uint32_t max_groups = 16;
// More than any kernel is built for (CONFIG_NR_CPUS).
constexpr std::uint32_t max_cpus = 8192;

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value >= max_cpus) return {};
  return value;
}

// The numbers in a list, ascending; {0} where it cannot be read.
std::vector<std::uint32_t> cpu_list(std::string_view text) {
  std::vector<std::uint32_t> cpus;
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  while (!text.empty()) {
    const auto range = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), range.size() + 1));
    const auto dash = range.find('-');
    const auto first = number(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number(range.substr(dash + 1));
    if (!first || !last) return {0};
    for (auto cpu = *first; cpu <= *last; cpu++) cpus.push_back(cpu);
  }
  std::sort(cpus.begin(), cpus.end());
  return cpus.empty() ? std::vector<std::uint32_t>{0} : cpus;
}

std::string text_of(const char* path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  return text;
}

}  // namespace

CpuGroups group_cpus(std::string_view possible, std::string_view online) {
  const auto here = cpu_list(online);
  CpuGroups groups;
  groups.group_of.resize(std::max(cpu_list(possible).back(), here.back()) + 1);
  const auto size = static_cast<std::uint32_t>(here.size());
  groups.count = std::clamp((size + cpus_in_group - 1) / cpus_in_group, 1u, max_groups);
  for (std::uint32_t cpu = 0; cpu < groups.group_of.size(); cpu++) {
    groups.group_of[cpu] = cpu % groups.count;
  }
  // Neighbours share a cache, so they share a ring.
  for (std::uint32_t i = 0; i < size; i++) groups.group_of[here[i]] = i * groups.count / size;
  return groups;
}

CpuGroups read_cpu_groups() {
  return group_cpus(text_of("/sys/devices/system/cpu/possible"),
                    text_of("/sys/devices/system/cpu/online"));
}

std::uint32_t shard_bytes(std::uint32_t total, std::uint32_t count) {
  return total / std::bit_ceil(count);
}

}  // namespace trivet::broker
