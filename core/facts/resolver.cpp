// SPDX-License-Identifier: Apache-2.0
#include "facts/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

namespace trivet {
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

}  // namespace

Resolver::Resolver(std::vector<std::string> names, std::unique_ptr<AddressNames> before,
                   std::function<void(const Table&)> answered)
    : names_(std::move(names)), answered_(std::move(answered)), before_(std::move(before)) {
  if (!names_.empty()) thread_ = std::thread([this] { keep_asking(); });
}

Resolver::~Resolver() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_all();
  thread_.join();
}

std::vector<std::string> Resolver::of(const IpAddress& address) const {
  std::lock_guard lock(mutex_);
  if (before_) return before_->of(address);
  auto found = table_.find(address);
  return found == table_.end() ? std::vector<std::string>() : found->second;
}

void Resolver::keep_asking() {
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
    table_ = table;
    auto before = std::move(before_);
    lock.unlock();
    before.reset();
    answered_(table);
    lock.lock();
    stopping_.wait_for(lock, kPeriod, [this] { return stop_; });
  }
}

}  // namespace trivet
