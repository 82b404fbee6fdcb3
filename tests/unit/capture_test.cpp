// SPDX-License-Identifier: Apache-2.0
// Captures without a kernel: what a recorder writes, a replay finds again, and what is missing is
// said.
#include <doctest/doctest.h>

#include <cstring>
#include <sstream>
#include <string>

#include "capture/recorder.h"
#include "capture/replay.h"
#include "core/lifecycle.h"
#include "facts/fact_records.h"
#include "log/stream_log.h"
#include "trivet/records/alert.h"

using namespace trivet;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// An event that a plugin might want, with some bytes behind its header.
void add_event(lanes::Batch& batch, unsigned type, lane in, std::uint64_t time_ns, TaskKey task,
               std::size_t bytes = 0) {
  std::vector<std::byte> record(sizeof(event_header) + bytes);
  event_header header{};
  header.size = static_cast<__u32>(record.size());
  header.type = static_cast<__u16>(type);
  header.version = 1;
  header.lane = static_cast<__u8>(in);
  header.time_ns = time_ns;
  header.task = {task.start_ns, task.tgid, task.exec_count};
  std::memcpy(record.data(), &header, sizeof(header));
  batch.add(record);
}

Process shell() {
  Process process;
  process.key = {5 * kSecond, 100, 3};
  process.parent = {1 * kSecond, 1, 1};
  process.name = "bash";
  process.exe = "/usr/bin/bash";
  process.cwd = "/root";
  process.args = {"-bash", "", "-c", ""};
  process.args_truncated = true;
  process.vpid = 7;
  process.pgid = 100;
  process.sid = 99;
  process.tty = 34816;
  process.uid = 0;
  process.gid = 4;
  process.real_uid = 1000;
  process.login_uid = 1000;
  process.cap_effective = 0x1ff;
  process.cap_permitted = 0x3ff;
  process.exe_inode = 42;
  process.exe_ctime_ns = 43;
  process.exe_mtime_ns = 44;
  process.exe_writable = true;
  process.exe_upper_layer = true;
  process.pid_namespace = 11;
  process.net_namespace = 12;
  process.mount_namespace = 13;
  process.host_namespaces = false;
  process.cgroup_id = 77;
  process.cgroup = "/system.slice/docker-" + std::string(64, 'a') + ".scope";
  process.exec_ns = 6 * kSecond;
  return process;
}

struct Recorded {
  HostFacts facts{"/sys/fs/cgroup"};
  LaneCounts kernel_losses{};
  Recorder recorder{[this](FactsWitness& witness) { facts.tell(witness); },
                    [this] { return kernel_losses; }};
  std::shared_ptr<ByteSource> source;

  void begin(std::uint64_t max_bytes = std::uint64_t{1} << 40) {
    RecordingWish wish{.host = {"1", {.name = "web-1", .daemon_pid = 50}, 1000, "/cgroup", 1},
                       .configuration = {"/etc/trivet/trivet.toml",
                                         {{"probe", "\"a\" = 1\n", {{}, {{"/f", "text"}}}}}},
                       .types = {},
                       .max_bytes = max_bytes,
                       .wake = [] {}};
    wish.types.set();
    auto begun = recorder.begin(std::move(wish));
    REQUIRE(begun);
    source = *begun;
  }
  std::string take_all() {
    std::string file;
    source->finish();
    while (source->take(file, 1 << 20)) {
    }
    return file;
  }
};

// What a plugin sees of a replay.
struct Seen {
  struct One {
    std::uint64_t time_ns;
    std::uint64_t now_ns;
    ProcessRef process;
    ProcessRef parent;
  };
  std::vector<One> events;
  std::vector<std::uint64_t> ticks;
  Facts* facts = nullptr;
  std::unique_ptr<AddressNames> names;
};

struct probe_event {
  event_header header;
};
constexpr unsigned kProbe = 240;

class Probe final : public Plugin {
 public:
  explicit Probe(Seen& seen) : seen_(seen) {}
  Result<void> configure(const Config&) override { return {}; }
  std::vector<ObjectSpec> objects() const override { return {}; }
  Result<void> start(Host& host) override {
    seen_.facts = &host.facts();
    seen_.names = host.resolve({"a.example"}, nullptr);
    host.on<probe_event>([this, &host](const Event<probe_event>& event) {
      seen_.events.push_back(
          {event.data.header.time_ns, host.now_ns(), event.process, event.parent});
      Alert alert;
      alert.rule = "probe";
      set_subject(alert, event.data.header, event.process);
      host.publish(std::move(alert));
    });
    host.every(std::chrono::seconds(1), [this, &host] { seen_.ticks.push_back(host.now_ns()); });
    return {};
  }
  void stop() noexcept override { seen_.names.reset(); }

 private:
  Seen& seen_;
};

}  // namespace

template <>
struct trivet::EventTraits<probe_event> {
  static constexpr unsigned id = kProbe;
  static constexpr unsigned version = 1;
  static constexpr const char* label = "probe_event";
};

namespace {

struct Replayed {
  explicit Replayed(const std::string& bytes) : file(bytes) {
    auto opened = Replay::open(file, log);
    if (!opened) {
      error = opened.error().message;
      return;
    }
    replay = std::move(*opened);
    REQUIRE(replay->add("probe", std::make_unique<Probe>(seen)));
    const auto done = replay->run([this](const RecordSchema& schema, const void* record) {
      CHECK(schema.table == Alert::schema().table);
      alerts.push_back(*static_cast<const Alert*>(record));
      return true;
    });
    if (!done) error = done.error().message;
  }
  std::istringstream file;
  StreamLog log{2, LogLevel::error, false};
  Seen seen;
  std::unique_ptr<Replay> replay;
  std::vector<Alert> alerts;
  std::string error;
};

TEST_CASE("a process is in the replay as host facts had it, to the last field") {
  Recorded live;
  const Process process = shell();
  Process parent;
  parent.key = process.parent;
  parent.name = "sshd";
  live.facts.apply_snapshot(process_record(parent, false));
  live.facts.apply_snapshot(process_record(process, false));
  const auto known = live.facts.process(process.key);
  REQUIRE(known);
  CHECK(known->args == process.args);
  live.begin();
  lanes::Batch batch;
  add_event(batch, kProbe, LANE_CANDIDATE, 10 * kSecond, process.key);
  live.recorder.saw(batch);

  Replayed replayed(live.take_all());
  CHECK(replayed.error.empty());
  REQUIRE(replayed.seen.events.size() == 1);
  const auto& seen = *replayed.seen.events[0].process;
  CHECK(process_record(seen, false) == process_record(*known, false));
  CHECK(seen.exec_ns == 6 * kSecond);
  CHECK(seen.unit == known->unit);
  CHECK(seen.container_id == "aaaaaaaaaaaa");
  CHECK(replayed.seen.events[0].parent->name == "sshd");
  REQUIRE(replayed.alerts.size() == 1);
  CHECK(replayed.alerts[0].process == "bash");
}

TEST_CASE("what facts learn beside events is in the replay") {
  Recorded live;
  live.begin();
  lanes::Batch batch;
  const Process process = shell();
  add_event(batch, kProbe, LANE_CANDIDATE, 10 * kSecond, process.key);
  live.recorder.saw(batch);
  Container container;
  container.id = std::string(64, 'a');
  container.name = "web";
  container.labels = {{"k", "v"}};
  container.mounts = {{"/srv", "/data", true, "rprivate"}};
  live.recorder.container(container);
  live.recorder.environment(process.key, {"A=1", "B="});
  live.recorder.exe_sha256({42, 43, 44}, "abc");
  live.recorder.accounts({{0, "root"}}, {{4, "adm"}});
  live.recorder.addresses("probe", {{*IpAddress::parse("192.0.2.1"), {"a.example"}}});
  live.recorder.told(process_record(process, true));
  Socket socket;
  socket.cookie = 9;
  socket.local = *IpAddress::parse("192.0.2.1");
  socket.local_port = 80;
  socket.remote = *IpAddress::parse("2001:db8::1");
  socket.remote_port = 4711;
  socket.state = 1;
  live.recorder.told(socket_record(socket));

  Replayed replayed(live.take_all());
  CHECK(replayed.error.empty());
  const auto& facts = *replayed.seen.facts;
  const auto found = facts.container("aaaaaaaaaaaa");
  REQUIRE(found);
  CHECK(found->name == "web");
  CHECK(found->labels == container.labels);
  CHECK(found->mounts.at(0).destination == "/data");
  CHECK(*facts.environment(process, std::chrono::milliseconds(0)) ==
        std::vector<std::string>{"A=1", "B="});
  CHECK(facts.exe_sha256(process, std::chrono::milliseconds(0)) == "abc");
  CHECK(facts.user_name(0) == "root");
  CHECK(facts.group_name(4) == "adm");
  CHECK_FALSE(facts.user_name(4));
  CHECK(replayed.seen.names->of(*IpAddress::parse("192.0.2.1")) ==
        std::vector<std::string>{"a.example"});
  CHECK(facts.host().name == "web-1");
  CHECK(facts.host().daemon_pid == 50);
  CHECK(facts.boot_to_real_ns() == 1000);
  // Known to the clock's tick: a start a little later is the same process.
  auto nearly = process.key;
  nearly.start_ns += 1000;
  CHECK(facts.process(nearly));
  const auto open = facts.socket(9);
  REQUIRE(open);
  CHECK(open->local == socket.local);
  CHECK(open->remote == socket.remote);
  CHECK(replayed.replay->configuration().plugins.at(0).files.texts.at("/f") == "text");
}

TEST_CASE("time in a replay is that of the events") {
  Recorded live;
  live.begin();
  lanes::Batch batch;
  for (const auto second : {1, 2, 5})
    add_event(batch, kProbe, LANE_CANDIDATE, second * kSecond + 500, {});
  live.recorder.saw(batch);
  Replayed replayed(live.take_all());
  REQUIRE(replayed.seen.events.size() == 3);
  for (const auto& event : replayed.seen.events) CHECK(event.now_ns == event.time_ns);
  REQUIRE(replayed.seen.ticks.size() >= 4);
  CHECK(replayed.seen.ticks[0] == kSecond + 1);
  CHECK(replayed.seen.ticks[3] == 4 * kSecond + 1);
}

TEST_CASE("what does not get into a capture is counted in it, and so is what the kernel lost") {
  Recorded live;
  live.begin();
  live.kernel_losses[LANE_BULK] = 3;
  constexpr std::size_t kRounds = 80;  // of 1 MiB; 64 wait
  for (std::size_t i = 0; i < kRounds; ++i) {
    lanes::Batch batch;
    add_event(batch, kProbe, LANE_BULK, kSecond, {}, 1 << 20);
    live.recorder.saw(batch);
  }
  Replayed replayed(live.take_all());
  const auto& report = replayed.replay->report();
  REQUIRE(report.end);
  CHECK(report.lost[LANE_BULK] > 0);
  CHECK(report.events + report.lost[LANE_BULK] == kRounds);
  CHECK(report.end->events[LANE_BULK] == report.events);
  CHECK(report.end->lost_in_kernel[LANE_BULK] == 3);
}

TEST_CASE("a capture stays below its size and says why it ended") {
  Recorded live;
  live.begin(1 << 20);
  for (int i = 0; i < 100; ++i) {
    lanes::Batch batch;
    add_event(batch, kProbe, LANE_BULK, kSecond, {}, 30'000);
    live.recorder.saw(batch);
  }
  const auto file = live.take_all();
  CHECK(file.size() <= 1 << 20);
  CHECK(file.size() > (1 << 20) - 40'000);
  Replayed replayed(file);
  REQUIRE(replayed.replay->report().end);
  CHECK(replayed.replay->report().end->reason == CaptureEnd::Reason::size);
}

TEST_CASE("one capture is recorded at a time") {
  Recorded live;
  live.begin();
  const auto second = live.recorder.begin({});
  CHECK_FALSE(second);
  live.source.reset();
  CHECK(live.recorder.begin({.max_bytes = 1 << 20, .wake = [] {}}));
}

TEST_CASE("a file that is no capture, cut or damaged is replayed as far as it is one") {
  Recorded live;
  live.begin();
  for (int i = 0; i < 3; ++i) {
    lanes::Batch batch;
    add_event(batch, kProbe, LANE_CANDIDATE, kSecond, {});
    live.recorder.saw(batch);
  }
  const std::string file = live.take_all();
  CHECK(Replayed("").error == "it is no capture of trivet's");
  CHECK(Replayed(std::string(100, 'x')).error == "it is no capture of trivet's");
  std::string newer = file;
  newer[8] = 9;
  CHECK(Replayed(newer).error == "it is a capture of format 9; this trivet reads format 1");

  Replayed cut(file.substr(0, file.size() - 10));
  CHECK(cut.error.empty());
  CHECK(cut.seen.events.size() == 3);
  CHECK_FALSE(cut.replay->report().end);

  // In the second of three events: 16 + 72 bytes each, before an end of 121.
  std::string damaged = file;
  damaged[file.size() - 121 - 2 * 88 + 40] ^= 1;
  Replayed half(damaged);
  CHECK(half.error.find("it is damaged at byte ") == 0);
  CHECK(half.seen.events.size() == 1);
}

TEST_CASE("only the types that were asked for are recorded, and those of host facts") {
  Recorded live;
  RecordingWish wish{.max_bytes = 1 << 20, .wake = [] {}};
  wish.types.set(kProbe);
  live.source = *live.recorder.begin(std::move(wish));
  lanes::Batch batch;
  add_event(batch, kProbe, LANE_CANDIDATE, 1, {});
  add_event(batch, kProbe + 1, LANE_CANDIDATE, 2, {});
  add_event(batch, process_exit_event_id, LANE_LIFECYCLE, 3, {}, 8);
  live.recorder.saw(batch);
  CHECK(Replayed(live.take_all()).replay->report().events == 2);
}

}  // namespace
