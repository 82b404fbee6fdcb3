// SPDX-License-Identifier: Apache-2.0
// `trivet capture replay`: the plugins' code in this process, with the rights of whoever runs it,
// over a capture.
#include "capture/replay.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <numeric>

#include "config/settings.h"
#include "config/toml_file.h"
#include "control/request.h"
#include "daemon/commands.h"
#include "daemon/installation.h"
#include "daemon/launcher.h"
#include "daemon/offline_plugins.h"
#include "lanes/reader.h"
#include "log/stream_log.h"
#include "records/hubble.h"
#include "records/tables.h"
#include "trivet/records/all.h"
#include "trivet/records/flow.h"

namespace trivet {

namespace {

// The files that the capture's plugins had read; no other can be named.
class CapturedFiles final : public FileSource {
 public:
  explicit CapturedFiles(const CapturedConfiguration& configuration) {
    for (const auto& plugin : configuration.plugins) {
      files_.folders.insert(plugin.files.folders.begin(), plugin.files.folders.end());
      files_.texts.insert(plugin.files.texts.begin(), plugin.files.texts.end());
    }
  }
  Result<std::vector<std::string>> expand(const std::string& path) override {
    const auto found = files_.folders.find(path);
    return found == files_.folders.end() ? std::vector{path} : found->second;
  }
  Result<TextFile> read(const std::string& path) override {
    const auto found = files_.texts.find(path);
    if (found == files_.texts.end())
      return Error{path + " is not in the capture: give a configuration with -c", ENOENT};
    return TextFile{path, found->second, false};
  }

 private:
  ReadFiles files_;
};

// The tables of the plugins, as a configuration file would have them.
std::string configuration_text(const CapturedConfiguration& configuration) {
  std::string text = "schema = 1\n";
  for (const auto& plugin : configuration.plugins)
    text += "[" + toml_string(plugin.name) + "]\nenabled = true\n" + plugin.toml;
  return text;
}

Result<Settings> settings_of(const ReplayOptions& options, const CapturedConfiguration& captured,
                             FileSource& files, FileSource& captured_files,
                             const std::vector<std::string>& names) {
  if (options.config) return read_configuration(*options.config, files, names);
  const auto config = parse_toml(captured.path, configuration_text(captured), captured_files);
  if (!config) return config.error();
  return read_settings(**config, names);
}

Result<void> add_plugins(Replay& replay, const ReplayOptions& options) {
  const OfflinePlugins plugins(find_installation({}).plugin_directory);
  const auto names = plugins.names();
  if (!names) return names.error();
  PlainFiles files;
  CapturedFiles captured_files(replay.configuration());
  const auto settings = settings_of(options, replay.configuration(), files, captured_files, *names);
  if (!settings) return settings.error();
  const auto wanted = [&](const std::string& name) {
    return options.plugins.empty() ||
           std::ranges::find(options.plugins, name) != options.plugins.end();
  };
  for (const auto& name : options.plugins)
    if (std::ranges::find(*names, name) == names->end()) return Error{"there is no plugin " + name};
  const auto rules = table_of_files("rules_files", options.rules, files);
  if (!rules) return rules.error();
  std::size_t running = 0;
  for (const auto& plugin : settings->plugins) {
    const bool ruled = plugin.name == "security" && !options.rules.empty();
    if (!wanted(plugin.name) || (!plugin.enabled && !ruled)) continue;
    auto instance = plugins.create(plugin.name);
    if (!instance) return instance.error();
    if (auto valid = (*instance)->configure(ruled ? **rules : *plugin.table); !valid) return valid;
    print_remarks(**instance);
    if (auto started = replay.add(plugin.name, std::move(*instance)); !started)
      return std::move(started).error().within("plugin " + plugin.name);
    ++running;
  }
  if (running == 0) return Error{"no plugin is on: name a configuration with -c"};
  return {};
}

// The names of the tables that are printed; none: all.
Result<std::vector<std::string>> tables_of(const Replay& replay, const ReplayOptions& options) {
  Tables known({.rows = 1, .bytes = 64 << 10});
  for (const auto* schema : all_record_schemas()) known.declare(*schema);
  for (const auto* schema : replay.tables()) known.declare(*schema);
  std::vector<std::string> wanted;
  for (const auto& name : options.tables) {
    const auto found = known.resolve(name);
    if (found.empty()) return known.unknown(name);
    wanted.insert(wanted.end(), found.begin(), found.end());
  }
  return wanted;
}

std::string line_of(const RecordSchema& schema, const void* record, const Origin& origin,
                    const ReplayOptions& options, std::string_view& heading_of) {
  const bool is_alert = schema.table == Alert::schema().table;
  switch (*record_format(options.format)) {
    case RecordFormat::json:
      return to_table_json(schema, record, origin);
    case RecordFormat::falco:
      return is_alert ? to_falco_json(*static_cast<const Alert*>(record), origin) : "";
    case RecordFormat::text:
      return is_alert ? to_falco_text(*static_cast<const Alert*>(record), origin) : "";
    case RecordFormat::hubble:
      return schema.table == Flow::schema().table
                 ? to_hubble_json(*static_cast<const Flow*>(record), origin)
                 : "";
    case RecordFormat::compact:
      break;
  }
  std::string line;
  if (heading_of != schema.table) line = line_heading(schema, options.colour) + '\n';
  heading_of = schema.table;
  return line + to_line(schema, record, origin, options.colour);
}

void print_report(const ReplayReport& report, const Replay& replay) {
  std::fprintf(stderr, "trivet: %llu events of %s\n",
               static_cast<unsigned long long>(report.events), replay.host().identity.name.c_str());
  const auto lacks = [](const LaneCounts& counts, const char* why) {
    for (unsigned lane = 0; lane < LANE_COUNT; ++lane)
      if (counts[lane] > 0)
        std::fprintf(stderr, "trivet: the capture lacks %llu events of the lane %s: %s\n",
                     static_cast<unsigned long long>(counts[lane]),
                     std::string(lanes::lane_name(lane)).c_str(), why);
  };
  lacks(report.lost, "it was written too slowly");
  if (report.end) lacks(report.end->lost_in_kernel, "the kernel's rings were full");
  if (!report.end) std::fprintf(stderr, "trivet: the capture has no end: the rest is missing\n");
  if (report.malformed > 0)
    std::fprintf(stderr, "trivet: %llu events are of another version, or malformed\n",
                 static_cast<unsigned long long>(report.malformed));
}

Result<void> replay_file(const ReplayOptions& options) {
  std::ifstream file(options.file, std::ios::binary);
  if (!file) return system_error(errno, "cannot read " + options.file);
  StreamLog log(STDERR_FILENO, LogLevel::warning, false);
  auto replay = Replay::open(file, log);
  if (!replay) return std::move(replay).error().within("capture " + options.file);
  if (auto added = add_plugins(**replay, options); !added) return added;
  const auto tables = tables_of(**replay, options);
  if (!tables) return tables.error();
  const Origin origin = (*replay)->origin();
  std::string_view heading_of;
  const auto replayed = (*replay)->run([&](const RecordSchema& schema, const void* record) {
    if (!tables->empty() && std::ranges::find(*tables, schema.table) == tables->end()) return true;
    std::string line = line_of(schema, record, origin, options, heading_of);
    if (line.empty()) return true;
    line += '\n';
    return std::fwrite(line.data(), 1, line.size(), stdout) == line.size();
  });
  std::fflush(stdout);
  print_report((*replay)->report(), **replay);
  return replayed ? replayed : Error(replayed.error()).within("capture " + options.file);
}

}  // namespace

int replay(const ReplayOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto done = replay_file(options);
  if (done) return kExitSuccess;
  std::fprintf(stderr, "trivet: %s\n", done.error().to_string().c_str());
  return kExitFailure;
}

}  // namespace trivet
