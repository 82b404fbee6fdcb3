// SPDX-License-Identifier: Apache-2.0
// Lines into a byte stream that somebody reads: standard output, or a program's standard input.
// Whoever does not read makes no more than this output wait.
#pragma once

#include <functional>

#include "broker/unique_fd.h"
#include "outputs/sink.h"

namespace trivet {

class StreamSink final : public Sink {
 public:
  using Open = std::function<Result<UniqueFd>()>;

  // `open` makes the stream, at first and whenever its reader has gone.
  StreamSink(Open open, OutputCounts& counts) : open_(std::move(open)), counts_(counts) {}
  Result<void> deliver(Lines& lines) override;

 private:
  Result<void> connect(Lines& lines);

  const Open open_;
  OutputCounts& counts_;
  UniqueFd stream_;
};

}  // namespace trivet
