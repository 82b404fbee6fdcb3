// SPDX-License-Identifier: Apache-2.0
// A capture that the tests keep: what the daemon told live is expected here.
#include "replayed.h"
#include "tracing/tracing.h"
#include "trivet/records/http_request.h"

namespace trivet::tracing {
namespace {

TEST_CASE("a capture of an older trivet has the requests that were told live") {
  const auto requests = replayed_deeds<HttpRequest>("tracing", std::make_unique<Tracing>());
  REQUIRE(requests.size() == 2);
  const auto& server = requests[0];
  CHECK(server.role == "server");
  CHECK(server.process == "nginx");
  CHECK(server.pid == 12941);
  CHECK(server.peer_port == 54586);
  CHECK(server.latency.ns == 11'826'688);
  const auto& client = requests[1];
  CHECK(client.role == "client");
  CHECK(client.process == "curl");
  CHECK(client.pid == 12998);
  CHECK(client.peer_port == 37307);
  CHECK(client.latency.ns == 11'852'597);
  for (const auto& request : requests) {
    CHECK(request.path == "/hello");
    CHECK(request.query == "n=1");
    CHECK(request.status == 404);
    CHECK(request.response_body_bytes == 153);
  }
}

}  // namespace
}  // namespace trivet::tracing
