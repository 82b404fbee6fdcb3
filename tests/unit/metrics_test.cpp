// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "metrics/registry.h"
#include "temporary_folder.h"

using namespace trivet;

namespace {

bool has_line(const Registry& registry, const std::string& line) {
  return ("\n" + registry.text()).find("\n" + line + "\n") != std::string::npos;
}

// What promtool has to say of an exposition; empty if it is content.
std::string promtool_remarks(const std::string& exposition) {
  TemporaryFolder folder;
  folder.write("metrics", exposition);
  std::string command = "promtool check metrics < " + folder.path("metrics") + " 2>&1";
  FILE* promtool = popen(command.c_str(), "r");
  REQUIRE(promtool);
  std::string remarks;
  char bytes[1024];
  while (std::size_t got = std::fread(bytes, 1, sizeof(bytes), promtool))
    remarks.append(bytes, got);
  int status = pclose(promtool);
  if (status != 0 && remarks.empty()) remarks = "exit status " + std::to_string(status);
  return remarks;
}

std::string http_get(std::uint16_t port, const std::string& path) {
  int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  REQUIRE(send(descriptor, request.data(), request.size(), 0) > 0);
  std::string answer;
  char bytes[4096];
  for (ssize_t got; (got = recv(descriptor, bytes, sizeof(bytes), 0)) > 0;) {
    answer.append(bytes, static_cast<std::size_t>(got));
  }
  close(descriptor);
  return answer;
}

}  // namespace

TEST_CASE("counters, gauges and histograms appear with their values") {
  Registry registry(10);
  auto metrics = registry.scope();
  metrics->counter("trivet_things_total", "Things", {{"kind", "a"}}).add(2);
  metrics->counter("trivet_things_total", "Things", {{"kind", "a"}}).add();
  metrics->gauge("trivet_depth", "Depth").set(1.5);
  auto& histogram = metrics->histogram("trivet_wait_seconds", "Wait", {0.1, 1});
  histogram.observe(0.05);
  histogram.observe(5);
  CHECK(has_line(registry, "trivet_things_total{kind=\"a\"} 3"));
  CHECK(has_line(registry, "trivet_depth 1.5"));
  CHECK(has_line(registry, "trivet_wait_seconds_bucket{le=\"0.1\"} 1"));
  CHECK(has_line(registry, "trivet_wait_seconds_bucket{le=\"+Inf\"} 2"));
  CHECK(has_line(registry, "trivet_wait_seconds_count 2"));
}

TEST_CASE("a counter follows a total, also over its restart") {
  Registry registry(10);
  auto metrics = registry.scope();
  auto& counter = metrics->counter("trivet_kernel_total", "Kernel's count");
  for (double total : {5.0, 5.0, 12.0, 3.0}) counter.follow(total);
  CHECK(has_line(registry, "trivet_kernel_total 15"));
}

TEST_CASE("the series of a scope vanish with it, those of another stay") {
  Registry registry(10);
  auto stays = registry.scope();
  stays->counter("trivet_shared_total", "Shared", {{"plugin", "both"}}).add(1);
  {
    auto goes = registry.scope();
    goes->counter("trivet_shared_total", "Shared", {{"plugin", "both"}}).add(1);
    goes->counter("trivet_shared_total", "Shared", {{"plugin", "gone"}}).add(1);
    goes->gauge("trivet_alone", "Alone").set(1);
    CHECK(has_line(registry, "trivet_shared_total{plugin=\"gone\"} 1"));
  }
  CHECK(has_line(registry, "trivet_shared_total{plugin=\"both\"} 2"));
  CHECK(registry.text().find("gone") == std::string::npos);
  CHECK(registry.text().find("trivet_alone") == std::string::npos);
}

TEST_CASE("label sets beyond the cap share one called other, counted") {
  Registry registry(2);
  auto metrics = registry.scope();
  for (int i = 0; i < 5; ++i) {
    metrics->counter("trivet_paths_total", "Paths", {{"path", "/" + std::to_string(i)}}).add();
  }
  CHECK(has_line(registry, "trivet_paths_total{path=\"/0\"} 1"));
  CHECK(has_line(registry, "trivet_paths_total{path=\"/1\"} 1"));
  CHECK(has_line(registry, "trivet_paths_total{path=\"other\"} 3"));
  CHECK(registry.text().find("/2") == std::string::npos);
  CHECK(has_line(registry, "trivet_metrics_overflow_total{metric=\"trivet_paths_total\"} 3"));
}

TEST_CASE("series of one name may differ in tags") {
  Registry registry(2);
  auto metrics = registry.scope();
  metrics->counter("trivet_a_total", "A", {{"x", "1"}, {"tag_b", "true"}}).add();
  metrics->counter("trivet_a_total", "A", {{"x", "2"}, {"tag_c", "true"}}).add();
  metrics->counter("trivet_a_total", "A", {{"x", "3"}, {"tag_c", "true"}}).add();
  CHECK(has_line(registry, "trivet_a_total{tag_b=\"true\",x=\"1\"} 1"));
  CHECK(has_line(registry, "trivet_a_total{tag_c=\"true\",x=\"2\"} 1"));
  CHECK(has_line(registry, "trivet_a_total{tag_c=\"other\",x=\"other\"} 1"));
  CHECK(has_line(registry, "trivet_metrics_refused_total 0"));
  CHECK(promtool_remarks(registry.text()).empty());
}

TEST_CASE("a wrong request for a series is counted and harms nobody") {
  Registry registry(10);
  auto metrics = registry.scope();
  metrics->counter("trivet_a_total", "A", {{"x", "1"}}).add();
  metrics->gauge("trivet_a_total", "A", {{"x", "1"}}).set(9);    // another type
  metrics->counter("trivet_a_total", "A", {{"y", "1"}}).add(9);  // another key
  metrics->counter("trivet a", "A space").add(9);
  metrics->counter("trivet_b_total", "B", {{"__name__", "x"}}).add(9);
  metrics->histogram("trivet_c_seconds", "C", {2, 1}).observe(9);  // not ascending
  CHECK(has_line(registry, "trivet_metrics_refused_total 5"));
  CHECK(has_line(registry, "trivet_a_total{x=\"1\"} 1"));
  CHECK(promtool_remarks(registry.text()).empty());
}

TEST_CASE("promtool has nothing to say, whatever the labels hold") {
  Registry registry(100);
  auto metrics = registry.scope();
  std::string hostile = "quote \" backslash \\ line\nbreak \xff\xfe";
  metrics->counter("trivet_hostile_total", "Help with \\ and\nline break", {{"path", hostile}})
      .add();
  metrics->histogram("trivet_wait_seconds", "Wait", {0.001, 0.01}, {{"path", hostile}}).observe(1);
  for (int i = 0; i < 200; ++i) {
    metrics->gauge("trivet_many", "Many", {{"n", std::to_string(i)}}).set(i);
  }
  CHECK(promtool_remarks(registry.text()) == "");
}

TEST_CASE("the process tells of itself") {
  Registry registry(10);
  std::string text = registry.text();
  for (const char* name :
       {"trivet_build_info{", "process_cpu_seconds_total ", "process_resident_memory_bytes ",
        "process_open_fds ", "process_start_time_seconds "}) {
    CAPTURE(name);
    CHECK(text.find(std::string("\n") + name) != text.npos);
  }
}

TEST_CASE("the endpoint serves what the registry holds") {
  Registry registry(10);
  auto metrics = registry.scope();
  metrics->counter("trivet_seen_total", "Seen").add(7);
  auto endpoint = MetricsEndpoint::start(registry, *ListenAddress::parse("127.0.0.1:0"));
  if (!endpoint) FAIL(endpoint.error().to_string());
  std::string answer = http_get((*endpoint)->port(), "/metrics");
  CHECK(answer.starts_with("HTTP/1.1 200"));
  CHECK(answer.find("\ntrivet_seen_total 7\n") != answer.npos);
  CHECK(promtool_remarks(answer.substr(answer.find("\r\n\r\n") + 4)) == "");
  std::string other = http_get((*endpoint)->port(), "/other");
  CAPTURE(other);
  CHECK(other.find(" 404 ") == 8);
}

TEST_CASE("an endpoint that cannot listen says why and what to do") {
  Registry registry(10);
  auto first = MetricsEndpoint::start(registry, *ListenAddress::parse("127.0.0.1:0"));
  REQUIRE(first);
  std::string taken = "127.0.0.1:" + std::to_string((*first)->port());
  struct Row {
    std::string listen;
    std::string error;
  };
  const Row rows[] = {
      {taken, "cannot serve metrics at " + taken +
                  ": Address already in use; another program has the port: stop it or set "
                  "metrics.listen to another"},
      {"192.0.2.1:9435",
       "cannot serve metrics at 192.0.2.1:9435: Cannot assign requested address; no interface of "
       "this host has the address: set metrics.listen to one"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.listen);
    auto endpoint = MetricsEndpoint::start(registry, *ListenAddress::parse(row.listen));
    REQUIRE_FALSE(endpoint);
    CHECK(endpoint.error().message == row.error);
  }
}
