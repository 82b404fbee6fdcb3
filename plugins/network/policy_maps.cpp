// SPDX-License-Identifier: Apache-2.0
#include "network/policy_maps.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

namespace trivet::network {

namespace {

// Events of a replaced policy are on their way for milliseconds; this many reloads cover them.
constexpr std::size_t kRememberedGenerations = 8;
// A program that began under the old epoch has ended long before its generation is written again.
constexpr std::chrono::milliseconds kGrace{10};

policy_executable key_of(const ExecutableId& id) {
  return {id.inode, id.device, 0};
}
std::uint64_t key_of(std::uint64_t id) {
  return id;
}

// Makes the map's entries have `wanted` as their bits of the slot, keeping those of the other slot.
template <class Key, class Id>
Result<void> write_bits(Map& map, std::map<Id, policy_subjects>& entries,
                        const std::map<Id, std::uint64_t>& wanted, unsigned slot) {
  TypedMap<Key, policy_subjects> typed(map);
  for (auto entry = entries.begin(); entry != entries.end();) {
    auto& [id, subjects] = *entry;
    const auto found = wanted.find(id);
    const std::uint64_t bits = found == wanted.end() ? 0 : found->second;
    const std::uint64_t other = subjects.bits[slot ^ 1];
    if (bits == 0 && other == 0) {
      if (auto erased = typed.erase(key_of(id)); !erased) return std::move(erased).error();
      entry = entries.erase(entry);
      continue;
    }
    if (subjects.bits[slot] != bits) {
      subjects.bits[slot] = bits;
      if (auto done = typed.update(key_of(id), subjects); !done) return done;
    }
    ++entry;
  }
  for (const auto& [id, bits] : wanted) {
    if (entries.contains(id)) continue;
    policy_subjects subjects{};
    subjects.bits[slot] = bits;
    if (auto done = typed.update(key_of(id), subjects); !done) return done;
    entries.emplace(id, subjects);
  }
  return {};
}

}  // namespace

Result<PolicyMaps> PolicyMaps::open(Object& object) {
  PolicyMaps maps;
  const std::pair<const char*, Map**> wanted[] = {
      {"policy_epoch", &maps.epoch_map_},   {"policy_generations", &maps.generations_},
      {"policy_settings", &maps.settings_}, {"policy_rows", &maps.rows_},
      {"policy_cgroups", &maps.cgroups_},   {"policy_executables", &maps.executables_},
      {"policy_counts", &maps.counts_}};
  for (const auto& [name, slot] : wanted) {
    auto map = object.map(name);
    if (!map) return std::move(map).error();
    *slot = *map;
  }
  maps.baseline_.resize(POLICY_COUNTS);
  return maps;
}

Result<void> PolicyMaps::write_identities(const Identities& identities, unsigned slot) {
  auto done = write_bits<std::uint64_t>(*cgroups_, cgroup_entries_, identities.cgroups, slot);
  if (!done) return std::move(done).error().within("write the policy's cgroups");
  done = write_bits<policy_executable>(*executables_, executable_entries_, identities.executables,
                                       slot);
  if (!done) return std::move(done).error().within("write the policy's executables");
  return {};
}

Result<void> PolicyMaps::switch_to(std::uint64_t epoch) {
  const std::uint32_t zero = 0;
  auto done = TypedMap<std::uint32_t, std::uint64_t>(*epoch_map_).update(zero, epoch);
  if (!done) return std::move(done).error().within("switch the policy's epoch");
  epoch_ = epoch;
  switched_ = std::chrono::steady_clock::now();
  return {};
}

Result<void> PolicyMaps::set(const policy_settings& settings) {
  const std::uint32_t zero = 0;
  auto done = TypedMap<std::uint32_t, policy_settings>(*settings_).update(zero, settings);
  if (!done) return std::move(done).error().within("write the network settings");
  return {};
}

Result<void> PolicyMaps::install(const CompiledPolicy& policy, const Identities& identities) {
  const std::uint64_t epoch = epoch_ + 1;
  const auto slot = static_cast<unsigned>(POLICY_SLOT(epoch));
  const auto since = std::chrono::steady_clock::now() - switched_;
  if (epoch_ != 0 && since < kGrace) std::this_thread::sleep_for(kGrace - since);

  if (auto done = write_identities(identities, slot); !done) return done;
  TypedMap<std::uint32_t, policy_row> rows(*rows_);
  for (std::size_t i = 0; i < policy.rows.size(); ++i) {
    const auto index = static_cast<std::uint32_t>(slot * POLICY_ROWS_MAX + i);
    if (auto done = rows.update(index, policy.rows[i]); !done) {
      return std::move(done).error().within("write the policy's rows");
    }
  }
  TypedMap<std::uint32_t, policy_generation> generations(*generations_);
  if (auto done = generations.update(slot, policy.generation); !done) {
    return std::move(done).error().within("write the policy");
  }
  for (std::uint32_t rule = 0; rule <= policy.rules.size(); ++rule) {
    const bool last = rule == policy.rules.size();
    const std::uint32_t index = last ? POLICY_COUNT_DEFAULT(slot) : POLICY_COUNT(slot, rule);
    auto count = total_count(index);
    if (!count) return std::move(count).error();
    baseline_[index] = *count;
  }
  if (auto done = switch_to(epoch); !done) return done;
  history_.push_front({epoch, policy.rules});
  if (history_.size() > kRememberedGenerations) history_.pop_back();
  return {};
}

Result<void> PolicyMaps::update_identities(const Identities& identities) {
  if (auto done = write_identities(identities, POLICY_SLOT(epoch_)); !done) return done;
  return switch_to(epoch_ + 2);  // the same generation, but every kept verdict is void
}

std::string_view PolicyMaps::rule_name(std::uint64_t epoch, std::uint32_t rule) const {
  if (rule == FLOW_RULE_DEFAULT) return "(default)";
  if (rule == FLOW_RULE_FAILSAFE) return "(fail-safe)";
  for (const auto& generation : history_) {
    if (epoch < generation.first_epoch) continue;
    return rule < generation.rules.size() ? std::string_view(generation.rules[rule])
                                          : "(forgotten)";
  }
  return "(forgotten)";
}

Result<policy_count> PolicyMaps::total_count(std::uint32_t index) const {
  std::vector<policy_count> by_cpu(
      std::max<std::size_t>(counts_->value_size() / sizeof(policy_count), 1));
  auto found = counts_->lookup(std::as_bytes(std::span(&index, 1)),
                               std::as_writable_bytes(std::span(by_cpu)));
  if (!found) return std::move(found).error().within("read the rules' counts");
  policy_count total{};
  for (const auto& count : by_cpu) {
    total.judged += count.judged;
    total.dropped += count.dropped;
  }
  return total;
}

Result<policy_count> PolicyMaps::count_since_install(std::uint32_t index) const {
  auto count = total_count(index);
  if (!count) return count;
  count->judged -= baseline_[index].judged;
  count->dropped -= baseline_[index].dropped;
  return count;
}

Result<policy_count> PolicyMaps::rule_count(std::uint32_t rule) const {
  return count_since_install(POLICY_COUNT(static_cast<std::uint32_t>(POLICY_SLOT(epoch_)), rule));
}

Result<policy_count> PolicyMaps::default_count() const {
  return count_since_install(POLICY_COUNT_DEFAULT(static_cast<std::uint32_t>(POLICY_SLOT(epoch_))));
}

Result<policy_count> PolicyMaps::failsafe_count() const {
  return count_since_install(POLICY_COUNT_FAILSAFE);
}

}  // namespace trivet::network
