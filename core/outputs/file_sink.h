// SPDX-License-Identifier: Apache-2.0
// Lines into a file, which is rotated by its size and opened again once its name means another file
// or none: whoever rotates it by renaming needs to tell nobody.
#pragma once

#include <cstdint>
#include <string>

#include "broker/unique_fd.h"
#include "outputs/sink.h"

namespace trivet {

class FileSink final : public Sink {
 public:
  // A file of that name in a folder that this process may write. `max_bytes` 0: never rotated;
  // `keep`: files NAME.1 to NAME.<keep> beside it.
  FileSink(UniqueFd folder, std::string name, std::uint64_t max_bytes, std::uint64_t keep,
           OutputCounts& counts)
      : folder_(std::move(folder)),
        name_(std::move(name)),
        max_bytes_(max_bytes),
        keep_(keep),
        counts_(counts) {}

  Result<void> deliver(Lines& lines) override;
  // Whether the file could be opened or made now; nothing changes.
  Result<void> check() const;

 private:
  // Opens the file if it is not what its name means.
  Result<void> open();
  void rotate();

  const UniqueFd folder_;
  const std::string name_;
  const std::uint64_t max_bytes_, keep_;
  OutputCounts& counts_;
  UniqueFd file_;
};

}  // namespace trivet
