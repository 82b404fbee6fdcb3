// SPDX-License-Identifier: Apache-2.0
// What benchmarks of records share: rows as a busy server makes them, and what a run cost.
#pragma once

#include <time.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "trivet/records/http_request.h"

namespace trivet {

// Seconds of this thread on a core: other programs on the machine do not count.
inline double core_seconds() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

inline double resident_mib() {
  std::ifstream status("/proc/self/statm");
  std::size_t all = 0, resident = 0;
  status >> all >> resident;
  return static_cast<double>(resident) * 4096 / (1 << 20);
}

// Requests as a busy server sees them: a thousand paths, some of them much more often, headers that
// repeat, times that are nearly in order.
class Traffic {
 public:
  HttpRequest next() {
    HttpRequest r;
    now_ns_ += 1000 + random_() % 20'000;
    r.time.boot_ns = now_ns_ - random_() % 1'000'000;
    r.pid = 1000 + random_() % 40;
    r.process_start_ns = r.pid * 1'000'000ull;
    r.process = "nginx";
    r.exe = "/usr/sbin/nginx";
    r.uid = 33;
    r.unit = "nginx.service";
    r.cgroup_id = 4711;
    r.socket_cookie = 1 + random_() % 100'000;
    r.role = "server";
    const std::uint32_t peer = 0x0a000000u + random_() % 2000;
    r.local_address = IpAddress::v4("\x0a\0\0\x01");
    r.local_port = 80;
    r.peer_address = IpAddress::v4(&peer);
    r.peer_port = static_cast<std::uint16_t>(1024 + random_() % 60'000);
    r.version = "1.1";
    r.method = random_() % 10 ? "GET" : "POST";
    const std::uint32_t dice = random_() % 1000;
    r.path = "/shop/item/" + std::to_string(dice * (random_() % 1000) / 1000);
    r.host = "shop.example.org";
    r.user_agent = "Mozilla/5.0 (X11; Linux x86_64) agent " + std::to_string(random_() % 50);
    r.status = dice < 10 ? 500 : dice < 50 ? 404 : 200;
    r.status_message = dice < 10 ? "Internal Server Error" : dice < 50 ? "Not Found" : "OK";
    r.request_headers.items = {{"host", r.host}, {"user-agent", r.user_agent}, {"accept", "*/*"}};
    r.response_headers.items = {{"content-type", std::string("text/html")},
                                {"server", std::string("nginx")}};
    r.response_body_bytes = 200 + random_() % 20'000;
    r.latency.ns = 50'000 + random_() % 5'000'000;
    r.first_byte.ns = r.latency.ns / 2;
    return r;
  }

 private:
  std::mt19937 random_{1};
  std::uint64_t now_ns_ = 1'000'000'000'000;
};

}  // namespace trivet
