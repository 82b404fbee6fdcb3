// SPDX-License-Identifier: Apache-2.0
#include "broker/libbpf_log.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <iterator>
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
    // libbpf ends with lines that only repeat the errno, and blames `ulimit -l` for any EPERM.
    constexpr std::string_view empty_phrases[] = {
        "load failed",   "failed to load",         "-- END PROG",
        "-- BEGIN PROG", "failed to prepare load", "ulimit -l"};
    bool says_nothing =
        std::any_of(std::begin(empty_phrases), std::end(empty_phrases),
                    [&](std::string_view phrase) { return line.find(phrase) != line.npos; });
    if (!says_nothing) return line;
  }
  return {};
}

// "libbpf: prog 'open': no such thing: -3" without what its reader knows already.
std::string_view without_frame(std::string_view line) {
  if (line.starts_with("libbpf: ")) line.remove_prefix(8);
  if (line.starts_with("prog '")) {
    std::size_t end = line.find("': ");
    if (end != line.npos) line.remove_prefix(end + 3);
  }
  std::size_t number = line.rfind(": -");
  if (number != line.npos && line.find_first_not_of("0123456789", number + 3) == line.npos) {
    line = line.substr(0, number);
  }
  return line;
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
  constexpr std::string_view begin = "-- BEGIN PROG LOAD LOG --\n";
  constexpr std::string_view end = "-- END PROG LOAD LOG --";
  std::size_t to = text.rfind(end);
  if (to != std::string::npos) {
    // The beginning may be lost: only the end of a long log is kept.
    std::size_t from = text.rfind(begin, to);
    from = from == std::string::npos ? 0 : from + begin.size();
    std::string_view line = telling_line(std::string_view(text).substr(from, to - from), true);
    if (!line.empty()) {
      return std::strerror(code) + (": " + std::string(line.substr(0, max_reason)));
    }
  }
  // libbpf's own errnos mean other things than their texts say.
  std::string_view line = without_frame(telling_line(text, false));
  return line.empty() ? std::strerror(code) : std::string(line.substr(0, max_reason));
}

}  // namespace trivet::broker
