// SPDX-License-Identifier: Apache-2.0
// What a replay lends to a plugin in the kernel's and the daemon's place: events from a capture,
// its facts and its time, and maps in memory that nobody else reads. Everything runs on one thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "capture/replayed_facts.h"
#include "trivet/host.h"
#include "trivet/plugin.h"

namespace trivet {

class ReplayHost final : public Host {
 public:
  using Publish = std::function<void(const RecordSchema&, std::shared_ptr<const void>)>;
  using Declare = std::function<void(const RecordSchema&)>;

  // All outlive the host. `now_ns` is the replay's time.
  ReplayHost(std::string name, ReplayedFacts& facts, const std::uint64_t& now_ns, Log& log,
             std::unique_ptr<Metrics> metrics, Publish publish, Declare declare);
  ~ReplayHost() override;

  Result<void> start(std::unique_ptr<Plugin> plugin);

  void deliver(std::span<const std::byte> event, const ProcessRef& process,
               const ProcessRef& parent);
  // Another plugin's record, or its own.
  void offer_record(const RecordSchema& schema, const void* record);
  // When the next timer is due; the largest number where there is none.
  std::uint64_t next_tick_ns() const;
  // Runs the timers that are due.
  void tick();

  std::uint64_t malformed_events() const { return malformed_; }

  Result<std::unique_ptr<Object>> attach(const ObjectSpec& spec) override;
  void every(std::chrono::milliseconds period, std::function<void()> tick) override;
  void verb(const std::string& name, const std::string& help, Access access, Verb verb) override;
  std::uint64_t now_ns() const override { return now_ns_; }
  Result<std::unique_ptr<Config>> parse(const std::string& path, const std::string& text) override;
  std::unique_ptr<AddressNames> resolve(std::vector<std::string> names,
                                        std::unique_ptr<AddressNames> before) override;
  Facts& facts() override { return facts_; }
  Metrics& metrics() override { return *metrics_; }
  Log& log() override { return log_; }

 protected:
  void on_event(unsigned id, unsigned version, std::size_t size,
                std::function<void(const AnyEvent&)> handler) override;
  void declare_table(const RecordSchema& schema) override;
  void publish_record(const RecordSchema& schema, std::shared_ptr<const void> record) override;
  void on_any_record(const RecordSchema& schema, std::function<void(const void*)> handler) override;

 private:
  struct EventHandler {
    unsigned version;
    std::size_t size;
    std::function<void(const AnyEvent&)> call;
  };
  struct Timer {
    std::uint64_t period_ns;
    std::uint64_t due_ns;
    std::function<void()> tick;
  };

  const std::string name_;
  ReplayedFacts& facts_;
  const std::uint64_t& now_ns_;
  Log& log_;
  const std::unique_ptr<Metrics> metrics_;
  const Publish publish_;
  const Declare declare_;
  std::array<std::vector<EventHandler>, EVENT_TYPES> event_handlers_;
  std::map<std::string, std::vector<std::function<void(const void*)>>, std::less<>>
      record_handlers_;
  std::vector<Timer> timers_;
  std::uint64_t malformed_ = 0;
  std::unique_ptr<Plugin> plugin_;  // last: it uses the others
};

}  // namespace trivet
