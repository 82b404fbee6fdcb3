// SPDX-License-Identifier: Apache-2.0
// Opens files that will steer a process with root's rights, or be run by it: only where nobody but
// their trusted owners can have written or exchanged them. Each component of the path is opened
// from the one before, and each check is made on what was opened, never on a name.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet::broker {

// Root; in a build tree also the user who called sudo (SUDO_UID), if any.
std::vector<uid_t> trusted_owners(bool build_tree);

// Every file and folder on the way must belong to a trusted owner and be closed to writing by group
// and others. One exception: a sticky folder of root's, such as /tmp, on the way to one that is in
// order, since there nobody can rename or remove what is another's. Links on the way are followed
// under the same rules; the last component must not be a link. Not thread-safe.
class TrustedFiles {
 public:
  // `warn` is told once if something belongs to an owner other than root. It may be empty.
  TrustedFiles(std::vector<uid_t> owners, std::function<void(std::string_view)> warn)
      : owners_(std::move(owners)), warn_(std::move(warn)) {}

  // A regular file, open for reading. `path` is absolute.
  Result<UniqueFd> open_file(const std::string& path);
  // A folder, as a descriptor with O_PATH. ENOTDIR as the error's code for a file.
  Result<UniqueFd> open_folder(const std::string& path);
  // Names in a folder, sorted, without those that start with a dot. ENOTDIR as the error's code for
  // a file.
  Result<std::vector<std::string>> list_folder(const std::string& path);

 private:
  // A descriptor with O_PATH of the file or folder at `path`.
  Result<UniqueFd> walk(const std::string& path);
  bool trusted(uid_t owner) const;
  Result<void> judge(int fd, const std::string& path, bool is_parent);

  std::vector<uid_t> owners_;
  std::function<void(std::string_view)> warn_;
};

}  // namespace trivet::broker
