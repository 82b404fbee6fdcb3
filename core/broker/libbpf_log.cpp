// SPDX-License-Identifier: Apache-2.0
#include "broker/libbpf_log.h"

#include <bpf/libbpf.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

namespace trivet::broker {
namespace {

// The verifier's log of a refused program can be megabytes: its end is what tells.
constexpr std::size_t max_text = 64 * 1024;
constexpr std::size_t max_reason = 400;

// libbpf's print callback has no argument of ours.
std::string* collecting = nullptr;

int collect(libbpf_print_level level, const char* format, va_list arguments) {
  if (!collecting || level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, arguments);
  int size = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (size <= 0) return 0;
  std::vector<char> line(static_cast<std::size_t>(size) + 1);
  std::vsnprintf(line.data(), line.size(), format, arguments);
  collecting->append(line.data(), static_cast<std::size_t>(size));
  if (collecting->size() > max_text) collecting->erase(0, collecting->size() - max_text);
  return size;
}

bool starts_with_any(std::string_view line, std::initializer_list<std::string_view> starts) {
  for (std::string_view start : starts) {
    if (line.starts_with(start)) return true;
  }
  return false;
}

// The last line of `text` that says something about the cause.
std::string_view telling_line(std::string_view text, bool of_verifier) {
  while (!text.empty()) {
    std::size_t newline = text.find_last_of('\n');
    std::string_view line = newline == std::string_view::npos ? text : text.substr(newline + 1);
    text = newline == std::string_view::npos ? std::string_view() : text.substr(0, newline);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (of_verifier) {
      if (starts_with_any(line, {"processed ", "verification time", "stack depth", "; ", "--"})) {
        continue;
      }
      return line;
    }
    // libbpf ends with lines that only repeat the errno.
    if (line.find("load failed") == line.npos && line.find("failed to load") == line.npos &&
        line.find("-- END PROG") == line.npos && line.find("-- BEGIN PROG") == line.npos) {
      return line.starts_with("libbpf: ") ? line.substr(8) : line;
    }
  }
  return {};
}

}  // namespace

void silence_libbpf() {
  libbpf_set_print(collect);
}

LibbpfLog::LibbpfLog() {
  collecting = &text_;
}
LibbpfLog::~LibbpfLog() {
  collecting = nullptr;
}

std::string LibbpfLog::reason(int code) const {
  return reason_in(text_, code);
}

std::string reason_in(const std::string& text, int code) {
  std::string reason = std::strerror(code);
  constexpr std::string_view begin = "-- BEGIN PROG LOAD LOG --\n";
  constexpr std::string_view end = "-- END PROG LOAD LOG --";
  std::string_view line;
  std::size_t from = text.rfind(begin);
  std::size_t to = text.rfind(end);
  if (to != std::string::npos) {
    from = from == std::string::npos ? 0 : from + begin.size();
    if (from <= to) line = telling_line(std::string_view(text).substr(from, to - from), true);
  }
  if (line.empty()) line = telling_line(text, false);
  if (!line.empty()) reason += ": " + std::string(line.substr(0, max_reason));
  return reason;
}

}  // namespace trivet::broker
