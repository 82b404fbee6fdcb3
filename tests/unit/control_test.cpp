// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <grp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "control/client.h"
#include "control/json_text.h"
#include "control/server.h"
#include "log/stream_log.h"
#include "newest_rows.h"
#include "query/engine.h"
#include "temporary_folder.h"
#include "trivet/records/alert.h"
#include "trivet/records/flow.h"

using namespace trivet;

namespace {

int listen_at(const std::string& path) {
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(listen(listener, 16) == 0);
  return listener;
}

// Three chunks of bytes, and a last one once it is to finish.
class Countdown final : public ByteSource {
 public:
  explicit Countdown(std::function<void()> wake) : wake_(std::move(wake)) {}
  bool take(std::string& out, std::size_t) override {
    if (left_ > 0) {
      out += std::string(300'000, static_cast<char>('0' + left_--));
      wake_();
    } else if (finished_) {
      out += std::exchange(last_, "");
      return false;
    }
    return true;
  }
  void finish() override { finished_ = true; }

 private:
  const std::function<void()> wake_;
  int left_ = 3;
  bool finished_ = false;
  std::string last_ = "end";
};

// A server on a socket of its own, with the verbs "echo", "wait" and "granted".
class Served {
 public:
  explicit Served(ControlOptions options = {}) {
    tables.declare(Alert::schema());
    tables.declare(Flow::schema());
    auto dispatch = [this](const std::string& verb, const std::vector<std::string>& arguments,
                           Access granted) -> Result<std::string> {
      if (verb == "granted") return std::string(granted == Access::write ? "2" : "1");
      if (verb == "echo") return nlohmann::json(arguments).dump(2);
      if (verb == "wait") {
        while (!released) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return std::string("\"released\"");
      }
      return Error{"unknown verb \"" + verb + "\""};
    };
    auto started = ControlServer::start(
        listen_at(path()), tables,
        [] {
          return Origin{"host", 0};
        },
        dispatch,
        [this](const CaptureRequest& request,
               std::function<void()> wake) -> Result<std::shared_ptr<ByteSource>> {
          captured = request;
          return std::shared_ptr<ByteSource>(std::make_shared<Countdown>(std::move(wake)));
        },
        engine, log, options);
    REQUIRE(started);
    server = std::move(*started);
  }
  ~Served() { released = true; }

  std::string path() const { return folder.path("socket"); }
  ControlClient client() const {
    auto connected = ControlClient::connect(path());
    REQUIRE(connected);
    return std::move(*connected);
  }
  void add_alert(const std::string& rule, std::size_t padding = 0) {
    auto alert = std::make_shared<Alert>();
    alert->rule = rule;
    alert->output.assign(padding, 'x');
    tables.append(Alert::schema(), std::move(alert));
  }

  TemporaryFolder folder;
  StreamLog log{STDERR_FILENO, LogLevel::error, false};
  Tables tables{{100'000, 256 << 20}};
  QueryEngine engine{tables, {}, [] { return Origin{"host", 0}; }};
  std::atomic<bool> released = false;
  CaptureRequest captured;
  std::unique_ptr<ControlServer> server;
};

// A client that writes bytes as they are.
class RawClient {
 public:
  explicit RawClient(const std::string& path) {
    socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    REQUIRE(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  }
  ~RawClient() { close(socket_); }
  void send(const std::string& bytes) const {
    ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void stop_sending() const { shutdown(socket_, SHUT_WR); }
  // Everything until `end` has come or the server closes.
  std::string read_until(const std::string& end) const {
    std::string text;
    char bytes[4096];
    for (ssize_t got; (got = recv(socket_, bytes, sizeof(bytes), 0)) > 0;) {
      text.append(bytes, static_cast<std::size_t>(got));
      std::size_t recent = text.size() - std::min(text.size(), sizeof(bytes) + end.size());
      if (!end.empty() && text.find(end, recent) != text.npos && text.ends_with('\n')) break;
    }
    return text;
  }
  std::string read_all() const { return read_until(""); }

 private:
  int socket_;
};

std::vector<std::string> observe(const Served& served, const ObserveRequest& request) {
  auto client = served.client();
  std::vector<std::string> lines;
  auto result = client.observe(
      request,
      [&](const std::string& line) {
        lines.push_back(line);
        return true;
      },
      [](std::uint64_t) { return true; });
  if (!result) lines.push_back("error: " + result.error().message);
  return lines;
}

}  // namespace

TEST_CASE("a verb's answer or error reaches the client") {
  Served served;
  auto client = served.client();
  CHECK(*client.call("echo", {"a", "b \"c\"\n"}) == R"(["a","b \"c\"\n"])");
  CHECK(*client.call("echo", {}) == "[]");
  CHECK(client.call("nonsense", {}).error().message == "unknown verb \"nonsense\"");
}

TEST_CASE("a request that is wrong gets a sentence, and the connection lives on") {
  Served served;
  struct Row {
    const char* request;
    const char* error;
  };
  const Row rows[] = {
      {"nonsense", "request: not a JSON object on one line"},
      {"[]", "request: not a JSON object on one line"},
      {"{}", "request: \"verb\" must be a string"},
      {R"({"verb":5})", "request: \"verb\" must be a string"},
      {R"({"verb":"echo","arguments":"x"})", "request: \"arguments\" must be a list of strings"},
      {R"({"verb":"echo","arguments":[1]})", "request: \"arguments\" must be a list of strings"},
      {R"({"verb":"echo","more":1})", "request: unknown member \"more\""},
      {R"({"verb":"observe"})", "request: \"table\" must be the name of a table"},
      {R"({"verb":"observe","table":"alerts","limit":-1})",
       "request: \"limit\" must be a number from 0 to 100000"},
      {R"({"verb":"observe","table":"alerts","format":"xml"})",
       "request: \"format\" must be compact, json, falco, text or hubble"},
      {R"({"verb":"observe","table":"alrts"})",
       "no table is named \"alrts\": did you mean \"alerts\"?"},
      {R"({"verb":"observe","table":"zzzzzz"})",
       "no table is named \"zzzzzz\": write one of alerts, flows, requests"},
      {R"({"verb":"observe","table":"flows","format":"falco"})",
       "the formats falco and text are for alerts, and hubble is for flows: write compact or json "
       "for flows"},
  };
  RawClient raw(served.path());
  std::string requests;
  for (const auto& row : rows) requests += std::string(row.request) + "\n";
  raw.send(requests + R"({"verb":"echo","arguments":["still here"]})");
  raw.stop_sending();
  std::istringstream answers(raw.read_all());
  std::string line;
  for (const auto& row : rows) {
    CAPTURE(row.request);
    REQUIRE(std::getline(answers, line));
    CHECK(nlohmann::json::parse(line)["error"] == row.error);
  }
  REQUIRE(std::getline(answers, line));
  CHECK(line == R"({"result":["still here"]})");
}

TEST_CASE("a request without end is refused before it fills memory") {
  Served served({.max_request_bytes = 1000, .max_write_request_bytes = 1000});
  RawClient raw(served.path());
  raw.send(std::string(100'000, 'x'));
  CHECK(raw.read_all().starts_with(R"({"error":"the request is longer than 1000 bytes")"));
  CHECK(served.client().call("echo", {}));
}

TEST_CASE("observe prints what a table holds in each format") {
  Served served;
  served.add_alert("one");
  served.add_alert("two");
  served.add_alert("three");
  ObserveRequest request{.table = "alerts", .limit = 2, .format = RecordFormat::json};
  auto lines = observe(served, request);
  REQUIRE(lines.size() == 2);
  CHECK(nlohmann::json::parse(lines[0])["rule"] == "two");
  CHECK(nlohmann::json::parse(lines[1])["rule"] == "three");
  CHECK(lines[0] == to_json(Alert::schema(), newest(served.tables, {"alerts"}, 2)[0].record().get(),
                            {"host", 0}));

  request.format = RecordFormat::compact;
  lines = observe(served, request);
  REQUIRE(lines.size() == 3);  // with a heading
  CHECK(lines[0] == line_heading(Alert::schema(), false));
  request.format = RecordFormat::falco;
  CHECK(nlohmann::json::parse(observe(served, request)[0]).size() == 8);
}

TEST_CASE("observe prints what a reader wants of a table, the newest or the oldest") {
  Served served;
  for (const char* rule : {"a1", "b1", "a2", "b2", "a3"}) served.add_alert(rule);
  ObserveRequest request{.table = "alerts", .limit = 2, .format = RecordFormat::json};
  request.wish.clauses = {{{{{"rule", {"a*"}}}}, false}};
  const auto rules = [&] {
    std::vector<std::string> found;
    for (const auto& line : observe(served, request))
      found.push_back(nlohmann::json::parse(line)["rule"]);
    return found;
  };
  CHECK(rules() == std::vector<std::string>{"a2", "a3"});
  request.first = true;
  CHECK(rules() == std::vector<std::string>{"a1", "a2"});
  request.wish.clauses[0].negated = true;
  CHECK(rules() == std::vector<std::string>{"b1", "b2"});
  request.wish.since_ns = std::numeric_limits<std::int64_t>::max();
  CHECK(rules().empty());
}

TEST_CASE("a follower gets new records as they come, until it is interrupted") {
  Served served;
  served.add_alert("before");
  auto client = served.client();
  int interrupt = eventfd(0, EFD_CLOEXEC);
  std::vector<std::string> rules;
  auto result = client.observe(
      {.table = "alerts", .follow = true, .format = RecordFormat::json},
      [&](const std::string& line) {
        rules.push_back(nlohmann::json::parse(line)["rule"]);
        if (rules.size() < 4) {
          served.add_alert("new " + std::to_string(rules.size()));
        } else {
          eventfd_write(interrupt, 1);
        }
        return true;
      },
      [](std::uint64_t) { return true; }, {interrupt});
  CHECK(result);
  CHECK(rules == std::vector<std::string>{"before", "new 1", "new 2", "new 3"});
  close(interrupt);
}

TEST_CASE("a client that does not read loses records, is told how many, and delays nobody") {
  constexpr std::uint64_t kRecords = 20'000;
  Served served({.follower = {100, 16 << 20}, .output_bytes = 64 << 10});
  served.add_alert("first");
  RawClient slow(served.path());
  slow.send(R"({"verb":"observe","table":"alerts","follow":true,"limit":1,"format":"json"})"
            "\n");
  slow.read_until("\"rule\":\"first\"");  // from here on it follows
  for (std::uint64_t i = 0; i < kRecords; ++i) served.add_alert("x", 500);
  CHECK(*served.client().call("echo", {"quick"}) == R"(["quick"])");

  // What it gets now and what was counted as dropped is all that there was.
  served.add_alert("last");
  std::uint64_t seen = 0, dropped = 0;
  std::istringstream lines(slow.read_until("\"rule\":\"last\""));
  for (std::string line; std::getline(lines, line);) {
    auto json = nlohmann::json::parse(line);
    if (json.contains("dropped")) dropped += json["dropped"].get<std::uint64_t>();
    if (json.contains("record")) ++seen;
  }
  CHECK(dropped > 0);
  CHECK(seen + dropped == kRecords + 1);
  CHECK(served.server->counts().dropped_rows == dropped);
}

TEST_CASE("a verb that waits holds up no other client's records") {
  Served served;
  std::thread waiting([&] { CHECK(*served.client().call("wait", {}) == "\"released\""); });
  while (served.server->counts().requests == 0) std::this_thread::yield();
  served.add_alert("meanwhile");
  CHECK(observe(served, {.table = "alerts", .format = RecordFormat::json}).size() == 1);
  served.released = true;
  waiting.join();
}

TEST_CASE("a client that leaves while its verb runs is forgotten") {
  Served served;
  {
    RawClient raw(served.path());
    raw.send("{\"verb\":\"wait\"}\n");
    while (served.server->counts().requests == 0) std::this_thread::yield();
  }
  while (served.server->counts().clients != 0) std::this_thread::yield();
  served.released = true;
  CHECK(served.client().call("echo", {}));
}

TEST_CASE("clients above the limit are refused with a sentence") {
  Served served({.max_clients = 2});
  auto first = served.client();
  auto second = served.client();
  CHECK(first.call("echo", {}));
  CHECK(second.call("echo", {}));
  CHECK(served.client().call("echo", {}).error().message ==
        "trivet serves 2 clients already: close one");
  CHECK(served.server->counts().refused == 1);
}

TEST_CASE("readers leave room for who may change something") {
  if (geteuid() != 0) return;  // only root can become somebody else
  Served served({.groups = {{"readers", 777}, {"writers", 778}}, .max_clients = 3, .reserved = 1});
  REQUIRE(chmod(served.path().c_str(), 0666) == 0);
  REQUIRE(chmod(served.folder.path("").c_str(), 0755) == 0);
  auto first = served.client(), second = served.client();
  CHECK(second.call("echo", {}));
  const pid_t child = fork();
  if (child == 0) {
    if (setgroups(0, nullptr) != 0 || setgid(777) != 0 || setuid(12345) != 0) _exit(9);
    auto reader = ControlClient::connect(served.path());
    _exit(reader->call("echo", {}).error().message == "trivet serves 2 clients already: close one"
              ? 0
              : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(served.client().call("echo", {}));
}

TEST_CASE("a user without the right is refused, a member of the group is not") {
  if (geteuid() != 0) return;  // only root can become somebody else
  // What the client may do: 0 nothing, 1 read, 2 write.
  struct Row {
    uid_t user;
    gid_t group;
    gid_t supplementary;
    int granted;
  };
  const Row rows[] = {
      {0, 0, 0, 2},       {12345, 12345, 1, 0}, {12345, 777, 1, 1},      {12345, 778, 1, 2},
      {12345, 1, 777, 1}, {12345, 1, 778, 2},   {65534, 65534, 65534, 0}};
  Served served({.groups = {{"readers", 777}, {"writers", 778}}});
  REQUIRE(chmod(served.path().c_str(), 0666) == 0);
  REQUIRE(chmod(served.folder.path("").c_str(), 0755) == 0);
  for (const auto& row : rows) {
    CAPTURE(row.user);
    CAPTURE(row.group);
    pid_t child = fork();
    if (child == 0) {
      if (setgroups(1, &row.supplementary) != 0 || setgid(row.group) != 0 || setuid(row.user) != 0)
        _exit(9);
      auto client = ControlClient::connect(served.path());
      if (!client) _exit(8);
      auto answer = client->call("granted", {});
      if (!answer) _exit(answer.error().code == EACCES ? 0 : 7);
      // The core's own verbs that change something come no further than the server.
      auto reload = ControlClient::connect(served.path())->call("reload", {});
      const bool refused = reload.error().message ==
                           "reload is for those who may write: be root or a member of group "
                           "\"writers\" (control.write_group)";
      _exit(refused == (*answer == "1") ? std::stoi(*answer) : 6);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CAPTURE(row.supplementary);
    CHECK(WEXITSTATUS(status) == row.granted);
  }
}

TEST_CASE("a capture is bytes until its client has had enough") {
  Served served;
  const int interrupt = eventfd(0, 0);
  std::string bytes;
  bool begun = false;
  const auto done = served.client().capture(
      {.plugins = {"tracing"}, .size = 1 << 20}, [&] { begun = true; },
      [&](std::string_view part) {
        bytes += part;
        const std::uint64_t one = 1;
        if (bytes.size() == 900'000) REQUIRE(write(interrupt, &one, sizeof(one)) == sizeof(one));
        return true;
      },
      std::nullopt, {interrupt});
  close(interrupt);
  CHECK(done);
  CHECK(begun);
  CHECK(bytes ==
        std::string(300'000, '3') + std::string(300'000, '2') + std::string(300'000, '1') + "end");
  CHECK(served.captured.plugins == std::vector<std::string>{"tracing"});
}

TEST_CASE("a capture ends when its time is over") {
  Served served;
  std::string bytes;
  CHECK(served.client().capture(
      {.plugins = {}, .size = 1 << 20}, [] {},
      [&](std::string_view part) {
        bytes += part;
        return true;
      },
      std::chrono::steady_clock::now() + std::chrono::milliseconds(200), {}));
  CHECK(bytes.ends_with("1end"));
}

TEST_CASE("a client without a daemon gets a sentence that says what to do") {
  TemporaryFolder folder;
  std::string path = folder.path("socket");
  CHECK(ControlClient::connect(path).error().message ==
        "no trivet answers at " + path +
            ": is it running? start it with \"trivet run\", or name its socket with --socket");
  close(listen_at(path));  // a socket file that nobody listens at
  CHECK(ControlClient::connect(path).error().message.starts_with("no trivet answers at "));
  CHECK(ControlClient::connect(std::string(200, 'x'))
            .error()
            .message.ends_with("must have 1 to 107 bytes"));
}

TEST_CASE("a JSON answer is laid out for people") {
  CHECK(json_to_text(R"({"version":"1","up":true,"rings":{"alert":3},"none":null,)"
                     R"("list":["a","b"],"hooks":[{"hook":"open","tier":"tp_btf"},)"
                     R"({"hook":"exec","why":"x\ny"}]})") ==
        "version: 1\n"
        "up: yes\n"
        "rings:\n"
        "  alert: 3\n"
        "none: -\n"
        "list: a, b\n"
        "hooks:\n"
        "  hook  tier    why\n"
        "  open  tp_btf  -\n"
        "  exec  -       x\\ny\n");
  CHECK(json_to_text("\"two\\nlines\\u001b[2J\"") == "two\nlines\\x1b[2J\n");
  CHECK(json_to_text("no json") == "no json\n");
}
