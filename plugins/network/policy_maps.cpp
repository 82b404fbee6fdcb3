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
policy_trait key_of(const Trait& trait) {
  return {trait.kind, trait.value};
}
std::uint64_t key_of(std::uint64_t id) {
  return id;
}

bool empty(const policy_selectors& selectors) {
  return std::ranges::all_of(selectors.words, [](std::uint64_t word) { return word == 0; });
}

bool same(const policy_selectors& selectors, const SelectorBits& bits) {
  return std::ranges::equal(selectors.words, bits);
}

// Makes the map's entries have `wanted` as their selectors of the slot, keeping those of the other
// slot.
template <class Key, class Id>
Result<void> write_selectors(Map& map, std::map<Id, policy_identity>& entries,
                             const std::map<Id, SelectorBits>& wanted, unsigned slot) {
  TypedMap<Key, policy_identity> typed(map);
  for (auto entry = entries.begin(); entry != entries.end();) {
    auto& [id, identity] = *entry;
    const auto found = wanted.find(id);
    const SelectorBits bits = found == wanted.end() ? SelectorBits{} : found->second;
    if (bits == SelectorBits{} && empty(identity.selectors[slot ^ 1])) {
      if (auto erased = typed.erase(key_of(id)); !erased) return std::move(erased).error();
      entry = entries.erase(entry);
      continue;
    }
    if (!same(identity.selectors[slot], bits)) {
      std::ranges::copy(bits, identity.selectors[slot].words);
      if (auto done = typed.update(key_of(id), identity); !done) return done;
    }
    ++entry;
  }
  for (const auto& [id, bits] : wanted) {
    if (entries.contains(id)) continue;
    policy_identity identity{};
    std::ranges::copy(bits, identity.selectors[slot].words);
    if (auto done = typed.update(key_of(id), identity); !done) return done;
    entries.emplace(id, identity);
  }
  return {};
}

// Makes a slot's entries of a map `wanted`; `have` is what they are, and is kept right even where
// this fails half way. `update` and `erase` get an entry's key.
template <class Key, class Update, class Erase>
Result<void> write_entries(std::map<Key, std::uint32_t>& have,
                           const std::map<Key, std::uint32_t>& wanted, Update update, Erase erase) {
  for (auto entry = have.begin(); entry != have.end();) {
    if (wanted.contains(entry->first)) {
      ++entry;
      continue;
    }
    if (auto erased = erase(entry->first); !erased) return std::move(erased).error();
    entry = have.erase(entry);
  }
  for (const auto& [key, value] : wanted) {
    const auto found = have.find(key);
    if (found != have.end() && found->second == value) continue;
    if (auto done = update(key, value); !done) return done;
    have.insert_or_assign(key, value);
  }
  return {};
}

policy_prefix4 key4(const AddressRange& range, unsigned slot) {
  policy_prefix4 key{POLICY_SLOT_BITS + range.prefix - 96u, slot, 0};
  std::memcpy(&key.address, &range.address[12], sizeof(key.address));
  return key;
}

policy_prefix6 key6(const AddressRange& range, unsigned slot) {
  policy_prefix6 key{POLICY_SLOT_BITS + std::uint32_t{range.prefix}, slot, {}};
  std::memcpy(&key.address, range.address.data(), sizeof(key.address));
  return key;
}

// Writes a slot's table from its beginning.
template <class Value>
Result<void> write_array(Map& map, const std::vector<Value>& values, std::uint32_t first) {
  TypedMap<std::uint32_t, Value> typed(map);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto index = first + static_cast<std::uint32_t>(i);
    if (auto done = typed.update(index, values[i]); !done) return done;
  }
  return {};
}

}  // namespace

Result<PolicyMaps> PolicyMaps::open(Object& object) {
  PolicyMaps opened;
  Maps& maps = opened.maps_;
  const std::pair<const char*, Map**> wanted[] = {{"policy_epoch", &maps.epoch},
                                                  {"policy_generations", &maps.generations},
                                                  {"policy_settings", &maps.settings},
                                                  {"policy_prefixes4", &maps.prefixes4},
                                                  {"policy_prefixes6", &maps.prefixes6},
                                                  {"policy_pages", &maps.pages},
                                                  {"policy_peers", &maps.peers},
                                                  {"policy_services", &maps.services},
                                                  {"policy_cells", &maps.cells},
                                                  {"policy_terms", &maps.terms},
                                                  {"policy_subjects", &maps.subjects},
                                                  {"policy_cgroups", &maps.cgroups},
                                                  {"policy_executables", &maps.executables},
                                                  {"policy_traits", &maps.traits},
                                                  {"policy_counts", &maps.counts}};
  for (const auto& [name, slot] : wanted) {
    auto map = object.map(name);
    if (!map) return std::move(map).error();
    *slot = *map;
  }
  opened.baseline_.resize(POLICY_COUNTS);
  return opened;
}

Result<void> PolicyMaps::write_identities(const Identities& identities, unsigned slot) {
  auto done =
      write_selectors<std::uint64_t>(*maps_.cgroups, cgroup_entries_, identities.cgroups, slot);
  if (!done) return std::move(done).error().within("write the policy's cgroups");
  done = write_selectors<policy_executable>(*maps_.executables, executable_entries_,
                                            identities.executables, slot);
  if (!done) return std::move(done).error().within("write the policy's executables");
  done = write_selectors<policy_trait>(*maps_.traits, trait_entries_, identities.traits, slot);
  if (!done) return std::move(done).error().within("write the policy's users and namespaces");
  return {};
}

Result<void> PolicyMaps::write_prefixes(const CompiledPolicy& policy, unsigned slot) {
  std::map<AddressRange, std::uint32_t> wanted;
  for (const auto& prefix : policy.prefixes) wanted.emplace(prefix.range, prefix.address_class);
  TypedMap<policy_prefix4, std::uint32_t> four(*maps_.prefixes4);
  TypedMap<policy_prefix6, std::uint32_t> six(*maps_.prefixes6);
  return write_entries(
      slots_[slot].prefixes, wanted,
      [&](const AddressRange& range, std::uint32_t value) {
        return range.family == 4 ? four.update(key4(range, slot), value)
                                 : six.update(key6(range, slot), value);
      },
      [&](const AddressRange& range) {
        return range.family == 4 ? four.erase(key4(range, slot)) : six.erase(key6(range, slot));
      });
}

Result<void> PolicyMaps::write_cells(const CompiledPolicy& policy, unsigned slot) {
  const auto key = [slot](std::uint64_t cell) {
    return policy_cell{static_cast<std::uint32_t>(cell >> 16), static_cast<std::uint16_t>(cell),
                       static_cast<std::uint16_t>(slot)};
  };
  std::map<std::uint64_t, std::uint32_t> wanted;
  for (const auto& cell : policy.cells) {
    wanted.emplace(std::uint64_t{cell.peer} << 16 | cell.service, cell.first_term);
  }
  TypedMap<policy_cell, std::uint32_t> cells(*maps_.cells);
  return write_entries(
      slots_[slot].cells, wanted,
      [&](std::uint64_t cell, std::uint32_t value) { return cells.update(key(cell), value); },
      [&](std::uint64_t cell) { return cells.erase(key(cell)); });
}

Result<void> PolicyMaps::write_tables(const CompiledPolicy& policy, unsigned slot) {
  auto done = write_array(*maps_.terms, policy.terms, slot * POLICY_TERMS_MAX);
  if (done) done = write_array(*maps_.subjects, policy.subjects, slot * POLICY_SUBJECTS_MAX);
  if (done) done = write_array(*maps_.services, policy.services, slot * POLICY_SERVICES_MAX);
  if (done) done = write_array(*maps_.peers, policy.peers, slot * POLICY_PEERS_MAX);
  if (!done) return done;
  // Most pages are as they were.
  auto& pages = slots_[slot].pages;
  pages.resize(POLICY_PAGE(1, 0, 0));
  TypedMap<std::uint32_t, policy_page> typed(*maps_.pages);
  for (std::uint32_t page = 0; page < pages.size(); ++page) {
    if (std::memcmp(&pages[page], &policy.pages[page], sizeof(policy_page)) == 0) continue;
    if (done = typed.update(POLICY_PAGE(slot, 0, page), policy.pages[page]); !done) return done;
    pages[page] = policy.pages[page];
  }
  return {};
}

Result<void> PolicyMaps::switch_to(std::uint64_t epoch) {
  const std::uint32_t zero = 0;
  auto done = TypedMap<std::uint32_t, std::uint64_t>(*maps_.epoch).update(zero, epoch);
  if (!done) return std::move(done).error().within("switch the policy's epoch");
  epoch_ = epoch;
  switched_ = std::chrono::steady_clock::now();
  return {};
}

Result<void> PolicyMaps::set(const policy_settings& settings) {
  const std::uint32_t zero = 0;
  auto done = TypedMap<std::uint32_t, policy_settings>(*maps_.settings).update(zero, settings);
  if (!done) return std::move(done).error().within("write the network settings");
  return {};
}

Result<void> PolicyMaps::install(const CompiledPolicy& policy, const Identities& identities) {
  const std::uint64_t epoch = epoch_ + 1;
  const auto slot = static_cast<unsigned>(POLICY_SLOT(epoch));
  const auto since = std::chrono::steady_clock::now() - switched_;
  if (epoch_ != 0 && since < kGrace) std::this_thread::sleep_for(kGrace - since);

  if (auto done = write_identities(identities, slot); !done) return done;
  auto done = write_prefixes(policy, slot);
  if (done) done = write_cells(policy, slot);
  if (done) done = write_tables(policy, slot);
  if (!done) return std::move(done).error().within("write the policy's rules");
  TypedMap<std::uint32_t, policy_generation> generations(*maps_.generations);
  if (done = generations.update(slot, policy.generation); !done) {
    return std::move(done).error().within("write the policy");
  }
  for (std::uint32_t rule = 0; rule <= policy.rules->size(); ++rule) {
    const bool last = rule == policy.rules->size();
    const std::uint32_t index = last ? POLICY_COUNT_DEFAULT(slot) : POLICY_COUNT(slot, rule);
    auto count = total_count(index);
    if (!count) return std::move(count).error();
    baseline_[index] = *count;
  }
  if (done = switch_to(epoch); !done) return done;
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
    return rule < generation.rules->size() ? std::string_view((*generation.rules)[rule])
                                           : "(forgotten)";
  }
  return "(forgotten)";
}

Result<policy_count> PolicyMaps::total_count(std::uint32_t index) const {
  policy_count count{};
  auto found = TypedMap<std::uint32_t, policy_count>(*maps_.counts).lookup(index, count);
  if (!found) return std::move(found).error().within("read the rules' counts");
  return count;
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
