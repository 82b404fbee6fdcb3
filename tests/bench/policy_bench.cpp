// SPDX-License-Identifier: Apache-2.0
// What policy costs: ns a packet by BPF_PROG_TEST_RUN, of a connection that was judged and of one
// that is judged now, with 10, 1,000 and 10,000 rules, next to an empty program (A B A B); and the
// time of the processor that it takes to put 10,000 rules in force. As root.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/client.h"
#include "config/toml_file.h"
#include "daemon/kernel_map.h"
#include "network/policy_maps.h"

using namespace trivet;
using namespace trivet::network;

namespace {

constexpr int kRounds = 11;
constexpr int kRepeat = 200'000;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "policy_bench: %s\n", why.c_str());
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result) give_up(result.error().to_string());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The object as libbpf has loaded it, with every map writable.
class LoadedObject final : public Object {
 public:
  explicit LoadedObject(const char* path) : object_(bpf_object__open_file(path, nullptr)) {
    if (!object_) give_up(std::string("cannot open ") + path);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object_) {
      const std::string name = bpf_program__name(program);
      bpf_program__set_autoload(program, name == "network_ingress" || name.starts_with("bench_"));
    }
    if (bpf_object__load(object_) != 0) give_up("cannot load the object (see dmesg)");
  }
  ~LoadedObject() override { bpf_object__close(object_); }

  const std::vector<HookState>& hooks() const override { return hooks_; }
  Result<void> retarget(const std::string&, const std::vector<std::string>&) override { return {}; }
  Result<std::unique_ptr<CodeFile>> code_file(const TaskKey&, std::uint64_t) override {
    return Error{"the object probes no file"};
  }
  Result<void> iterate(const std::string&) override { return {}; }
  Result<Map*> map(const std::string& name) override {
    auto& kept = maps_[name];
    if (kept) return kept.get();
    const bpf_map* found = bpf_object__find_map_by_name(object_, name.c_str());
    if (!found) return Error{"no map " + name};
    broker::LoadedMap lent;
    lent.name = name;
    lent.fd = UniqueFd(dup(bpf_map__fd(found)));
    lent.type = bpf_map__type(found);
    lent.key_size = bpf_map__key_size(found);
    lent.value_size = bpf_map__value_size(found);
    lent.max_entries = bpf_map__max_entries(found);
    lent.writable = true;
    kept = std::make_unique<KernelMap>(std::move(lent));
    return kept.get();
  }
  int program(const char* name) const {
    return bpf_program__fd(bpf_object__find_program_by_name(object_, name));
  }

 private:
  bpf_object* object_;
  std::vector<HookState> hooks_;
  std::map<std::string, std::unique_ptr<KernelMap>> maps_;
};

// An Ethernet frame with a SYN from `source` to port `port`.
std::vector<unsigned char> packet(const char* source, std::uint16_t port) {
  std::vector<unsigned char> bytes(14 + 20 + 20);
  bytes[12] = 0x08;
  unsigned char* ip = &bytes[14];
  ip[0] = 0x45;
  ip[3] = 40;
  ip[8] = 64;
  ip[9] = 6;
  inet_pton(AF_INET, source, ip + 12);
  inet_pton(AF_INET, "198.18.0.1", ip + 16);
  unsigned char* tcp = ip + 20;
  tcp[0] = 0x9c;
  tcp[2] = static_cast<unsigned char>(port >> 8);
  tcp[3] = static_cast<unsigned char>(port);
  tcp[12] = 0x50;
  tcp[13] = 0x02;
  return bytes;
}

double ns_per_packet(int program, const std::vector<unsigned char>& bytes, bool passes) {
  bpf_test_run_opts options{};
  options.sz = sizeof(options);
  options.data_in = bytes.data();
  options.data_size_in = static_cast<std::uint32_t>(bytes.size());
  options.repeat = kRepeat;
  if (const int failed = bpf_prog_test_run_opts(program, &options); failed != 0) {
    give_up("BPF_PROG_TEST_RUN fails: " + std::to_string(failed));
  }
  if ((options.retval == 1) != passes) give_up("the packet got another verdict than expected");
  return options.duration;
}

// Each rule has a range and a port of its own, and every tenth is about a program.
std::string policy_of(int rules) {
  std::string text = "schema = 1\n";
  for (int i = 0; i < rules; ++i) {
    text += "[[rule]]\nname = \"r" + std::to_string(i) +
            "\"\ndirection = \"ingress\"\npeer = \"10." + std::to_string(i / 250) + "." +
            std::to_string(i % 250) + ".0/24\"\nl4 = \"tcp/" + std::to_string(1000 + i) +
            "\"\nverdict = \"deny\"\n";
    if (i % 10 == 9) text += "subject = { exe = \"/usr/bin/p" + std::to_string(i % 100) + "\" }\n";
  }
  return text;
}

// Of this thread alone: the machine may have other work.
double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

struct Measured {
  std::vector<double> ns;
  double least() const { return *std::ranges::min_element(ns); }
  double median() const {
    std::vector<double> sorted = ns;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
  }
};

void report(const char* what, const Measured& measured, const Measured& empty) {
  std::printf("  %-36s least %5.0f ns, median %5.0f ns, above empty %5.0f ns\n", what,
              measured.least(), measured.median(), measured.least() - empty.least());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) give_up("usage: policy_bench policy_rounds.bpf.o");
  LoadedObject object(argv[1]);
  PolicyMaps maps = must(PolicyMaps::open(object));
  must(maps.set({5'000'000'000, 30'000'000'000, 0, 0}));
  PlainFiles files;
  for (const int rules : {10, 1'000, 10'000}) {
    const std::string text = policy_of(rules);
    double begin = cpu_ms();
    const auto table = must(parse_toml("policy.toml", text, files));
    const Policy policy = must(read_policy(*table, {}));
    const double read_ms = cpu_ms() - begin;
    begin = cpu_ms();
    const CompiledPolicy compiled = must(compile(policy));
    const double compile_ms = cpu_ms() - begin;
    double install_ms = 0;
    for (int i = 0; i < 3; ++i) {  // both slots, and then over an older tenant
      begin = cpu_ms();
      must(maps.install(compiled, {}));
      install_ms = cpu_ms() - begin;
    }
    std::printf(
        "%d rules: read in %.0f ms, compiled in %.0f ms, in force in %.0f ms; %zu prefixes, "
        "%zu cells, %zu terms\n",
        rules, read_ms, compile_ms, install_ms, compiled.prefixes.size(), compiled.cells.size(),
        compiled.terms.size());

    const int last = rules - 2;
    const std::string inside =
        "10." + std::to_string(last / 250) + "." + std::to_string(last % 250) + ".7";
    const auto denied = packet(inside.c_str(), static_cast<std::uint16_t>(1000 + last));
    const auto passed = packet("192.0.2.1", 80);
    Measured empty, established, first, refused;
    for (int round = 0; round < kRounds; ++round) {
      empty.ns.push_back(ns_per_packet(object.program("bench_empty"), passed, true));
      established.ns.push_back(ns_per_packet(object.program("bench_established"), passed, true));
      first.ns.push_back(ns_per_packet(object.program("network_ingress"), passed, true));
      refused.ns.push_back(ns_per_packet(object.program("network_ingress"), denied, false));
    }
    report("empty program", empty, empty);
    report("packet of a judged connection", established, empty);
    report("judged now, passes by default", first, empty);
    report("judged now, refused by a rule", refused, empty);
  }
}
