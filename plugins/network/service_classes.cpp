// SPDX-License-Identifier: Apache-2.0
#include "network/service_classes.h"

#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace trivet::network {

namespace {

using Members = std::vector<std::uint32_t>;

bool is_any(const Service& service) {
  return service.protocol == 0;
}
bool all_ports(const Service& service) {
  return service.low == 0 && service.high == 65535;
}

class Classifier {
 public:
  explicit Classifier(const std::vector<ServiceList>& lists) : lists_(lists) {
    classes_.pages.resize(POLICY_PAGE(1, 0, 0));
    for (auto& page : classes_.pages) page = {};
    for (const auto direction : {FLOW_INGRESS, FLOW_EGRESS}) class_of(direction, {});
  }

  ServiceClasses run() {
    for (const auto direction : {FLOW_INGRESS, FLOW_EGRESS}) {
      by_port(direction, IPPROTO_TCP, POLICY_PAGE_TCP, 65536);
      by_port(direction, IPPROTO_UDP, POLICY_PAGE_UDP, 65536);
      by_port(direction, IPPROTO_ICMP, POLICY_PAGE_ICMP, 256);
      by_port(direction, IPPROTO_ICMPV6, POLICY_PAGE_ICMPV6, 256);
      by_protocol(direction);
    }
    return std::move(classes_);
  }

 private:
  std::uint32_t class_of(flow_direction direction, Members members) {
    const auto next = static_cast<std::uint32_t>(classes_.members.size());
    const auto [found, fresh] = known_.emplace(std::pair{direction, std::move(members)}, next);
    if (fresh) {
      classes_.members.push_back(found->first.second);
      classes_.directions.push_back(direction);
    }
    return found->second;
  }

  // Lists of all services are in every class, so they tell none apart.
  bool counts(const ServiceList& list, flow_direction direction) const {
    return list.direction == direction && !std::ranges::any_of(list.services, is_any) &&
           !list.services.empty();
  }

  // The classes of one protocol's ports, or types, from where lists begin and end.
  void by_port(flow_direction direction, std::uint8_t protocol, std::uint32_t page,
               std::uint32_t ports) {
    std::map<std::uint32_t, std::vector<std::pair<std::uint32_t, int>>> changes;
    for (std::uint32_t index = 0; index < lists_.size(); ++index) {
      if (!counts(lists_[index], direction)) continue;
      for (const auto& service : lists_[index].services) {
        if (service.protocol != protocol) continue;
        changes[service.low].emplace_back(index, 1);
        changes[service.high + 1u].emplace_back(index, -1);
      }
    }
    changes[0];
    std::map<std::uint32_t, int> active;
    for (auto change = changes.begin(); change != changes.end(); ++change) {
      for (const auto& [index, by] : change->second) {
        if ((active[index] += by) == 0) active.erase(index);
      }
      Members members;
      for (const auto& [index, times] : active) members.push_back(index);
      const auto next = std::next(change);
      const auto end = next == changes.end() ? ports : std::min(next->first, ports);
      if (change->first >= end) break;
      const auto found = static_cast<__u16>(class_of(direction, std::move(members)));
      for (auto port = change->first; port < end; ++port) {
        page_of(direction, page + port / POLICY_PAGE_SERVICES)
            .services[port % POLICY_PAGE_SERVICES] = found;
      }
    }
  }

  // The classes of protocols without ports, and of packets that do not show theirs. 255 are packets
  // whose protocol is hidden as well.
  void by_protocol(flow_direction direction) {
    std::array<std::set<std::uint32_t>, POLICY_PAGE_SERVICES> active;
    for (std::uint32_t index = 0; index < lists_.size(); ++index) {
      if (!counts(lists_[index], direction)) continue;
      for (const auto& service : lists_[index].services) {
        if (lists_[index].refuses) active[255].insert(index);
        if (lists_[index].refuses || all_ports(service)) active[service.protocol].insert(index);
      }
    }
    for (std::size_t protocol = 0; protocol < active.size(); ++protocol) {
      page_of(direction, POLICY_PAGE_PROTOCOL).services[protocol] = static_cast<__u16>(
          class_of(direction, {active[protocol].begin(), active[protocol].end()}));
    }
  }

  policy_page& page_of(flow_direction direction, std::uint32_t page) {
    return classes_.pages[POLICY_PAGE(0, static_cast<std::uint32_t>(direction), page)];
  }

  const std::vector<ServiceList>& lists_;
  std::map<std::pair<flow_direction, Members>, std::uint32_t> known_;
  ServiceClasses classes_;
};

}  // namespace

Result<ServiceClasses> classify(const std::vector<ServiceList>& lists) {
  ServiceClasses classes = Classifier(lists).run();
  if (classes.members.size() > POLICY_SERVICES_MAX) {
    return Error{"the policy tells " + std::to_string(classes.members.size()) +
                 " kinds of services apart, but " + std::to_string(POLICY_SERVICES_MAX) +
                 " fit: let more rules share ports"};
  }
  return classes;
}

}  // namespace trivet::network
