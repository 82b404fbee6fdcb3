// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "log/stream_log.h"

using namespace trivet;

namespace {

// What a log wrote into a pipe.
class Pipe {
 public:
  Pipe() { REQUIRE(pipe(ends_) == 0); }
  ~Pipe() {
    close(ends_[0]);
    if (ends_[1] >= 0) close(ends_[1]);
  }
  int in() const { return ends_[1]; }
  std::string read_all() {
    close(ends_[1]);
    ends_[1] = -1;
    std::string text;
    char bytes[4096];
    for (ssize_t got; (got = read(ends_[0], bytes, sizeof(bytes))) > 0;) text.append(bytes, got);
    return text;
  }

 private:
  int ends_[2];
};

}  // namespace

TEST_CASE("a text line holds time, level, sentence and values that cannot break out of it") {
  Pipe pipe;
  StreamLog log(pipe.in(), LogLevel::info, false);
  log.debug("not written");
  TaggedLog(log, {{"plugin", "security"}})
      .warning("A file was refused", {{"path", "/tmp/x y\n\x1b[31m"}, {"errno", "13"}});
  std::string line = pipe.read_all();
  CHECK(line.substr(10, 1) == "T");
  CHECK(line.substr(23) ==
        "Z warning A file was refused plugin=security path=\"/tmp/x y\\n\\x1b[31m\" errno=13\n");
}

TEST_CASE("a JSON line is one object") {
  Pipe pipe;
  StreamLog log(pipe.in(), LogLevel::debug, true);
  log.error("It \"failed\"", {{"path", "\xff\n"}});
  auto json = nlohmann::json::parse(pipe.read_all());
  CHECK(json["level"] == "error");
  CHECK(json["message"] == "It \"failed\"");
  CHECK(json["path"] == "\xEF\xBF\xBD\n");
}

TEST_CASE("lines of several threads do not mix") {
  Pipe pipe;
  StreamLog log(pipe.in(), LogLevel::info, true);
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) log.info("from the other thread");
  });
  for (int i = 0; i < 100; ++i) log.info("from this thread");
  other.join();
  std::istringstream lines(pipe.read_all());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) CHECK(nlohmann::json::accept(line));
  CHECK(count == 200);
}
