// SPDX-License-Identifier: Apache-2.0
// A Host for unit tests: a plugin runs against it without kernel, root or threads. The test builds
// a world of processes in one expression, delivers events, and reads back what the plugin
// published, counted, logged and wrote to maps. Everything runs on the caller's thread.
//
//   FakeHost host;
//   auto shell = host.facts().add(tree({.name = "sshd"}, {tree({.name = "bash"})}));
//   CHECK(plugin.configure(host.config("limit = 5")));
//   CHECK(plugin.start(host));
//   host.deliver(open_event{...}, "/etc/shadow");
//   CHECK(host.records<Alert>().at(0).rule == "...");
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/toml_file.h"
#include "trivet/host.h"

namespace trivet {

// A process with its children, for FakeFacts::add().
struct ProcessTree {
  Process process;
  std::vector<ProcessTree> children;
};
inline ProcessTree tree(Process process, std::vector<ProcessTree> children = {}) {
  return {std::move(process), std::move(children)};
}

class FakeFacts final : public Facts {
 public:
  // Adds a process and its descendants. Where a key is unset, pids count up from 1000 in the order
  // written (parents first) and start times follow them. Returns the root.
  ProcessRef add(ProcessTree tree, const TaskKey& parent = {}) {
    Process process = std::move(tree.process);
    if (process.key.tgid == 0) process.key.tgid = next_pid_++;
    if (process.key.start_ns == 0) process.key.start_ns = process.key.tgid * 1'000'000ull;
    if (process.vpid == 0) process.vpid = process.key.tgid;
    if (process.parent.tgid == 0) process.parent = parent;
    auto added = std::make_shared<const Process>(std::move(process));
    processes_[added->key.tgid] = added;
    for (auto& child : tree.children) add(std::move(child), added->key);
    return added;
  }
  void remove(std::uint32_t tgid) { processes_.erase(tgid); }
  // The first process of that name; throws if there is none.
  ProcessRef named(const std::string& name) const {
    for (const auto& [pid, process] : processes_) {
      if (process->name == name) return process;
    }
    throw std::runtime_error("no fake process is named " + name);
  }

  // By tgid; by path of the executable; by cookie; by short id.
  std::map<std::uint32_t, std::vector<std::string>> environments;
  std::map<std::string, std::string> hashes;
  std::map<std::uint64_t, Socket> sockets;
  std::map<std::string, Container, std::less<>> containers;
  std::map<std::uint32_t, std::string> users{{0, "root"}};
  std::map<std::uint32_t, std::string> groups{{0, "root"}};
  std::map<std::uint64_t, std::string> cgroups;
  std::string cgroup_mount = "/sys/fs/cgroup";
  HostIdentity identity{.name = "testhost"};
  std::vector<Interface> network_interfaces;
  std::int64_t boot_to_real = 1'700'000'000'000'000'000;

  ProcessRef process(const TaskKey& key) const override {
    auto found = process(key.tgid);
    return found && found->key.same_process(key) ? found : nullptr;
  }
  ProcessRef process(std::uint32_t tgid) const override {
    auto found = processes_.find(tgid);
    return found == processes_.end() ? nullptr : found->second;
  }
  void each_process(const std::function<void(const ProcessRef&)>& visit) const override {
    for (const auto& [pid, process] : processes_) visit(process);
  }
  Environment environment(const Process& process, std::chrono::milliseconds) const override {
    auto found = environments.find(process.key.tgid);
    if (found == environments.end()) return nullptr;
    return std::make_shared<const std::vector<std::string>>(found->second);
  }
  std::optional<std::string> exe_sha256(const Process& process,
                                        std::chrono::milliseconds) const override {
    auto found = hashes.find(process.exe);
    return found == hashes.end() ? std::nullopt : std::optional(found->second);
  }
  SocketRef socket(std::uint64_t cookie) const override {
    auto found = sockets.find(cookie);
    return found == sockets.end() ? nullptr : std::make_shared<const Socket>(found->second);
  }
  void each_socket(const std::function<void(const SocketRef&)>& visit) const override {
    for (const auto& [cookie, socket] : sockets) visit(std::make_shared<const Socket>(socket));
  }
  ContainerRef container(std::string_view id) const override {
    auto found = containers.find(id.substr(0, 12));
    return found == containers.end() ? nullptr : std::make_shared<const Container>(found->second);
  }
  void each_container(const std::function<void(const ContainerRef&)>& visit) const override {
    for (const auto& [id, one] : containers) visit(std::make_shared<const Container>(one));
  }
  std::optional<std::string> user_name(std::uint32_t uid) const override {
    auto found = users.find(uid);
    return found == users.end() ? std::nullopt : std::optional(found->second);
  }
  std::optional<std::string> group_name(std::uint32_t gid) const override {
    auto found = groups.find(gid);
    return found == groups.end() ? std::nullopt : std::optional(found->second);
  }
  std::string cgroup_path(std::uint64_t id) const override {
    auto found = cgroups.find(id);
    return found == cgroups.end() ? std::string() : found->second;
  }
  std::string cgroup_root() const override { return cgroup_mount; }
  const HostIdentity& host() const override { return identity; }
  std::shared_ptr<const std::vector<Interface>> interfaces() const override {
    return std::make_shared<const std::vector<Interface>>(network_interfaces);
  }
  std::int64_t boot_to_real_ns() const override { return boot_to_real; }

 private:
  std::map<std::uint32_t, ProcessRef> processes_;
  std::uint32_t next_pid_ = 1000;
};

class FakeMetrics final : public Metrics {
 public:
  // A counter's total, a gauge's value or a histogram's sum; 0 where there is no such series.
  double value(const std::string& name, Labels labels = {}) const {
    auto found = series_.find({name, sorted(std::move(labels))});
    return found == series_.end() ? 0 : found->second->value;
  }
  // How many values a histogram was given.
  std::size_t observations(const std::string& name, Labels labels = {}) const {
    auto found = series_.find({name, sorted(std::move(labels))});
    return found == series_.end() ? 0 : found->second->observations;
  }
  bool has(const std::string& name, Labels labels = {}) const {
    return series_.contains({name, sorted(std::move(labels))});
  }

  Counter& counter(const std::string& name, const std::string&, const Labels& labels) override {
    return series(name, labels);
  }
  Gauge& gauge(const std::string& name, const std::string&, const Labels& labels) override {
    return series(name, labels);
  }
  Histogram& histogram(const std::string& name, const std::string&, const std::vector<double>&,
                       const Labels& labels) override {
    return series(name, labels);
  }

 private:
  struct Series final : Counter, Gauge, Histogram {
    double value = 0;
    double followed = 0;
    std::size_t observations = 0;
    void add(double amount) override { value += amount; }
    void follow(double total) override {
      value += total < followed ? total : total - followed;
      followed = total;
    }
    void set(double v) override { value = v; }
    void observe(double v) override {
      value += v;
      ++observations;
    }
  };
  static Labels sorted(Labels labels) {
    std::ranges::sort(labels);
    return labels;
  }
  Series& series(const std::string& name, const Labels& labels) {
    auto& slot = series_[{name, sorted(labels)}];
    if (!slot) slot = std::make_unique<Series>();
    return *slot;
  }
  std::map<std::pair<std::string, Labels>, std::unique_ptr<Series>> series_;
};

class FakeLog final : public Log {
 public:
  struct Line {
    LogLevel level;
    std::string sentence;
    std::map<std::string, std::string> values;
  };
  std::vector<Line> lines;

  void write(LogLevel level, std::string_view sentence, const Values& values) override {
    Line line{level, std::string(sentence), {}};
    for (const auto& [name, value] : values) line.values.emplace(name, value);
    lines.push_back(std::move(line));
  }
};

// A map in memory. Sizes are those given to FakeHost::declare_map(), else learnt from the first
// update.
class FakeMap final : public Map {
 public:
  using Bytes = std::vector<std::byte>;
  std::map<Bytes, Bytes> entries;
  std::size_t key_bytes = 0;
  std::size_t value_bytes = 0;

  std::size_t key_size() const override { return key_bytes; }
  std::size_t value_size() const override { return value_bytes; }
  Result<bool> lookup(std::span<const std::byte> key, std::span<std::byte> value) const override {
    auto found = entries.find(Bytes(key.begin(), key.end()));
    if (found == entries.end()) return false;
    std::copy_n(found->second.begin(), std::min(value.size(), found->second.size()), value.begin());
    return true;
  }
  Result<void> update(std::span<const std::byte> key, std::span<const std::byte> value) override {
    if (key_bytes == 0) key_bytes = key.size();
    if (value_bytes == 0) value_bytes = value.size();
    if (key.size() != key_bytes || value.size() != value_bytes) {
      return system_error(EINVAL, "an entry of another size than the map's");
    }
    entries[Bytes(key.begin(), key.end())] = Bytes(value.begin(), value.end());
    return {};
  }
  Result<bool> erase(std::span<const std::byte> key) override {
    return entries.erase(Bytes(key.begin(), key.end())) != 0;
  }
  Result<void> each(const std::function<bool(std::span<const std::byte>,
                                             std::span<const std::byte>)>& visit) const override {
    for (const auto& [key, value] : std::map(entries)) {  // a copy: visit may change the map
      if (!visit(key, value)) break;
    }
    return {};
  }
};

// Files in memory; a path that was not added is opened on disk.
class FakeFiles final : public FileSource {
 public:
  std::map<std::string, std::string> texts;

  Result<std::vector<std::string>> expand(const std::string& path) override {
    if (texts.contains(path)) return std::vector<std::string>{path};
    return disk_.expand(path);
  }
  Result<TextFile> read(const std::string& path) override {
    auto found = texts.find(path);
    if (found != texts.end()) return TextFile{path, found->second};
    return disk_.read(path);
  }

 private:
  PlainFiles disk_;
};

class FakeHost final : public Host {
 public:
  // ---- what a test does ----

  // The plugin's table, from TOML text in the file "trivet.toml". Throws if it is no TOML.
  const Config& config(const std::string& toml) {
    auto parsed = parse_toml("trivet.toml", toml, files);
    if (!parsed) throw std::runtime_error(parsed.error().to_string());
    config_ = std::move(*parsed);
    return *config_;
  }

  // Delivers an event with a tail, as the reader would: its size, type and version are filled in,
  // its time too if it is 0; its process is looked up in the facts by header.task.
  template <class E>
  void deliver(E event, std::span<const std::byte> tail = {}) {
    event.header.size = static_cast<std::uint32_t>(sizeof(E) + tail.size());
    event.header.type = EventTraits<E>::id;
    event.header.version = EventTraits<E>::version;
    if (event.header.time_ns == 0) event.header.time_ns = ++clock_ns_;
    std::vector<std::byte> bytes(event.header.size);
    std::memcpy(bytes.data(), &event, sizeof(E));
    std::copy(tail.begin(), tail.end(), bytes.begin() + sizeof(E));
    auto process = facts_.process(task_key(event.header.task));
    auto parent = process ? facts_.process(process->parent) : nullptr;
    AnyEvent any{*reinterpret_cast<const event_header*>(bytes.data()), bytes, process, parent};
    auto handlers = events_;
    for (const auto& handler : handlers) {
      if (handler.id == event.header.type) handler.call(any);
    }
  }
  template <class E>
  void deliver(const E& event, std::string_view tail) {
    deliver(event, std::as_bytes(std::span(tail.data(), tail.size())));
  }

  // Hands over a record as if another plugin had published it.
  template <class R>
  void receive(const R& record) {
    notify(R::schema().table, &record);
  }

  // Runs every timer once.
  void tick() {
    auto timers = timers_;
    for (const auto& timer : timers) timer();
  }

  // Calls a verb that the plugin added.
  Result<std::string> call(const std::string& name,
                           const std::vector<std::string>& arguments = {}) {
    auto found = verbs.find(name);
    if (found == verbs.end()) return Error{"no such verb: " + name};
    return found->second(arguments);
  }

  // What was published of type R, in order.
  template <class R>
  std::vector<R> records() const {
    std::vector<R> of_type;
    for (const auto& [table, record] : published_) {
      if (table == R::schema().table) of_type.push_back(*static_cast<const R*>(record.get()));
    }
    return of_type;
  }
  void forget_records() { published_.clear(); }

  // A map that the plugin has asked for or will; the same for every object.
  FakeMap& map(const std::string& name) {
    auto& slot = maps_[name];
    if (!slot) slot = std::make_unique<FakeMap>();
    return *slot;
  }
  FakeMap& declare_map(const std::string& name, std::size_t key_bytes, std::size_t value_bytes) {
    FakeMap& declared = map(name);
    declared.key_bytes = key_bytes;
    declared.value_bytes = value_bytes;
    return declared;
  }

  FakeFiles files;
  std::vector<ObjectSpec> specs;  // every attach(), in order
  // What each hook is attached to now, where it is attached to tracepoints.
  std::map<std::string, std::vector<std::string>> tracepoints;
  std::size_t attached = 0;            // objects that are alive
  std::optional<Error> refuse_attach;  // attach() fails with it while set
  std::map<std::string, Verb> verbs;
  std::uint64_t now = 3'600'000'000'000;  // what now_ns() tells: long after the events
  std::vector<std::string> resolved;      // the names asked for last
  std::map<IpAddress, std::vector<std::string>> addresses;  // and what addresses they have

  // ---- Host ----

  Result<std::unique_ptr<Object>> attach(const ObjectSpec& spec) override {
    specs.push_back(spec);
    if (refuse_attach) return *refuse_attach;
    return std::unique_ptr<Object>(std::make_unique<FakeObject>(*this, spec));
  }
  void every(std::chrono::milliseconds, std::function<void()> tick) override {
    timers_.push_back(std::move(tick));
  }
  void verb(const std::string& name, const std::string&, Access, Verb verb) override {
    verbs[name] = std::move(verb);
  }
  Result<std::unique_ptr<Config>> parse(const std::string& path, const std::string& text) override {
    return parse_toml(path, text, files);
  }
  std::uint64_t now_ns() const override { return now; }
  std::unique_ptr<AddressNames> resolve(std::vector<std::string> names,
                                        std::unique_ptr<AddressNames>) override {
    resolved = std::move(names);
    return std::make_unique<FakeAddressNames>(*this);
  }
  FakeFacts& facts() override { return facts_; }
  FakeMetrics& metrics() override { return metrics_; }
  FakeLog& log() override { return log_; }

 protected:
  void on_event(unsigned id, unsigned, std::size_t,
                std::function<void(const AnyEvent&)> handler) override {
    events_.push_back({id, std::move(handler)});
  }
  void declare_table(const RecordSchema&) override {}
  void publish_record(const RecordSchema& schema, std::shared_ptr<const void> record) override {
    published_.emplace_back(schema.table, record);
    notify(schema.table, record.get());
  }
  void on_any_record(const RecordSchema& schema,
                     std::function<void(const void*)> handler) override {
    subscribers_.emplace_back(schema.table, std::move(handler));
  }

 private:
  // Every hook is served by its first tier.
  class FakeObject final : public Object {
   public:
    FakeObject(FakeHost& host, const ObjectSpec& spec) : host_(host) {
      ++host_.attached;
      for (const auto& hook : spec.hooks) {
        std::string tier = hook.tiers.empty() ? std::string() : hook.tiers.front().name;
        if (!tier.empty()) host_.tracepoints[hook.name] = hook.tiers.front().tracepoints;
        hooks_.push_back({hook.name, tier, {{tier, ""}}});
      }
    }
    ~FakeObject() override { --host_.attached; }
    const std::vector<HookState>& hooks() const override { return hooks_; }
    Result<Map*> map(const std::string& name) override { return &host_.map(name); }
    Result<void> retarget(const std::string& hook,
                          const std::vector<std::string>& tracepoints) override {
      host_.tracepoints[hook] = tracepoints;
      return {};
    }
    Result<std::unique_ptr<CodeFile>> code_file(const TaskKey&, std::uint64_t) override {
      return Error{"there is no such process", ESRCH};
    }
    Result<void> iterate(const std::string&) override { return {}; }

   private:
    FakeHost& host_;
    std::vector<HookState> hooks_;
  };

  class FakeAddressNames final : public AddressNames {
   public:
    explicit FakeAddressNames(const FakeHost& host) : host_(host) {}
    std::vector<std::string> of(const IpAddress& address) const override {
      auto found = host_.addresses.find(address);
      return found == host_.addresses.end() ? std::vector<std::string>() : found->second;
    }

   private:
    const FakeHost& host_;
  };

  struct EventHandler {
    unsigned id;
    std::function<void(const AnyEvent&)> call;
  };

  void notify(std::string_view table, const void* record) {
    auto subscribers = subscribers_;
    for (const auto& [wanted, handler] : subscribers) {
      if (wanted == table) handler(record);
    }
  }

  FakeFacts facts_;
  FakeMetrics metrics_;
  FakeLog log_;
  std::unique_ptr<Config> config_;
  std::vector<EventHandler> events_;
  std::vector<std::pair<std::string, std::function<void(const void*)>>> subscribers_;
  std::vector<std::pair<std::string, std::shared_ptr<const void>>> published_;
  std::vector<std::function<void()>> timers_;
  std::map<std::string, std::unique_ptr<FakeMap>> maps_;
  std::uint64_t clock_ns_ = 1'000'000'000;
};

}  // namespace trivet
