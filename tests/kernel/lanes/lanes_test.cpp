// SPDX-License-Identifier: Apache-2.0
// The lanes on this kernel under a load of which the test knows the amount: nothing is lost without
// a count, and what floods one lane costs no event of another.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "broker/broker.h"
#include "daemon/core_objects.h"
#include "daemon/process_snapshot.h"
#include "facts/host_facts.h"
#include "flood/flood.h"
#include "lanes/reader.h"
#include "log/stream_log.h"

using namespace trivet;

namespace {

ObjectSpec flood_object() {
  return {.name = "flood", .hooks = {{"flood", {{"tp_btf", {"flood"}}}}}};
}

void flood(unsigned lane, std::uint32_t count) {
  ::syscall(SYS_getpgid, FLOOD_ORDER(lane, count));
}

// How much slower this machine is than one of its own hardware.
unsigned slowness() {
  const char* scale = std::getenv("TRIVET_TEST_SCALE");
  return scale ? std::max(1, std::atoi(scale)) : 1;
}

// What the main process has to say to the test, which has its memory in common with it.
class Findings {
 public:
  Findings()
      : text_(static_cast<char*>(
            ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    REQUIRE(text_ != MAP_FAILED);
  }
  ~Findings() { ::munmap(text_, kSize); }
  void expect(bool good, const std::string& sentence) {
    const std::size_t used = std::strlen(text_);
    if (!good) std::snprintf(text_ + used, kSize - used, "%s; ", sentence.c_str());
  }
  void equal(const char* what, std::uint64_t is, std::uint64_t should) {
    expect(is == should,
           std::string(what) + " is " + std::to_string(is) + ", not " + std::to_string(should));
  }
  std::string text() const { return text_; }

 private:
  static constexpr std::size_t kSize = 64 * 1024;
  char* text_;
};

// Runs `main` as the unprivileged main process of a broker.
void as_main(const std::function<void(broker::Client&, Findings&)>& main) {
  Findings findings;
  broker::BrokerOptions options;
  options.plugin_directory = "/nonexistent";
  options.confined = false;
  const auto status = broker::launch(options, [&](broker::Client& client) {
    main(client, findings);
    return 0;
  });
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
  CHECK(*status == 0);
}

lanes::TypeAccount account(const lanes::LaneReader& reader, unsigned lane, unsigned type) {
  const auto accounts = reader.accounts(lane);
  if (accounts)
    for (const auto& of : *accounts)
      if (of.type == type) return of;
  return {};
}

void on_each_cpu(const std::function<void()>& work) {
  for (int cpu = 0; cpu < ::get_nprocs(); cpu++) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::sched_setaffinity(0, sizeof(one), &one);
    work();
  }
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof(all));
  ::sched_setaffinity(0, sizeof(all), &all);
}

}  // namespace

TEST_CASE("offered is what was asked for, and equals filtered, delivered and dropped") {
  as_main([](broker::Client& client, Findings& findings) {
    const auto object = client.load("core", flood_object());
    auto maps = client.lanes();
    findings.expect(object && maps, object ? "no lanes" : object.error().message);
    if (!object || !maps) return;
    std::uint64_t handed_on = 0;
    auto reader = lanes::LaneReader::create(
        std::move(*maps), [&](lanes::Batch&& batch) { handed_on += batch.size(); });
    findings.expect(reader.has_value(), "no reader");
    if (!reader) return;

    std::uint64_t delivered = 0;
    for (const unsigned lane : {LANE_LIFECYCLE, LANE_CANDIDATE, LANE_BULK}) {
      // More than any of the rings holds, half of it on each CPU, and nobody reads.
      const std::uint32_t half = 400'000;
      on_each_cpu([&] { flood(lane, half); });
      while ((*reader)->read_round() > 0) {
      }
      // A gap shows when a later record of the same CPU arrives, and one round later.
      on_each_cpu([&] { flood(lane, FLOOD_FILTERED); });
      for (int i = 0; i < 3; i++) (*reader)->read_round();

      const auto cpus = static_cast<std::uint64_t>(::get_nprocs());
      const std::string name(lanes::lane_name(lane));
      const auto seen = account(**reader, lane, flood_event_id);
      findings.equal((name + " offered").c_str(), seen.kernel.offered,
                     cpus * (half + FLOOD_FILTERED));
      findings.equal((name + " filtered").c_str(), seen.kernel.filtered,
                     cpus * (half / FLOOD_FILTERED + 1));
      findings.expect(seen.kernel.ring_full > 0, name + " did not overflow");
      findings.equal((name + " offered").c_str(), seen.kernel.offered,
                     seen.kernel.filtered + seen.delivered + seen.kernel.ring_full);
      findings.equal((name + " gaps").c_str(), (*reader)->counters(lane).missing,
                     seen.kernel.ring_full);
      delivered += seen.delivered;
    }
    findings.equal("handed on", handed_on, delivered);
  });
}

TEST_CASE("a flood of bulk beyond what can be read costs no lifecycle event and no alert") {
  as_main([](broker::Client& client, Findings& findings) {
    const auto object = client.load("core", flood_object());
    const auto lifecycle = client.load("core", lifecycle_object());
    auto maps = client.lanes();
    findings.expect(object && lifecycle && maps, "nothing loaded");
    if (!object || !lifecycle || !maps) return;
    std::atomic<std::uint64_t> bulk = 0, alerts = 0;
    std::set<std::uint32_t> forked, gone;
    auto reader = lanes::LaneReader::create(std::move(*maps), [&](lanes::Batch&& batch) {
      for (std::size_t i = 0; i < batch.size(); i++) {
        const auto& header = batch.header(i);
        if (header.type == process_fork_event_id) forked.insert(header.task.tgid);
        if (header.type == process_exit_event_id) gone.insert(header.task.tgid);
        if (header.lane == LANE_BULK) bulk++;
        if (header.lane == LANE_ALERT) alerts++;
      }
      // A consumer that is far too slow for what comes.
      ::usleep(10'000 * slowness());
    });
    findings.expect(reader.has_value(), "no reader");
    if (!reader) return;
    std::jthread reading([&](std::stop_token stop) { (*reader)->run(stop); });

    std::atomic<bool> end = false;
    std::atomic<std::uint64_t> asked = 0;
    std::jthread flooding([&] {
      while (!end) {
        flood(LANE_BULK, 10'000);
        asked += 10'000;
      }
    });
    std::vector<std::uint32_t> children;
    std::uint64_t sent = 0;
    // Until ten times as much was offered as could be read, and not before enough of the rest.
    for (int i = 0; i < 5000 && (i < 300 || asked < 10 * (bulk + 1)); i++) {
      flood(LANE_ALERT, 1);
      sent++;
      const pid_t child = ::fork();
      if (child == 0) ::_exit(0);
      children.push_back(static_cast<std::uint32_t>(child));
      ::waitpid(child, nullptr, 0);
    }
    findings.expect(asked >= 10 * bulk, "the flood was no flood: " + std::to_string(asked) +
                                            " asked for, " + std::to_string(bulk) + " read");
    end = true;
    flooding.join();
    reading.request_stop();
    reading.join();

    findings.equal("alerts", alerts, sent);
    std::size_t unseen = 0;
    for (const auto child : children)
      if (!forked.contains(child) || !gone.contains(child)) unseen++;
    findings.equal("children not seen", unseen, 0);
    for (const unsigned lane : {LANE_LIFECYCLE, LANE_ALERT}) {
      findings.equal("missing", (*reader)->counters(lane).missing, 0);
      const auto accounts = (*reader)->accounts(lane);
      for (const auto& of : *accounts) findings.equal("dropped", of.kernel.ring_full, 0);
    }
    findings.expect(account(**reader, LANE_BULK, flood_event_id).kernel.ring_full > 0,
                    "bulk did not overflow");
  });
}

TEST_CASE("events of several CPUs are handed on in time order") {
  as_main([](broker::Client& client, Findings& findings) {
    const auto object = client.load("core", flood_object());
    auto maps = client.lanes();
    findings.expect(object && maps, "nothing loaded");
    if (!object || !maps) return;
    std::uint64_t last = 0, disordered = 0, seen = 0;
    auto reader = lanes::LaneReader::create(std::move(*maps), [&](lanes::Batch&& batch) {
      for (std::size_t i = 0; i < batch.size(); i++) {
        if (batch.header(i).time_ns < last) disordered++;
        last = std::max<std::uint64_t>(last, batch.header(i).time_ns);
        seen++;
      }
    });
    if (!reader) return;
    std::jthread reading([&](std::stop_token stop) { (*reader)->run(stop); });
    std::vector<std::jthread> producers;
    for (const unsigned lane : {LANE_CANDIDATE, LANE_ALERT, LANE_LIFECYCLE, LANE_BULK})
      producers.emplace_back([lane] {
        for (int i = 0; i < 2000; i++) {
          flood(lane, 3);
          ::usleep(50);
        }
      });
    producers.clear();
    reading.request_stop();
    reading.join();
    std::uint64_t late = 0;
    for (unsigned lane = 0; lane < LANE_COUNT; lane++) late += (*reader)->counters(lane).late;
    findings.expect(seen > 10'000, "hardly any event");
    // A producer may take its time after one that reserved later, just where a round ends.
    findings.expect(disordered <= 5 * slowness(),
                    std::to_string(disordered) + " of " + std::to_string(seen) + " out of order");
    findings.expect(late <= disordered, "counted as late: " + std::to_string(late));
  });
}

TEST_CASE("facts that missed an exit and a start are right again after a snapshot") {
  const pid_t before = ::fork();
  if (before == 0) {
    ::pause();
    ::_exit(0);
  }
  as_main([&](broker::Client& client, Findings& findings) {
    const auto object = client.load("core", lifecycle_object());
    findings.expect(object.has_value(), "nothing loaded");
    if (!object) return;
    HostFacts facts("/nonexistent");
    const auto ours = ::fork();
    if (ours == 0) {
      ::pause();
      ::_exit(0);
    }
    StreamLog log(STDERR_FILENO, LogLevel::warning, false);
    ProcessSnapshot::take(client, object->handle, log).apply(facts);
    findings.expect(facts.process(static_cast<std::uint32_t>(ours)) != nullptr, "not told");
    ::kill(ours, SIGKILL);
    ::waitpid(ours, nullptr, 0);
    const auto later = ::fork();
    if (later == 0) {
      ::pause();
      ::_exit(0);
    }
    ProcessSnapshot::take(client, object->handle, log).reconcile(facts);
    findings.expect(facts.process(static_cast<std::uint32_t>(ours)) == nullptr, "still lives");
    findings.expect(facts.process(static_cast<std::uint32_t>(later)) != nullptr, "not known");
    findings.expect(facts.process(static_cast<std::uint32_t>(before)) != nullptr, "forgotten");
    ::kill(later, SIGKILL);
    ::waitpid(later, nullptr, 0);
  });
  ::kill(before, SIGKILL);
  ::waitpid(before, nullptr, 0);
}

int main(int argc, char** argv) {
  if (::geteuid() != 0) {
    std::puts("skipped: needs root");
    return 77;
  }
  doctest::Context context(argc, argv);
  return context.run();
}
