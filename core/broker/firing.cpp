// SPDX-License-Identifier: Apache-2.0
#include "broker/firing.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <thread>

#include "broker/unique_fd.h"

namespace trivet::broker {
namespace {

// The kernel takes at most 64 programs for one place of a cgroup.
constexpr std::size_t max_programs_of_cgroup = 64;

Result<bpf_prog_info> info_of(const bpf_program* program) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0) {
    return system_error(errno, "cannot ask the kernel about a program");
  }
  return info;
}

bool is_of_cgroup(const bpf_program* program) {
  switch (bpf_program__type(program)) {
    case BPF_PROG_TYPE_CGROUP_SKB:
    case BPF_PROG_TYPE_CGROUP_SOCK:
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
      return true;
    default:
      return false;
  }
}

Result<bool> is_in_place(const bpf_program* program, int cgroup) {
  auto info = info_of(program);
  if (!info) return std::move(info).error();
  std::array<std::uint32_t, max_programs_of_cgroup> ids{};
  auto count = static_cast<std::uint32_t>(ids.size());
  if (bpf_prog_query(cgroup, bpf_program__expected_attach_type(program), 0, nullptr, ids.data(),
                     &count) != 0) {
    return system_error(errno, "cannot ask which programs the root cgroup has");
  }
  return std::find(ids.begin(), ids.begin() + count, info->id) != ids.begin() + count;
}

std::string all_of(const Places& places) {
  std::string text;
  for (const std::string& place : places) text += (text.empty() ? "" : ", ") + place;
  return text;
}

struct Counted {
  const AttachedProgram* attached;
  std::uint64_t before;
};

// The programs that have not run since they were counted.
Result<void> drop_those_that_ran(std::vector<Counted>& waiting) {
  std::optional<Error> failed;
  std::erase_if(waiting, [&](const Counted& one) {
    auto info = info_of(one.attached->program);
    if (!info) failed = std::move(info).error();
    return info && info->run_cnt > one.before;
  });
  if (failed) return *std::move(failed);
  return {};
}

}  // namespace

Result<std::vector<SilentProgram>> find_silent(const std::vector<AttachedProgram>& programs,
                                               int cgroup_root, Reach reach) {
  std::vector<SilentProgram> silent;
  UniqueFd counting(bpf_enable_stats(BPF_STATS_RUN_TIME));
  if (!counting) return system_error(errno, "cannot have the kernel count how often programs run");

  Places wanted;
  std::vector<Counted> counted;
  for (const AttachedProgram& attached : programs) {
    if (is_of_cgroup(attached.program)) {
      auto placed = is_in_place(attached.program, cgroup_root);
      if (!placed) return std::move(placed).error();
      if (!*placed) {
        silent.push_back({attached.hook, std::string(bpf_program__name(attached.program)) +
                                             " is no longer attached at " +
                                             all_of(attached.places)});
        continue;
      }
    }
    auto info = info_of(attached.program);
    if (!info) return std::move(info).error();
    counted.push_back({&attached, info->run_cnt});
    wanted.insert(attached.places.begin(), attached.places.end());
  }
  const Places fired = perform_deeds(wanted, reach);
  std::erase_if(counted, [&](const Counted& one) {
    return std::ranges::none_of(one.attached->places,
                                [&](const std::string& place) { return fired.contains(place); });
  });
  const auto end = std::chrono::steady_clock::now() + firing_patience;
  for (;;) {
    if (auto looked = drop_those_that_ran(counted); !looked) return std::move(looked).error();
    if (counted.empty() || std::chrono::steady_clock::now() > end) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const Counted& one : counted) {
    silent.push_back({one.attached->hook, std::string(bpf_program__name(one.attached->program)) +
                                              " does not run at " + all_of(one.attached->places)});
  }
  return silent;
}

}  // namespace trivet::broker
