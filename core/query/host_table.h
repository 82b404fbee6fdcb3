// SPDX-License-Identifier: Apache-2.0
// The tables `host` and `interfaces`: this host, and its network interfaces.
#pragma once

#include <string>
#include <vector>

#include "query/live_table.h"
#include "trivet/facts.h"
#include "trivet/record.h"

namespace trivet {

#define TRIVET_HOST_ROW_COLUMNS(X, R)                                                        \
  X(R, std::string, name, none, always, "host.name", "Hostname")                             \
  X(R, std::string, os, none, always, "os.description", "Operating system")                  \
  X(R, std::string, kernel, none, always, "os.version", "Release of the kernel")             \
  X(R, std::string, architecture, none, always, "host.arch", "As uname -m")                  \
  X(R, std::string, machine_id, none, detail, "host.id", "machine-id(5); empty without one") \
  X(R, std::string, boot_id, none, detail, "", "Another one with each boot")                 \
  X(R, std::uint32_t, cpus, none, always, "", "CPUs online")                                 \
  X(R, std::uint64_t, memory, bytes, always, "", "Memory")                                   \
  X(R, ::trivet::Time, booted, nanoseconds, always, "", "When it was booted")

TRIVET_RECORD(HostRow, "host", 1, "This host", TRIVET_HOST_ROW_COLUMNS);

#define TRIVET_INTERFACE_ROW_COLUMNS(X, R)                                                 \
  X(R, std::string, name, none, always, "network.interface.name", "Name")                  \
  X(R, std::uint32_t, interface_index, none, always, "", "Index")                          \
  X(R, std::string, hardware_address, none, always, "host.mac", "Empty where it has none") \
  X(R, std::uint32_t, mtu, bytes, always, "", "Largest packet")                            \
  X(R, bool, up, none, always, "", "Whether it was switched on")                           \
  X(R, bool, loopback, none, detail, "", "Whether it leads back to this host")             \
  X(R, std::vector<std::string>, addresses, none, always, "host.ip", "Each as address/bits")

TRIVET_RECORD(InterfaceRow, "interfaces", 1, "Network interfaces", TRIVET_INTERFACE_ROW_COLUMNS);

// `facts` must outlive the tables.
LiveTable host_table(const Facts& facts);
LiveTable interface_table(const Facts& facts);

}  // namespace trivet
