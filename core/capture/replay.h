// SPDX-License-Identifier: Apache-2.0
// Runs plugins over a capture: the same order, facts and time as they had, so the same records. The
// file is not trusted. One thread; needs no rights.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "capture/contents.h"
#include "capture/format.h"
#include "capture/replay_host.h"
#include "capture/replayed_facts.h"
#include "metrics/registry.h"
#include "records/format.h"
#include "trivet/plugin.h"

namespace trivet {

// What a replay went through.
struct ReplayReport {
  std::uint64_t events = 0;
  std::uint64_t malformed = 0;    // events that a plugin could not read
  LaneCounts lost{};              // as the capture says: read and not recorded
  std::optional<CaptureEnd> end;  // none: the file is cut
};

class Replay {
 public:
  // Reads the file once, for what must be known from its beginning. Both outlive the replay.
  static Result<std::unique_ptr<Replay>> open(std::istream& file, Log& log);

  const CapturedHost& host() const { return host_; }
  const CapturedConfiguration& configuration() const { return configuration_; }
  Origin origin() const { return {host_.identity.name, host_.boot_to_real_ns}; }

  // Starts a configured plugin. Before run().
  Result<void> add(const std::string& name, std::unique_ptr<Plugin> plugin);
  // The tables that plugins made known beside the core's.
  const std::vector<const RecordSchema*>& tables() const { return tables_; }
  // Called with each record as a plugin publishes it; false ends the replay.
  using Sink = std::function<bool(const RecordSchema&, const void*)>;
  // Once. What was published before an error stands.
  Result<void> run(const Sink& sink);

  const ReplayReport& report() const { return report_; }

 private:
  Replay(CaptureReader reader, CapturedHost host, Log& log);
  Result<void> foresee();
  Result<void> handle(const Block& block);
  void replay(const lanes::Batch& batch);
  // Lets time pass for timers and facts.
  void pass_time(std::uint64_t until_ns);
  void publish(const RecordSchema& schema, std::shared_ptr<const void> record);

  CaptureReader reader_;
  const CapturedHost host_;
  CapturedConfiguration configuration_;
  Log& log_;
  ReplayedFacts facts_;
  Registry registry_;
  std::uint64_t now_ns_;
  std::uint64_t next_forget_ns_;
  ReplayReport report_;
  std::vector<const RecordSchema*> tables_;
  const Sink* sink_ = nullptr;
  bool stopped_ = false;  // by the sink
  std::vector<std::pair<const RecordSchema*, std::shared_ptr<const void>>> published_;
  std::vector<std::unique_ptr<ReplayHost>> hosts_;  // last: they use the others
};

}  // namespace trivet
