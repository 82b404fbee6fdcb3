// SPDX-License-Identifier: Apache-2.0
#include "facts/inspector.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "facts/cgroup_names.h"
#include "facts/container_state.h"
#include "facts/sha256.h"

namespace trivet {

namespace {

constexpr std::size_t kMaxWishes = 1024;
constexpr std::size_t kMaxContainers = 4096;
constexpr std::size_t kMaxEnvironments = 256;
constexpr std::size_t kMaxHashes = 4096;
constexpr std::size_t kMaxEnvironmentBytes = 32 << 10;
constexpr std::size_t kMaxStateBytes = 4 << 20;
constexpr std::size_t kMaxExecutableBytes = 256 << 20;
constexpr std::chrono::seconds kKeepEnvironment{10};
constexpr std::chrono::seconds kKeepHash = std::chrono::hours(24 * 365);
constexpr std::chrono::seconds kBelieveUnknown{1};
// A runtime makes the cgroup before it writes its files, and writes the start time after the start.
constexpr unsigned kMaxAttempts = 6;

std::chrono::milliseconds delay_after(unsigned attempt) {
  return std::chrono::milliseconds(250) * (1 << (2 * attempt));
}

// The file's text, at most `limit` bytes of it; nothing where it cannot be read.
std::optional<std::string> read_at_most(int fd, std::size_t limit) {
  std::string text;
  std::array<char, 16384> part;
  while (text.size() < limit) {
    const auto got = ::read(fd, part.data(), std::min(part.size(), limit - text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::int64_t modified_ns(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return 0;
  return status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
}

std::uint64_t ns_of(const timespec& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

// Whether it is the file that the process ran, and not what it has executed meanwhile. Where an
// overlay has layers on several file systems, the kernel numbers inodes otherwise than stat() does.
bool is_file(const struct stat& status, const ExeIdentity& exe) {
  return status.st_ino == exe.inode ||
         (ns_of(status.st_ctim) == exe.ctime_ns && ns_of(status.st_mtim) == exe.mtime_ns);
}

std::optional<std::string> hash_of(int fd, const ExeIdentity& exe) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !is_file(status, exe) ||
      static_cast<std::size_t>(status.st_size) > kMaxExecutableBytes)
    return std::nullopt;
  Sha256 hash;
  std::vector<std::byte> part(256 << 10);
  for (std::size_t total = 0; total <= kMaxExecutableBytes;) {
    const auto got = ::read(fd, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) return hash.hex();
    hash.add(std::span(part).first(static_cast<std::size_t>(got)));
    total += static_cast<std::size_t>(got);
  }
  return std::nullopt;
}

}  // namespace

template <class Key, class Value>
const typename Inspector::Findings<Key, Value>::Finding* Inspector::Findings<Key, Value>::find(
    const Key& key, Clock::time_point now, std::chrono::seconds keep) const {
  const auto found = by_key.find(key);
  if (found == by_key.end()) return nullptr;
  const auto lasts = found->second.value ? keep : kBelieveUnknown;
  return now - found->second.found < lasts ? &found->second : nullptr;
}

template <class Key, class Value>
void Inspector::Findings<Key, Value>::add(const Key& key, Value value, std::size_t limit) {
  asked.erase(key);
  const auto [place, added] = by_key.insert_or_assign(key, Finding{std::move(value), Clock::now()});
  if (!added) return;
  order.push_back(place->first);
  if (order.size() <= limit) return;
  by_key.erase(order.front());
  order.pop_front();
}

Inspector::Inspector(std::unique_ptr<HostFiles> files, std::int64_t boot_to_real_ns,
                     FactsWitness* witness)
    : files_(std::move(files)),
      boot_to_real_ns_(boot_to_real_ns),
      witness_(witness),
      thread_([this](std::stop_token stop) {
        pthread_setname_np(pthread_self(), "inspector");
        run(stop);
      }) {}

Inspector::~Inspector() = default;

void Inspector::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto now = Clock::now();
    while (!later_.empty() && later_.begin()->first <= now && wishes_.size() < kMaxWishes) {
      wishes_.push_back(std::move(later_.begin()->second));
      later_.erase(later_.begin());
    }
    if (wishes_.empty()) {
      const auto wake = [this] { return !wishes_.empty(); };
      if (later_.empty())
        wished_.wait(lock, stop, wake);
      else
        wished_.wait_until(lock, stop, Clock::time_point(later_.begin()->first), wake);
      continue;
    }
    const Wish wish = std::move(wishes_.front());
    wishes_.pop_front();
    lock.unlock();
    std::visit([this](const auto& one) { fulfil(one); }, wish);
    lock.lock();
    found_.notify_all();
  }
}

bool Inspector::enqueue(Wish wish) {
  if (wishes_.size() >= kMaxWishes) {
    ++dropped_;
    return false;
  }
  wishes_.push_back(std::move(wish));
  wished_.notify_one();
  return true;
}

void Inspector::want_container(const std::string& id) {
  const std::string key = short_container_id(id);
  const std::lock_guard lock(mutex_);
  if (containers_.contains(key) || !enqueue(ContainerWish{id})) return;
  containers_.emplace(key, nullptr);
  containers_order_.push_back(key);
  if (containers_order_.size() <= kMaxContainers) return;
  containers_.erase(containers_order_.front());
  containers_order_.pop_front();
}

ContainerRef Inspector::container(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = containers_.find(short_container_id(id));
  return found == containers_.end() ? nullptr : found->second;
}

void Inspector::fulfil(const ContainerWish& wish) {
  std::vector<StateFile> texts;
  if (auto files = files_->container_state(wish.id))
    for (const auto& one : *files)
      if (auto text = read_at_most(one.file.get(), kMaxStateBytes))
        texts.push_back({one.name, std::move(*text), modified_ns(one.file.get())});
  auto described = describe_container(wish.id, texts, boot_to_real_ns_);
  const bool complete = described && described->started_ns != 0;
  if (described && witness_) witness_->container(*described);
  const std::lock_guard lock(mutex_);
  const auto slot = containers_.find(short_container_id(wish.id));
  if (slot == containers_.end()) return;  // pushed out meanwhile
  if (described) slot->second = std::make_shared<const Container>(std::move(*described));
  if (complete) return;
  if (wish.attempt + 1 < kMaxAttempts)
    later_.emplace(Clock::now() + delay_after(wish.attempt),
                   ContainerWish{wish.id, wish.attempt + 1});
  else if (!slot->second)
    ++unknown_;
}

void Inspector::fulfil(const EnvironmentWish& wish) {
  Facts::Environment found;
  if (const auto file = files_->environment(wish.task))
    if (const auto text = read_at_most(file->get(), kMaxEnvironmentBytes)) {
      auto variables = std::make_shared<std::vector<std::string>>();
      for (std::string_view rest = *text; !rest.empty();) {
        const auto end = std::min(rest.find('\0'), rest.size());
        if (end > 0) variables->emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      if (witness_) witness_->environment(wish.task, *variables);
      found = std::move(variables);
    }
  const std::lock_guard lock(mutex_);
  environments_.add(wish.task, std::move(found), kMaxEnvironments);
}

void Inspector::fulfil(const HashWish& wish) {
  std::optional<std::string> found;
  if (const auto file = files_->executable(wish.task)) found = hash_of(file->get(), wish.exe);
  if (found && witness_) witness_->exe_sha256(wish.exe, *found);
  const std::lock_guard lock(mutex_);
  hashes_.add(wish.exe, std::move(found), kMaxHashes);
}

Facts::Environment Inspector::environment(const Process& process,
                                          std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  const auto known = [&] {
    return environments_.find(process.key, Clock::now(), kKeepEnvironment);
  };
  const auto* found = known();
  if (!found &&
      (environments_.asked.contains(process.key) || enqueue(EnvironmentWish{process.key}))) {
    environments_.asked.insert(process.key);
    found_.wait_for(lock, patience, [&] { return (found = known()) != nullptr; });
  }
  return found ? found->value : nullptr;
}

std::optional<std::string> Inspector::exe_sha256(const Process& process,
                                                 std::chrono::milliseconds patience) {
  if (process.exe_inode == 0) return std::nullopt;
  const ExeIdentity key{process.exe_inode, process.exe_ctime_ns, process.exe_mtime_ns};
  std::unique_lock lock(mutex_);
  const auto known = [&] { return hashes_.find(key, Clock::now(), kKeepHash); };
  const auto* found = known();
  if (!found && (hashes_.asked.contains(key) || enqueue(HashWish{key, process.key}))) {
    hashes_.asked.insert(key);
    found_.wait_for(lock, patience, [&] { return (found = known()) != nullptr; });
  }
  return found ? found->value : std::nullopt;
}

void Inspector::tell(FactsWitness& witness) const {
  std::vector<ContainerRef> containers;
  std::map<TaskKey, Facts::Environment> environments;
  std::map<ExeIdentity, std::string> hashes;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, container] : containers_)
      if (container) containers.push_back(container);
    const auto now = Clock::now();
    for (const auto& [task, finding] : environments_.by_key)
      if (environments_.find(task, now, kKeepEnvironment) && finding.value)
        environments.emplace(task, finding.value);
    for (const auto& [exe, finding] : hashes_.by_key)
      if (finding.value) hashes.emplace(exe, *finding.value);
  }
  for (const auto& container : containers) witness.container(*container);
  for (const auto& [task, variables] : environments) witness.environment(task, *variables);
  for (const auto& [exe, hash] : hashes) witness.exe_sha256(exe, hash);
}

Inspector::Counts Inspector::counts() const {
  const std::lock_guard lock(mutex_);
  std::size_t described = 0;
  for (const auto& [id, container] : containers_) described += container != nullptr;
  return {described, dropped_, unknown_};
}

}  // namespace trivet
