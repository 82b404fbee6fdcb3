// SPDX-License-Identifier: Apache-2.0
// The control socket as root makes it: main gets it listening and never could have bound it there.
#pragma once

#include <sys/types.h>

#include <string>

#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet::broker {

// A listening Unix socket at a path, which is gone when this is. Not thread-safe.
class Listener {
 public:
  // Owned by root and `group`, mode 0660; a missing folder is made (0755). Refuses a path where
  // something answers or that is no socket, and replaces a socket that nobody listens on.
  static Result<Listener> open(const std::string& path, const std::string& group);
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  int fd() const { return fd_.get(); }

 private:
  Listener(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace trivet::broker
