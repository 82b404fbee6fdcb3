// SPDX-License-Identifier: Apache-2.0
// What the daemon lends to one plugin, and the plugin's worker. The plugin's code runs on the
// worker only; the reader hands events over with offer(), other plugins' records come through
// offer_record().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/client.h"
#include "bus/queue_policy.h"
#include "bus/worker.h"
#include "facts/resolver.h"
#include "lanes/batch.h"
#include "trivet/host.h"
#include "trivet/plugin.h"

namespace trivet {

// What every plugin's host shares. All outlive the hosts and are thread-safe.
struct HostServices {
  broker::Client& broker;
  Facts& facts;
  Log& log;
  // A record that a plugin published, for tables, streams and the other plugins.
  std::function<void(const RecordSchema&, std::shared_ptr<const void>)> record;
  // A table that is there from now on.
  std::function<void(const RecordSchema&)> table = [](const RecordSchema&) {};
  // What a plugin's host names resolved to. Any thread.
  std::function<void(const std::string& plugin, const Resolver::Table&)> addresses =
      [](const std::string&, const Resolver::Table&) {};
};

// A verb that a plugin added to the control socket.
struct PluginVerb {
  std::string name;
  std::string help;
  Access access = Access::write;
};

class PluginHost final : public Host {
 public:
  // Whom an event is about, as of the event; null where unknown.
  struct Subject {
    ProcessRef process;
    ProcessRef parent;
    bool operator==(const Subject&) const = default;
  };
  // Events on their way to the plugin, copies, so that what waits in the queue weighs what the
  // queue is charged for, not a whole batch for one event of it.
  struct Share {
    lanes::Batch events;
    std::vector<Subject> subjects;          // neighbours often share one
    std::vector<std::uint32_t> subject_of;  // in `subjects`, one for each event
    std::array<std::size_t, LANE_COUNT> bytes{};

    void add(std::span<const std::byte> event, const Subject& subject);
    void clear();
  };

  PluginHost(std::string name, const HostServices& services);

  const std::string& name() const { return name_; }

  // Runs the plugin's start() on the worker; on error nothing of it remains. Main thread.
  Result<void> start(std::unique_ptr<Plugin> plugin, std::unique_ptr<Metrics> metrics);
  // Has the running plugin take over another instance's configuration; false if only a restart can.
  // Main thread.
  bool adopt(Plugin& next);
  // Lets what waits be handled, runs stop(), drops subscriptions and metrics. Main thread.
  void stop();
  bool running() const { return running_; }

  // Whether the plugin has a handler for events of that type. Any thread.
  bool wants(unsigned event_type) const {
    return event_type < EVENT_TYPES && wanted_events_[event_type].load(std::memory_order_relaxed);
  }
  // What happens to events without room. Any thread.
  QueuePolicy queue_policy() const { return queue_policy_.load(std::memory_order_relaxed); }
  void set_queue_policy(QueuePolicy policy) { queue_policy_ = policy; }
  // Room in the worker's queue for more of that lane. Reader thread.
  std::size_t room(lane of) const;
  // Drops the oldest waiting events of that lane until about a sixteenth of it is free; the room
  // there is then. Reader thread.
  std::size_t make_room(lane of);
  // Notes that an event was not handed over. Reader thread.
  void count_dropped(const event_header& header) { count(header); }
  // Hands events over. Reader thread.
  void offer(Share&& share);
  // A share with the memory of one that was handled, if there is one. Reader thread.
  Share empty_share();
  // Events of that type and lane that this plugin wanted and did not get. Any thread.
  std::uint64_t dropped_events(unsigned lane, unsigned type) const {
    return dropped_events_[lane][type].load(std::memory_order_relaxed);
  }
  // Hands a record over if the plugin subscribes to its table. Any thread.
  void offer_record(const RecordSchema& schema, const std::shared_ptr<const void>& record);

  // The plugin's verbs, and one of them run on the worker. Any thread but the worker.
  std::vector<PluginVerb> verbs() const;
  Result<std::string> run_verb(const std::string& verb, const std::vector<std::string>& arguments);
  // The hooks of the objects attached so far. Any thread.
  std::vector<HookState> hooks() const;

  std::uint64_t malformed_events() const { return malformed_; }
  std::uint64_t dropped_records() const { return dropped_records_; }

  Result<std::unique_ptr<Object>> attach(const ObjectSpec& spec) override;
  void every(std::chrono::milliseconds period, std::function<void()> tick) override;
  void verb(const std::string& name, const std::string& help, Access access, Verb verb) override;
  std::uint64_t now_ns() const override;
  Result<std::unique_ptr<Config>> parse(const std::string& path, const std::string& text) override;
  std::unique_ptr<AddressNames> resolve(std::vector<std::string> names,
                                        std::unique_ptr<AddressNames> before) override;
  Facts& facts() override { return services_.facts; }
  Metrics& metrics() override { return *metrics_; }
  Log& log() override { return services_.log; }

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
  struct RegisteredVerb {
    std::string help;
    Access access;
    Verb run;
  };

  void deliver(Share& share);
  void deliver(std::span<const std::byte> bytes, const Subject& subject);
  // The plugin and all that it asked for. Worker thread.
  void forget_plugin();
  void count(const event_header& header) {
    dropped_events_[header.lane][header.type].fetch_add(1, std::memory_order_relaxed);
  }

  const std::string name_;
  const HostServices services_;
  std::unique_ptr<Plugin> plugin_;
  std::unique_ptr<Metrics> metrics_;
  std::atomic<bool> running_ = false;

  // Worker thread only.
  std::array<std::vector<EventHandler>, EVENT_TYPES> event_handlers_;

  std::array<std::atomic<bool>, EVENT_TYPES> wanted_events_{};
  std::atomic<QueuePolicy> queue_policy_ = QueuePolicy::drop_newest;
  std::array<std::array<std::atomic<std::uint64_t>, EVENT_TYPES>, LANE_COUNT> dropped_events_{};
  std::atomic<std::uint64_t> malformed_ = 0;
  std::atomic<std::uint64_t> dropped_records_ = 0;

  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, std::vector<std::function<void(const void*)>>, std::less<>>
      record_handlers_;
  std::map<std::string, RegisteredVerb> verbs_;
  std::vector<HookState> hooks_;
  std::vector<Share> handled_;  // empty ones, for the next events

  Worker worker_;  // last: its thread ends before what it uses
};

}  // namespace trivet
