// SPDX-License-Identifier: Apache-2.0
#include "facts/host_facts.h"

#include <time.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>

#include "facts/cgroup_names.h"
#include "facts/fact_records.h"
#include "facts/proc_process.h"
#include "trivet/host.h"

namespace trivet {

namespace {

constexpr std::uint32_t kNoLoginUid = 0xffffffff;
// Paths of cgroups are kept by id so that an event that knows only the id can be named. A host that
// churns through more than this many starts afresh with what is alive.
constexpr std::size_t kMaxCgroups = 100'000;

std::int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// Takes `size` bytes off the front of the tail, fewer where the record is shorter than it says.
std::string_view take(std::string_view& tail, std::size_t size) {
  const auto part = tail.substr(0, size);
  tail.remove_prefix(part.size());
  return part;
}

std::vector<std::string> split_args(std::string_view args) {
  std::vector<std::string> list;
  while (!args.empty()) {
    const auto end = args.find('\0');
    list.emplace_back(args.substr(0, end));
    args = end == std::string_view::npos ? std::string_view() : args.substr(end + 1);
  }
  return list;
}

// The event in front of a record, or nullptr if the record is too short for it.
template <class Event>
const Event* event_of(std::span<const std::byte> bytes) {
  return bytes.size() >= sizeof(Event) ? reinterpret_cast<const Event*>(bytes.data()) : nullptr;
}

}  // namespace

HostFacts::HostFacts(std::string cgroup_root, Limits limits, std::unique_ptr<HostFiles> files,
                     FactsWitness* witness)
    : cgroup_root_(std::move(cgroup_root)),
      host_(read_host_identity()),
      limits_(limits),
      witness_(witness),
      sockets_(limits.sockets),
      inspector_(files ? std::make_unique<Inspector>(std::move(files), boot_to_real_ns(), witness)
                       : nullptr) {}

ProcessRef HostFacts::apply(std::span<const std::byte> bytes) {
  const auto* header = event_of<event_header>(bytes);
  if (!header) return nullptr;
  switch (header->type) {
    case process_fork_event_id:
      if (const auto* fork = event_of<process_fork_event>(bytes)) return apply_fork(*fork);
      return nullptr;
    case process_exec_event_id:
      if (const auto* exec = event_of<process_exec_event>(bytes))
        return apply_exec(*exec, bytes.subspan(sizeof(process_exec_event)));
      return nullptr;
    case process_exit_event_id:
      if (const auto* exit = event_of<process_exit_event>(bytes)) return apply_exit(*exit);
      return nullptr;
    case process_change_event_id:
      if (const auto* change = event_of<process_change_event>(bytes))
        return apply_change(*change, bytes.subspan(sizeof(process_change_event)));
      return nullptr;
    case socket_state_event_id:
      if (const auto* socket = event_of<socket_state_event>(bytes)) sockets_.apply(*socket);
      return header->task.tgid ? process(task_key(header->task)) : nullptr;
    default:
      return header->task.tgid ? process(task_key(header->task)) : nullptr;
  }
}

void HostFacts::apply_snapshot(std::span<const std::byte> bytes) {
  if (witness_) witness_->told(bytes);
  (void)apply(bytes);
}

void HostFacts::begin_socket_snapshot() {
  if (witness_) witness_->socket_snapshot_begun();
  sockets_.begin_snapshot();
}

void HostFacts::end_socket_snapshot(std::uint64_t start_ns) {
  if (witness_) witness_->socket_snapshot_ended(start_ns);
  sockets_.end_snapshot(start_ns);
}

void HostFacts::tell(FactsWitness& witness) const {
  std::vector<Entry> known;
  {
    const std::shared_lock lock(mutex_);
    known.reserve(processes_.size());
    for (const auto& [id, entry] : processes_) known.push_back(entry);
  }
  // Parents before their children.
  std::ranges::sort(known, {}, [](const Entry& entry) { return entry.image->key.start_ns; });
  for (const auto& entry : known) {
    witness.told(process_record(*entry.image, entry.coarse));
    if (entry.exited_ns) witness.told(exit_record(entry.image->key, entry.exited_ns));
  }
  sockets_.each([&](const SocketRef& socket) { witness.told(socket_record(*socket)); });
  accounts_.tell(witness);
  if (inspector_) inspector_->tell(witness);
}

ProcessRef HostFacts::apply_fork(const process_fork_event& event) {
  const TaskKey parent_key = task_key(event.parent);
  const ProcessRef parent = process(parent_key);
  auto child = parent ? std::make_shared<Process>(*parent) : std::make_shared<Process>();
  child->key = task_key(event.header.task);
  child->parent = parent_key;
  child->vpid = event.vpid;
  child->host_namespaces = event.flags & PROCESS_HOST_PID_NS;
  insert(child);
  return child;
}

ProcessRef HostFacts::apply_exec(const process_exec_event& event, std::span<const std::byte> tail) {
  auto image = std::make_shared<Process>();
  image->key = task_key(event.header.task);
  image->parent = task_key(event.parent);
  image->name.assign(event.comm, strnlen(event.comm, sizeof(event.comm)));
  std::string_view text(reinterpret_cast<const char*>(tail.data()), tail.size());
  image->exe = take(text, event.exe_size);
  image->cwd = take(text, event.cwd_size);
  image->args = split_args(take(text, event.args_size));
  image->args_truncated = event.flags & PROCESS_ARGS_TRUNCATED;
  image->cgroup = take(text, event.cgroup_size);
  image->unit = unit_of_cgroup(image->cgroup);
  if (const auto container = container_of_cgroup(image->cgroup); !container.empty()) {
    image->container_id = short_container_id(container);
    if (inspector_) inspector_->want_container(container);
  }
  image->cgroup_id = event.header.cgroup_id;
  image->vpid = event.vpid;
  image->pgid = event.pgid;
  image->sid = event.sid;
  image->tty = event.tty;
  image->uid = event.euid;
  image->gid = event.egid;
  image->real_uid = event.uid;
  if (event.login_uid != kNoLoginUid) image->login_uid = event.login_uid;
  image->cap_effective = event.cap_effective;
  image->cap_permitted = event.cap_permitted;
  image->exe_inode = event.exe_inode;
  image->exe_ctime_ns = event.exe_ctime_ns;
  image->exe_mtime_ns = event.exe_mtime_ns;
  image->exe_writable = event.flags & PROCESS_EXE_WRITABLE;
  image->exe_upper_layer = event.flags & PROCESS_EXE_UPPER_LAYER;
  image->exe_memfd = event.flags & PROCESS_EXE_MEMFD;
  image->pid_namespace = event.pid_namespace;
  image->net_namespace = event.net_namespace;
  image->mount_namespace = event.mount_namespace;
  image->host_namespaces = event.flags & PROCESS_HOST_PID_NS;
  // A process that was there before the hooks started no later than its own start.
  image->exec_ns = event.header.time_ns;
  if (event.flags & PROCESS_SNAPSHOT) {
    const ProcessRef known = process(image->key);
    const bool same = known && known->key.exec_count == image->key.exec_count;
    image->exec_ns = same ? known->exec_ns : event.header.task.start_ns;
  }
  insert(image);
  if (event.flags & PROCESS_COARSE) mark_coarse(image->key);
  return image;
}

ProcessRef HostFacts::apply_exit(const process_exit_event& event) {
  const std::unique_lock lock(mutex_);
  const auto found = find(task_key(event.header.task));
  if (found == processes_.end()) return nullptr;
  const ProcessRef image = found->second.image;
  mark_exited(found->first, event.header.time_ns);  // once: two last threads may both tell it
  return image;
}

ProcessRef HostFacts::apply_change(const process_change_event& event,
                                   std::span<const std::byte> tail) {
  const TaskKey key = task_key(event.header.task);
  const ProcessRef before = process(key);
  // What an older image changed is in the newer one already.
  const bool exact = before && before->key.same_process(key);
  if (!before || (exact && before->key.exec_count != key.exec_count)) return before;
  auto image = std::make_shared<Process>(*before);
  image->key = key;
  std::string_view text(reinterpret_cast<const char*>(tail.data()), tail.size());
  image->name.assign(event.comm, strnlen(event.comm, sizeof(event.comm)));
  image->cwd = take(text, event.cwd_size);
  image->uid = event.euid;
  image->gid = event.egid;
  image->real_uid = event.uid;
  image->cap_effective = event.cap_effective;
  image->cap_permitted = event.cap_permitted;
  insert(image);
  return image;
}

void HostFacts::adopt(Process process) {
  if (const auto known = this->process(process.key.tgid);
      known && known->key.start_ns - process.key.start_ns < proc_start_precision_ns())
    return;
  if (const auto parent = this->process(process.parent.tgid)) process.parent = parent->key;
  if (const auto container = container_of_cgroup(process.cgroup); inspector_ && !container.empty())
    inspector_->want_container(container);
  const auto image = std::make_shared<const Process>(std::move(process));
  if (witness_) witness_->told(process_record(*image, true));
  insert(image);
  mark_coarse(image->key);
}

void HostFacts::mark_coarse(const TaskKey& key) {
  const std::unique_lock lock(mutex_);
  if (const auto added = processes_.find(identity(key)); added != processes_.end())
    added->second.coarse = true;
}

HostFacts::Processes::const_iterator HostFacts::find(const TaskKey& key) const {
  if (const auto exact = processes_.find(identity(key)); exact != processes_.end()) return exact;
  const auto living = living_.find(key.tgid);
  if (living == living_.end()) return processes_.end();
  const auto found = processes_.find(living->second);
  if (found == processes_.end() || !found->second.coarse ||
      key.start_ns - found->first.start_ns >= proc_start_precision_ns())
    return processes_.end();
  return found;
}

void HostFacts::insert(ProcessRef image) {
  const Identity id = identity(image->key);
  const std::unique_lock lock(mutex_);
  if (!image->cgroup.empty()) {
    if (cgroups_.size() >= kMaxCgroups) cgroups_.clear();
    cgroups_.insert_or_assign(image->cgroup_id, image->cgroup);
  }
  auto [entry, added] = processes_.try_emplace(id);
  if (!added) {
    // Back-fill tells what was true when it looked; an event that has already told more stands.
    if (entry->second.image->key.exec_count > image->key.exec_count) return;
    const TaskKey old_parent = entry->second.image->parent;
    const bool lives = entry->second.exited_ns == 0;
    if (lives && !old_parent.same_process(image->parent)) {
      if (const auto old = processes_.find(identity(old_parent));
          old != processes_.end() && old->second.living_children > 0)
        --old->second.living_children;
      if (const auto now = processes_.find(identity(image->parent)); now != processes_.end())
        ++now->second.living_children;
    }
    entry->second.image = std::move(image);
    return;
  }
  if (const auto parent = processes_.find(identity(image->parent)); parent != processes_.end())
    ++parent->second.living_children;
  if (const auto before = living_.find(id.tgid); before != living_.end()) {
    // The kernel has given the pid away: the exit of the one before was lost.
    mark_exited(before->second, image->key.start_ns);
  }
  living_.insert_or_assign(id.tgid, id);
  entry->second.image = std::move(image);
  if (processes_.size() > limits_.max_processes) evict(id);
}

void HostFacts::mark_exited(const Identity& id, std::uint64_t exited_ns) {
  const auto found = processes_.find(id);
  if (found == processes_.end() || found->second.exited_ns != 0) return;
  found->second.exited_ns = exited_ns;
  gone_.push_back({exited_ns, id});
  if (const auto parent = processes_.find(identity(found->second.image->parent));
      parent != processes_.end() && parent->second.living_children > 0)
    --parent->second.living_children;
  if (const auto living = living_.find(id.tgid); living != living_.end() && living->second == id)
    living_.erase(living);
}

void HostFacts::evict(const Identity& newest) {
  ++evicted_;
  while (!gone_.empty()) {
    const Identity oldest = gone_.front().identity;
    gone_.pop_front();
    if (processes_.erase(oldest) > 0) return;
  }
  // All that is known seems to live: more than the limit, or exits were lost. Any but the newest.
  auto victim = processes_.begin();
  if (victim->first == newest) ++victim;
  if (const auto living = living_.find(victim->first.tgid);
      living != living_.end() && living->second == victim->first)
    living_.erase(living);
  processes_.erase(victim);
}

void HostFacts::forget(std::uint64_t now_ns) {
  {
    const std::unique_lock lock(mutex_);
    forget_gone(now_ns);
  }
  sockets_.refresh(now_ns);
}

void HostFacts::refresh(std::uint64_t now_ns) {
  forget(now_ns);
  if (accounts_.refresh() && witness_) accounts_.tell(*witness_);
  interfaces_.refresh();
}

void HostFacts::forget_gone(std::uint64_t now_ns) {
  // One that has a living child goes back to the end of the queue, as if it had just exited; each
  // is looked at once a call.
  for (std::size_t left = gone_.size(); left > 0; --left) {
    const Gone oldest = gone_.front();
    if (now_ns < oldest.exited_ns + limits_.exited_grace_ns) return;
    gone_.pop_front();
    const auto found = processes_.find(oldest.identity);
    if (found == processes_.end()) continue;
    if (found->second.living_children > 0)
      gone_.push_back({now_ns, oldest.identity});
    else
      processes_.erase(found);
  }
}

HostFacts::Counts HostFacts::counts() const {
  const auto sockets = sockets_.counts();
  const auto inspected = inspector_ ? inspector_->counts() : Inspector::Counts{};
  const std::shared_lock lock(mutex_);
  return {processes_.size(), evicted_, sockets, inspected};
}

ProcessRef HostFacts::process(const TaskKey& key) const {
  const std::shared_lock lock(mutex_);
  const auto found = find(key);
  return found == processes_.end() ? nullptr : found->second.image;
}

ProcessRef HostFacts::process(std::uint32_t tgid) const {
  const std::shared_lock lock(mutex_);
  const auto living = living_.find(tgid);
  if (living == living_.end()) return nullptr;
  const auto found = processes_.find(living->second);
  return found == processes_.end() ? nullptr : found->second.image;
}

void HostFacts::each_process(const std::function<void(const ProcessRef&)>& visit) const {
  std::vector<ProcessRef> images;
  {
    const std::shared_lock lock(mutex_);
    images.reserve(living_.size());
    for (const auto& [tgid, id] : living_)
      if (const auto found = processes_.find(id); found != processes_.end())
        images.push_back(found->second.image);
  }
  for (const auto& image : images) visit(image);
}

Facts::Environment HostFacts::environment(const Process& process,
                                          std::chrono::milliseconds patience) const {
  return inspector_ ? inspector_->environment(process, patience) : nullptr;
}

std::optional<std::string> HostFacts::exe_sha256(const Process& process,
                                                 std::chrono::milliseconds patience) const {
  return inspector_ ? inspector_->exe_sha256(process, patience) : std::nullopt;
}

ContainerRef HostFacts::container(std::string_view id) const {
  return inspector_ && !id.empty() ? inspector_->container(id) : nullptr;
}

void HostFacts::each_container(const std::function<void(const ContainerRef&)>& visit) const {
  std::set<std::string> living;
  each_process([&](const ProcessRef& process) {
    if (!process->container_id.empty()) living.insert(process->container_id);
  });
  for (const auto& id : living)
    if (const auto known = container(id)) visit(known);
}

std::optional<std::string> HostFacts::user_name(std::uint32_t uid) const {
  return accounts_.user_name(uid);
}
std::optional<std::string> HostFacts::group_name(std::uint32_t gid) const {
  return accounts_.group_name(gid);
}

std::string HostFacts::cgroup_path(std::uint64_t cgroup_id) const {
  const std::shared_lock lock(mutex_);
  const auto found = cgroups_.find(cgroup_id);
  return found == cgroups_.end() ? std::string() : found->second;
}

std::int64_t HostFacts::boot_to_real_ns() const {
  return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME);
}

}  // namespace trivet
