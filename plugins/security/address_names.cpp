// SPDX-License-Identifier: Apache-2.0
#include "security/address_names.h"

#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <set>

#include "security/rules/filter.h"

namespace trivet::security {
namespace {

constexpr std::chrono::seconds kPeriod{30};

// This thread's resolver gives up soon and appends no domains: rules name hosts in full.
void be_brief() {
  if (res_init() != 0) return;
  _res.retrans = 1;
  _res.retry = 1;
  _res.options &= ~static_cast<unsigned long>(RES_DNSRCH | RES_DEFNAMES);
}

std::vector<IpAddress> addresses_of(const std::string& name) {
  addrinfo wanted{}, *answer = nullptr;
  wanted.ai_socktype = SOCK_STREAM;  // each address once
  std::vector<IpAddress> addresses;
  if (getaddrinfo(name.c_str(), nullptr, &wanted, &answer) != 0) return addresses;
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(answer, &freeaddrinfo);
  for (const addrinfo* one = answer; one; one = one->ai_next) {
    if (one->ai_family == AF_INET) {
      sockaddr_in address;
      std::memcpy(&address, one->ai_addr, sizeof(address));
      addresses.push_back(IpAddress::v4(reinterpret_cast<std::uint8_t*>(&address.sin_addr)));
    } else if (one->ai_family == AF_INET6) {
      sockaddr_in6 address;
      std::memcpy(&address, one->ai_addr, sizeof(address));
      addresses.push_back(IpAddress::v6(address.sin6_addr.s6_addr));
    }
  }
  return addresses;
}

bool is_name_of_address(const Field& field) {
  return field.name == "fd.sip.name" || field.name == "fd.cip.name" ||
         field.name == "fd.lip.name" || field.name == "fd.rip.name";
}

}  // namespace

std::vector<std::string> host_names(const FilterGraph& graph) {
  std::set<std::string> names;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    if (node.kind != Node::Kind::comparison) continue;
    const Comparison& comparison = graph.comparison(node);
    const Field* field = graph.sources()[comparison.left].field;
    if (!field || !is_name_of_address(*field)) continue;
    names.insert(comparison.texts.begin(), comparison.texts.end());
    for (const auto& text : comparison.text_set) names.emplace(text);
  }
  return {names.begin(), names.end()};
}

AddressNames::AddressNames(std::vector<std::string> names, const AddressNames* before)
    : names_(std::move(names)) {
  if (before) {
    std::lock_guard lock(before->mutex_);
    table_ = before->table_;
  }
  if (!names_.empty()) thread_ = std::thread([this] { keep_asking(); });
}

AddressNames::~AddressNames() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  thread_.join();
}

std::vector<std::string> AddressNames::of(const IpAddress& address) const {
  std::lock_guard lock(mutex_);
  auto found = table_.find(address);
  return found == table_.end() ? std::vector<std::string>() : found->second;
}

void AddressNames::keep_asking() {
  be_brief();
  std::unique_lock lock(mutex_);
  while (!stop_) {
    Table table;
    for (const auto& name : names_) {
      lock.unlock();
      auto addresses = addresses_of(name);
      lock.lock();
      if (stop_) return;
      for (const auto& address : addresses) table[address].push_back(name);
    }
    table_ = std::move(table);
    stopping_.wait_for(lock, kPeriod, [this] { return stop_; });
  }
}

}  // namespace trivet::security
