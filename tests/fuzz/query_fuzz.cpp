// SPDX-License-Identifier: Apache-2.0
// A statement from a client, over tables with a few rows: whatever it is, it is refused or ends
// within its limits.
#include <cstdint>
#include <string>

#include "query/engine.h"
#include "trivet/records/alert.h"
#include "trivet/records/http_request.h"

namespace {

struct World {
  trivet::Tables tables{{.rows = 64, .bytes = 1 << 20}};
  trivet::QueryEngine engine{tables, {}, [] {
                               return trivet::Origin{"host", 1'700'000'000'000'000'000};
                             }};

  World() {
    engine.set_limits({.memory_bytes = 8 << 20, .time_ns = 200'000'000});
    for (std::uint32_t i = 0; i < 40; ++i) {
      auto request = std::make_shared<trivet::HttpRequest>();
      request->time.boot_ns = 1'000'000'000ull * (i % 13);
      request->pid = i % 5;
      request->path = "/" + std::to_string(i % 3);
      if (i % 4 != 0) request->status = 200 + i % 2;
      request->latency.ns = i * 7919 % 101;
      request->request_headers.items = {{"host", std::string("x")}};
      tables.append(trivet::HttpRequest::schema(), std::move(request));
      auto alert = std::make_shared<trivet::Alert>();
      alert->pid = i % 7;
      alert->rule = "rule";
      tables.append(trivet::Alert::schema(), std::move(alert));
    }
  }
};

struct Ignored final : trivet::RowSink {
  int rows = 0;
  bool columns(const std::vector<std::string>&) override { return true; }
  bool row(std::span<const trivet::Cell>) override { return ++rows < 1000; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  Ignored sink;
  const std::atomic<bool> cancelled = false;
  (void)world.engine.run(std::string(reinterpret_cast<const char*>(data), size), sink, cancelled);
  return 0;
}
