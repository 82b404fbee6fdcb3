// SPDX-License-Identifier: Apache-2.0
#include "facts/this_host.h"

#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace trivet {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// os-release(5): NAME=value, the value in quotes where it holds more than letters and digits.
std::string operating_system() {
  for (const char* path : {"/etc/os-release", "/usr/lib/os-release"}) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      constexpr std::string_view kName = "PRETTY_NAME=";
      if (!line.starts_with(kName)) continue;
      auto value = line.substr(kName.size());
      if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
          value.back() == value.front())
        value = value.substr(1, value.size() - 2);
      return value;
    }
  }
  return {};
}

std::string hardware_address(const sockaddr_ll& link) {
  std::string text;
  for (unsigned i = 0; i < link.sll_halen && i < sizeof(link.sll_addr); ++i) {
    char byte[4];
    std::snprintf(byte, sizeof(byte), "%s%02x", i ? ":" : "", link.sll_addr[i]);
    text += byte;
  }
  return text;
}

unsigned ones(const void* mask, std::size_t bytes) {
  unsigned count = 0;
  for (std::size_t i = 0; i < bytes; ++i)
    count += static_cast<unsigned>(std::popcount(static_cast<const std::uint8_t*>(mask)[i]));
  return count;
}

void add_address(const ifaddrs& entry, Interface& interface) {
  const auto add = [&](const IpAddress& address, unsigned prefix) {
    interface.addresses.push_back({address, static_cast<std::uint8_t>(prefix)});
  };
  if (entry.ifa_addr->sa_family == AF_INET) {
    const auto* own = reinterpret_cast<const sockaddr_in*>(entry.ifa_addr);
    const auto* mask = reinterpret_cast<const sockaddr_in*>(entry.ifa_netmask);
    add(IpAddress::v4(&own->sin_addr), mask ? ones(&mask->sin_addr, 4) : 32);
  } else if (entry.ifa_addr->sa_family == AF_INET6) {
    const auto* own = reinterpret_cast<const sockaddr_in6*>(entry.ifa_addr);
    const auto* mask = reinterpret_cast<const sockaddr_in6*>(entry.ifa_netmask);
    add(IpAddress::v6(&own->sin6_addr), mask ? ones(&mask->sin6_addr, 16) : 128);
  } else if (entry.ifa_addr->sa_family == AF_PACKET) {
    const auto* link = reinterpret_cast<const sockaddr_ll*>(entry.ifa_addr);
    interface.index = static_cast<std::uint32_t>(link->sll_ifindex);
    interface.hardware_address = hardware_address(*link);
  }
}

}  // namespace

HostIdentity read_host_identity() {
  HostIdentity host;
  utsname names{};
  if (uname(&names) == 0) {
    host.name = names.nodename;
    host.kernel = names.release;
    host.architecture = names.machine;
  }
  host.os = operating_system();
  host.machine_id = first_line("/etc/machine-id");
  host.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  const auto count = [](int name) {
    return static_cast<std::uint64_t>(std::max(0L, sysconf(name)));
  };
  host.cpus = static_cast<std::uint32_t>(count(_SC_NPROCESSORS_ONLN));
  host.daemon_pid = static_cast<std::uint32_t>(getpid());
  host.memory_bytes = count(_SC_PHYS_PAGES) * count(_SC_PAGESIZE);
  return host;
}

std::vector<Interface> read_interfaces() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(first, freeifaddrs);
  std::map<std::string, Interface> by_name;
  for (const ifaddrs* entry = first; entry; entry = entry->ifa_next) {
    if (!entry->ifa_addr) continue;
    // A second IPv4 address may have a label, "eth0:1".
    const std::string_view label = entry->ifa_name;
    auto& interface = by_name[std::string(label.substr(0, label.find(':')))];
    interface.up = entry->ifa_flags & IFF_UP;
    interface.loopback = entry->ifa_flags & IFF_LOOPBACK;
    add_address(*entry, interface);
  }
  std::map<std::uint32_t, Interface> by_index;
  for (auto& [name, interface] : by_name) {
    const auto mtu = first_line("/sys/class/net/" + name + "/mtu");
    if (!mtu.empty())
      interface.mtu = static_cast<std::uint32_t>(std::strtoul(mtu.c_str(), nullptr, 10));
    interface.name = name;
    by_index.emplace(interface.index, std::move(interface));
  }
  std::vector<Interface> interfaces;
  for (auto& [index, interface] : by_index) interfaces.push_back(std::move(interface));
  return interfaces;
}

void Interfaces::refresh() {
  auto now = std::make_shared<const std::vector<Interface>>(read_interfaces());
  const std::lock_guard lock(mutex_);
  list_ = std::move(now);
}

std::shared_ptr<const std::vector<Interface>> Interfaces::list() const {
  const std::lock_guard lock(mutex_);
  return list_;
}

}  // namespace trivet
