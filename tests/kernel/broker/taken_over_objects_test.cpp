// SPDX-License-Identifier: Apache-2.0
// What a main process that was taken over can make of the objects of plugins: no more than they
// were built for, whatever settings, sizes and tracepoints it names.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "broker/broker.h"
#include "network/policy.h"
#include "security/syscalls.h"
#include "stage.h"

namespace trivet {
namespace {

constexpr std::string_view secret = "what another user writes, and nobody else may read";

// Another process that writes the secret, and nothing else, until the end of the test.
class Writer {
 public:
  Writer() : pid_(::fork()) {
    if (pid_ != 0) return;
    const int nowhere = ::open("/dev/null", O_WRONLY);
    for (;;) {
      (void)!::write(nowhere, secret.data(), secret.size());
      ::usleep(1000);
    }
  }
  ~Writer() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

long bpf(int command, bpf_attr& attr) {
  return ::syscall(SYS_bpf, command, &attr, sizeof(attr));
}

bool update(const broker::LoadedMap& map, const void* key, const void* value) {
  bpf_attr attr{};
  attr.map_fd = static_cast<std::uint32_t>(map.fd.get());
  attr.key = reinterpret_cast<std::uint64_t>(key);
  attr.value = reinterpret_cast<std::uint64_t>(value);
  return bpf(BPF_MAP_UPDATE_ELEM, attr) == 0;
}

const broker::LoadedMap* find_map(const std::vector<broker::LoadedMap>& maps,
                                  std::string_view name) {
  const auto found = std::ranges::find(maps, name, &broker::LoadedMap::name);
  return found == maps.end() ? nullptr : &*found;
}

// Whether any ring of the lanes has held the secret.
bool rings_hold_secret(const std::vector<broker::LoadedMap>& lanes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  for (const auto& ring : lanes) {
    if (ring.type != BPF_MAP_TYPE_RINGBUF) continue;
    // Behind the positions of consumer and producer.
    void* data = ::mmap(nullptr, ring.max_entries, PROT_READ, MAP_SHARED, ring.fd.get(),
                        static_cast<off_t>(2 * page));
    if (data == MAP_FAILED) return true;
    const std::string_view bytes(static_cast<const char*>(data), ring.max_entries);
    const bool held = bytes.find(secret) != bytes.npos;
    ::munmap(data, ring.max_entries);
    if (held) return true;
  }
  return false;
}

ObjectSpec calls(const std::vector<std::string>& tracepoints) {
  return ObjectSpec{.name = "syscalls",
                    .hooks = {{"calls", {{"tracepoint", {"call_exit"}, tracepoints}}}},
                    .config = {},
                    .map_sizes = {}}
      .with_config(syscalls_config{});
}

ObjectSpec policy() {
  return ObjectSpec{.name = "policy",
                    .hooks = {{"sockets", {{"cgroup", {"network_sock_release"}}}}},
                    .config = {},
                    .map_sizes = {}}
      .with_config(policy_config{});
}

std::uint64_t bytes_in_kernel(const broker::LoadedMap& map) {
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(map.fd.get()));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("memlock:")) return std::stoull(line.substr(8));
  }
  return 0;
}

}  // namespace

TEST_CASE("a main that was taken over cannot have memory read that no rule is about") {
  Findings findings;
  const Writer writer;
  // Two in every byte would make of each call one whose second argument is a path.
  for (const int each : {0, 1, 2, 255}) {
    const auto status = broker::launch(options(), [&](broker::Client& client) {
      ObjectSpec spec = calls({});
      spec.hooks = {{"calls", {{"tp_btf", {"raw_exit"}}}}};
      std::ranges::fill(spec.config, static_cast<std::byte>(each));
      auto object = client.load("core", spec);
      auto lanes = client.lanes();
      findings.expect(object && lanes, object ? "no lanes" : object.error().message);
      if (!object || !lanes) return 1;
      const auto* wanted = find_map(object->maps, "calls_wanted");
      calls_wanted all{};
      std::ranges::fill(all.profiles, std::uint16_t{0xffff});
      const std::uint32_t only = 0;
      findings.expect(wanted && update(*wanted, &only, &all), "cannot ask for calls");
      ::usleep(100'000);
      findings.expect(!rings_hold_secret(*lanes),
                      "a ring holds what was written, by settings of " + std::to_string(each));
      return 0;
    });
    REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  }
  CHECK(findings.text() == "");
}

TEST_CASE("a main that was taken over can attach programs to no tracepoint but theirs") {
  Findings findings;
  const auto status = broker::launch(options(), [&](broker::Client& client) {
    const std::array others = {"sched/sched_switch",
                               "syscalls/sys_enter_write",
                               "raw_syscalls/sys_exit",
                               "kmem/kmalloc",
                               "syscalls/sys_exit_",
                               "syscalls/sys_exit_../../sched/sched_switch",
                               "syscalls/sys_exit_open/../sys_enter_write",
                               "sys_exit_open",
                               ""};
    for (const char* other : others) {
      const auto object = client.load("core", calls({other}));
      findings.expect(!object && object.error().code == EINVAL, std::string("loaded at ") + other);
    }
    ObjectSpec by_another = calls({"syscalls/sys_exit_dup"});
    by_another.hooks[0].tiers[0].programs = {"raw_exit"};
    findings.expect(!client.load("core", by_another), "attached a program that has a place");

    const auto object = client.load("core", calls({"syscalls/sys_exit_dup"}));
    findings.expect(object.has_value(), object ? "" : object.error().message);
    if (!object) return 1;
    for (const char* other : others) {
      const auto moved = client.retarget(object->handle, "calls", {other});
      findings.expect(!moved && moved.error().code == EINVAL, std::string("moved to ") + other);
    }
    findings.expect(!client.retarget(object->handle, "calls", {}), "moved to nowhere");
    findings.expect(!client.retarget(object->handle, "calls", {"syscalls/sys_exit_nosuch"}),
                    "moved to what the kernel has not");
    const auto silent = client.find_silent();
    findings.expect(silent && silent->empty(), "it no longer fires");
    findings.expect(
        client.retarget(object->handle, "calls", {"syscalls/sys_exit_dup2"}).has_value(),
        "cannot move where it may");
    return 0;
  });
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
}

TEST_CASE("a main that was taken over gets maps to write only where programs cannot") {
  Findings findings;
  const auto status = broker::launch(options(), [&](broker::Client& client) {
    std::size_t hashes = 0;
    for (const ObjectSpec& spec : {policy(), calls({"syscalls/sys_exit_dup"})}) {
      const auto object = client.load("core", spec);
      findings.expect(object.has_value(), object ? "" : object.error().message);
      if (!object) return 1;
      for (const auto& map : object->maps) {
        bpf_map_info info{};
        bpf_attr attr{};
        attr.info.bpf_fd = static_cast<std::uint32_t>(map.fd.get());
        attr.info.info_len = sizeof(info);
        attr.info.info = reinterpret_cast<std::uint64_t>(&info);
        findings.expect(bpf(BPF_OBJ_GET_INFO_BY_FD, attr) == 0, "cannot ask about " + map.name);
        const std::vector<std::byte> key(map.key_size), value(std::size_t{64} * map.value_size);
        const bool wrote = update(map, key.data(), value.data()) || errno != EPERM;
        const bool may = (info.map_flags & BPF_F_RDONLY_PROG) != 0;
        findings.expect(wrote == may && map.writable == may, map.name);
        hashes += map.type == BPF_MAP_TYPE_HASH;
      }
    }
    findings.expect(hashes > 0, "no hash was tried");
    return 0;
  });
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
}

TEST_CASE("a main that was taken over has maps of 256 MiB at most, as the kernel counts them") {
  Findings findings;
  const auto status = broker::launch(options(), [&](broker::Client& client) {
    for (const char* name : {"datagram_flows", "handshakes"}) {
      ObjectSpec large = policy();
      std::uint32_t entries = 8'000'000;
      auto object = [&] {
        large.map_sizes = {{name, entries}};
        return client.load("core", large);
      }();
      findings.expect(!object && object.error().code == E2BIG, "took millions");
      while (!object && object.error().code == E2BIG) {
        entries -= entries / 16;
        large.map_sizes = {{name, entries}};
        object = client.load("core", large);
      }
      findings.expect(object.has_value(), object ? "" : object.error().message);
      if (!object) return 1;
      const auto* map = find_map(object->maps, name);
      const std::uint64_t bytes = map ? bytes_in_kernel(*map) : 0;
      // The kernel rounds, and has some for each CPU.
      findings.expect(bytes > 100 << 20 && bytes <= 257 << 20,
                      std::string(name) + " has " + std::to_string(bytes) + " bytes in " +
                          std::to_string(entries) + " entries");
      findings.expect(client.unload(object->handle).has_value(), "unload");
    }
    ObjectSpec internal = policy();
    internal.map_sizes = {{".rodata", 1000}};
    findings.expect(!client.load("core", internal), "a size of the settings themselves");
    return 0;
  });
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
}

TEST_CASE("a main that was taken over cannot have what enforces removed unheard") {
  TemporaryFolder folder;
  const std::string heard = folder.path + "/heard";
  auto listening = options();
  listening.restarts_a_minute = 1;
  listening.warn = [&](std::string_view sentence) {
    std::ofstream(heard, std::ios::app) << sentence << '\n';
  };
  const auto count = [&] {
    std::ifstream file(heard);
    int removals = 0;
    for (std::string line; std::getline(file, line);)
      removals += line.starts_with("core/policy enforces nothing any more");
    return removals;
  };
  ObjectSpec enforcing = policy();
  enforcing.enforces = true;
  Findings findings;
  const auto status = broker::launch(listening, [&](broker::Client& client) {
    if (client.restarts() == 0) {
      for (const ObjectSpec& spec : {policy(), enforcing}) {
        const auto object = client.load("core", spec);
        findings.expect(object && client.unload(object->handle), "cannot load and unload");
      }
      findings.expect(count() == 1, "unloaded unheard, or what enforces nothing was heard of");
      findings.expect(client.load("core", enforcing).has_value(), "cannot load");
      ::kill(::getpid(), SIGKILL);
    }
    findings.expect(client.ready().has_value(), "not ready");
    findings.expect(count() == 2, "not taken over from the one before, unheard");
    return 0;
  });
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
}

TEST_CASE("a main that was taken over cannot have the broker try tiers for it") {
  Findings findings;
  const auto status = broker::launch(options(), [&](broker::Client& client) {
    const auto tried = client.probe("core", lifecycle());
    findings.expect(!tried && tried.error().code == EACCES, "tried tiers");
    return 0;
  });
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
}

}  // namespace trivet
