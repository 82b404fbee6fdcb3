// SPDX-License-Identifier: Apache-2.0
// The programs that the configuration has records fed to. Neither main nor the broker may execute
// anything; a third process can, the runner, which is nothing but an ordinary process, of main's
// user or another. It is started while the broker still may, and listens to the broker alone.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "broker/files.h"
#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet::broker {

// Whose program, and what it is called with: an absolute path and arguments.
struct ConfiguredProgram {
  std::string name;
  std::vector<std::string> command;
};

// The broker's end. Broker thread only.
class Programs {
 public:
  Programs() = default;  // without a runner: nothing can be started
  ~Programs();
  Programs(Programs&& other) noexcept;
  Programs& operator=(Programs&& other) noexcept;

  // Starts the runner, which becomes uid and gid for good. While there is one thread.
  static Result<Programs> with_runner(uid_t uid, gid_t gid);

  // Has the program started anew, and the one of that name that still runs killed; the writing end
  // of its standard input. What it prints goes to standard error. A program that cannot be executed
  // says so there and ends.
  Result<UniqueFd> start(const ConfiguredProgram& program, TrustedFiles& files);
  // Once nobody writes to them any more: programs get two seconds to end by themselves, then they
  // are killed. The runner goes too.
  void finish();

 private:
  UniqueFd runner_;  // a socket to it
  pid_t pid_ = -1;
};

}  // namespace trivet::broker
