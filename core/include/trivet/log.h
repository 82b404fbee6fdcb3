// SPDX-License-Identifier: Apache-2.0
// Structured logs: a sentence, and named values beside it. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trivet {

enum class LogLevel { debug, info, warning, error };

class Log {
 public:
  using Values = std::vector<std::pair<std::string_view, std::string>>;
  virtual ~Log() = default;
  virtual void write(LogLevel level, std::string_view sentence, const Values& values) = 0;

  void debug(std::string_view s, const Values& v = {}) { write(LogLevel::debug, s, v); }
  void info(std::string_view s, const Values& v = {}) { write(LogLevel::info, s, v); }
  void warning(std::string_view s, const Values& v = {}) { write(LogLevel::warning, s, v); }
  void error(std::string_view s, const Values& v = {}) { write(LogLevel::error, s, v); }
};

}  // namespace trivet
