// SPDX-License-Identifier: Apache-2.0
// How many opens a second the rules are judged on, on one core: records as the kernel tells them,
// of a machine that serves, builds and is logged into, through all that the plugin's worker does
// but for raising alerts. The baseline judges the same rules one by one, each with its whole
// condition.
//   rules_bench FILE...
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fake_host.h"
#include "security/rules/rule_set.h"

using namespace trivet;
using namespace trivet::security;

namespace {

// Seconds of this thread on a core: other programs on the machine do not count.
double core_seconds() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Record {
  syscall_event event{};
  std::string tail;
  ProcessRef process;
  ProcessRef parent;
};

class Opens {
 public:
  Opens() {
    auto init =
        tree({.name = "systemd", .exe = "/usr/lib/systemd/systemd", .args = {"/sbin/init"}});
    auto program = [](const std::string& name, std::vector<std::string> args,
                      std::uint32_t uid = 0) {
      args.insert(args.begin(), name);
      return tree(
          {.name = name, .exe = "/usr/bin/" + name, .cwd = "/srv", .args = args, .uid = uid});
    };
    auto shell = program("bash", {});
    auto make = program("make", {"-j8"});
    make.children = {program("cc1plus", {"-quiet", "-I", "include", "main.cpp", "-O2"}),
                     program("ld", {"-o", "a.out"})};
    shell.children = {make, program("git", {"status"}), program("ls", {"-l"})};
    auto sshd = program("sshd", {});
    sshd.children = {shell};
    auto web = program("nginx", {"-g", "daemon off;"});
    web.children = {program("nginx", {"worker"}, 33), program("nginx", {"worker"}, 33)};
    init.children = {sshd, web, program("postgres", {"-D", "/var/lib/postgresql"}, 110),
                     program("python3", {"/opt/app/serve.py"}, 1000), program("cron", {})};
    facts_.add(init);
    facts_.each_process([&](const ProcessRef& process) { processes_.push_back(process); });
  }

  std::vector<Record> make(std::size_t count) {
    std::vector<Record> records(count);
    for (auto& record : records) fill(record);
    return records;
  }
  const Facts& facts() const { return facts_; }

 private:
  std::string path() {
    static const char* folders[] = {
        "/usr/lib/x86_64-linux-gnu/lib", "/usr/include/c++/12/", "/proc/self/", "/srv/www/page",
        "/var/lib/postgresql/base/",     "/srv/src/object",      "/etc/",       "/tmp/cc",
        "/usr/share/zoneinfo/",          "/opt/app/module"};
    if (random_() % 2000 == 0) return "/etc/shadow";
    auto folder = folders[random_() % std::size(folders)];
    return folder + std::to_string(random_() % 500) + (random_() % 2 ? ".so.6" : "");
  }

  void fill(Record& record) {
    auto path = this->path();
    auto& event = record.event;
    record.process = processes_[random_() % processes_.size()];
    record.parent = facts_.process(record.process->parent);
    event.header.task = {record.process->key.start_ns, record.process->key.tgid, 0};
    event.header.tid = record.process->key.tgid;
    event.header.time_ns = 60'000'000'000;
    event.call = call_named("openat");
    // Of a thousand opens: 650 read, 80 write, 50 are of folders, 220 fail.
    auto kind = random_() % 1000;
    bool failed = kind >= 780;
    event.open_flags =
        kind >= 650 && kind < 730 ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY | O_CLOEXEC;
    event.result = failed ? -ENOENT : 5;
    event.file_mode = failed ? 0 : kind >= 730 ? S_IFDIR | 0755 : S_IFREG | 0644;
    event.inode = failed ? 0 : 77;
    event.text_size[0] = static_cast<std::uint16_t>(path.size());
    event.path_size = static_cast<std::uint16_t>(failed ? 0 : path.size());
    record.tail = failed ? path : path + path;
  }

  FakeFacts facts_;
  std::vector<ProcessRef> processes_;
  std::mt19937 random_{7};
};

// Judges each record; answers how many matched some rule.
template <class Judge>
std::size_t each(const std::vector<Record>& records, const Facts& facts, Judge judge) {
  std::size_t matched = 0;
  std::uint64_t number = 0;
  for (const auto& record : records) {
    Event<syscall_event> told{record.event,
                              std::as_bytes(std::span(record.tail.data(), record.tail.size())),
                              record.process, record.parent};
    auto event = RuleEvent::from(told, facts);
    if (!event) continue;
    event->number = ++number;
    if (judge(*event, profile_of(*event))) ++matched;
  }
  return matched;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<TextFile> files;
  for (int i = 1; i < argc; ++i) {
    std::ifstream stream(argv[i]);
    files.push_back({argv[i], std::string(std::istreambuf_iterator<char>(stream), {})});
  }
  double before = core_seconds();
  auto loaded = load_rules(files, {});
  double load_s = core_seconds() - before;
  for (const auto& error : loaded.findings.errors) std::puts(error.to_string().c_str());
  if (!loaded.findings.errors.empty() || loaded.rules.rules().empty()) return 1;
  const auto& rules = loaded.rules;
  std::printf("%zu rules of %zu are judged, %zu on openat; loaded in %.1f ms\n",
              rules.rules().size(), rules.statuses().size(),
              static_cast<std::size_t>(std::ranges::count_if(
                  rules.rules(),
                  [](const auto& r) { return r->reach.profiles[call_named("openat")] != 0; })),
              load_s * 1000);

  constexpr std::size_t kRecords = 200'000;
  Opens opens;
  const auto records = opens.make(kRecords);
  Evaluation evaluation;
  evaluation.attach(rules.graph());
  auto shared = [&](const RuleEvent& event, unsigned profile) {
    bool matched = false;
    const auto& candidates = rules.candidates(event.type, profile);
    if (candidates.empty()) return false;
    evaluation.begin(event);
    for (const auto& candidate : candidates) matched |= evaluation.matches(candidate.filter);
    return matched;
  };
  auto one_by_one = [&](const RuleEvent& event, unsigned) {
    bool matched = false;
    for (const auto& rule : rules.rules()) {
      if (rule->reach.profiles[event.type] == 0) continue;
      evaluation.begin(event);
      matched |= evaluation.matches(rule->filter);
    }
    return matched;
  };
  auto nothing = [](const RuleEvent&, unsigned) { return false; };

  std::vector<double> ours, baseline, ratio;
  std::size_t matched[2] = {};
  auto measure = [&](auto judge, std::size_t& found) {
    double start = core_seconds();
    found = each(records, opens.facts(), judge);
    return (core_seconds() - start) / kRecords * 1e9;
  };
  std::size_t none = 0;
  double reading = measure(nothing, none);
  for (int round = 0; round < 7; ++round) {
    ours.push_back(measure(shared, matched[0]));
    baseline.push_back(measure(one_by_one, matched[1]));
    ratio.push_back(ours.back() / baseline.back());
  }
  if (matched[0] != matched[1]) {
    std::printf("the answers differ: %zu and %zu\n", matched[0], matched[1]);
    return 1;
  }
  std::printf(
      "an open: %.0f ns (%.2f million a second), of which reading the record %.0f ns; %zu of %zu "
      "matched\n",
      median(ours), 1000 / median(ours), reading, matched[0], kRecords);
  std::printf("rule by rule, whole conditions: %.0f ns; ratio %.2f\n", median(baseline),
              median(ratio));
  return 0;
}
