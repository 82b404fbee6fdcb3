// SPDX-License-Identifier: Apache-2.0
#include "capture/replay_host.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

namespace trivet {
namespace {

// A map that no kernel program reads or writes: what the plugin wrote is what it finds.
class ReplayMap final : public Map {
 public:
  std::size_t key_size() const override { return key_size_; }
  std::size_t value_size() const override { return value_size_; }
  Result<bool> lookup(std::span<const std::byte> key, std::span<std::byte> value) const override {
    const auto found = entries_.find({key.begin(), key.end()});
    if (found == entries_.end()) return false;
    std::copy_n(found->second.begin(), std::min(value.size(), found->second.size()), value.begin());
    return true;
  }
  Result<void> update(std::span<const std::byte> key, std::span<const std::byte> value) override {
    Bytes place(key.begin(), key.end());
    if (entries_.size() >= kMaxEntries && !entries_.contains(place))
      return Error{"a map of the replay is full", ENOSPC, {}};
    key_size_ = key.size();
    value_size_ = value.size();
    entries_[std::move(place)].assign(value.begin(), value.end());
    return {};
  }
  Result<bool> erase(std::span<const std::byte> key) override {
    return entries_.erase({key.begin(), key.end()}) > 0;
  }
  Result<void> each(const std::function<bool(std::span<const std::byte>,
                                             std::span<const std::byte>)>& visit) const override {
    for (const auto& [key, value] : std::map(entries_))  // a copy: visit may change the map
      if (!visit(key, value)) break;
    return {};
  }

 private:
  using Bytes = std::vector<std::byte>;
  // Sockets of a hostile capture must not take all memory.
  static constexpr std::size_t kMaxEntries = 1 << 20;
  std::map<Bytes, Bytes> entries_;
  std::size_t key_size_ = 0;
  std::size_t value_size_ = 0;
};

class ReplayObject final : public Object {
 public:
  const std::vector<HookState>& hooks() const override { return hooks_; }
  Result<Map*> map(const std::string& name) override { return &maps_[name]; }
  Result<void> retarget(const std::string&, const std::vector<std::string>&) override { return {}; }
  Result<std::unique_ptr<CodeFile>> code_file(const TaskKey&, std::uint64_t) override {
    return Error{"the processes of a capture have ended", ESRCH};
  }
  Result<void> iterate(const std::string&) override { return {}; }

 private:
  std::vector<HookState> hooks_;
  std::map<std::string, ReplayMap> maps_;
};

// The times of a hostile capture may lie anywhere.
std::uint64_t later(std::uint64_t time_ns, std::uint64_t by_ns) {
  return time_ns + std::min(by_ns, std::numeric_limits<std::uint64_t>::max() - time_ns);
}

class ReplayedNames final : public AddressNames {
 public:
  ReplayedNames(const ReplayedFacts& facts, std::string plugin)
      : facts_(facts), plugin_(std::move(plugin)) {}
  std::vector<std::string> of(const IpAddress& address) const override {
    return facts_.names_of(plugin_, address);
  }

 private:
  const ReplayedFacts& facts_;
  const std::string plugin_;
};

}  // namespace

ReplayHost::ReplayHost(std::string name, ReplayedFacts& facts, const std::uint64_t& now_ns,
                       Log& log, std::unique_ptr<Metrics> metrics, Publish publish, Declare declare)
    : name_(std::move(name)),
      facts_(facts),
      now_ns_(now_ns),
      log_(log),
      metrics_(std::move(metrics)),
      publish_(std::move(publish)),
      declare_(std::move(declare)) {}

ReplayHost::~ReplayHost() {
  if (plugin_) plugin_->stop();
}

Result<void> ReplayHost::start(std::unique_ptr<Plugin> plugin) {
  if (auto started = plugin->start(*this); !started) return started;
  plugin_ = std::move(plugin);
  return {};
}

void ReplayHost::deliver(std::span<const std::byte> event, const ProcessRef& process,
                         const ProcessRef& parent) {
  const auto& header = *reinterpret_cast<const event_header*>(event.data());
  for (const auto& handler : event_handlers_[header.type]) {
    if (header.version != handler.version || event.size() < handler.size)
      ++malformed_;
    else
      handler.call({header, event, process, parent});
  }
}

void ReplayHost::offer_record(const RecordSchema& schema, const void* record) {
  const auto found = record_handlers_.find(schema.table);
  if (found == record_handlers_.end()) return;
  for (const auto& handler : found->second) handler(record);
}

std::uint64_t ReplayHost::next_tick_ns() const {
  auto next = std::numeric_limits<std::uint64_t>::max();
  for (const auto& timer : timers_) next = std::min(next, timer.due_ns);
  return next;
}

void ReplayHost::tick() {
  for (auto& timer : timers_) {
    if (timer.due_ns > now_ns_) continue;
    timer.tick();
    timer.due_ns = later(now_ns_, timer.period_ns);
  }
}

Result<std::unique_ptr<Object>> ReplayHost::attach(const ObjectSpec&) {
  return std::unique_ptr<Object>(std::make_unique<ReplayObject>());
}

void ReplayHost::every(std::chrono::milliseconds period, std::function<void()> tick) {
  const auto period_ns =
      static_cast<std::uint64_t>(std::max<std::int64_t>(period.count(), 1)) * 1'000'000;
  timers_.push_back({period_ns, later(now_ns_, period_ns), std::move(tick)});
}

// Nobody asks a replay anything.
void ReplayHost::verb(const std::string&, const std::string&, Access, Verb) {}

Result<std::unique_ptr<Config>> ReplayHost::parse(const std::string&, const std::string&) {
  return Error{"a replay takes no text from anybody"};
}

std::unique_ptr<AddressNames> ReplayHost::resolve(std::vector<std::string>,
                                                  std::unique_ptr<AddressNames>) {
  return std::make_unique<ReplayedNames>(facts_, name_);
}

void ReplayHost::on_event(unsigned id, unsigned version, std::size_t size,
                          std::function<void(const AnyEvent&)> handler) {
  event_handlers_[id].push_back({version, size, std::move(handler)});
}

void ReplayHost::declare_table(const RecordSchema& schema) {
  declare_(schema);
}

void ReplayHost::publish_record(const RecordSchema& schema, std::shared_ptr<const void> record) {
  publish_(schema, std::move(record));
}

void ReplayHost::on_any_record(const RecordSchema& schema,
                               std::function<void(const void*)> handler) {
  record_handlers_[std::string(schema.table)].push_back(std::move(handler));
}

}  // namespace trivet
