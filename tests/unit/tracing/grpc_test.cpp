// SPDX-License-Identifier: Apache-2.0
// Calls as "gRPC over HTTP2" of grpc.io describes them.
#include <doctest/doctest.h>

#include "tracing/grpc.h"
#include "tracing/http2_wire.h"
#include "wire.h"

namespace trivet::tracing {
namespace {

using Wire = WireOf<HttpRequest>;

std::string message(std::string_view bytes, bool compressed = false) {
  return std::string(1, compressed ? '\1' : '\0') + big_endian(bytes.size(), 4) +
         std::string(bytes);
}

TextFields call(TextFields more = {}) {
  TextFields fields = {{"content-type", "application/grpc+proto"}, {"te", "trailers"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return request_of("POST", "/google.pubsub.v2.PublisherService/CreateTopic", fields);
}
const TextFields good = response_of("200", {{"content-type", "application/grpc+proto"}});

}  // namespace

TEST_CASE("a unary call is a row of its own beside its HTTP exchange") {
  Wire wire;
  Encoder client, server;
  wire.client(std::string(http2_preface) + frame_of(Http2Frame::settings, 0, 0));
  wire.server(frame_of(Http2Frame::settings, 0, 0));
  wire.client(client.headers(1, call({{"grpc-timeout", "1S"}, {"grpc-encoding", "gzip"}})) +
              data_of(1, message("compressed", true)));
  wire.server(
      server.headers(1, good) + data_of(1, message("pong"), false) +
      server.headers(1, {{"grpc-status", "0"}, {"trace-proto-bin", "jher831yy13JHy3hc"}}, true));
  REQUIRE(wire.calls.size() == 1);
  const GrpcRequest& r = wire.calls[0];
  CHECK(r.service == "google.pubsub.v2.PublisherService");
  CHECK(r.method == "CreateTopic");
  CHECK(r.kind == "unary");
  CHECK(r.status == "OK");
  CHECK(r.status_code == 0);
  CHECK(r.request_messages == 1);
  CHECK(r.response_messages == 1);
  CHECK(r.request_message_bytes == 10);
  CHECK(r.response_message_bytes == 4);
  CHECK(r.request_compression == "gzip");
  CHECK(r.compressed_messages == 1);
  CHECK(r.http_status == 200);
  CHECK(r.stream == 1);
  CHECK(r.error == "");
  CHECK(r.latency.ns == 1 * ms);
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].path == "/google.pubsub.v2.PublisherService/CreateTopic");
  CHECK(wire.records[0].response_body_bytes == 9);
  CHECK(wire.records[0].stream == r.stream);
}

TEST_CASE("the kinds of streaming show in the messages, however frames cut them") {
  const struct {
    unsigned asked, answered;
    const char* kind;
  } table[] = {{1, 1, "unary"},
               {1, 0, "unary"},
               {3, 1, "client_streaming"},
               {1, 3, "server_streaming"},
               {4, 5, "bidi_streaming"}};
  for (const auto& row : table) {
    CAPTURE(row.kind);
    Wire wire;
    Encoder client, server;
    wire.client(std::string(http2_preface) + client.headers(1, call()));
    wire.server(server.headers(1, good));
    const auto send = [&](unsigned count, bool from_client) {
      std::string bytes;
      for (unsigned i = 0; i < count; ++i) bytes += message(std::string(100 * i, 'x'));
      for (std::size_t at = 0; at < bytes.size(); at += 7) {
        const std::string frame = data_of(1, bytes.substr(at, 7), false);
        from_client ? wire.client(frame) : wire.server(frame);
      }
    };
    send(row.asked, true);
    wire.client(data_of(1, ""));
    send(row.answered, false);
    wire.server(server.headers(1, {{"grpc-status", "0"}}, true));
    REQUIRE(wire.calls.size() == 1);
    CHECK(wire.calls[0].kind == row.kind);
    CHECK(wire.calls[0].request_messages == row.asked);
    CHECK(wire.calls[0].response_messages == row.answered);
    CHECK(wire.calls[0].response_message_bytes ==
          50 * row.answered * (row.answered - 1) * (row.answered > 0));
  }
}

TEST_CASE("a call that fails says why, in trailers alone too") {
  Wire wire;
  Encoder client, server;
  wire.client(std::string(http2_preface) + client.headers(1, call()) + data_of(1, message("x")));
  wire.server(server.headers(1,
                             response_of("200", {{"content-type", "application/grpc"},
                                                 {"grpc-status", "5"},
                                                 {"grpc-message", "no caf%C3%A9 %2fhere%"}}),
                             true));
  wire.client(client.headers(3, call()) + data_of(3, message("x")));
  wire.client(frame_of(Http2Frame::rst_stream, 0, 3, big_endian(8, 4)));
  REQUIRE(wire.calls.size() == 2);
  CHECK(wire.calls[0].status == "NOT_FOUND");
  CHECK(wire.calls[0].status_code == 5);
  CHECK(wire.calls[0].message == "no caf\xc3\xa9 /here%");
  CHECK(wire.calls[0].response_messages == 0);
  CHECK(wire.calls[1].status == "");
  CHECK(wire.calls[1].error == "reset");
  CHECK(wire.calls[1].error_code == "CANCEL");
}

TEST_CASE("gRPC-Web and other types are no gRPC") {
  CHECK(is_grpc("application/grpc"));
  CHECK(is_grpc("application/grpc+json"));
  CHECK(is_grpc("application/grpc;charset=utf-8"));
  CHECK(!is_grpc("application/grpc-web+proto"));
  CHECK(!is_grpc("application/grpcs"));
  CHECK(!is_grpc(""));
}

TEST_CASE("a hole within a message costs none, one that hides a prefix costs the count") {
  for (const bool within : {true, false}) {
    Wire wire;
    Encoder client, server;
    wire.client(std::string(http2_preface) + client.headers(1, call()) + data_of(1, message("x")));
    const std::string body =
        message(std::string(1000, 'a')) + message("b") + message(std::string(1000, 'c'));
    const std::string frame = data_of(1, body, false);
    const std::size_t at = Http2Frame::header_bytes + (within ? 500 : 900);
    wire.server(server.headers(1, good) + frame.substr(0, at));
    wire.server(frame.substr(at, 200), true);
    wire.server(frame.substr(at + 200));
    wire.server(server.headers(1, {{"grpc-status", "0"}}, true));
    REQUIRE(wire.calls.size() == 1);
    CHECK(wire.calls[0].response_messages.has_value() == within);
    if (within) CHECK(wire.calls[0].response_messages == 3);
    CHECK(wire.calls[0].status == "OK");
    CHECK(wire.records[0].response_body_bytes == body.size());
    CHECK(wire.records[0].response_body_truncated);
  }
}

}  // namespace trivet::tracing
