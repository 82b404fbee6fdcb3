// SPDX-License-Identifier: Apache-2.0
#include "broker/loader.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <set>
#include <string_view>

#include "broker/cgroup_root.h"
#include "broker/libbpf_log.h"

namespace trivet::broker {
namespace {

constexpr std::string_view lane_prefix = "lane_";
// Tiers of all hooks of one object. The largest object has some ten.
constexpr std::size_t max_tries = 24;
// Of the maps whose sizes are settings, for each object.
constexpr std::uint64_t max_map_bytes = 256 << 20;

bool is_lane(const bpf_map* map) {
  return std::string_view(bpf_map__name(map)).starts_with(lane_prefix);
}

bool is_iterator(const bpf_program* program) {
  return bpf_program__type(program) == BPF_PROG_TYPE_TRACING &&
         bpf_program__expected_attach_type(program) == BPF_TRACE_ITER;
}

bool attaches_to_cgroup(const bpf_program* program) {
  switch (bpf_program__type(program)) {
    case BPF_PROG_TYPE_CGROUP_SKB:
    case BPF_PROG_TYPE_CGROUP_SOCK:
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
    case BPF_PROG_TYPE_CGROUP_SOCKOPT:
    case BPF_PROG_TYPE_CGROUP_SYSCTL:
    case BPF_PROG_TYPE_CGROUP_DEVICE:
    case BPF_PROG_TYPE_SOCK_OPS:
      return true;
    default:
      return false;
  }
}

// Main consumes rings and fills what programs only read; everything else it may look at.
bool main_may_write(bpf_map_type type, std::uint32_t flags) {
  return type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_USER_RINGBUF ||
         (flags & BPF_F_RDONLY_PROG) != 0;
}

// A map of these types would hand out programs or whole maps.
bool main_may_have(bpf_map_type type) {
  return type != BPF_MAP_TYPE_PROG_ARRAY && type != BPF_MAP_TYPE_ARRAY_OF_MAPS &&
         type != BPF_MAP_TYPE_HASH_OF_MAPS && type != BPF_MAP_TYPE_STRUCT_OPS;
}

Result<bpf_map_info> map_info(int fd) {
  bpf_map_info info{};
  std::uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) {
    return system_error(errno, "cannot ask the kernel about a map");
  }
  return info;
}

Result<UniqueFd> lend(int fd, bool writable) {
  if (writable) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy) return system_error(errno, "cannot lend a map");
    return copy;
  }
  auto info = map_info(fd);
  if (!info) return std::move(info).error();
  bpf_get_fd_by_id_opts options{};
  options.sz = sizeof(options);
  options.open_flags = BPF_F_RDONLY;
  UniqueFd reopened(bpf_map_get_fd_by_id_opts(info->id, &options));
  if (!reopened) return system_error(errno, "cannot lend a map read-only");
  return reopened;
}

Result<void> lend_into(Answer& answer, int fd, MapDescription description, std::uint32_t flags) {
  description.writable = main_may_write(static_cast<bpf_map_type>(description.type), flags);
  auto lent = lend(fd, description.writable);
  if (!lent) return std::move(lent).error().within("map " + description.name);
  answer.maps.push_back(std::move(description));
  answer.fds.push_back(std::move(*lent));
  return {};
}

// Puts the settings into the object's `const volatile struct ... config`.
Result<void> set_config(bpf_object* object, const ObjectSpec& spec) {
  if (spec.config.empty()) return {};
  const btf* types = bpf_object__btf(object);
  bpf_map* map = bpf_object__find_map_by_name(object, ".rodata");
  int id = types ? btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC) : -ENOENT;
  std::size_t size = 0;
  const void* initial = map ? bpf_map__initial_value(map, &size) : nullptr;
  if (id < 0 || !initial) return Error{"object " + spec.name + " has no `config`", ENOENT};

  const btf_type* section = btf__type_by_id(types, static_cast<std::uint32_t>(id));
  const btf_var_secinfo* variable = btf_var_secinfos(section);
  for (int i = 0; i < btf_vlen(section); i++, variable++) {
    const btf_type* type = btf__type_by_id(types, variable->type);
    if (std::strcmp(btf__name_by_offset(types, type->name_off), "config") != 0) continue;
    if (variable->size != spec.config.size() || variable->offset + variable->size > size) {
      return Error{"the `config` of object " + spec.name + " has " +
                       std::to_string(variable->size) + " bytes, its plugin sets " +
                       std::to_string(spec.config.size()) + ": rebuild the plugin",
                   EINVAL};
    }
    const auto* from = static_cast<const std::byte*>(initial);
    std::vector<std::byte> value(from, from + size);
    std::copy(spec.config.begin(), spec.config.end(), value.begin() + variable->offset);
    if (bpf_map__set_initial_value(map, value.data(), value.size()) != 0) {
      return system_error(errno, "cannot set the `config` of object " + spec.name);
    }
    return {};
  }
  return Error{"object " + spec.name + " has no `config`", ENOENT};
}

// What the kernel adds to an entry of a hash or a trie: at most 56 bytes by 6.18, and a share of
// the buckets, which are 16 bytes each and fewer than twice as many as the entries; a trie has up
// to one node between for each entry.
constexpr std::uint64_t entry_overhead = 88;

// What an entry of a map takes at most, in bytes.
std::uint64_t entry_bytes(const bpf_map* map) {
  const auto rounded = [](std::uint64_t bytes) { return (bytes + 7) / 8 * 8; };
  const auto cpus = static_cast<std::uint64_t>(std::max(libbpf_num_possible_cpus(), 1));
  const std::uint64_t key = rounded(bpf_map__key_size(map));
  const std::uint64_t value = rounded(bpf_map__value_size(map));
  switch (bpf_map__type(map)) {
    case BPF_MAP_TYPE_RINGBUF:
    case BPF_MAP_TYPE_USER_RINGBUF:
      return 1;  // its entries are bytes
    case BPF_MAP_TYPE_ARRAY:
      return value;
    case BPF_MAP_TYPE_PERCPU_ARRAY:
      return value * cpus + sizeof(void*);
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
      return key + value * cpus + entry_overhead;
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
      break;
    default:
      return 2 * (key + value + entry_overhead);
  }
  const std::uint64_t entry = key + value + entry_overhead;
  // Entries that are allocated one by one come in sizes of powers of two.
  return (bpf_map__map_flags(map) & BPF_F_NO_PREALLOC) != 0 ? std::bit_ceil(entry) : entry;
}

Result<void> set_map_sizes(bpf_object* object, const ObjectSpec& spec) {
  std::uint64_t left = max_map_bytes;
  for (const auto& [name, entries] : spec.map_sizes) {
    bpf_map* map = bpf_object__find_map_by_name(object, name.c_str());
    if (!map || is_lane(map) || bpf_map__is_internal(map)) {
      return Error{"object " + spec.name + " has no map " + name + " of its own", ENOENT};
    }
    if (entries > left / entry_bytes(map)) {
      return Error{"map " + name + " of object " + spec.name + " with " + std::to_string(entries) +
                       " entries is too large: the maps of an object may take 256 MiB",
                   E2BIG};
    }
    left -= entries * entry_bytes(map);
    if (bpf_map__set_max_entries(map, entries) != 0) {
      return system_error(errno,
                          "cannot give map " + name + " " + std::to_string(entries) + " entries");
    }
  }
  return {};
}

// Iterators that no hook names are hooks of their own, which the object can do without.
void add_iterators(bpf_object* object, ObjectSpec& spec) {
  std::set<std::string> named;
  for (const Hook& hook : spec.hooks) {
    for (const Tier& tier : hook.tiers) named.insert(tier.programs.begin(), tier.programs.end());
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    std::string name = bpf_program__name(program);
    if (is_iterator(program) && !named.contains(name)) {
      spec.hooks.push_back({name, {{"iterator", {name}}}, false});
    }
  }
}

// A stop that was asked for waits, blocked, while this thread is at work.
bool asked_to_stop() {
  sigset_t pending;
  return ::sigpending(&pending) == 0 &&
         (::sigismember(&pending, SIGTERM) == 1 || ::sigismember(&pending, SIGINT) == 1);
}

// The section of a program for many tracepoints says how all of them begin:
// "tracepoint/syscalls/sys_exit_*". Nothing that follows could lead elsewhere among the files of
// tracefs.
Result<void> check_tracepoints(const bpf_program* program, const std::vector<std::string>& places) {
  constexpr std::string_view kind = "tracepoint/";
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789_";
  std::string_view begin = bpf_program__section_name(program);
  const bool many = begin.starts_with(kind) && begin.ends_with('*');
  if (many) begin = begin.substr(kind.size(), begin.size() - kind.size() - 1);
  for (const std::string& place : places) {
    if (!many || !place.starts_with(begin) || place.size() == begin.size() ||
        place.find_first_not_of(letters, begin.size()) != place.npos) {
      return Error{
          std::string(bpf_program__name(program)) + " is for no tracepoint \"" + place + "\"",
          EINVAL};
    }
  }
  return {};
}

Result<void> check_programs(bpf_object* object, const ObjectSpec& spec) {
  std::size_t tries = 0;
  for (const Hook& hook : spec.hooks) tries += hook.tiers.size();
  if (tries > max_tries) return Error{"object " + spec.name + " has more than 24 tiers", E2BIG};
  for (const Hook& hook : spec.hooks) {
    for (const Tier& tier : hook.tiers) {
      if (!tier.tracepoints.empty() && tier.programs.empty())
        return Error{"tier " + tier.name + " has tracepoints but no program", EINVAL};
      for (const std::string& name : tier.programs) {
        const bpf_program* program = bpf_object__find_program_by_name(object, name.c_str());
        if (!program) return Error{"object " + spec.name + " has no program " + name, ENOENT};
        if (name != tier.programs.front()) continue;
        if (auto checked = check_tracepoints(program, tier.tracepoints); !checked) return checked;
      }
    }
  }
  return {};
}

}  // namespace

void CloseObject::operator()(bpf_object* object) const {
  bpf_object__close(object);
}

Loader::Loader() : cpus_(read_cpu_groups()) {
  silence_libbpf();
  libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
}

Result<ObjectPtr> Loader::open(std::span<const std::byte> elf, const ObjectSpec& spec) {
  LibbpfLog log;
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.object_name = spec.name.c_str();
  ObjectPtr object(bpf_object__open_mem(elf.data(), elf.size(), &options));
  if (!object) return Error{"cannot read object " + spec.name + ": " + log.reason(errno), errno};
  if (auto checked = check_programs(object.get(), spec); !checked)
    return std::move(checked).error();
  if (auto set = set_config(object.get(), spec); !set) return std::move(set).error();
  if (auto set = set_map_sizes(object.get(), spec); !set) return std::move(set).error();
  if (auto wired = wire_lanes(object.get()); !wired) return std::move(wired).error();
  return object;
}

Result<void> Loader::wire_lanes(bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (is_lane(map) && bpf_map__type(map) == BPF_MAP_TYPE_ARRAY_OF_MAPS) {
      if (auto shaped = shape_shards(map); !shaped) {
        return std::move(shaped).error().within(std::string("map ") + bpf_map__name(map));
      }
    }
    auto lane = lanes_.find(bpf_map__name(map));
    if (lane == lanes_.end()) continue;
    auto info = map_info(lane->second.get());
    if (!info) return std::move(info).error();
    if (info->type != bpf_map__type(map) || info->key_size != bpf_map__key_size(map) ||
        info->value_size != bpf_map__value_size(map) ||
        info->max_entries != bpf_map__max_entries(map)) {
      return Error{"its map " + lane->first + " is not like that of the running trivet: rebuild it",
                   EINVAL};
    }
    if (bpf_map__reuse_fd(map, lane->second.get()) != 0) {
      return system_error(errno, "cannot share map " + lane->first);
    }
  }
  return {};
}

// Makes the lane's rings if they are not there yet. The object says what all of them may hold
// together; libbpf takes the kind of map in the slots from the first.
Result<void> Loader::shape_shards(bpf_map* lane) {
  std::vector<UniqueFd>& rings = shards_[bpf_map__name(lane)];
  const bpf_map* total = bpf_map__inner_map(lane);
  if (!total) return Error{"it does not say what its rings are like", EINVAL};
  const std::uint32_t bytes = shard_bytes(bpf_map__max_entries(total), cpus_.count);
  while (rings.size() < cpus_.count) {
    UniqueFd ring(bpf_map_create(BPF_MAP_TYPE_RINGBUF, bpf_map__name(lane), 0, 0, bytes, nullptr));
    if (!ring) return system_error(errno, "cannot make a ring");
    rings.push_back(std::move(ring));
  }
  if (bpf_map__set_inner_map_fd(lane, rings.front().get()) != 0 ||
      bpf_map__set_max_entries(lane, static_cast<std::uint32_t>(cpus_.group_of.size())) != 0) {
    return system_error(errno, "cannot shape it");
  }
  return {};
}

Result<void> Loader::keep_lanes(bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    std::string name = bpf_map__name(map);
    if (!is_lane(map) || lanes_.contains(name)) continue;
    UniqueFd copy(::fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0));
    if (!copy) return system_error(errno, "cannot keep map " + name);
    if (auto shards = shards_.find(name); shards != shards_.end()) {
      for (std::uint32_t cpu = 0; cpu < cpus_.group_of.size(); cpu++) {
        const int ring = shards->second[cpus_.group_of[cpu]].get();
        if (bpf_map_update_elem(copy.get(), &cpu, &ring, BPF_ANY) != 0) {
          return system_error(errno,
                              "cannot give CPU " + std::to_string(cpu) + " its ring in " + name);
        }
      }
    }
    lanes_.emplace(name, std::move(copy));
  }
  return {};
}

Result<LinkPtr> Loader::attach(bpf_object* object, const std::string& name) {
  bpf_program* program = bpf_object__find_program_by_name(object, name.c_str());
  // Each pass over an iterator makes its own link, and so does each file that is probed.
  if (is_iterator(program)) return LinkPtr();
  if (is_probe(program)) {
    if (auto tried = try_probe(program); !tried) return std::move(tried).error();
    return LinkPtr();
  }
  bpf_link* link = nullptr;
  LibbpfLog log;
  if (attaches_to_cgroup(program)) {
    if (!cgroup_root_) {
      auto path = cgroup_root();
      if (!path) return std::move(path).error();
      cgroup_root_.reset(::open(path->c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!cgroup_root_) return system_error(errno, "cannot open " + *path);
    }
    link = bpf_program__attach_cgroup(program, cgroup_root_.get());
  } else {
    link = bpf_program__attach(program);
  }
  if (!link) return Error{"cannot attach " + name + ": " + log.reason(errno), errno};
  return LinkPtr(link);
}

Result<void> Loader::attach_tracepoints(Attachment& attachment,
                                        const std::vector<std::string>& wanted) {
  const std::string name = bpf_program__name(attachment.program);
  for (const std::string& place : wanted) {
    if (attachment.links.contains(place)) continue;
    const auto slash = place.find('/');
    LibbpfLog log;
    LinkPtr link(bpf_program__attach_tracepoint(attachment.program, place.substr(0, slash).c_str(),
                                                place.substr(slash + 1).c_str()));
    if (link) {
      attachment.links.emplace(place, std::move(link));
    } else if (errno != ENOENT) {
      return Error{"cannot attach " + name + " to " + place + ": " + log.reason(errno), errno};
    }
  }
  if (std::ranges::none_of(
          wanted, [&](const std::string& place) { return attachment.links.contains(place); })) {
    return Error{"cannot attach " + name +
                     ": the kernel has none of its tracepoints, or no tracefs to attach them by",
                 ENOENT};
  }
  return {};
}

Result<void> Loader::retarget(AttachedObject& object, const std::string& hook,
                              const std::vector<std::string>& wanted) {
  const auto served = std::ranges::find_if(object.attachments, [&](const Attachment& attachment) {
    return attachment.hook == hook && attachment.by_tracepoints;
  });
  if (served == object.attachments.end()) return {};
  if (auto checked = check_tracepoints(served->program, wanted); !checked) return checked;
  if (auto attached = attach_tracepoints(*served, wanted); !attached) return attached;
  std::erase_if(served->links, [&](const auto& link) {
    return std::ranges::find(wanted, link.first) == wanted.end();
  });
  return {};
}

Result<std::vector<Probe>> Loader::probe_file(const AttachedObject& object, const std::string& hook,
                                              int file, std::span<const ProbePlace> places) const {
  std::vector<Probe> probes;
  bool known = false;
  for (const Attachment& attachment : object.attachments) {
    if (attachment.hook != hook || !is_probe(attachment.program)) continue;
    known = true;
    if (auto done = attach_probe(attachment.program, file, places, probes); !done) {
      return std::move(done).error();
    }
  }
  if (!known) return Error{"no probe serves hook " + hook, ENOENT};
  return probes;
}

std::vector<AttachedProgram> AttachedObject::programs() const {
  std::vector<AttachedProgram> borrowed;
  for (const Attachment& attachment : attachments) {
    auto& program = borrowed.emplace_back(AttachedProgram{attachment.hook, attachment.program, {}});
    for (const auto& [place, link] : attachment.links) program.places.insert(place);
  }
  return borrowed;
}

Result<AttachedObject> Loader::try_choice(std::span<const std::byte> elf, const ObjectSpec& spec,
                                          const Choice& choice) {
  auto object = open(elf, spec);
  if (!object) return std::move(object).error();
  // In the order of the hooks, each once.
  std::vector<std::string> wanted;
  std::map<std::string, std::string> hooks;
  std::map<std::string, std::vector<std::string>> tracepoints;
  for (std::size_t i = 0; i < spec.hooks.size(); i++) {
    if (choice[i] < 0) continue;
    const Tier& tier = spec.hooks[i].tiers[choice[i]];
    for (const std::string& program : tier.programs) {
      if (std::find(wanted.begin(), wanted.end(), program) == wanted.end()) {
        wanted.push_back(program);
        hooks[program] = spec.hooks[i].name;
      }
    }
    if (!tier.tracepoints.empty()) tracepoints[tier.programs.front()] = tier.tracepoints;
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object->get()) {
    bool load = std::find(wanted.begin(), wanted.end(), bpf_program__name(program)) != wanted.end();
    bpf_program__set_autoload(program, load);
    prepare_probe(program);
  }
  {
    LibbpfLog log;
    int err = bpf_object__load(object->get());
    if (err != 0) return Error{log.reason(-err), -err};
  }
  if (auto kept = keep_lanes(object->get()); !kept) return std::move(kept).error();
  AttachedObject attached;
  attached.object = std::move(*object);
  for (const std::string& name : wanted) {
    const auto places = tracepoints.find(name);
    Attachment one{hooks[name],
                   bpf_object__find_program_by_name(attached.object.get(), name.c_str()),
                   places != tracepoints.end(),
                   {}};
    if (one.by_tracepoints) {
      if (auto done = attach_tracepoints(one, places->second); !done)
        return std::move(done).error();
    } else {
      auto link = attach(attached.object.get(), name);
      if (!link) return std::move(link).error();
      if (!*link && !is_probe(one.program)) continue;
      if (*link) one.links.emplace(bpf_program__section_name(one.program), std::move(*link));
    }
    attached.attachments.push_back(std::move(one));
  }
  return attached;
}

Result<std::vector<SilentProgram>> Loader::find_silent(const std::vector<AttachedProgram>& programs,
                                                       Reach reach) const {
  return broker::find_silent(programs, cgroup_root_.get(), reach);
}

std::string Loader::silence_of(const AttachedObject& object, Reach reach) const {
  auto silent = find_silent(object.programs(), reach);
  // A kernel that does not tell is no reason to go without the hook.
  return !silent || silent->empty() ? std::string() : silent->front().reason;
}

Result<int> Loader::try_hook(std::span<const std::byte> elf, const ObjectSpec& spec,
                             std::size_t hook, bool all_tiers, HookState& state) {
  Choice alone(spec.hooks.size(), -1);
  int best = -1;
  for (std::size_t tier = state.tried.size(); tier < spec.hooks[hook].tiers.size(); tier++) {
    if (asked_to_stop()) return Error{"trivet is stopping", ECANCELED};
    alone[hook] = static_cast<int>(tier);
    const std::string& name = spec.hooks[hook].tiers[tier].name;
    auto attached = try_choice(elf, spec, alone);
    state.tried.push_back(
        {name, attached ? silence_of(*attached, all_tiers ? Reach::packets : Reach::quiet)
                        : attached.error().message});
    if (state.tried.back().refusal.empty() && best < 0) {
      best = static_cast<int>(tier);
      state.tier = name;
      if (!all_tiers) break;
    }
  }
  return best;
}

Result<AttachedObject> Loader::load(std::span<const std::byte> elf, const ObjectSpec& asked) {
  ObjectSpec spec = asked;
  auto object = open(elf, spec);
  if (!object) return std::move(object).error();
  add_iterators(object->get(), spec);
  object->reset();

  Choice choice(spec.hooks.size(), 0);
  std::vector<HookState> states(spec.hooks.size());
  for (std::size_t i = 0; i < spec.hooks.size(); i++) {
    const Hook& hook = spec.hooks[i];
    states[i].hook = hook.name;
    if (hook.tiers.empty()) return Error{"hook " + hook.name + " names no tier", EINVAL};
    states[i].tier = hook.tiers[0].name;
    states[i].tried = {{hook.tiers[0].name, ""}};
  }
  // On most kernels the best of everything loads, at once.
  auto attached = try_choice(elf, spec, choice);
  const std::string refusal =
      attached ? silence_of(*attached, Reach::quiet) : attached.error().message;
  if (!attached || !refusal.empty()) {
    attached = Error{};
    std::string missing;
    for (std::size_t i = 0; i < spec.hooks.size(); i++) {
      states[i] = {spec.hooks[i].name, "", {}};
      // Where there is but one hook, its first tier has been tried just now.
      if (spec.hooks.size() == 1) states[i].tried = {{spec.hooks[i].tiers[0].name, refusal}};
      auto tier = try_hook(elf, spec, i, false, states[i]);
      if (!tier) return std::move(tier).error();
      choice[i] = *tier;
      if (*tier >= 0 || !spec.hooks[i].required) continue;
      for (const TierState& tried : states[i].tried) {
        missing += "; " + states[i].hook + " by " + tried.tier + ": " + tried.refusal;
      }
    }
    if (!missing.empty()) {
      return Error{"this kernel does not take object " + spec.name + missing, EOPNOTSUPP};
    }
    attached = try_choice(elf, spec, choice);
    if (!attached) return std::move(attached).error().within("object " + spec.name);
  }
  attached->hooks = std::move(states);
  return attached;
}

Result<std::vector<HookState>> Loader::probe(std::span<const std::byte> elf,
                                             const ObjectSpec& asked) {
  ObjectSpec spec = asked;
  auto object = open(elf, spec);
  if (!object) return std::move(object).error();
  add_iterators(object->get(), spec);
  object->reset();
  std::vector<HookState> states;
  for (std::size_t i = 0; i < spec.hooks.size(); i++) {
    HookState& state = states.emplace_back();
    state.hook = spec.hooks[i].name;
    if (auto tried = try_hook(elf, spec, i, true, state); !tried) return std::move(tried).error();
  }
  return states;
}

Result<UniqueFd> Loader::iterate(const AttachedObject& object, const std::string& name) {
  bpf_program* program = bpf_object__find_program_by_name(object.object.get(), name.c_str());
  if (!program || !is_iterator(program) || bpf_program__fd(program) < 0) {
    return Error{"there is no loaded iterator " + name, ENOENT};
  }
  LibbpfLog log;
  LinkPtr link(bpf_program__attach_iter(program, nullptr));
  if (!link) return Error{"cannot start iterator " + name + ": " + log.reason(errno), errno};
  UniqueFd pass(bpf_iter_create(bpf_link__fd(link.get())));
  if (!pass) return system_error(errno, "cannot start iterator " + name);
  return pass;
}

Result<void> Loader::lend_maps(const AttachedObject& object, Answer& answer) const {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.object.get()) {
    if (is_lane(map) || bpf_map__is_internal(map) || !main_may_have(bpf_map__type(map))) continue;
    MapDescription description{bpf_map__name(map),        bpf_map__type(map),
                               bpf_map__key_size(map),    bpf_map__value_size(map),
                               bpf_map__max_entries(map), false};
    auto lent =
        lend_into(answer, bpf_map__fd(map), std::move(description), bpf_map__map_flags(map));
    if (!lent) return lent;
  }
  return {};
}

Result<void> Loader::lend_lanes(Answer& answer) const {
  const auto lend_one = [&](const std::string& name, int fd) -> Result<void> {
    auto info = map_info(fd);
    if (!info) return std::move(info).error();
    // What the programs keep with tasks is between them.
    if (info->type == BPF_MAP_TYPE_TASK_STORAGE) return {};
    return lend_into(answer, fd,
                     {name, info->type, info->key_size, info->value_size, info->max_entries, false},
                     info->map_flags);
  };
  for (const auto& [name, fd] : lanes_) {
    const auto shards = shards_.find(name);
    if (shards == shards_.end()) {
      if (auto lent = lend_one(name, fd.get()); !lent) return lent;
      continue;
    }
    for (const UniqueFd& ring : shards->second) {
      if (auto lent = lend_one(name, ring.get()); !lent) return lent;
    }
  }
  return {};
}

}  // namespace trivet::broker
