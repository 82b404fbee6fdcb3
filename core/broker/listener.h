// SPDX-License-Identifier: Apache-2.0
// A Unix socket as root makes it: main gets it listening and never could have bound it there.
#pragma once

#include <sys/types.h>

#include <string>

#include "broker/files.h"
#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet::broker {

// A listening Unix socket at a path. When this goes, so do the socket, its lock file and the folder
// if this made it. Not thread-safe.
class Listener {
 public:
  // The groups that control.read_group and control.write_group name.
  struct Groups {
    std::string read;
    std::string write;
  };

  // `name`.socket is the setting that errors name. Owned by root and the group, mode 0660; where
  // there are two, a file's mode cannot tell them from others: anybody may connect (0666), and main
  // asks the kernel who it was. The folder must be one where only trusted owners can put
  // something (as TrustedFiles judges); a missing one is made (0755). Refuses a path that another
  // Listener holds, where something answers or that is no socket, and replaces a socket that nobody
  // listens on. Waits up to five seconds for a holder that no longer listens.
  static Result<Listener> open(const std::string& name, const std::string& path,
                               const Groups& groups, TrustedFiles& folders);
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;
  ~Listener();

  int fd() const { return fd_.get(); }

 private:
  Listener(const std::string& name, std::string path);

  Result<void> open_folder(TrustedFiles& folders);
  Result<void> lock();
  bool is_served() const;
  Result<void> remove_stale();
  Result<void> bind(gid_t group, bool anybody);
  Error in_use() const;

  std::string setting_;  // "control.socket"
  std::string what_;     // "control socket"
  std::string path_;
  std::string folder_path_;
  std::string name_;  // in the folder
  UniqueFd folder_;
  UniqueFd lock_;  // held as long as the socket may be there
  UniqueFd fd_;
  bool made_folder_ = false;
};

}  // namespace trivet::broker
