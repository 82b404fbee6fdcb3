// SPDX-License-Identifier: Apache-2.0
// One HTTP POST at a time to one place, over a connection that is kept. The one place that includes
// libcurl. Owned by one sink, on its thread; nothing here waits longer than it is told.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "config/output_settings.h"
#include "trivet/result.h"

namespace trivet {

class Post {
 public:
  // What became of it.
  struct Outcome {
    long status = 0;                      // HTTP's; 0: no answer came
    std::string error;                    // why, without one
    std::chrono::seconds retry_after{0};  // as the server asks
  };

  static Result<std::unique_ptr<Post>> create(const HttpTarget& target);
  ~Post();
  Post(const Post&) = delete;

  void start(std::string body);
  bool running() const { return running_; }
  // Goes on for at most `patience`; the outcome once there is one.
  std::optional<Outcome> step(std::chrono::milliseconds patience);

 private:
  struct Handles;
  explicit Post(std::unique_ptr<Handles> handles);

  std::unique_ptr<Handles> handles_;
  std::string body_;
  bool running_ = false;
};

}  // namespace trivet
