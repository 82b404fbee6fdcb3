// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "log/stream_log.h"
#include "outputs/datagram_sink.h"
#include "outputs/file_sink.h"
#include "outputs/outputs.h"
#include "outputs/spool.h"
#include "outputs/stream_sink.h"
#include "query/row_condition.h"
#include "temporary_folder.h"
#include "trivet/records/alert.h"
#include "trivet/records/http_request.h"

using namespace trivet;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t kNoon = 1'772'366'400'000'000'000;  // 2026-03-01T12:00:00Z

Row row_of(std::shared_ptr<HttpRequest> request) {
  return {HttpRequest::schema(), std::move(request), 1, 100};
}

std::shared_ptr<HttpRequest> a_request(std::uint16_t status, const std::string& path) {
  auto request = std::make_shared<HttpRequest>();
  request->time = Time{5'000'000'000};
  request->status = status;
  request->path = path;
  request->latency = Duration{2'000'000};
  request->peer_address = *IpAddress::parse("10.1.2.3");
  request->request_headers.items = {{"host", std::string("example.org")}};
  return request;
}

UniqueFd opened(const TemporaryFolder& folder) {
  return UniqueFd(open(folder.path("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

Lines lines_of(std::initializer_list<std::string> texts) {
  Lines lines;
  for (const auto& text : texts) lines.push_back({.text = text, .table = "alerts"});
  return lines;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

OutputSettings of_alerts(const std::string& name, OutputTarget target) {
  OutputSettings settings;
  settings.name = name;
  settings.target = std::move(target);
  settings.tables = {"alerts"};
  return settings;
}

void add_alert(Tables& tables, std::uint32_t pid) {
  auto alert = std::make_shared<Alert>();
  alert->pid = pid;
  tables.append(Alert::schema(), std::move(alert));
}

Origin origin() {
  return {"here", kNoon};
}

}  // namespace

TEST_CASE("a condition means what it means in a query") {
  struct Case {
    const char* condition;
    std::vector<bool> passes;
  };
  const std::vector<Row> rows{row_of(a_request(200, "/a")), row_of(a_request(404, "/b")),
                              row_of(a_request(500, "/c"))};
  const Case cases[] = {
      {"status >= 400", {false, true, true}},
      {"status >= 400 -- and more", {false, true, true}},
      {"path = '/b' OR path GLOB '/[c-z]*'", {false, true, true}},
      {"peer_address = '10.1.2.3' AND latency > 1000000", {true, true, true}},
      {"time >= '2026-03-01 12:00:05'", {true, true, true}},
      {"time > '2026-03-01T12:00:06'", {false, false, false}},
      {"json_extract(request_headers, '$.host') = 'example.org'", {true, true, true}},
      {"user_agent", {false, false, false}},
      {"status IN (SELECT 404)", {false, true, false}},
  };
  for (const auto& one : cases) {
    CAPTURE(one.condition);
    CHECK(check_condition(one.condition, HttpRequest::schema()).has_value());
    const auto judged = judge_condition(one.condition, rows, origin());
    REQUIRE_MESSAGE(judged.has_value(), (judged ? "" : judged.error().message));
    CHECK(*judged == one.passes);
  }
}

TEST_CASE("a condition that cannot be judged is refused, and says where") {
  struct Case {
    const char* condition;
    const char* error;
  };
  const Case cases[] = {
      {"statu = 1", "no such column: statu (at character 1): did you mean status?"},
      {"status = 1 AND pth = 2", "no such column: pth (at character 16): did you mean path?"},
      {"pid IN (SELECT pid FROM alerts)", "no such table: alerts"},
      {"status = ", "syntax error"},
      {"", "syntax error"},
      {"1); DELETE FROM http_requests; --", "one statement"},
      {"load_extension('x')", "load_extension"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.condition);
    const auto checked = check_condition(one.condition, HttpRequest::schema());
    REQUIRE(!checked);
    CAPTURE(checked.error().message);
    CHECK(checked.error().message.find(one.error) != std::string::npos);
  }
}

TEST_CASE("a condition that fails or does not end costs its records, not the output") {
  const std::vector<Row> rows{row_of(a_request(200, "no json"))};
  CHECK_FALSE(judge_condition("json_extract(path, '$.a') = 1", rows, origin()));
  const auto began = std::chrono::steady_clock::now();
  CHECK_FALSE(
      judge_condition("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                      "SELECT count(*) FROM n) > 0",
                      rows, origin()));
  CHECK(std::chrono::steady_clock::now() - began < 5s);
}

TEST_CASE("a rate lets its burst through, and then so many a second") {
  RateLimit limit(10, 3);
  const RateLimit::Clock::time_point now{1000s};
  const auto passed = [&](auto at) {
    int count = 0;
    for (int i = 0; i < 100; ++i) count += limit.take(now + at);
    return count;
  };
  CHECK(passed(0s) == 3);
  CHECK(passed(0s) == 0);
  CHECK(passed(100ms) == 1);
  CHECK(passed(300ms) == 2);
  CHECK(passed(3600s) == 3);
  RateLimit none(0, 0);
  CHECK(none.take(now));
}

TEST_CASE("a line is the record as JSON with its table, or one of Falco's forms") {
  auto alert = std::make_shared<Alert>();
  alert->rule = "A \"rule\"\n";
  alert->priority = "Critical";
  alert->output = "something";
  const Row row(Alert::schema(), alert, 1, 100);
  const auto line = line_of(row, OutputFormat::json, origin());
  const auto json = nlohmann::json::parse(line.text);
  CHECK(json["table"] == "alerts");
  CHECK(json["hostname"] == "here");
  CHECK(json["rule"] == "A \"rule\"\n");
  CHECK(json.size() == Alert::schema().columns.size() + 2);
  CHECK(line.severity == 2);
  CHECK(line.text.find('\n') == std::string::npos);
  const auto falco = nlohmann::json::parse(line_of(row, OutputFormat::falco, origin()).text);
  CHECK(falco.size() == 8);
  CHECK(line_of(row, OutputFormat::text, origin()).text ==
        "12:00:00.000000000: Critical something");
  CHECK(line_of(row_of(a_request(200, "/")), OutputFormat::json, origin()).severity == 6);
}

TEST_CASE("a spool hands out batches in order, over restarts and within its limit") {
  TemporaryFolder folder;
  {
    auto spool = Spool::open(opened(folder), 100);
    REQUIRE(spool);
    for (int i = 1; i <= 4; ++i)
      REQUIRE((*spool)->push(std::string(30, static_cast<char>('0' + i)), 10 * i));
    CHECK((*spool)->take_lost() == 10);
    CHECK((*spool)->bytes() == 90);
    // The folder has one owner at a time.
    CHECK_FALSE(Spool::open(opened(folder), 100));
  }
  folder.write("notes", "mine");
  folder.write("0000000000000000001-x.batch", "not a batch");
  folder.write("unfinished", "half a batch");
  auto spool = Spool::open(opened(folder), 70);
  REQUIRE(spool);
  CHECK((*spool)->take_lost() == 20);
  CHECK(*(*spool)->front() == std::string(30, '3'));
  CHECK((*spool)->records() == 30);
  REQUIRE((*spool)->push("new", 1));
  (*spool)->pop();
  CHECK(*(*spool)->front() == std::string(30, '4'));
  (*spool)->pop();
  CHECK(*(*spool)->front() == "new");
  (*spool)->pop();
  CHECK((*spool)->empty());
  CHECK((*spool)->bytes() == 0);
  REQUIRE((*spool)->push(std::string(71, 'x'), 7));
  CHECK((*spool)->take_lost() == 7);
  CHECK((*spool)->empty());
  CHECK(text_of(folder.path("notes")) == "mine");
  CHECK_FALSE(std::filesystem::exists(folder.path("unfinished")));
}

TEST_CASE("a batch that was cut or removed behind the spool's back is an error") {
  TemporaryFolder folder;
  auto spool = Spool::open(opened(folder), 1000);
  REQUIRE(spool);
  REQUIRE((*spool)->push("some lines", 3));
  const std::string file = folder.path(Spool::name({1, 3, 0}));
  std::filesystem::resize_file(file, 4);
  CHECK_FALSE((*spool)->front());
  std::filesystem::remove(file);
  CHECK_FALSE((*spool)->front());
  (*spool)->pop();
  CHECK((*spool)->empty());
}

TEST_CASE("a file is rotated before it grows too large, and opened again where its name leads") {
  TemporaryFolder folder;
  OutputCounts counts;
  FileSink sink(opened(folder), "log", 20, 2, counts);
  for (int i = 0; i < 5; ++i) {
    auto lines = lines_of({"line " + std::to_string(i), "more"});
    REQUIRE(sink.deliver(lines));
    CHECK(lines.empty());
  }
  // 12 bytes each: one pair, and the first of the next, to a file.
  CHECK(text_of(folder.path("log")).size() <= 20);
  CHECK(text_of(folder.path("log.2")) + text_of(folder.path("log.1")) +
            text_of(folder.path("log")) ==
        "more\nline 2\nmore\nline 3\nmore\nline 4\nmore\n");
  std::filesystem::rename(folder.path("log"), folder.path("moved"));
  auto lines = lines_of({"a line longer than all that is allowed"});
  REQUIRE(sink.deliver(lines));
  CHECK(text_of(folder.path("log")) == "a line longer than all that is allowed\n");
  CHECK(counts.delivered == 11);
}

TEST_CASE("a file's name that leads elsewhere is refused") {
  TemporaryFolder folder;
  folder.write("target", "");
  std::filesystem::create_symlink(folder.path("target"), folder.path("link"));
  REQUIRE(mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  std::filesystem::create_directory(folder.path("folder"));
  OutputCounts counts;
  for (const char* name : {"link", "pipe", "folder"}) {
    CAPTURE(name);
    FileSink sink(opened(folder), name, 0, 0, counts);
    auto lines = lines_of({"a"});
    CHECK_FALSE(sink.deliver(lines));
    CHECK(lines.size() == 1);
  }
}

TEST_CASE("a reader that stops holds its lines up, and gets each whole once it goes on") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  UniqueFd reader(ends[0]);
  OutputCounts counts;
  StreamSink sink([&]() -> Result<UniqueFd> { return UniqueFd(dup(ends[1])); }, counts);
  Lines lines;
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    lines.push_back({.text = std::string(static_cast<std::size_t>(i * 7), 'x'), .table = "alerts"});
    expected += lines.back().text + '\n';
  }
  const auto began = std::chrono::steady_clock::now();
  REQUIRE(sink.deliver(lines));
  CHECK(std::chrono::steady_clock::now() - began < 2s);
  CHECK_FALSE(lines.empty());
  std::string got;
  std::thread reading([&] {
    char buffer[1000];
    while (got.size() < expected.size()) {
      const auto size = read(reader.get(), buffer, sizeof(buffer));
      if (size <= 0) break;
      got.append(buffer, static_cast<std::size_t>(size));
    }
  });
  while (!lines.empty()) REQUIRE(sink.deliver(lines));
  reading.join();
  close(ends[1]);
  CHECK(got == expected);
  CHECK(counts.delivered == 300);
}

TEST_CASE("the reader that follows one that has gone gets whole lines") {
  UniqueFd readers[2];
  int opened_streams = 0;
  OutputCounts counts;
  StreamSink sink(
      [&]() -> Result<UniqueFd> {
        int ends[2];
        REQUIRE(pipe2(ends, O_NONBLOCK) == 0);
        readers[opened_streams++] = UniqueFd(ends[0]);
        return UniqueFd(ends[1]);
      },
      counts);
  Lines lines{{.text = std::string(100'000, 'x'), .table = "alerts"}};
  REQUIRE(sink.deliver(lines));  // a pipe holds 64 KiB
  REQUIRE(lines.size() == 1);
  readers[0].reset();
  CHECK_FALSE(sink.deliver(lines));
  REQUIRE(sink.deliver(lines));
  std::string got(200'000, '\0');
  const ssize_t first = read(readers[1].get(), got.data(), got.size());
  REQUIRE(first > 0);
  REQUIRE(sink.deliver(lines));
  const ssize_t rest = read(readers[1].get(), got.data() + first, 100'000);
  got.resize(static_cast<std::size_t>(first + rest));
  CHECK(got == std::string(100'000, 'x') + '\n');
  CHECK(lines.empty());
  CHECK(counts.delivered == 1);
}

TEST_CASE("a datagram that is too large is counted, and a new receiver is found") {
  TemporaryFolder folder;
  const std::string path = folder.path("log");
  const auto listen = [&] {
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    unlink(path.c_str());
    REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    return socket;
  };
  const auto received = [](const UniqueFd& socket) {
    std::string text(1 << 16, '\0');
    const auto size = recv(socket.get(), text.data(), text.size(), 0);
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
  };
  OutputCounts counts;
  DatagramSink sink(
      path, [](const Line& line) { return syslog_message(line, 16); }, counts);
  auto receiver = listen();
  auto lines = lines_of({"first", std::string(8 << 20, 'x'), "second"});
  REQUIRE(sink.deliver(lines));
  const std::string tag = " trivet[" + std::to_string(getpid()) + "]: ";
  const std::string first = received(receiver);
  CHECK(first.starts_with("<134>"));  // local0, informational: RFC 5424, 6.2.1
  CHECK(first.ends_with(tag + "first"));
  CHECK(received(receiver).ends_with(tag + "second"));
  CHECK(counts.lost[static_cast<std::size_t>(Loss::too_large)] == 1);
  receiver.reset();
  lines = lines_of({"third"});
  CHECK_FALSE(sink.deliver(lines));
  CHECK(lines.size() == 1);
  receiver = listen();
  REQUIRE(sink.deliver(lines));
  CHECK(received(receiver).ends_with("third"));
}

TEST_CASE("what waits for an output survives its exchange, and each record arrives once") {
  TemporaryFolder folder;
  StreamLog log(STDERR_FILENO, LogLevel::error, false);
  Tables tables({1000, 1 << 20});
  UniqueFd reader;
  Outputs outputs(tables, origin,
                  {[&](const std::string&) -> Result<UniqueFd> { return opened(folder); },
                   [&](const std::string&) -> Result<UniqueFd> {
                     int ends[2];
                     if (pipe2(ends, O_NONBLOCK) != 0) return Error{"no pipe"};
                     reader = UniqueFd(ends[0]);
                     return UniqueFd(ends[1]);
                   }},
                  log);
  auto stuck = outputs.prepare({of_alerts("a", ProgramTarget{{"/bin/true"}})});
  REQUIRE(stuck);
  outputs.apply(std::move(*stuck));
  for (std::uint32_t pid = 0; pid < 500; ++pid) add_alert(tables, pid);
  // The pipe is full, and nobody reads it.
  const auto* output = outputs.all().at(0);
  for (std::uint64_t before = 0; before == 0 || before != output->counts().delivered;) {
    before = output->counts().delivered;
    std::this_thread::sleep_for(300ms);
  }
  const auto in_pipe = output->counts().delivered.load();
  CHECK(in_pipe > 0);
  CHECK(in_pipe < 500);

  CHECK_FALSE(outputs.prepare({of_alerts("a", FileTarget{.path = folder.path("no/../b")}), [] {
                                 auto wrong = of_alerts("b", StdoutTarget{});
                                 wrong.where = "nonsense = 1";
                                 return wrong;
                               }()}));
  CHECK(outputs.all().at(0) == output);

  auto file = outputs.prepare({of_alerts("a", FileTarget{.path = folder.path("alerts")})});
  REQUIRE(file);
  outputs.apply(std::move(*file));
  add_alert(tables, 500);
  outputs.finish(5s);
  std::ifstream text(folder.path("alerts"));
  std::uint64_t next = in_pipe;
  for (std::string line; std::getline(text, line);)
    CHECK(nlohmann::json::parse(line)["pid"] == next++);
  CHECK(next == 501);
}
