// SPDX-License-Identifier: Apache-2.0
#include "log/stream_log.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

#include "text/escape.h"

namespace trivet {
namespace {

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      break;
  }
  return "error";
}

// RFC 3339 in UTC, to the millisecond.
std::string now() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  tm parts;
  gmtime_r(&time.tv_sec, &parts);
  char date[32], text[64];
  std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof(text), "%s.%03ldZ", date, time.tv_nsec / 1'000'000);
  return text;
}

bool needs_quotes(std::string_view text) {
  return text.empty() || text.find_first_of(" \"=\\") != text.npos;
}

std::string text_line(LogLevel level, std::string_view sentence, const Log::Values& values) {
  std::string line = now();
  line += ' ';
  line += name_of(level);
  line.append(line.size() < 33 ? 33 - line.size() : 1, ' ');  // sentences start in one column
  append_printable(line, sentence);
  for (const auto& [name, value] : values) {
    line += ' ';
    line += name;
    line += '=';
    std::string shown = printable(value);
    if (!needs_quotes(shown)) {
      line += shown;
      continue;
    }
    line += '"';
    for (char c : shown) {
      if (c == '"') line += '\\';
      line += c;
    }
    line += '"';
  }
  line += '\n';
  return line;
}

std::string json_line(LogLevel level, std::string_view sentence, const Log::Values& values) {
  std::string line = "{\"time\":\"" + now() + "\",\"level\":\"";
  line += name_of(level);
  line += "\",\"message\":";
  append_json_string(line, sentence);
  for (const auto& [name, value] : values) {
    line += ',';
    append_json_string(line, name);
    line += ':';
    append_json_string(line, value);
  }
  line += "}\n";
  return line;
}

}  // namespace

StreamLog::StreamLog(int descriptor, LogLevel level, bool json)
    : descriptor_(descriptor), level_(level), json_(json) {}

void StreamLog::configure(LogLevel level, bool json) {
  level_ = level;
  json_ = json;
}

void StreamLog::write(LogLevel level, std::string_view sentence, const Values& values) {
  if (level < level_) return;
  std::string line =
      json_ ? json_line(level, sentence, values) : text_line(level, sentence, values);
  std::string_view rest = line;
  while (!rest.empty()) {
    ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // nobody is left to tell
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

TaggedLog::TaggedLog(Log& log, std::vector<std::pair<std::string, std::string>> tags)
    : log_(log), tags_(std::move(tags)) {}

void TaggedLog::write(LogLevel level, std::string_view sentence, const Values& values) {
  Values all(tags_.begin(), tags_.end());
  all.insert(all.end(), values.begin(), values.end());
  log_.write(level, sentence, all);
}

}  // namespace trivet
