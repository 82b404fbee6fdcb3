// SPDX-License-Identifier: Apache-2.0
#include "network/policy_compiler.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

namespace trivet::network {

namespace {

// A rule's place in the order in which rules are asked.
using Position = std::uint32_t;
using Positions = std::vector<Position>;

Error too_many(const std::string& what, std::size_t have, std::size_t most) {
  return Error{"the policy has " + std::to_string(have) + " " + what + ", but " +
               std::to_string(most) + " fit: merge rules, address ranges or ports"};
}

policy_row make_row(const FailsafeEntry& entry) {
  policy_row row{};
  std::array<std::uint8_t, 16> mask{};
  for (int bit = 0; bit < entry.peer.prefix; ++bit) {
    mask[bit / 8] |= static_cast<std::uint8_t>(0x80 >> bit % 8);
  }
  std::memcpy(row.address, entry.peer.address.data(), sizeof(row.address));
  std::memcpy(row.mask, mask.data(), sizeof(row.mask));
  row.port_low = entry.service.low;
  row.port_high = entry.service.high;
  row.protocol = entry.service.protocol;
  row.direction = entry.direction;
  row.family = entry.peer.family;
  return row;
}

// What wins within a tier. Pass is first: it takes a connection out of the tier. An audit rule is a
// deny that is being tried out.
int rank(policy_verdict verdict) {
  switch (verdict) {
    case POLICY_PASS:
      return 0;
    case POLICY_DENY:
      return 1;
    case POLICY_REJECT:
      return 2;
    case POLICY_AUDIT:
      return 3;
    case POLICY_ALLOW:
      break;
  }
  return 4;
}

bool refuses(policy_verdict verdict) {
  return verdict == POLICY_DENY || verdict == POLICY_REJECT;
}

void insert_sorted(Positions& all, const Positions& more) {
  const auto middle = static_cast<std::ptrdiff_t>(all.size());
  all.insert(all.end(), more.begin(), more.end());
  std::inplace_merge(all.begin(), all.begin() + middle, all.end());
}

class Compiler {
 public:
  Compiler(const Policy& policy, const Surroundings& surroundings)
      : policy_(policy), surroundings_(surroundings) {}

  Result<CompiledPolicy> run() {
    if (policy_.rules.size() > POLICY_RULES_MAX) {
      return too_many("rules", policy_.rules.size(), POLICY_RULES_MAX);
    }
    order_rules();
    if (auto done = number_subjects(); !done) return std::move(done).error();
    auto addresses = classify(policy_.address_sets, surroundings_.host);
    if (!addresses) return std::move(addresses).error();
    number_services();
    auto services = classify(lists_);
    if (!services) return std::move(services).error();

    out_.terms.push_back(end_);
    if (auto done = fill_services(*services); !done) return std::move(done).error();
    if (auto done = fill_peers(addresses->members, *services); !done) {
      return std::move(done).error();
    }
    out_.prefixes = std::move(addresses->prefixes);
    out_.pages = std::move(services->pages);
    describe();
    return std::move(out_);
  }

 private:
  // A list of terms while it is built, and the rules that still have a say in it.
  struct List {
    Positions rules;
    std::uint32_t first_term = 0;
  };

  const Rule& rule(Position position) const { return policy_.rules[order_[position]]; }

  void order_rules() {
    for (std::uint32_t index = 0; index < policy_.rules.size(); ++index) {
      const auto until = policy_.rules[index].valid_until_ns;
      if (until && *until <= surroundings_.now_ns) continue;
      if (until) out_.changes_ns = std::min(*until, out_.changes_ns.value_or(*until));
      order_.push_back(index);
    }
    std::ranges::stable_sort(order_, {}, [&](std::uint32_t index) {
      const Rule& one = policy_.rules[index];
      return std::pair{one.tier, rank(one.verdict)};
    });
    for (Position position = 0; position < order_.size(); ++position) {
      const bool next = position && rule(position).tier != rule(position - 1).tier;
      tiers_.push_back(static_cast<std::uint16_t>(position ? tiers_.back() + next : 0));
      if (rule(position).verdict == POLICY_PASS) passing_.insert(tiers_.back());
    }
  }

  // The bit of a selector; a new one if it was not seen yet.
  std::size_t bit_of(const Selector& selector) {
    const auto [found, fresh] = bits_.emplace(selector, out_.selectors.size());
    if (fresh) out_.selectors.push_back(selector);
    return found->second;
  }

  Result<void> number_subjects() {
    std::map<Subject, std::uint16_t> known;
    for (Position position = 0; position < order_.size(); ++position) {
      auto& indexes = subjects_.emplace_back();
      for (const auto& subject : rule(position).subjects) {
        const auto [found, fresh] =
            known.emplace(subject, static_cast<std::uint16_t>(out_.subjects.size()));
        indexes.push_back(found->second);
        if (!fresh) continue;
        policy_selectors asked{};
        for (const auto& selector : subject) {
          const std::size_t bit = bit_of(selector);
          if (bit >= POLICY_SELECTORS_MAX) {
            return too_many("different cgroups, units, programs, users and so on in its subjects",
                            bit + 1, POLICY_SELECTORS_MAX);
          }
          asked.words[bit / 64] |= 1ull << bit % 64;
        }
        out_.subjects.push_back(asked);
        if (out_.subjects.size() > POLICY_SUBJECTS_MAX) {
          return too_many("different subjects", out_.subjects.size(), POLICY_SUBJECTS_MAX);
        }
      }
      if (indexes.empty()) indexes.push_back(POLICY_SUBJECT_ANY);
    }
    return {};
  }

  void number_services() {
    std::map<ServiceList, std::uint32_t> known;
    for (Position position = 0; position < order_.size(); ++position) {
      const Rule& one = rule(position);
      ServiceList list{one.direction, one.services, refuses(one.verdict)};
      std::ranges::sort(list.services);
      if (list.services.empty() || list.services.front().protocol == 0) list = {one.direction, {}};
      const auto [found, fresh] = known.emplace(list, static_cast<std::uint32_t>(lists_.size()));
      if (fresh) lists_.push_back(list);
      list_of_.push_back(found->second);
    }
  }

  bool about_every_service(Position position) const {
    return lists_[list_of_[position]].services.empty();
  }

  // The terms of these rules, without those that can never have a say because of one before them.
  // In a tier with a pass rule, which may be in another list, a verdict may be passed over.
  Result<List> make_list(const Positions& positions) {
    List list;
    std::vector<policy_term> terms;
    std::set<std::uint16_t> decided, decided_in_tier;
    std::optional<std::uint16_t> tier;
    bool left = false;
    for (const auto position : positions) {
      if (tier != tiers_[position]) {
        decided_in_tier.clear();
        left = false;
        tier = tiers_[position];
      }
      if (left) continue;
      const Rule& one = rule(position);
      const bool passed_over = passing_.contains(*tier);
      bool said = false, ends = false;
      for (const auto subject : subjects_[position]) {
        if (decided.contains(subject) || decided_in_tier.contains(subject)) continue;
        terms.push_back({position, order_[position], subject, *tier, static_cast<__u8>(one.verdict),
                         static_cast<__u8>(!one.log), 0});
        said = true;
        if (one.verdict == POLICY_AUDIT) continue;
        const bool all = subject == POLICY_SUBJECT_ANY;
        left |= all;
        ends |= all && !passed_over;
        (passed_over ? decided_in_tier : decided).insert(subject);
      }
      if (said) list.rules.push_back(position);
      if (ends) break;
    }
    if (terms.empty()) return list;
    if (terms.size() > POLICY_LIST_MAX) {
      return too_many("subjects for one and the same peer and service", terms.size(),
                      POLICY_LIST_MAX);
    }
    terms.push_back(end_);
    const std::string bytes(reinterpret_cast<const char*>(terms.data()),
                            terms.size() * sizeof(policy_term));
    const auto [found, fresh] =
        lists_of_terms_.emplace(bytes, static_cast<std::uint32_t>(out_.terms.size()));
    list.first_term = found->second;
    if (!fresh) return list;
    out_.terms.insert(out_.terms.end(), terms.begin(), terms.end());
    if (out_.terms.size() > POLICY_TERMS_MAX) {
      return too_many("combinations of rules", out_.terms.size(), POLICY_TERMS_MAX);
    }
    return list;
  }

  // What rules about every peer say of each class of services.
  Result<void> fill_services(const ServiceClasses& services) {
    std::vector<Positions> by_list(lists_.size());
    Positions everything[2];
    for (Position position = 0; position < order_.size(); ++position) {
      if (!rule(position).peers.any()) continue;
      (about_every_service(position) ? everything[rule(position).direction]
                                     : by_list[list_of_[position]])
          .push_back(position);
    }
    for (std::size_t index = 0; index < services.members.size(); ++index) {
      Positions positions = everything[services.directions[index]];
      for (const auto list : services.members[index]) insert_sorted(positions, by_list[list]);
      auto made = make_list(positions);
      if (!made) return std::move(made).error();
      out_.services.push_back(made->first_term);
      to_every_peer_.push_back(std::move(made->rules));
    }
    return {};
  }

  Result<void> fill_peers(const std::vector<std::vector<std::uint32_t>>& classes,
                          const ServiceClasses& services) {
    std::vector<Positions> by_set(policy_.address_sets.size());
    for (Position position = 0; position < order_.size(); ++position) {
      for (const auto set : rule(position).peers.in) by_set[set].push_back(position);
    }
    std::vector<std::vector<std::uint16_t>> classes_of_list(lists_.size());
    for (std::size_t index = 0; index < services.members.size(); ++index) {
      for (const auto list : services.members[index]) {
        classes_of_list[list].push_back(static_cast<std::uint16_t>(index));
      }
    }
    out_.peers.push_back({});
    for (std::uint32_t peer = 1; peer < classes.size(); ++peer) {
      std::set<Position> positions;
      for (const auto set : classes[peer]) {
        for (const auto position : by_set[set]) {
          const auto excepted = [&](std::uint32_t out) {
            return std::ranges::binary_search(classes[peer], out);
          };
          if (std::ranges::none_of(rule(position).peers.out, excepted)) positions.insert(position);
        }
      }
      if (auto done = fill_peer(peer, positions, services, classes_of_list); !done) return done;
    }
    return {};
  }

  Result<void> fill_peer(std::uint32_t peer, const std::set<Position>& positions,
                         const ServiceClasses& services,
                         const std::vector<std::vector<std::uint16_t>>& classes_of_list) {
    Positions everything[2];
    std::map<std::uint16_t, Positions> by_service;
    for (const auto position : positions) {
      if (about_every_service(position)) {
        everything[rule(position).direction].push_back(position);
        continue;
      }
      for (const auto service : classes_of_list[list_of_[position]]) {
        by_service[service].push_back(position);
      }
    }
    policy_peer& written = out_.peers.emplace_back();
    for (const auto direction : {FLOW_INGRESS, FLOW_EGRESS}) {
      auto list = make_list(everything[direction]);
      if (!list) return std::move(list).error();
      written.first_term[direction] = list->first_term;
      everything[direction] = std::move(list->rules);
    }
    for (auto& [service, rules] : by_service) {
      insert_sorted(rules, everything[services.directions[service]]);
      insert_sorted(rules, to_every_peer_[service]);
      auto list = make_list(rules);
      if (!list) return std::move(list).error();
      out_.cells.push_back({peer, service, list->first_term});
    }
    if (out_.cells.size() > POLICY_CELLS_MAX) {
      return too_many("pairs of peers and services", out_.cells.size(), POLICY_CELLS_MAX);
    }
    return {};
  }

  void describe() {
    std::vector<std::string> names;
    for (const auto& one : policy_.rules) names.push_back(one.name);
    out_.rules = std::make_shared<const std::vector<std::string>>(std::move(names));
    for (const auto& entry : policy_.failsafe) out_.failsafe.push_back(make_row(entry));
    out_.about_host = std::ranges::any_of(
        policy_.address_sets, [](const AddressSet& set) { return set.host_in || set.host_out; });
    out_.generation.selectors = static_cast<std::uint32_t>(out_.selectors.size());
    out_.generation.default_verdict[FLOW_INGRESS] = policy_.ingress;
    out_.generation.default_verdict[FLOW_EGRESS] = policy_.egress;
    out_.generation.audit = policy_.audit;
  }

  static constexpr policy_term end_{POLICY_TERM_END, 0, 0, 0, 0, 0, 0};

  const Policy& policy_;
  const Surroundings& surroundings_;
  CompiledPolicy out_;
  std::vector<std::uint32_t> order_;                  // rule by position
  std::vector<std::uint16_t> tiers_;                  // by position
  std::set<std::uint16_t> passing_;                   // tiers that have a pass rule
  std::vector<std::vector<std::uint16_t>> subjects_;  // by position
  std::vector<ServiceList> lists_;
  std::vector<std::uint32_t> list_of_;    // by position
  std::vector<Positions> to_every_peer_;  // by class of services
  std::map<Selector, std::size_t> bits_;
  std::unordered_map<std::string, std::uint32_t> lists_of_terms_;
};

}  // namespace

Result<CompiledPolicy> compile(const Policy& policy, const Surroundings& surroundings) {
  return Compiler(policy, surroundings).run();
}

}  // namespace trivet::network
