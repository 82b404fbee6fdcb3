// SPDX-License-Identifier: Apache-2.0
#include "security/call_hooks.h"

#include <unistd.h>

#include <algorithm>

namespace trivet::security {
namespace {

constexpr const char* kCallsHook = "calls";
constexpr const char* kSyscalls = "syscalls";

// Shows where the paths of calls lead that open nothing. On other kernels they are looked up after.
const Tier kResolvingTier = {
    "fentry",
    {"path_unlink", "path_rmdir", "path_mkdir", "path_mknod", "path_symlink", "path_link",
     "path_rename", "path_truncate", "path_chmod", "path_chown", "path_chroot", "path_mount"}};

// Main and the broker. Their own opens are trivet's answer to other events: telling them would
// never end.
void exempt_own_processes(std::uint32_t (&tgids)[2]) {
  tgids[0] = static_cast<std::uint32_t>(getpid());
  tgids[1] = static_cast<std::uint32_t>(getppid());
}

// Whether programs can make 32-bit calls: the kernel then has this setting, even where it was
// booted with ia32_emulation=off.
bool kernel_has_compat_calls() {
#ifdef __x86_64__
  return access("/proc/sys/abi/vsyscall32", F_OK) == 0;
#else
  return false;
#endif
}

bool any_call(const Reach& reach) {
  return std::any_of(reach.profiles.begin(), reach.profiles.begin() + kExecve,
                     [](std::uint16_t profiles) { return profiles != 0; });
}

// The exits of the calls that are asked for: the others cost nothing.
std::vector<std::string> tracepoints_of(const Reach& reach) {
  std::vector<std::string> places;
  for (std::size_t type = 0; type < kExecve; ++type) {
    if (reach.profiles[type] == 0 || native_number(kCalls[type]) == kNoNumber) continue;
    places.push_back("syscalls/sys_exit_" + std::string(kCalls[type].name));
  }
  return places;
}

bool any_path_call(const Reach& reach) {
  for (std::size_t type = 0; type < kExecve; ++type) {
    if (reach.profiles[type] != 0 && has_paths(type)) return true;
  }
  return false;
}

bool any_ring_call(const Reach& reach) {
  return std::ranges::any_of(kRingCalls,
                             [&](std::uint16_t call) { return reach.profiles[call] != 0; });
}

ObjectSpec opens_of_rings() {
  rings_config settings{};
  exempt_own_processes(settings.own_tgids);
  ObjectSpec spec;
  spec.name = "rings";
  spec.hooks.push_back({"io_uring",
                        {{"tp_btf", {"ring_submit", "ring_complete"}},
                         {"tp_btf before 6.3", {"ring_submit_sqe", "ring_complete"}}},
                        false});
  return spec.with_config(settings);
}

}  // namespace

std::vector<ObjectSpec> CallHooks::objects(const Reach& reach, CompatCalls compat) {
  if (!any_call(reach)) return {};
  ObjectSpec syscalls;
  syscalls.name = kSyscalls;
  syscalls_config settings{};
  exempt_own_processes(settings.own_tgids);
  Tier tracepoints{"tracepoint", {"call_exit"}, tracepoints_of(reach)};
  if (!tracepoints.tracepoints.empty()) {
    syscalls.hooks.push_back({kCallsHook, {tracepoints, {"tp_btf", {"raw_exit"}, {}}}});
  }
  if (compat == CompatCalls::on ||
      (compat == CompatCalls::automatic && kernel_has_compat_calls())) {
    settings.compat_hook = 1;
    syscalls.hooks.push_back(
        {"compat", {{"tp_btf", {"compat_exit"}, {}}}, compat == CompatCalls::on});
  }
  std::vector<ObjectSpec> specs{syscalls.with_config(settings)};
  if (any_path_call(reach)) {
    ObjectSpec paths;
    paths.name = "paths";
    paths.hooks.push_back({"paths", {kResolvingTier}, false});
    specs.push_back(paths.with_config(settings));
  }
  if (any_ring_call(reach)) specs.push_back(opens_of_rings());
  return specs;
}

Result<void> CallHooks::start(Host& host, const Reach& reach, CompatCalls compat) {
  host_ = &host;
  compat_ = compat;
  told_ = {};
  objects_.clear();
  for (const auto& spec : objects(reach, compat)) {
    if (auto attached = attach(spec); !attached) return attached;
  }
  return tell(reach);
}

Result<void> CallHooks::attach(const ObjectSpec& spec) {
  auto attached = host_->attach(spec);
  if (!attached) return std::move(attached).error();
  objects_[spec.name] = std::move(*attached);
  return {};
}

Result<void> CallHooks::tell(const Reach& reach) {
  calls_wanted wanted{};
  std::copy_n(reach.profiles.begin(), kExecve, wanted.profiles);
  std::uint32_t only = 0;
  for (const auto& [name, object] : objects_) {
    auto map = object->map("calls_wanted");
    if (!map) return std::move(map).error();
    auto done = TypedMap<std::uint32_t, calls_wanted>(**map).update(only, wanted);
    if (!done) return done;
  }
  told_ = reach;
  return {};
}

Result<bool> CallHooks::widen(const Reach& reach) {
  Reach both = told_;
  both |= reach;
  for (const auto& spec : objects(both, compat_)) {
    auto known = objects_.find(spec.name);
    if (known == objects_.end()) {
      if (auto done = attach(spec); !done) return std::move(done).error();
    } else if (known->second->hooks().size() != spec.hooks.size()) {
      return false;
    }
  }
  if (auto done = retarget(both); !done) return std::move(done).error();
  if (auto done = tell(both); !done) return std::move(done).error();
  return true;
}

Result<void> CallHooks::narrow(const Reach& reach) {
  const auto needed = objects(reach, compat_);
  std::erase_if(objects_, [&](const auto& object) {
    return std::ranges::find(needed, object.first, &ObjectSpec::name) == needed.end();
  });
  if (auto done = tell(reach); !done) return done;
  return retarget(reach);
}

Result<void> CallHooks::retarget(const Reach& reach) {
  auto syscalls = objects_.find(kSyscalls);
  if (syscalls == objects_.end()) return {};
  const auto places = tracepoints_of(reach);
  // Where only 32-bit calls are left, the others stay hooked and are not told.
  return places.empty() ? Result<void>() : syscalls->second->retarget(kCallsHook, places);
}

void CallHooks::stop() {
  objects_.clear();
  host_ = nullptr;
}

}  // namespace trivet::security
