// SPDX-License-Identifier: Apache-2.0
#include "query/host_table.h"

namespace trivet {

LiveTable host_table(const Facts& facts) {
  return {&HostRow::schema(), [&facts](const std::function<void(const void*)>& visit) {
            const HostIdentity& host = facts.host();
            HostRow row;
            row.name = host.name;
            row.os = host.os;
            row.kernel = host.kernel;
            row.architecture = host.architecture;
            row.machine_id = host.machine_id;
            row.boot_id = host.boot_id;
            row.cpus = host.cpus;
            row.memory = host.memory_bytes;
            row.booted = Time{0};
            visit(&row);
          }};
}

LiveTable interface_table(const Facts& facts) {
  return {&InterfaceRow::schema(), [&facts](const std::function<void(const void*)>& visit) {
            for (const auto& interface : *facts.interfaces()) {
              InterfaceRow row;
              row.name = interface.name;
              row.interface_index = interface.index;
              row.hardware_address = interface.hardware_address;
              row.mtu = interface.mtu;
              row.up = interface.up;
              row.loopback = interface.loopback;
              for (const auto& [address, prefix] : interface.addresses)
                row.addresses.push_back(address.to_string() + '/' + std::to_string(prefix));
              visit(&row);
            }
          }};
}

}  // namespace trivet
