// SPDX-License-Identifier: Apache-2.0
// Tells people when something stops working and when it works again, and not each time between.
// One thread, but for the question.
#pragma once

#include <atomic>
#include <string>

#include "trivet/log.h"
#include "trivet/result.h"

namespace trivet {

class Trouble {
 public:
  // `what` starts each sentence. The log must outlive this.
  Trouble(Log& log, std::string what) : log_(log), what_(std::move(what)) {}

  void failed(const Error& error) {
    if (!failing_) log_.warning(what_ + ": " + error.to_string() + "; trying on");
    failing_ = true;
  }
  void worked() {
    if (failing_) log_.info(what_ + " works again");
    failing_ = false;
  }
  // Any thread.
  bool failing() const { return failing_; }

 private:
  Log& log_;
  const std::string what_;
  std::atomic<bool> failing_ = false;
};

}  // namespace trivet
