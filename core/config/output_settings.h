// SPDX-License-Identifier: Apache-2.0
// [[outputs]] of the configuration, typed: where records go, and which. docs/outputs.md describes
// every key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "trivet/config.h"
#include "trivet/result.h"

namespace trivet {

// How a record is written: one line each. falco and text are Falco's forms of an alert, hubble is
// Hubble's of a flow.
enum class OutputFormat { json, falco, text, hubble };

// What each kind of output has of its own. Paths are absolute.
struct StdoutTarget {
  bool operator==(const StdoutTarget&) const = default;
};
struct FileTarget {
  std::string path;
  std::uint64_t max_bytes = 100 << 20;  // 0: grows until somebody else rotates it
  std::uint64_t keep = 5;               // files beside the one that is written
  bool operator==(const FileTarget&) const = default;
};
struct SyslogTarget {
  std::string socket = "/dev/log";
  int facility = 3;  // RFC 5424, 6.2.1
  bool operator==(const SyslogTarget&) const = default;
};
struct JournalTarget {
  std::string socket = "/run/systemd/journal/socket";
  bool operator==(const JournalTarget&) const = default;
};
struct HttpTarget {
  std::string url;
  std::string token;             // sent as a bearer token; empty: none
  std::string authorities;       // PEM; empty: those of the host
  std::string certificate, key;  // PEM, of the client; empty: none
  std::string spool;             // a folder
  std::uint64_t spool_bytes = 256 << 20;
  std::uint64_t timeout_s = 10;
  bool operator==(const HttpTarget&) const = default;
};
struct ProgramTarget {
  std::vector<std::string> command;  // an absolute path, and arguments
  bool operator==(const ProgramTarget&) const = default;
};
using OutputTarget =
    std::variant<StdoutTarget, FileTarget, SyslogTarget, JournalTarget, HttpTarget, ProgramTarget>;

// As `type` names it.
std::string_view type_name(const OutputTarget& target);

struct OutputSettings {
  std::string name;
  OutputTarget target;
  OutputFormat format = OutputFormat::json;
  std::vector<std::string> tables;  // sorted; never empty
  std::string where;                // an SQL condition over their columns; empty: all records
  std::uint64_t rate = 0;           // records a second; 0: as many as there are
  std::uint64_t burst = 0;          // and at once
  Place place, where_place;         // in the configuration

  // Whether they mean the same, wherever they were written.
  bool operator==(const OutputSettings& other) const;
};

// A folder that main must be able to write, and the setting that says so.
struct OutputFolder {
  std::string path;
  std::string setting;
};
// What the output needs of them; empty path: nothing.
OutputFolder output_folder(const OutputSettings& output);

// Reads all of [[outputs]]. Names, files and spools occur once.
Result<std::vector<OutputSettings>> read_outputs(
    const std::vector<std::unique_ptr<Config>>& tables);

}  // namespace trivet
