// SPDX-License-Identifier: Apache-2.0
// Live captures. The recorder is the daemon's: it sees every event as it leaves the rings and all
// that host facts learn beside them, and while a client asks for it, turns them into blocks. What
// the client is too slow for is dropped, counted, and told in the capture. One capture at a time.
#pragma once

#include <atomic>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "capture/contents.h"
#include "capture/format.h"
#include "control/byte_source.h"
#include "facts/facts_witness.h"
#include "facts/resolver.h"
#include "trivet/result.h"

namespace trivet {

// What one client asked for, and what its capture begins with.
struct RecordingWish {
  CapturedHost host;
  CapturedConfiguration configuration;
  std::bitset<EVENT_TYPES> types;  // beside those that host facts are built from
  std::uint64_t max_bytes = 0;     // of the whole capture
  std::function<void()> wake;      // called, on any thread, when there are bytes to take
};

// One capture on its way to its client. Thread-safe.
class Recording final : public ByteSource {
 public:
  using Losses = std::function<LaneCounts()>;

  // `losses` counts what the kernel's rings have lost so far; any thread.
  Recording(RecordingWish wish, Losses losses);

  // Events in their order. Without room they are counted instead. Reader thread.
  void events(const lanes::Batch& batch);
  // Anything else; never dropped: it is bounded by what host facts hold.
  void add(BlockKind kind, std::span<const std::byte> payload);
  bool ended() const { return ended_; }

  std::atomic<bool> facts_told = false;     // the recorder's: those of the beginning
  std::atomic<bool> sockets_begun = false;  // likewise: a snapshot of all sockets is under way

  bool take(std::string& out, std::size_t most) override;
  void finish() override { end(CaptureEnd::Reason::asked); }

 private:
  void end(CaptureEnd::Reason reason);
  // These want the lock held.
  bool append(BlockKind kind, std::span<const std::byte> payload);
  void append_events(const LaneCounts& counts, std::span<const std::byte> records);
  void append_end(CaptureEnd::Reason reason);

  const std::bitset<EVENT_TYPES> types_;
  const std::uint64_t max_bytes_;
  const std::function<void()> wake_;
  const Losses losses_;
  const LaneCounts losses_before_;

  std::atomic<bool> ended_ = false;
  std::mutex mutex_;  // guards what follows
  std::deque<std::string> blocks_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t bytes_ = 0;  // ever
  LaneCounts events_{};
  LaneCounts lost_{};
  LaneCounts untold_{};  // of those lost
};

class Recorder final : public FactsWitness {
 public:
  // `tell_facts` is HostFacts::tell(). Both live as long as events come.
  Recorder(std::function<void(FactsWitness&)> tell_facts, Recording::Losses losses)
      : tell_facts_(std::move(tell_facts)), losses_(std::move(losses)) {}

  // Error if a capture is under way. It begins with the next event that comes. Any thread.
  Result<std::shared_ptr<ByteSource>> begin(RecordingWish wish);

  // The events of a round, before host facts know of them. Reader thread.
  void saw(const lanes::Batch& batch);

  // What the host names that a plugin asked for resolved to. Any thread.
  void addresses(const std::string& plugin, const Resolver::Table& table);

  void told(std::span<const std::byte> record) override;
  void socket_snapshot_begun() override;
  void socket_snapshot_ended(std::uint64_t start_ns) override;
  void container(const Container& container) override;
  void environment(const TaskKey& task, const std::vector<std::string>& variables) override;
  void exe_sha256(const ExeIdentity& exe, const std::string& hash) override;
  void accounts(const AccountNames& users, const AccountNames& groups) override;

 private:
  // The capture under way, if any.
  std::shared_ptr<Recording> recording();
  // The same, once host facts have been told to it: what comes before is among those.
  std::shared_ptr<Recording> recording_with_facts();
  // Has encode() make what is only made while there is a capture.
  template <class Encode>
  void add(BlockKind kind, Encode encode);

  const std::function<void(FactsWitness&)> tell_facts_;
  const Recording::Losses losses_;
  std::atomic<bool> active_ = false;
  std::mutex mutex_;  // guards what follows
  std::weak_ptr<Recording> recording_;
  std::map<std::string, Resolver::Table> addresses_;
};

}  // namespace trivet
