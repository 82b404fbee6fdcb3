// SPDX-License-Identifier: Apache-2.0
// Kernel programs as a plugin sees them: it says which object it wants with which settings and
// which hooks; the broker process loads and attaches, and lends descriptors of maps, never of
// programs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trivet/facts.h"
#include "trivet/result.h"

namespace trivet {

// One way to serve a hook: these programs of the object together. Section names in the object say
// where each attaches; cgroup programs attach at the cgroup2 root, probes of functions ("uprobe",
// "uretprobe", behind a slash "multi" for those that share one link) at the places of code files.
struct Tier {
  std::string name;  // as doctor and trivet_hook_info print it: "fentry", "tp_btf", "tracepoint"
  std::vector<std::string> programs;
  // What the first program is attached to, one by one, where its section says how all of it begins,
  // "tracepoint/syscalls/sys_exit_*". What the kernel lacks is left out, but it must have one.
  std::vector<std::string> tracepoints = {};
};

// Something that an object needs to see or do. The first tier that the kernel loads and attaches
// serves it; the other tiers' programs are not loaded.
struct Hook {
  std::string name;         // "open", "payload", "connect"
  std::vector<Tier> tiers;  // best first
  bool required = true;     // false: the object also works without it
};

// A BPF object of a plugin: ELF section .trivet.bpf.<name>, built from bpf/<plugin>/<name>.bpf.c.
struct ObjectSpec {
  std::string name;
  std::vector<Hook> hooks;
  // Bytes of the object's `const volatile struct ... config` in .rodata; empty if it has none.
  std::vector<std::byte> config;
  // Entries of maps whose size is a setting: (map, max_entries).
  std::vector<std::pair<std::string, std::uint32_t>> map_sizes;
  // It stands between processes and what they ask for: should the main process die, it stays in
  // force until the one that is started in its place has its own.
  bool enforces = false;

  // The same with `config` set, whose type both sides declare in bpf/<plugin>/<name>.h.
  template <class ConfigStruct>
  ObjectSpec with_config(const ConfigStruct& value) const {
    ObjectSpec copy = *this;
    auto bytes = std::as_bytes(std::span(&value, 1));
    copy.config.assign(bytes.begin(), bytes.end());
    return copy;
  }
};

// How one tier of a hook fared on this kernel.
struct TierState {
  std::string tier;
  std::string refusal;  // why the kernel refused it; empty if it did not, or was not tried
};
struct HookState {
  std::string hook;
  std::string tier;              // the tier in use; empty if none
  std::vector<TierState> tried;  // in order, up to and with the one in use
};

// A BPF map, by descriptor. Keys and values are raw bytes of the sizes declared in the object;
// values of per-CPU maps are one value (rounded up to 8 bytes) for each possible CPU. Programs
// cannot write a map with BPF_F_RDONLY_PROG: such maps are what user space writes; all others are
// read-only here. Thread-safe as the system call is.
class Map {
 public:
  virtual ~Map() = default;
  virtual std::size_t key_size() const = 0;
  virtual std::size_t value_size() const = 0;  // as transferred: all CPUs of a per-CPU map
  // False where the key is absent.
  virtual Result<bool> lookup(std::span<const std::byte> key, std::span<std::byte> value) const = 0;
  virtual Result<void> update(std::span<const std::byte> key, std::span<const std::byte> value) = 0;
  // False where the key was absent.
  virtual Result<bool> erase(std::span<const std::byte> key) = 0;
  // Visits every entry once if none is added or removed meanwhile; return false to stop.
  virtual Result<void> each(
      const std::function<bool(std::span<const std::byte> key, std::span<const std::byte> value)>&
          visit) const = 0;
};

// The same with types.
template <class Key, class Value>
class TypedMap {
 public:
  explicit TypedMap(Map& map) : map_(map) {}
  Result<bool> lookup(const Key& key, Value& value) const {
    return map_.lookup(std::as_bytes(std::span(&key, 1)),
                       std::as_writable_bytes(std::span(&value, 1)));
  }
  Result<void> update(const Key& key, const Value& value) {
    return map_.update(std::as_bytes(std::span(&key, 1)), std::as_bytes(std::span(&value, 1)));
  }
  Result<bool> erase(const Key& key) { return map_.erase(std::as_bytes(std::span(&key, 1))); }

 private:
  Map& map_;
};

// Where a probe runs: of a hook's programs the first at this place of the file, or the second when
// the function that begins there returns.
struct ProbePlace {
  std::uint64_t offset = 0;  // in the file, bytes
  std::uint64_t cookie = 0;  // what the program gets by bpf_get_attach_cookie()
  bool at_return = false;
};

// A file that a process runs code of. Destroying it detaches what is attached to it. Owned by the
// plugin, which destroys it before its object.
class CodeFile {
 public:
  virtual ~CodeFile() = default;
  // For reading. Whoever may run a program may have written it: any bytes.
  virtual int descriptor() const = 0;
  // Has the tier that serves the hook run in every process that runs code of the file; once. A
  // place that is not the beginning of an instruction breaks those processes.
  virtual Result<void> probe(const std::string& hook, const std::vector<ProbePlace>& places) = 0;
};

// A loaded and attached object. Destroying it detaches and unloads. Owned by the plugin.
class Object {
 public:
  virtual ~Object() = default;
  virtual const std::vector<HookState>& hooks() const = 0;
  // A map of the object by name. An error where it has no such map, or it is one of the lanes.
  virtual Result<Map*> map(const std::string& name) = 0;
  // Has a hook attached to these tracepoints and no others, if the tier that serves it has any: new
  // ones come first, then old ones go, and nothing is missed where it stays. It must keep one.
  virtual Result<void> retarget(const std::string& hook,
                                const std::vector<std::string>& tracepoints) = 0;
  // The file whose code the process runs at that address. ESRCH as the error's code where the
  // process has ended, ENOENT where it runs no file's code there, EMFILE where the object has as
  // many files as one may have.
  virtual Result<std::unique_ptr<CodeFile>> code_file(const TaskKey& process,
                                                      std::uint64_t address) = 0;
  // Has an iterator of the object pass over everything once.
  virtual Result<void> iterate(const std::string& program) = 0;
};

}  // namespace trivet
