// SPDX-License-Identifier: Apache-2.0
// A folder that belongs to main, in a place where nobody but root can put another in its stead.
#pragma once

#include <sys/types.h>

#include <string>

#include "broker/files.h"
#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet::broker {

// The folder at `path`, open for reading. It must belong to `uid` and be closed to writing by group
// and others, every folder on the way to it must be as TrustedFiles judges, and it must not be a
// link. A missing one is made for `uid` and `gid` (0700), missing ones on the way for root (0755).
// `setting` is what a person calls it, for errors.
Result<UniqueFd> open_owned_folder(const std::string& path, uid_t uid, gid_t gid,
                                   TrustedFiles& folders, const std::string& setting);

}  // namespace trivet::broker
