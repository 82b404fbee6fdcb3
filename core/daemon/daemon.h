// SPDX-License-Identifier: Apache-2.0
// The main process: configuration, facts, rings, plugins, tables, control socket and metrics, put
// together. Built and run on the main thread.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "broker/client.h"
#include "capture/recorder.h"
#include "config/settings.h"
#include "control/server.h"
#include "daemon/broker_files.h"
#include "daemon/dispatcher.h"
#include "daemon/facts_resync.h"
#include "daemon/hook_watch.h"
#include "daemon/main_loop.h"
#include "daemon/plugin_set.h"
#include "daemon/printer.h"
#include "daemon/socket_watch.h"
#include "facts/host_facts.h"
#include "http/server.h"
#include "lanes/reader.h"
#include "log/stream_log.h"
#include "metrics/registry.h"
#include "outputs/outputs.h"
#include "query/engine.h"
#include "records/spill.h"
#include "records/tables.h"

namespace trivet {

// What the launcher knows and main cannot find out.
struct DaemonOptions {
  std::string config_path;     // absolute
  SocketGroups groups;         // of the control socket and the API's
  bool print_records = false;  // standard output is a terminal
};

class Daemon {
 public:
  // The client outlives the daemon.
  Daemon(broker::Client& broker, DaemonOptions options);
  ~Daemon();

  // Starts everything, serves until SIGTERM, SIGINT or the broker's end, stops everything. The exit
  // status; errors have been logged.
  int run();

 private:
  Result<void> start();
  Result<void> start_api(const Settings& settings);
  void print_records(const Settings& settings);
  void stop();
  Result<void> open_spill(const Settings& settings);
  Result<void> watch_processes();
  std::vector<HookState> core_hooks() const;
  LaneCounts lost_in_kernel() const;
  Result<std::string> reload();
  // An error where a plugin that must run has a file that is refused: one that is required, one
  // that was not on so far, or each that is on.
  Result<void> check_refused(const Settings& settings) const;
  // An error where a plugin that is required does not run; else remembers which are on.
  Result<void> check_running(const Settings& settings);
  Result<std::string> run_verb(const std::string& verb, const std::vector<std::string>& arguments,
                               Access granted);
  Result<std::shared_ptr<ByteSource>> begin_capture(const CaptureRequest& request,
                                                    std::function<void()> wake);
  std::string status() const;
  void on_signal(int signal);
  void tick();
  void publish_metrics();
  void record(const RecordSchema& schema, std::shared_ptr<const void> record);

  broker::Client& broker_;
  const DaemonOptions options_;
  StreamLog log_;
  BrokerFiles broker_files_;
  RememberedFiles files_;
  std::unique_ptr<MainLoop> loop_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<MetricsEndpoint> endpoint_;
  std::unique_ptr<Spill> spill_;  // if records.spill is set
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<Recorder> recorder_;  // host facts and plugins tell it
  std::unique_ptr<HostFacts> facts_;
  std::unique_ptr<PluginSet> plugins_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::optional<broker::LoadedObject> lifecycle_;
  std::unique_ptr<SocketWatch> sockets_;
  std::unique_ptr<lanes::LaneReader> reader_;
  std::unique_ptr<FactsResync> resync_;
  std::unique_ptr<HookWatch> hook_watch_;
  std::jthread reader_thread_;
  std::unique_ptr<Outputs> outputs_;
  std::unique_ptr<Printer> printer_;
  std::unique_ptr<QueryEngine> queries_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<ApiServer> api_;
  // The plugins that the configuration in force has on; nothing while it has none.
  std::optional<std::set<std::string>> on_;
  std::string settings_in_force_;  // those that only a restart changes, as text
  const OriginNow origin_;
  Time started_;
  int status_ = 0;                  // of run()
  std::uint64_t published_ns_ = 0;  // when the metrics were, CLOCK_BOOTTIME
};

}  // namespace trivet
