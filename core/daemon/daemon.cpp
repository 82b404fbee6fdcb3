// SPDX-License-Identifier: Apache-2.0
#include "daemon/daemon.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <utility>

#include "broker/cgroup_root.h"
#include "control/verbs.h"
#include "daemon/broker_host_files.h"
#include "daemon/core_objects.h"
#include "daemon/launcher.h"
#include "daemon/process_snapshot.h"
#include "daemon/self_metrics.h"
#include "daemon/snapshot.h"
#include "daemon/status.h"
#include "query/container_table.h"
#include "query/host_table.h"
#include "query/process_table.h"
#include "query/socket_table.h"
#include "trivet/records/all.h"

namespace trivet {

namespace {

// How often lost lifecycle events are looked for; facts must be right again within a second.
constexpr std::chrono::milliseconds kTick{200};
constexpr std::uint64_t kPublishNs = 1'000'000'000;
// For records to be written at the end: the broker waits for main twice as long.
constexpr std::chrono::seconds kSpillPatience{5};
// And for outputs to hand over what waits: both fit what the broker waits for main.
constexpr std::chrono::seconds kOutputPatience{3};

// Bytes from which on a block of memory is a mapping of its own.
constexpr int kOwnMapping = 1 << 20;

std::uint64_t boot_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

TableLimits table_limits(const Settings& settings) {
  return {settings.records_max_rows, settings.records_max_bytes,
          settings.records_max_age_s * 1'000'000'000};
}

SpillLimits spill_limits(const Settings& settings) {
  return {settings.records_spill_max_bytes, settings.records_spill_max_age_s};
}

QueryLimits query_limits(const Settings& settings) {
  return {settings.query_max_memory_bytes, settings.query_max_time_s * 1'000'000'000};
}

// What is known of this host now, as tables beside the records.
std::vector<LiveTable> live_tables(const Facts& facts) {
  return {process_table(facts), socket_table(facts), container_table(facts), host_table(facts),
          interface_table(facts)};
}

// What only a restart changes.
std::string fixed_settings(const Settings& settings) {
  return settings.user + '\n' + settings.program_user + '\n' + settings.control_socket + '\n' +
         settings.control_read_group + '\n' + settings.control_write_group + '\n' +
         settings.metrics_listen.to_string() + '\n' + settings.api_socket + '\n' +
         (settings.api_listen ? settings.api_listen->to_string() : "") + '\n' +
         settings.records_spill;
}

}  // namespace

Daemon::Daemon(broker::Client& broker, DaemonOptions options)
    : broker_(broker),
      options_(std::move(options)),
      log_(STDERR_FILENO, LogLevel::info, false),
      broker_files_(broker),
      files_(broker_files_),
      origin_([this] {
        return Origin{facts_->host().name, facts_->boot_to_real_ns()};
      }),
      started_{boot_now_ns()} {}

Daemon::~Daemon() = default;

int Daemon::run() {
  if (auto started = start(); !started) {
    log_.error(started.error().to_string());
    stop();
    return 1;
  }
  const auto port = [](std::uint16_t number) { return "port " + std::to_string(number); };
  log_.info("trivet is running", {{"version", TRIVET_VERSION},
                                  {"metrics", port(endpoint_->port())},
                                  {"api", !api_               ? "off"
                                          : api_->port() != 0 ? port(api_->port())
                                                              : "socket"},
                                  {"processes", std::to_string(facts_->counts().processes)}});
  loop_->watch(broker_.descriptor(), [this] {
    log_.error(
        "the broker process is gone, and with it everything in the kernel: nothing is seen or "
        "enforced any more; trivet hands over what waits and ends");
    status_ = 1;
    loop_->quit();
  });
  loop_->run([this](int signal) { on_signal(signal); }, kTick, [this] { tick(); });
  log_.info("trivet is stopping");
  stop();
  return status_;
}

Result<void> Daemon::start() {
  // Large blocks, such as rows with bodies, go back to the system as soon as they are freed: by
  // itself the C library would keep any size in its heaps that it has seen freed once.
  mallopt(M_MMAP_THRESHOLD, kOwnMapping);
  auto loop = MainLoop::create();
  if (!loop) return loop.error();
  loop_ = std::move(*loop);

  const auto cgroups = broker::cgroup_root();
  recorder_ = std::make_unique<Recorder>([this](FactsWitness& witness) { facts_->tell(witness); },
                                         [this] { return lost_in_kernel(); });
  facts_ = std::make_unique<HostFacts>(cgroups ? *cgroups : std::string(), HostFacts::Limits(),
                                       std::make_unique<BrokerHostFiles>(broker_), recorder_.get());
  registry_ = std::make_unique<Registry>(0);
  metrics_ = registry_->scope();
  const HostServices services{broker_,
                              *facts_,
                              log_,
                              [this](const RecordSchema& schema, std::shared_ptr<const void> row) {
                                record(schema, std::move(row));
                              },
                              [this](const RecordSchema& schema) { tables_->declare(schema); },
                              [this](const std::string& plugin, const Resolver::Table& table) {
                                recorder_->addresses(plugin, table);
                              }};
  plugins_ = std::make_unique<PluginSet>(broker_, services, *registry_, log_);

  const auto settings = read_configuration(options_.config_path, files_, plugins_->names());
  if (!settings) return settings.error();
  log_.configure(settings->log_level, settings->log_json);
  registry_->set_max_series(settings->metrics_max_series);
  settings_in_force_ = fixed_settings(*settings);
  auto prepared = plugins_->prepare(*settings, files_);
  if (!prepared) return prepared.error();
  if (auto usable = check_refused(*settings); !usable) return usable.error();

  auto endpoint = MetricsEndpoint::start(*registry_, settings->metrics_listen);
  if (!endpoint) return endpoint.error();
  endpoint_ = std::move(*endpoint);
  auto listener = broker_.control_listener();
  if (!listener) return listener.error();

  if (auto opened = open_spill(*settings); !opened) return opened.error();
  tables_ = std::make_unique<Tables>(table_limits(*settings), spill_.get());
  for (const auto* schema : all_record_schemas()) tables_->declare(*schema);
  outputs_ = std::make_unique<Outputs>(
      *tables_, origin_,
      OutputAccess{[this](const std::string& path) { return broker_.owned_folder(path); },
                   [this](const std::string& output) { return broker_.start_program(output); }},
      log_);
  auto outputs = outputs_->prepare(settings->outputs);
  if (!outputs) return outputs.error();
  outputs_->apply(std::move(*outputs));
  print_records(*settings);

  dispatcher_ = std::make_unique<Dispatcher>(*facts_, plugins_->hosts());
  if (auto watching = watch_processes(); !watching) return watching.error();
  plugins_->apply(std::move(*prepared));
  if (auto running = check_running(*settings); !running) return running.error();

  hook_watch_ = std::make_unique<HookWatch>(broker_, log_, *metrics_);
  queries_ = std::make_unique<QueryEngine>(*tables_, live_tables(*facts_), origin_);
  queries_->set_limits(query_limits(*settings));
  publish_metrics();  // who is answered finds all series told
  auto control = ControlServer::start(
      listener->release(), *tables_, origin_,
      [this](const std::string& verb, const std::vector<std::string>& arguments, Access granted) {
        return run_verb(verb, arguments, granted);
      },
      [this](const CaptureRequest& request, std::function<void()> wake) {
        return begin_capture(request, std::move(wake));
      },
      *queries_, log_, {.groups = options_.groups});
  if (!control) return control.error();
  control_ = std::move(*control);
  if (auto serving = start_api(*settings); !serving) return serving;
  return broker_.ready();
}

Result<void> Daemon::open_spill(const Settings& settings) {
  if (settings.records_spill.empty()) return {};
  auto folder = broker_.owned_folder(settings.records_spill);
  if (!folder) return folder.error();
  auto spill = Spill::open(
      std::move(*folder), spill_limits(settings),
      [this] {
        return BootClock{boot_id(), facts_->boot_to_real_ns()};
      },
      log_);
  if (!spill) return spill.error();
  spill_ = std::move(*spill);
  return {};
}

// A terminal shows lines for people, unless an output has standard output for itself.
void Daemon::print_records(const Settings& settings) {
  const bool taken = std::ranges::any_of(settings.outputs, [](const auto& output) {
    return std::holds_alternative<StdoutTarget>(output.target);
  });
  if (!options_.print_records || taken) return printer_.reset();
  if (printer_) return;
  std::vector<std::string> tables;
  for (const auto* schema : all_record_schemas()) tables.emplace_back(schema->table);
  printer_ = std::make_unique<Printer>(*tables_, std::move(tables), origin_, STDOUT_FILENO);
}

Result<void> Daemon::start_api(const Settings& settings) {
  ApiListeners listeners{.address = settings.api_listen, .token = settings.api_token};
  if (!settings.api_socket.empty()) {
    auto socket = broker_.api_listener();
    if (!socket) return socket.error();
    listeners.unix_socket = socket->release();
  }
  if (listeners.unix_socket < 0 && !listeners.address) return {};
  auto api = ApiServer::start(std::move(listeners),
                              {.tables = *tables_,
                               .queries = *queries_,
                               .origin = origin_,
                               .status = [this] { return status(); },
                               .metrics = *metrics_,
                               .log = log_},
                              {.groups = options_.groups});
  if (!api) return api.error();
  api_ = std::move(*api);
  return {};
}

Result<void> Daemon::watch_processes() {
  auto loaded = broker_.load(kCorePlugin, lifecycle_object());
  if (!loaded) return std::move(loaded).error().within("BPF object core/lifecycle");
  lifecycle_ = std::move(*loaded);
  auto sockets = SocketWatch::start(broker_, *facts_, log_);
  if (!sockets) return sockets.error();
  sockets_ = std::move(*sockets);
  for (const auto& hook : core_hooks())
    metrics_
        ->gauge("trivet_hook_info", "Tier that serves a hook; none where this kernel offers none",
                {{"plugin", kCorePlugin},
                 {"hook", hook.hook},
                 {"tier", hook.tier.empty() ? "none" : hook.tier}})
        .set(1);
  // Hooks first, then the back-fill, then the reader: a process that starts meanwhile is told
  // twice, never not at all.
  ProcessSnapshot::take(broker_, lifecycle_->handle, log_).apply(*facts_);
  auto lanes = broker_.lanes();
  if (!lanes) return lanes.error();
  auto reader = lanes::LaneReader::create(
      std::move(*lanes),
      [this](lanes::Batch&& batch) {
        recorder_->saw(batch);
        dispatcher_->dispatch(batch);
      },
      [this](lane of) { return dispatcher_->room(of); });
  if (!reader) return reader.error();
  reader_ = std::move(*reader);
  resync_ = std::make_unique<FactsResync>(broker_, *facts_, *reader_, log_, lifecycle_->handle);
  reader_thread_ = std::jthread([this](std::stop_token stop) {
    pthread_setname_np(pthread_self(), "reader");
    reader_->run(std::move(stop));
  });
  return {};
}

std::vector<HookState> Daemon::core_hooks() const {
  std::vector<HookState> hooks;
  if (lifecycle_) hooks = lifecycle_->hooks;
  if (sockets_) hooks.insert(hooks.end(), sockets_->hooks().begin(), sockets_->hooks().end());
  return hooks;
}

void Daemon::stop() {
  // Against the direction of the data's way: nobody is handed anything that has gone already.
  // Queries are cancelled here, but nothing that is kept waits for them to end.
  auto api_queries = api_ ? api_->queries() : nullptr;
  auto control_queries = control_ ? control_->queries() : nullptr;
  api_.reset();
  control_.reset();
  if (reader_thread_.joinable()) {
    reader_thread_.request_stop();
    reader_thread_.join();
  }
  if (plugins_) plugins_->stop_all();
  if (outputs_) outputs_->finish(kOutputPatience);
  if (spill_ && tables_) {
    tables_->seal_all();
    spill_->finish(kSpillPatience);
  }
  api_queries.reset();
  control_queries.reset();
  printer_.reset();
  sockets_.reset();
  if (lifecycle_) (void)broker_.unload(lifecycle_->handle);
  lifecycle_.reset();
  dispatcher_.reset();
  plugins_.reset();
  endpoint_.reset();
  metrics_.reset();
}

void Daemon::record(const RecordSchema& schema, std::shared_ptr<const void> row) {
  tables_->append(schema, row);
  for (auto* host : plugins_->hosts()) host->offer_record(schema, row);
}

void Daemon::on_signal(int signal) {
  if (signal != SIGHUP) {
    loop_->quit();
    return;
  }
  if (auto done = reload(); !done) log_.error(done.error().to_string());
}

Result<std::string> Daemon::reload() {
  const auto refuse = [this](Error error) {
    (void)broker_.commit_reload(false);
    error.message += "; the configuration in force stays";
    return error;
  };
  if (auto opened = broker_.reload(); !opened) return refuse(opened.error());
  const auto settings = read_configuration(options_.config_path, files_, plugins_->names());
  if (!settings) return refuse(settings.error());
  auto prepared = plugins_->prepare(*settings, files_);
  if (!prepared) return refuse(prepared.error());
  auto outputs = outputs_->prepare(settings->outputs);
  if (!outputs) return refuse(outputs.error());
  if (auto usable = check_refused(*settings); !usable) return refuse(usable.error());
  if (auto committed = broker_.commit_reload(true); !committed) return refuse(committed.error());

  log_.configure(settings->log_level, settings->log_json);
  registry_->set_max_series(settings->metrics_max_series);
  tables_->set_limits(table_limits(*settings));
  if (spill_) spill_->set_limits(spill_limits(*settings));
  queries_->set_limits(query_limits(*settings));
  outputs_->apply(std::move(*outputs));
  print_records(*settings);
  plugins_->apply(std::move(*prepared));
  if (auto running = check_running(*settings); !running) {
    status_ = 1;
    loop_->quit();
    return std::move(running).error().within("trivet stops");
  }
  if (api_) api_->set_token(settings->api_token);
  log_.info("the configuration has been reloaded");
  const bool needs_restart = fixed_settings(*settings) != settings_in_force_;
  if (needs_restart)
    log_.warning(
        "daemon.user, daemon.program_user, control, api.socket, api.listen, metrics.listen and "
        "records.spill change with a restart only");
  return reload_answer(plugins_->states(), needs_restart);
}

Result<void> Daemon::check_refused(const Settings& settings) const {
  const bool starting = !on_;
  bool usable = false;
  std::optional<Error> refused;
  for (const auto& plugin : plugins_->states()) {
    const auto wanted = std::ranges::find(settings.plugins, plugin.name, &PluginSettings::name);
    if (wanted == settings.plugins.end() || !wanted->enabled) continue;
    if (plugin.status != PluginStatus::refused) {
      usable = true;
      continue;
    }
    refused = Error{"plugin " + plugin.name + " is refused: " + plugin.reason +
                    "; set enabled = false in [" + plugin.name + "] to run without it"};
    if (wanted->required || (!starting && !on_->contains(plugin.name))) return *refused;
  }
  if (starting && refused && !usable) return *refused;
  return {};
}

Result<void> Daemon::check_running(const Settings& settings) {
  on_.emplace();
  for (const auto& wanted : settings.plugins)
    if (wanted.enabled) on_->insert(wanted.name);
  for (const auto& plugin : plugins_->states())
    for (const auto& wanted : settings.plugins)
      if (wanted.name == plugin.name && wanted.enabled && wanted.required &&
          plugin.status == PluginStatus::failed)
        return Error{"plugin " + plugin.name + " did not start: " + plugin.reason +
                     "; set required = false in [" + plugin.name + "] to run without it"};
  return {};
}

LaneCounts Daemon::lost_in_kernel() const {
  LaneCounts lost{};
  for (unsigned lane = 0; lane < LANE_COUNT; ++lane) {
    const auto counted = reader_->counters(lane);
    lost[lane] = counted.missing + counted.malformed;
  }
  return lost;
}

Result<std::shared_ptr<ByteSource>> Daemon::begin_capture(const CaptureRequest& request,
                                                          std::function<void()> wake) {
  RecordingWish wish{.host = {TRIVET_VERSION, facts_->host(), facts_->boot_to_real_ns(),
                              facts_->cgroup_root(), boot_now_ns()},
                     .configuration = {options_.config_path, plugins_->configurations()},
                     .types = {},
                     .max_bytes = request.size,
                     .wake = std::move(wake)};
  if (request.plugins.empty()) {
    wish.types.set();
    return recorder_->begin(std::move(wish));
  }
  auto& kept = wish.configuration.plugins;
  for (const auto& name : request.plugins)
    if (std::ranges::find(kept, name, &PluginConfiguration::name) == kept.end())
      return Error{"no plugin " + name + " runs: \"trivet plugin ls\" lists those that do"};
  const auto wanted = [&](const std::string& name) {
    return std::ranges::find(request.plugins, name) != request.plugins.end();
  };
  std::erase_if(kept, [&](const auto& plugin) { return !wanted(plugin.name); });
  for (const auto* host : plugins_->hosts())
    for (unsigned type = 0; wanted(host->name()) && type < EVENT_TYPES; ++type)
      if (host->wants(type)) wish.types.set(type);
  return recorder_->begin(std::move(wish));
}

Result<std::string> Daemon::run_verb(const std::string& verb,
                                     const std::vector<std::string>& arguments, Access granted) {
  if (verb == "status") return status();
  if (verb == "plugin ls") return to_json(plugins_->states());
  if (verb == "reload") {
    // Configuration belongs to the main thread; this one waits for it.
    auto answer = std::make_shared<std::promise<Result<std::string>>>();
    auto done = answer->get_future();
    loop_->post([this, answer = std::move(answer)] { answer->set_value(reload()); });
    done.wait();
    try {
      return done.get();
    } catch (const std::future_error&) {  // the loop ended and dropped the task
      return Error{"trivet is stopping"};
    }
  }
  for (auto* host : plugins_->hosts())
    for (const auto& offered : host->verbs())
      if (offered.name == verb) {
        if (offered.access == Access::write && granted != Access::write)
          return needs_write(verb, options_.groups);
        return host->run_verb(verb, arguments);
      }
  std::vector<std::string> known;
  for (const auto& own : kCoreVerbs) known.emplace_back(own.name);
  for (auto* host : plugins_->hosts())
    for (const auto& offered : host->verbs()) known.push_back(offered.name);
  const auto near = nearest(verb, known);
  return Error{
      "there is no verb " + verb +
      (near.empty() ? "; a plugin that is off offers none" : "; did you mean " + near + "?")};
}

std::string Daemon::status() const {
  StatusReport report;
  report.version = TRIVET_VERSION;
  report.uptime_ns = boot_now_ns() - started_.boot_ns;
  report.plugins = plugins_->states();
  report.hooks.push_back({kCorePlugin, core_hooks()});
  report.silent = hook_watch_->silent();
  for (const auto* host : plugins_->hosts()) {
    report.hooks.push_back({host->name(), host->hooks()});
    const auto verbs = host->verbs();
    report.verbs.insert(report.verbs.end(), verbs.begin(), verbs.end());
  }
  report.lanes = lane_status(*reader_, plugins_->hosts());
  report.tables = tables_->states();
  report.outputs = output_status(*outputs_);
  report.facts = facts_->counts();
  return to_json(report);
}

void Daemon::tick() {
  resync_->check();
  if (boot_now_ns() - published_ns_ >= kPublishNs) publish_metrics();
}

void Daemon::publish_metrics() {
  published_ns_ = boot_now_ns();
  facts_->refresh(published_ns_);
  tables_->expire(published_ns_);
  sockets_->refresh(published_ns_);
  hook_watch_->refresh(published_ns_);
  publish(*metrics_, {broker_.restarts(), *facts_, *plugins_, *resync_, *reader_, *tables_,
                      spill_.get(), *outputs_, control_ ? control_->counts() : ControlCounts{}});
}

}  // namespace trivet
