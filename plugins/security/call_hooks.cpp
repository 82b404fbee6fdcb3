// SPDX-License-Identifier: Apache-2.0
#include "security/call_hooks.h"

#include <unistd.h>

#include <algorithm>

namespace trivet::security {
namespace {

constexpr const char* kCallsHook = "calls";

std::uint16_t native_number(const Call& call) {
#ifdef __x86_64__
  return call.numbers.x86_64;
#else
  return call.numbers.arm64;
#endif
}

// What the kernel programs are to know of every call.
syscalls_config settings_of_calls() {
  syscalls_config settings{};
  for (std::size_t type = 0; type < kExecve; ++type) {
    const Call& call = kCalls[type];
    settings.shapes[type] = call.shape;
    auto place = [&](auto& by_number, std::uint16_t number) {
      if (number < std::size(by_number)) by_number[number] = static_cast<std::uint8_t>(type + 1);
    };
    place(settings.native, native_number(call));
    place(settings.compat, call.numbers.i386);
    place(settings.compat, call.numbers.i386_older);
    place(settings.socketcall, call.numbers.socketcall);
  }
  return settings;
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

}  // namespace

ObjectSpec CallHooks::object(const Reach& reach, CompatCalls compat) {
  ObjectSpec spec;
  spec.name = "syscalls";
  if (!any_call(reach)) return spec;
  auto settings = settings_of_calls();
  Tier tracepoints{"tracepoint", {"call_exit"}, tracepoints_of(reach)};
  if (!tracepoints.tracepoints.empty()) {
    spec.hooks.push_back({kCallsHook, {tracepoints, {"tp_btf", {"raw_exit"}, {}}}});
  }
  if (compat == CompatCalls::on ||
      (compat == CompatCalls::automatic && kernel_has_compat_calls())) {
    settings.compat_hook = 1;
    spec.hooks.push_back({"compat", {{"tp_btf", {"compat_exit"}, {}}}, compat == CompatCalls::on});
  }
  return spec.with_config(settings);
}

Result<void> CallHooks::start(Host& host, const Reach& reach, CompatCalls compat) {
  host_ = &host;
  compat_ = compat;
  told_ = {};
  object_.reset();
  auto spec = object(reach, compat);
  if (spec.hooks.empty()) return {};
  auto attached = host.attach(spec);
  if (!attached) return std::move(attached).error();
  object_ = std::move(*attached);
  return tell(reach);
}

Result<void> CallHooks::tell(const Reach& reach) {
  auto map = object_->map("calls_wanted");
  if (!map) return std::move(map).error();
  calls_wanted wanted{};
  std::copy_n(reach.profiles.begin(), kExecve, wanted.profiles);
  std::uint32_t only = 0;
  auto done = TypedMap<std::uint32_t, calls_wanted>(**map).update(only, wanted);
  if (done) told_ = reach;
  return done;
}

Result<bool> CallHooks::widen(const Reach& reach) {
  if (!object_) {
    auto started = start(*host_, reach, compat_);
    if (!started) return std::move(started).error();
    return true;
  }
  Reach both = told_;
  both |= reach;
  auto spec = object(both, compat_);
  if (spec.hooks.size() != object_->hooks().size()) return false;
  if (auto done = object_->retarget(kCallsHook, tracepoints_of(both)); !done) {
    return std::move(done).error();
  }
  if (auto done = tell(both); !done) return std::move(done).error();
  return true;
}

Result<void> CallHooks::narrow(const Reach& reach) {
  if (!object_) return {};
  if (!any_call(reach)) {
    object_.reset();
    return {};
  }
  if (auto done = tell(reach); !done) return done;
  return object_->retarget(kCallsHook, tracepoints_of(reach));
}

void CallHooks::stop() {
  object_.reset();
  host_ = nullptr;
}

}  // namespace trivet::security
