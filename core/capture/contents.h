// SPDX-License-Identifier: Apache-2.0
// What the blocks of a capture hold, as structs and as bytes. decode() fails on bytes that no
// encode() made, and takes memory in proportion to them. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/plugin_configuration.h"
#include "event.h"
#include "facts/facts_witness.h"
#include "lanes/batch.h"
#include "trivet/facts.h"

namespace trivet {

using Bytes = std::vector<std::byte>;

// The host, and the moment at which the capture began.
struct CapturedHost {
  std::string version;  // of the trivet that wrote it
  HostIdentity identity;
  std::int64_t boot_to_real_ns = 0;
  std::string cgroup_root;
  std::uint64_t begun_ns = 0;  // CLOCK_BOOTTIME
};

// The plugins that ran, each with what it was configured with.
struct CapturedConfiguration {
  std::string path;  // of the configuration file
  std::vector<PluginConfiguration> plugins;
};

struct CapturedEnvironment {
  TaskKey task;
  std::vector<std::string> variables;
};

struct CapturedHash {
  ExeIdentity exe;
  std::string hash;
};

struct CapturedAccounts {
  AccountNames users;
  AccountNames groups;
};

// What the host names that a plugin asked for resolved to.
struct CapturedAddresses {
  std::string plugin;
  std::map<IpAddress, std::vector<std::string>> names;
};

using LaneCounts = std::array<std::uint64_t, LANE_COUNT>;

struct CaptureEnd {
  enum class Reason : std::uint8_t { asked = 0, size = 1 };
  std::uint64_t ended_ns = 0;  // CLOCK_BOOTTIME
  Reason reason = Reason::asked;
  LaneCounts events{};          // in the file
  LaneCounts lost{};            // that were read and did not get into the file
  LaneCounts lost_in_kernel{};  // that were never read, while it was recorded
};

Bytes encode(const CapturedHost& host);
Bytes encode(const CapturedConfiguration& configuration);
Bytes encode(const Container& container);
Bytes encode(const CapturedEnvironment& environment);
Bytes encode(const CapturedHash& hash);
Bytes encode(const CapturedAccounts& accounts);
Bytes encode(const CapturedAddresses& addresses);
Bytes encode(const LaneCounts& counts);
Bytes encode(const CaptureEnd& end);
Bytes encode(std::uint64_t number);

template <class T>
std::optional<T> decode(std::span<const std::byte> payload);

// The records of a block of events, or the one of a fact; nothing where a header does not fit.
std::optional<lanes::Batch> decode_records(std::span<const std::byte> payload);

}  // namespace trivet
