// SPDX-License-Identifier: Apache-2.0
// `trivet capture record`: asks the daemon for a capture and writes it to a file, which is this
// user's and not the daemon's. Main thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "control/request.h"

namespace trivet {

struct RecordOptions {
  std::string file;
  std::string socket;
  CaptureRequest request;
  std::optional<std::chrono::seconds> duration;  // none: until interrupted
};

// The exit status; errors have been printed, and on standard error what the capture holds and
// lacks.
int record_capture(const RecordOptions& options);

}  // namespace trivet
