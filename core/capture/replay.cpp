// SPDX-License-Identifier: Apache-2.0
#include "capture/replay.h"

#include <algorithm>
#include <cerrno>

namespace trivet {
namespace {

constexpr std::uint64_t kForgetPeriodNs = 1'000'000'000;
// Timers that run for one step of time; a longer silence ends with the last of them. One with
// absurd times must not keep the replay busy.
constexpr int kMaxTicks = 200;
constexpr std::size_t kMaxSeries = 2000;

Error malformed(const char* what) {
  return Error{std::string("it is damaged: ") + what + " is malformed", EBADMSG, {}};
}

}  // namespace

Replay::Replay(CaptureReader reader, CapturedHost host, Log& log)
    : reader_(std::move(reader)),
      host_(std::move(host)),
      log_(log),
      facts_(host_),
      registry_(kMaxSeries),
      now_ns_(host_.begun_ns),
      next_forget_ns_(now_ns_) {}

Result<std::unique_ptr<Replay>> Replay::open(std::istream& file, Log& log) {
  auto reader = CaptureReader::open(file);
  if (!reader) return std::move(reader).error();
  auto first = reader->next();
  if (!first) return std::move(first).error();
  if (!*first || (*first)->kind != BlockKind::host)
    return Error{"it is cut before it says of which host it is", EBADMSG, {}};
  auto host = decode<CapturedHost>((*first)->payload);
  if (!host) return malformed("what it says of its host");
  std::unique_ptr<Replay> replay(new Replay(std::move(*reader), std::move(*host), log));
  if (auto foreseen = replay->foresee(); !foreseen) return std::move(foreseen).error();
  return replay;
}

Result<void> Replay::foresee() {
  for (;;) {
    auto block = reader_.next();
    // Damage is met again, behind what can be replayed.
    if (!block || !*block) break;
    if ((*block)->kind == BlockKind::configuration) {
      auto configuration = decode<CapturedConfiguration>((*block)->payload);
      if (!configuration) return malformed("its configuration");
      configuration_ = std::move(*configuration);
    } else if (auto taken = facts_.foresee(**block); !taken) {
      return std::move(taken).error();
    }
  }
  return reader_.rewind();
}

Result<void> Replay::add(const std::string& name, std::unique_ptr<Plugin> plugin) {
  auto host = std::make_unique<ReplayHost>(
      name, facts_, now_ns_, log_, registry_.scope(),
      [this](const RecordSchema& schema, std::shared_ptr<const void> record) {
        publish(schema, std::move(record));
      },
      [this](const RecordSchema& schema) { tables_.push_back(&schema); });
  if (auto started = host->start(std::move(plugin)); !started) return started;
  hosts_.push_back(std::move(host));
  return {};
}

// A record that another plugin makes of this one comes behind it, as from a worker of its own.
void Replay::publish(const RecordSchema& schema, std::shared_ptr<const void> record) {
  published_.emplace_back(&schema, std::move(record));
  if (published_.size() > 1) return;
  for (std::size_t i = 0; i < published_.size(); ++i) {
    const auto [of, one] = published_[i];
    if (sink_ && !stopped_) stopped_ = !(*sink_)(*of, one.get());
    for (const auto& host : hosts_) host->offer_record(*of, one.get());
  }
  published_.clear();
}

Result<void> Replay::run(const Sink& sink) {
  sink_ = &sink;
  while (!stopped_) {
    const auto block = reader_.next();
    if (!block) return block.error();
    if (!*block) break;
    if (auto handled = handle(**block); !handled) return handled;
    if (report_.end) break;
  }
  for (const auto& host : hosts_) report_.malformed += host->malformed_events();
  return {};
}

Result<void> Replay::handle(const Block& block) {
  if (block.kind == BlockKind::events) {
    const auto batch = decode_records(block.payload);
    if (!batch) return malformed("an event");
    replay(*batch);
    return {};
  }
  if (block.kind == BlockKind::lost) {
    const auto lost = decode<LaneCounts>(block.payload);
    if (!lost) return malformed("a count of losses");
    for (unsigned lane = 0; lane < LANE_COUNT; ++lane) report_.lost[lane] += (*lost)[lane];
    return {};
  }
  if (block.kind == BlockKind::end) {
    const auto end = decode<CaptureEnd>(block.payload);
    if (!end) return malformed("its end");
    pass_time(end->ended_ns);
    report_.end = *end;
    report_.lost = end->lost;
    return {};
  }
  auto learnt = facts_.learn(block);
  return learnt ? Result<void>() : Result<void>(std::move(learnt).error());
}

void Replay::replay(const lanes::Batch& batch) {
  for (std::size_t i = 0; i < batch.size() && !stopped_; ++i) {
    const auto event = batch.record(i);
    const auto& header = batch.header(i);
    pass_time(header.time_ns);
    ++report_.events;
    const ProcessRef process = facts_.apply(event);
    const ProcessRef parent =
        process && process->parent.tgid ? facts_.process(process->parent) : nullptr;
    for (const auto& host : hosts_) host->deliver(event, process, parent);
  }
}

void Replay::pass_time(std::uint64_t until_ns) {
  for (int ticks = 0;; ++ticks) {
    auto due_ns = until_ns;
    for (const auto& host : hosts_) due_ns = std::min(due_ns, host->next_tick_ns());
    if (due_ns >= until_ns || ticks > kMaxTicks) break;
    now_ns_ = std::max(now_ns_, ticks == kMaxTicks ? until_ns : due_ns);
    for (const auto& host : hosts_) host->tick();
  }
  if (until_ns <= now_ns_) return;
  now_ns_ = until_ns;
  if (now_ns_ < next_forget_ns_) return;
  facts_.forget(now_ns_);
  next_forget_ns_ = now_ns_ + kForgetPeriodNs;
}

}  // namespace trivet
