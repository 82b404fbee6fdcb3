// SPDX-License-Identifier: Apache-2.0
#include "daemon/plugin_host.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "config/toml_file.h"
#include "daemon/kernel_map.h"

namespace trivet {

namespace {

constexpr std::size_t kKeptShares = 2;  // one is filled while another is handled

// A file of code that the broker holds for a plugin.
class LentCodeFile final : public CodeFile {
 public:
  LentCodeFile(broker::Client& broker, Log& log, broker::LentFile file)
      : broker_(broker), log_(log), file_(std::move(file)) {}
  ~LentCodeFile() override {
    if (auto done = broker_.release(file_.handle); !done)
      log_.error("cannot detach from a file", {{"reason", done.error().to_string()}});
  }
  int descriptor() const override { return file_.fd.get(); }
  Result<void> probe(const std::string& hook, const std::vector<ProbePlace>& places) override {
    return broker_.probe(file_.handle, hook, places);
  }

 private:
  broker::Client& broker_;
  Log& log_;
  broker::LentFile file_;
};

// An object that the broker holds for a plugin.
class LentObject final : public Object {
 public:
  LentObject(broker::Client& broker, Log& log, broker::LoadedObject loaded)
      : broker_(broker), log_(log), handle_(loaded.handle), hooks_(std::move(loaded.hooks)) {
    for (auto& map : loaded.maps) maps_.push_back(std::make_unique<KernelMap>(std::move(map)));
  }
  ~LentObject() override {
    // Where the broker is gone, so is the object.
    if (auto done = broker_.unload(handle_); !done && done.error().code != EPIPE)
      log_.error("cannot unload a BPF object", {{"reason", done.error().to_string()}});
  }

  const std::vector<HookState>& hooks() const override { return hooks_; }
  Result<Map*> map(const std::string& name) override {
    for (const auto& map : maps_)
      if (map->name() == name) return static_cast<Map*>(map.get());
    return Error{"the BPF object has no map " + name};
  }
  Result<void> retarget(const std::string& hook,
                        const std::vector<std::string>& tracepoints) override {
    return broker_.retarget(handle_, hook, tracepoints);
  }
  Result<std::unique_ptr<CodeFile>> code_file(const TaskKey& process,
                                              std::uint64_t address) override {
    auto file = broker_.code_file(handle_, process.tgid, process.start_ns, address);
    if (!file) return std::move(file).error();
    return std::unique_ptr<CodeFile>(
        std::make_unique<LentCodeFile>(broker_, log_, std::move(*file)));
  }
  Result<void> iterate(const std::string& program) override {
    auto pass = broker_.iterate(handle_, program);
    if (!pass) return std::move(pass).error();
    // The program runs as the pass is read; what it writes is nobody's.
    std::array<char, 4096> output;
    ssize_t size = 0;
    while ((size = ::read(pass->get(), output.data(), output.size())) != 0) {
      if (size < 0 && errno != EINTR && errno != EAGAIN)
        return system_error(errno, "cannot pass over " + program);
    }
    return {};
  }

 private:
  broker::Client& broker_;
  Log& log_;
  std::uint32_t handle_;
  std::vector<HookState> hooks_;
  std::vector<std::unique_ptr<KernelMap>> maps_;
};

}  // namespace

PluginHost::PluginHost(std::string name, const HostServices& services)
    : name_(std::move(name)), services_(services), worker_(name_.substr(0, 15)) {}

Result<void> PluginHost::start(std::unique_ptr<Plugin> plugin, std::unique_ptr<Metrics> metrics) {
  plugin_ = std::move(plugin);
  metrics_ = std::move(metrics);
  Result<void> started;
  worker_.run([&] {
    started = plugin_->start(*this);
    if (!started) forget_plugin();
  });
  running_ = started.has_value();
  return started;
}

bool PluginHost::adopt(Plugin& next) {
  bool adopted = false;
  worker_.run([&] { adopted = plugin_->adopt(next); });
  return adopted;
}

void PluginHost::stop() {
  if (!plugin_) return;
  running_ = false;
  for (auto& wanted : wanted_events_) wanted = false;
  worker_.run([&] {
    plugin_->stop();
    forget_plugin();
  });
}

void PluginHost::forget_plugin() {
  // Timers and what waits go before the plugin that they would call.
  dropped_records_ += worker_.clear();
  for (auto& wanted : wanted_events_) wanted = false;
  for (auto& handlers : event_handlers_) handlers.clear();
  {
    const std::lock_guard lock(mutex_);
    record_handlers_.clear();
    verbs_.clear();
    hooks_.clear();
  }
  plugin_.reset();
  metrics_.reset();
}

std::size_t PluginHost::room(lane of) const {
  const auto queued = worker_.queued_bytes(of);
  return queued < Worker::kMaxLaneBytes ? Worker::kMaxLaneBytes - queued : 0;
}

void PluginHost::Share::add(std::span<const std::byte> event, const Subject& subject) {
  events.add(event);
  if (subjects.empty() || subjects.back() != subject) subjects.push_back(subject);
  subject_of.push_back(static_cast<std::uint32_t>(subjects.size() - 1));
  bytes[events.header(events.size() - 1).lane] += event.size();
}

void PluginHost::Share::clear() {
  events.clear();
  subjects.clear();
  subject_of.clear();
  bytes = {};
}

std::size_t PluginHost::make_room(lane of) {
  worker_.make_room(of, Worker::kMaxLaneBytes / 16);
  return room(of);
}

void PluginHost::offer(Share&& share) {
  const auto owned = std::make_shared<Share>(std::move(share));
  worker_.offer({owned->bytes, [this, owned] { deliver(*owned); },
                 [this, owned](lane of) {
                   Share rest;
                   for (std::size_t i = 0; i < owned->events.size(); ++i)
                     if (const auto& header = owned->events.header(i); header.lane == of)
                       count(header);
                     else
                       rest.add(owned->events.record(i), owned->subjects[owned->subject_of[i]]);
                   *owned = std::move(rest);
                 }});
}

PluginHost::Share PluginHost::empty_share() {
  const std::lock_guard lock(mutex_);
  if (handled_.empty()) return {};
  Share share = std::move(handled_.back());
  handled_.pop_back();
  return share;
}

void PluginHost::deliver(Share& share) {
  for (std::size_t i = 0; i < share.events.size(); ++i)
    deliver(share.events.record(i), share.subjects[share.subject_of[i]]);
  share.clear();
  const std::lock_guard lock(mutex_);
  if (handled_.size() < kKeptShares) handled_.push_back(std::move(share));
}

void PluginHost::deliver(std::span<const std::byte> bytes, const Subject& subject) {
  const auto& header = *reinterpret_cast<const event_header*>(bytes.data());
  for (const auto& handler : event_handlers_[header.type]) {
    if (header.version != handler.version || bytes.size() < handler.size)
      ++malformed_;
    else
      handler.call({header, bytes, subject.process, subject.parent});
  }
}

void PluginHost::offer_record(const RecordSchema& schema,
                              const std::shared_ptr<const void>& record) {
  {
    const std::lock_guard lock(mutex_);
    if (!record_handlers_.contains(schema.table)) return;
  }
  const bool accepted = worker_.offer_record([this, &schema, record] {
    std::vector<std::function<void(const void*)>> handlers;
    {
      const std::lock_guard lock(mutex_);
      const auto found = record_handlers_.find(schema.table);
      if (found == record_handlers_.end()) return;
      handlers = found->second;
    }
    for (const auto& handler : handlers) handler(record.get());
  });
  if (!accepted) ++dropped_records_;
}

std::vector<PluginVerb> PluginHost::verbs() const {
  const std::lock_guard lock(mutex_);
  std::vector<PluginVerb> list;
  for (const auto& [name, verb] : verbs_) list.push_back({name, verb.help, verb.access});
  return list;
}

Result<std::string> PluginHost::run_verb(const std::string& verb,
                                         const std::vector<std::string>& arguments) {
  // Looked up on the worker: there it cannot go away between the look and the call.
  Result<std::string> answer = Error{"plugin " + name_ + " was stopped before it could answer"};
  worker_.run([&] {
    Verb run;
    {
      const std::lock_guard lock(mutex_);
      const auto found = verbs_.find(verb);
      if (found != verbs_.end()) run = found->second.run;
    }
    if (run) answer = run(arguments);
  });
  return answer;
}

std::vector<HookState> PluginHost::hooks() const {
  const std::lock_guard lock(mutex_);
  return hooks_;
}

Result<std::unique_ptr<Object>> PluginHost::attach(const ObjectSpec& spec) {
  auto loaded = services_.broker.load(name_, spec);
  if (!loaded) return std::move(loaded).error().within("BPF object " + name_ + "/" + spec.name);
  {
    const std::lock_guard lock(mutex_);
    hooks_.insert(hooks_.end(), loaded->hooks.begin(), loaded->hooks.end());
  }
  for (const auto& hook : loaded->hooks)
    metrics_
        ->gauge("trivet_hook_info", "Tier that serves a hook; none where this kernel offers none",
                {{"plugin", name_},
                 {"hook", hook.hook},
                 {"tier", hook.tier.empty() ? "none" : hook.tier}})
        .set(1);
  return std::unique_ptr<Object>(
      std::make_unique<LentObject>(services_.broker, services_.log, std::move(*loaded)));
}

void PluginHost::every(std::chrono::milliseconds period, std::function<void()> tick) {
  worker_.every(period, std::move(tick));
}

void PluginHost::verb(const std::string& name, const std::string& help, Access access, Verb run) {
  const std::lock_guard lock(mutex_);
  verbs_[name] = {help, access, std::move(run)};
}

Result<std::unique_ptr<Config>> PluginHost::parse(const std::string& path,
                                                  const std::string& text) {
  static NoFiles files;
  return parse_toml(path, text, files);
}

std::uint64_t PluginHost::now_ns() const {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::unique_ptr<AddressNames> PluginHost::resolve(std::vector<std::string> names,
                                                  std::unique_ptr<AddressNames> before) {
  return std::make_unique<Resolver>(std::move(names), std::move(before),
                                    [name = name_, told = services_.addresses](
                                        const Resolver::Table& table) { told(name, table); });
}

void PluginHost::on_event(unsigned id, unsigned version, std::size_t size,
                          std::function<void(const AnyEvent&)> handler) {
  event_handlers_[id].push_back({version, size, std::move(handler)});
  wanted_events_[id] = true;
}

void PluginHost::declare_table(const RecordSchema& schema) {
  services_.table(schema);
}

void PluginHost::publish_record(const RecordSchema& schema, std::shared_ptr<const void> record) {
  services_.record(schema, std::move(record));
}

void PluginHost::on_any_record(const RecordSchema& schema,
                               std::function<void(const void*)> handler) {
  const std::lock_guard lock(mutex_);
  record_handlers_[std::string(schema.table)].push_back(std::move(handler));
}

}  // namespace trivet
