// SPDX-License-Identifier: Apache-2.0
// Logs as lines on a descriptor: for people (time, level, sentence, name=value) or as JSON. Each
// line is one write, so that lines of several threads and processes do not mix. Thread-safe.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trivet/log.h"

namespace trivet {

class StreamLog final : public Log {
 public:
  // Writes to `descriptor`, which it does not own. Levels below `level` are not written.
  StreamLog(int descriptor, LogLevel level, bool json);
  void configure(LogLevel level, bool json);
  void write(LogLevel level, std::string_view sentence, const Values& values) override;

 private:
  const int descriptor_;
  std::atomic<LogLevel> level_;
  std::atomic<bool> json_;
};

// Adds values, such as plugin=security, to each line of another log, which must outlive it.
class TaggedLog final : public Log {
 public:
  TaggedLog(Log& log, std::vector<std::pair<std::string, std::string>> tags);
  void write(LogLevel level, std::string_view sentence, const Values& values) override;

 private:
  Log& log_;
  const std::vector<std::pair<std::string, std::string>> tags_;
};

}  // namespace trivet
