// SPDX-License-Identifier: Apache-2.0
// What the HTTP API costs: rows of a query through it against the same query without it, small
// requests one after the other, and keeping a record alone and beside a query whose client does not
// read. Over a Unix socket, interleaved.
//   api_bench [ROWS]
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "http/server.h"
#include "log/stream_log.h"
#include "metrics/registry.h"
#include "trivet/records/http_request.h"

using namespace trivet;

namespace {

constexpr int kRounds = 5;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct CountedRows final : RowSink {
  std::size_t rows = 0;
  bool columns(const std::vector<std::string>&) override { return true; }
  bool row(std::span<const Cell>) override { return ++rows != 0; }
};

class Client {
 public:
  explicit Client(const sockaddr_un& address) : socket_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      std::abort();
    }
  }
  ~Client() { close(socket_); }
  void post(const std::string& target, const std::string& sql) const {
    const std::string text =
        "POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(sql.size()) +
        "\r\n\r\n" + sql;
    if (send(socket_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      std::abort();
    }
  }
  // The bytes of an answer in chunks, to its end.
  std::size_t drain() {
    static char bytes[256 << 10];
    std::size_t all = 0;
    for (std::string tail;;) {
      const ssize_t got = recv(socket_, bytes, sizeof(bytes), 0);
      if (got <= 0) std::abort();
      all += static_cast<std::size_t>(got);
      tail.append(bytes, static_cast<std::size_t>(got));
      if (tail.ends_with("\r\n0\r\n\r\n")) return all;
      tail.erase(0, tail.size() - std::min<std::size_t>(tail.size(), 8));
    }
  }

 private:
  const int socket_;
};

std::shared_ptr<HttpRequest> request(std::size_t number) {
  auto made = std::make_shared<HttpRequest>();
  made->time.boot_ns = number * 1000;
  made->pid = 1000 + number % 40;
  made->path = "/some/path/" + std::to_string(number % 1000);
  made->status = number % 50 == 0 ? 404 : 200;
  made->latency.ns = static_cast<std::int64_t>(number * 7919 % 1'000'000);
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rows = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000;
  StreamLog log(STDERR_FILENO, LogLevel::error, false);
  Registry registry(1000);
  const auto metrics = registry.scope();
  Tables tables({.rows = 4 * rows, .bytes = std::size_t{8} << 30});
  const QueryEngine engine(tables, {}, [] { return Origin{"host", 0}; });
  for (std::size_t i = 0; i < rows; ++i) tables.append(HttpRequest::schema(), request(i));

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/api-bench-%d.sock", getpid());
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, 16) != 0) {
    return 1;
  }
  auto server = ApiServer::start({.unix_socket = listener},
                                 {tables, engine,
                                  [] {
                                    return Origin{"host", 0};
                                  },
                                  [] { return std::string("{}"); }, *metrics, log},
                                 {});
  if (!server) return 1;

  const std::string sql = "SELECT time, pid, path, status, latency FROM http_requests";
  const std::atomic<bool> never = false;
  std::vector<double> alone, lines, csv;
  std::size_t line_bytes = 0, csv_bytes = 0;
  Client client(address);
  for (int round = 0; round < kRounds; ++round) {
    auto begin = Clock::now();
    CountedRows counted;
    if (!engine.run(sql, counted, never) || counted.rows != rows) return 1;
    alone.push_back(seconds_since(begin));
    begin = Clock::now();
    client.post("/v1/query?format=jsonl", sql);
    line_bytes = client.drain();
    lines.push_back(seconds_since(begin));
    begin = Clock::now();
    client.post("/v1/query?format=csv", sql);
    csv_bytes = client.drain();
    csv.push_back(seconds_since(begin));
  }
  const auto tell = [&](const char* what, const std::vector<double>& times, std::size_t bytes) {
    std::printf("%-22s %6.2f M rows/s  %6.1f MB/s  %.2f times the query alone\n", what,
                static_cast<double>(rows) / median(times) / 1e6,
                static_cast<double>(bytes) / median(times) / 1e6, median(times) / median(alone));
  };
  tell("the query alone", alone, 0);
  tell("as JSON lines", lines, line_bytes);
  tell("as CSV", csv, csv_bytes);

  std::vector<double> small;
  for (int i = 0; i < 2000; ++i) {
    const auto begin = Clock::now();
    client.post("/v1/query", "SELECT 1 AS one");
    client.drain();
    small.push_back(seconds_since(begin) * 1e6);
  }
  std::ranges::sort(small);
  std::printf("a small query: p50 %.0f us, p99 %.0f us\n", small[small.size() / 2],
              small[small.size() * 99 / 100]);

  std::vector<double> quiet, beside;
  std::size_t number = rows;
  const auto keep = [&] {
    std::vector<std::shared_ptr<HttpRequest>> made;
    for (int i = 0; i < 20'000; ++i) made.push_back(request(number++));
    const auto begin = Clock::now();
    for (auto& one : made) tables.append(HttpRequest::schema(), std::move(one));
    return seconds_since(begin) / 20'000 * 1e9;
  };
  for (int round = 0; round < 3 * kRounds; ++round) {
    quiet.push_back(keep());
    Client stalled(address);
    stalled.post("/v1/query", sql + ", (SELECT 1 UNION SELECT 2)");
    usleep(200'000);  // until its buffers are full
    beside.push_back(keep());
  }
  // The least: a writer that waits waits every time, other programs do not run every time.
  std::printf("keeping a record: %.0f ns alone, %.0f ns beside a query that nobody reads\n",
              std::ranges::min(quiet), std::ranges::min(beside));
  unlink(address.sun_path);
  return 0;
}
