// SPDX-License-Identifier: Apache-2.0
// The core's own settings, typed: what config/trivet.toml holds beside the plugins' tables.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/queue_policy.h"
#include "config/listen_address.h"
#include "config/output_settings.h"
#include "trivet/config.h"
#include "trivet/log.h"
#include "trivet/result.h"

namespace trivet {

// One plugin's part of the file.
struct PluginSettings {
  std::string name;
  bool enabled = false;
  bool required = false;  // trivet does not run without it
  QueuePolicy queue = QueuePolicy::drop_newest;
  // Its table without the keys above, which belong to the core. Null where the file has no such
  // table: the plugin is off, and there is nothing to configure.
  std::unique_ptr<Config> table;
};

// Defaults are those of config/trivet.toml.
struct Settings {
  std::string user = "trivet";
  std::string program_user;  // empty: `user`
  LogLevel log_level = LogLevel::info;
  bool log_json = false;
  std::string control_socket = "/run/trivet/trivet.sock";
  std::string control_read_group = "root";
  std::string control_write_group = "root";
  std::string api_socket;  // absolute; empty: none
  std::optional<ListenAddress> api_listen;
  std::string api_token;  // set if api_listen is
  ListenAddress metrics_listen{.address = *IpAddress::parse("127.0.0.1"), .port = 9435};
  std::size_t metrics_max_series = 2000;
  std::size_t records_max_rows = 100000;
  std::size_t records_max_bytes = 64 << 20;
  std::uint64_t records_max_age_s = 0;  // 0: no limit
  std::string records_spill;            // an absolute path; empty: off
  std::uint64_t records_spill_max_bytes = std::uint64_t{1} << 30;
  std::uint64_t records_spill_max_age_s = 7 * 86400;
  std::size_t query_max_memory_bytes = 256 << 20;
  std::uint64_t query_max_time_s = 30;
  std::vector<OutputSettings> outputs;
  std::vector<PluginSettings> plugins;  // in the order of the names given
};

// Reads the whole file but for what the plugins' own tables hold. `plugins` are the names of the
// plugins installed: any other table is an error that names the nearest. A plugin without a table
// is off; one with a table says `enabled`. The Settings stay valid without `file`, but not without
// its FileSource.
Result<Settings> read_settings(const Config& file, const std::vector<std::string>& plugins);

}  // namespace trivet
