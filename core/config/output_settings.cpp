// SPDX-License-Identifier: Apache-2.0
#include "config/output_settings.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "config/bearer_token.h"
#include "trivet/records/all.h"

namespace trivet {
namespace {

constexpr std::size_t kMaxOutputs = 32, kMaxNameBytes = 64;
constexpr std::int64_t kMaxRate = 10'000'000;
constexpr std::string_view kRequests = "requests";
constexpr const char* kSpoolFolder = "/var/lib/trivet/outputs/";

// RFC 5424, 6.2.1: those for programs that are no part of a mail or news system.
constexpr std::pair<const char*, int> kFacilities[] = {
    {"user", 1},    {"daemon", 3},  {"auth", 4},    {"authpriv", 10},
    {"local0", 16}, {"local1", 17}, {"local2", 18}, {"local3", 19},
    {"local4", 20}, {"local5", 21}, {"local6", 22}, {"local7", 23}};

// The value of an enumeration, from a table of names: one place for what may be written.
template <class T, std::size_t N>
T choose(ConfigReader& read, const char* key, const std::pair<const char*, T> (&known)[N],
         T otherwise) {
  std::string text;
  std::vector<std::string> names;
  for (const auto& [name, value] : known) {
    names.emplace_back(name);
    if (value == otherwise) text = name;
  }
  read.choice(key, text, names);
  for (const auto& [name, value] : known)
    if (text == name) return value;
  return otherwise;
}

std::uint64_t bounded(ConfigReader& read, const char* key, std::uint64_t value, std::int64_t low,
                      std::int64_t high) {
  auto number = static_cast<std::int64_t>(value);
  read.range(key, number, low, high);
  return static_cast<std::uint64_t>(number);
}

std::vector<std::string> known_tables() {
  std::vector<std::string> names;
  for (const auto* schema : all_record_schemas()) names.emplace_back(schema->table);
  return names;
}

void read_tables(ConfigReader& read, OutputSettings& output) {
  const auto known = known_tables();
  std::vector<std::string> named;
  read("tables", named);
  std::set<std::string> tables;
  for (const auto& name : named) {
    if (name == kRequests) {
      for (const auto& table : known)
        if (table.ends_with("_requests")) tables.insert(table);
    } else if (std::ranges::find(known, name) != known.end()) {
      tables.insert(name);
    } else {
      auto offered = known;
      offered.emplace_back(kRequests);
      std::string list;
      for (const auto& table : offered) list += (list.empty() ? "" : ", ") + table;
      const auto meant = nearest(name, offered);
      return read.fail("tables", Error{"outputs.tables: there is no table \"" + name + "\": " +
                                       (meant.empty() ? "write some of " + list
                                                      : "did you mean \"" + meant + "\"?")});
    }
  }
  const char* only = output.format == OutputFormat::json     ? nullptr
                     : output.format == OutputFormat::hubble ? "flows"
                                                             : "alerts";
  if (tables.empty() && only) tables = {only};
  if (tables.empty()) tables = {known.begin(), known.end()};
  if (only && (tables.size() != 1 || !tables.contains(only)))
    return read.fail("format",
                     Error{std::string("outputs.format: that form is of ") + only +
                           " only: write tables = [\"" + only + "\"], or format = \"json\""});
  output.tables.assign(tables.begin(), tables.end());
}

// An absolute path without dots in it.
void read_path(ConfigReader& read, const char* key, const char* example, std::string& path) {
  read(key, path);
  const std::filesystem::path as_path(path);
  if (!as_path.is_absolute() || !as_path.has_filename() || as_path.lexically_normal() != as_path)
    read.fail(key, Error{"outputs." + std::string(key) + " must be an absolute path, such as \"" +
                         example + "\""});
}

FileTarget read_file(ConfigReader& read) {
  FileTarget target;
  read_path(read, "path", "/var/log/trivet/alerts.json", target.path);
  target.max_bytes = bounded(read, "max_bytes", target.max_bytes, 0, std::int64_t{1} << 50);
  if (target.max_bytes != 0 && target.max_bytes < (64 << 10))
    read.fail("max_bytes", Error{"outputs.max_bytes must be 0, for a file that is not rotated, or "
                                 "65536 and more"});
  target.keep = bounded(read, "keep", target.keep, 0, 1000);
  return target;
}

// The text of the one file that a key names; empty if it names none.
std::string one_file(ConfigReader& read, const std::string& key) {
  auto files = read.files(key);
  if (files.size() > 1) read.fail(key, Error{"outputs." + key + " names more than one file"});
  return files.empty() ? std::string() : std::move(files.front().text);
}

HttpTarget read_http(ConfigReader& read, const std::string& name) {
  HttpTarget target;
  read("url", target.url);
  const bool tls = target.url.starts_with("https://");
  if (!tls && !target.url.starts_with("http://"))
    read.fail("url", Error{"outputs.url must be where to POST to, such as "
                           "\"https://logs.example.org/trivet\""});
  target.authorities = one_file(read, "ca_file");
  target.certificate = one_file(read, "certificate_file");
  for (const auto& file : read.files("key_file")) {
    if (file.world_readable)
      read.fail("key_file", Error{"outputs.key_file: " + file.path +
                                  " can be read by everybody: chmod o-r " + file.path});
    target.key = file.text;
  }
  if (target.certificate.empty() != target.key.empty())
    read.fail("url", Error{"outputs.certificate_file and outputs.key_file belong together: write "
                           "both or none"});
  for (const auto& file : read.files("token_file")) {
    if (auto token = bearer_token(file))
      target.token = std::move(*token);
    else
      read.fail("token_file", std::move(token).error().within("outputs.token_file"));
  }
  if (!tls && !target.token.empty())
    read.fail("url", Error{"outputs.url: a token must not be sent in the clear: write https://, or "
                           "no token_file"});
  target.spool = kSpoolFolder + name;
  read_path(read, "spool", "/var/lib/trivet/outputs/alerts", target.spool);
  target.spool_bytes =
      bounded(read, "spool_max_bytes", target.spool_bytes, 4 << 20, std::int64_t{1} << 50);
  target.timeout_s = bounded(read, "timeout_s", target.timeout_s, 1, 300);
  return target;
}

ProgramTarget read_program(ConfigReader& read) {
  ProgramTarget target;
  read("command", target.command);
  if (target.command.empty() || target.command.front().empty() ||
      target.command.front().front() != '/')
    read.fail("command", Error{"outputs.command must be a program's absolute path and its "
                               "arguments, such as [\"/usr/local/bin/forward\", \"--json\"]"});
  const auto has_nul = [](const auto& text) { return text.find('\0') != text.npos; };
  if (target.command.size() > 64 || std::ranges::any_of(target.command, has_nul))
    read.fail("command", Error{"outputs.command takes at most 64 texts without NUL"});
  return target;
}

SyslogTarget read_syslog(ConfigReader& read) {
  SyslogTarget target;
  read_path(read, "socket", "/dev/log", target.socket);
  target.facility = choose(read, "facility", kFacilities, target.facility);
  return target;
}

JournalTarget read_journal(ConfigReader& read) {
  JournalTarget target;
  read_path(read, "socket", "/run/systemd/journal/socket", target.socket);
  return target;
}

// In the order of OutputTarget.
const std::vector<std::string> kTypes{"stdout", "file", "syslog", "journal", "http", "program"};

void read_target(ConfigReader& read, OutputSettings& output) {
  std::string type;
  read.choice("type", type, kTypes);
  if (read.failed()) return;
  if (type.empty())
    return read.fail("type", Error{"outputs.type is missing: write type = \"stdout\", \"file\", "
                                   "\"syslog\", \"journal\", \"http\" or \"program\""});
  if (type == "stdout") output.target = StdoutTarget{};
  if (type == "file") output.target = read_file(read);
  if (type == "syslog") output.target = read_syslog(read);
  if (type == "journal") output.target = read_journal(read);
  if (type == "http") output.target = read_http(read, output.name);
  if (type == "program") output.target = read_program(read);
}

// It is part of paths and of metrics' labels.
void read_name(ConfigReader& read, OutputSettings& output) {
  read("name", output.name);
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  if (output.name.empty() || output.name.size() > kMaxNameBytes ||
      !std::ranges::all_of(output.name, allowed))
    read.fail("name", Error{"outputs.name must be a name of small letters, digits, - and _, such "
                            "as \"alerts\""});
}

Result<OutputSettings> read_output(const Config& table) {
  static constexpr std::pair<const char*, OutputFormat> kFormats[] = {
      {"json", OutputFormat::json},
      {"falco", OutputFormat::falco},
      {"text", OutputFormat::text},
      {"hubble", OutputFormat::hubble}};
  OutputSettings output;
  output.place = table.place("");
  output.where_place = table.place("where");
  ConfigReader read(table);
  read_name(read, output);
  output.format = choose(read, "format", kFormats, output.format);
  read_tables(read, output);
  read("where", output.where);
  output.rate = bounded(read, "rate", 0, 0, kMaxRate);
  output.burst = bounded(read, "burst", output.rate, 0, kMaxRate);
  if (output.rate != 0 && output.burst == 0)
    read.fail("burst", Error{"outputs.burst = 0 lets nothing through: write 1 or more"});
  read_target(read, output);
  if (auto done = read.finish(); !done) return std::move(done).error();
  return output;
}

// What no two outputs may share.
std::string place_of(const OutputTarget& target) {
  if (std::holds_alternative<StdoutTarget>(target)) return "standard output";
  if (auto file = std::get_if<FileTarget>(&target)) return file->path;
  if (auto http = std::get_if<HttpTarget>(&target)) return http->spool;
  return {};
}

}  // namespace

bool OutputSettings::operator==(const OutputSettings& other) const {
  const auto meaning = [](const OutputSettings& of) {
    return std::tie(of.name, of.target, of.format, of.tables, of.where, of.rate, of.burst);
  };
  return meaning(*this) == meaning(other);
}

OutputFolder output_folder(const OutputSettings& output) {
  const std::string of = "outputs \"" + output.name + "\": ";
  if (auto file = std::get_if<FileTarget>(&output.target))
    return {std::filesystem::path(file->path).parent_path().string(), of + "path"};
  if (auto http = std::get_if<HttpTarget>(&output.target)) return {http->spool, of + "spool"};
  return {};
}

std::string_view type_name(const OutputTarget& target) {
  return kTypes[target.index()];
}

Result<std::vector<OutputSettings>> read_outputs(
    const std::vector<std::unique_ptr<Config>>& tables) {
  std::vector<OutputSettings> outputs;
  std::set<std::string> names, places;
  for (const auto& table : tables) {
    auto output = read_output(*table);
    if (!output) return std::move(output).error();
    if (!names.insert(output->name).second)
      return Error{
          "outputs.name: two outputs are called \"" + output->name + "\": give each its own name",
          0, table->place("name")};
    const auto place = place_of(output->target);
    if (!place.empty() && !places.insert(place).second)
      return Error{"outputs: two outputs write to " + place +
                       ": give each its own, or make one "
                       "of them",
                   0, output->place};
    outputs.push_back(std::move(*output));
    if (outputs.size() > kMaxOutputs)
      return Error{"outputs: there may be " + std::to_string(kMaxOutputs), 0, outputs.back().place};
  }
  return outputs;
}

}  // namespace trivet
