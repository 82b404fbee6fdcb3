// SPDX-License-Identifier: Apache-2.0
// Lines as the bodies of HTTP POSTs. Every batch is on disk before it is sent and until it has been
// taken, so that neither a receiver that is down nor a restart costs any, within the spool's limit.
// A batch whose answer got lost is sent again.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "config/output_settings.h"
#include "outputs/post.h"
#include "outputs/sink.h"
#include "outputs/spool.h"
#include "outputs/trouble.h"

namespace trivet {

class HttpSink final : public Sink {
 public:
  // `spool` is the folder, which is taken over with the first call of deliver(): until then another
  // sink may use it.
  static Result<std::unique_ptr<HttpSink>> create(const HttpTarget& target, UniqueFd spool,
                                                  const std::string& output, OutputCounts& counts,
                                                  Log& log);

  Result<void> deliver(Lines& lines) override;
  bool failing() const override { return trouble_.failing(); }
  bool busy() const override;
  void finish() override;

 private:
  using Clock = std::chrono::steady_clock;

  HttpSink(std::unique_ptr<Post> post, UniqueFd folder, std::uint64_t spool_bytes,
           const std::string& output, OutputCounts& counts, Log& log)
      : post_(std::move(post)),
        folder_(std::move(folder)),
        spool_bytes_(spool_bytes),
        counts_(counts),
        trouble_(log, "output " + output),
        log_(log) {}

  Result<void> collect(Lines& lines);
  Result<void> keep();
  void account();
  void send(std::chrono::milliseconds patience);
  void conclude(const Post::Outcome& outcome);
  void retry(const std::string& why, std::chrono::seconds at_least);

  const std::unique_ptr<Post> post_;
  UniqueFd folder_;  // until the spool has it
  const std::uint64_t spool_bytes_;
  OutputCounts& counts_;
  Trouble trouble_;
  Log& log_;
  std::unique_ptr<Spool> spool_;
  std::string batch_;  // lines that are not in the spool yet
  std::uint64_t batch_records_ = 0;
  std::uint64_t sending_ = 0;  // number of the batch that is being sent
  Clock::time_point batch_began_, next_try_{};
  std::chrono::milliseconds pause_{0};
};

}  // namespace trivet
