// SPDX-License-Identifier: Apache-2.0
// The streams of one HTTP/2 connection as exchanges: what their header blocks and content mean,
// when one is over and why (RFC 9113, 5 and 8), and the gRPC calls among them. How frames carry
// them is for who derives: http2.cpp. Worker thread of the plugin.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>

#include "tracing/exchange.h"
#include "tracing/grpc.h"
#include "tracing/hpack.h"
#include "tracing/http2.h"
#include "tracing/http_exchange.h"

namespace trivet::tracing {

struct Http2Extra {
  BodyForm bodies[2];              // by the party that sends it
  std::unique_ptr<GrpcCall> grpc;  // if it is one
  bool hole = false;               // some of the answer may have been missed
};

class Http2Streams : public HttpExchanges<ExchangeDialogue<HttpRequest, Http2Extra>> {
 public:
  // Servers allow some hundred at once, and 100 is advised (RFC 9113, 6.5.2); past this the oldest
  // is given up.
  static constexpr std::size_t max_streams = 16384;

  void abandon() override { tell_all("gap"); }
  void on_end(std::uint64_t time_ns) override;
  void close(const char* error) override;
  void expire() override;
  bool outstanding() const override { return !streams_.empty(); }

 protected:
  using HttpExchanges::HttpExchanges;

  // Stream 1 is this request, whose answer is yet to come.
  void adopt(UpgradedRequest request);
  // A header block that `decoder` has just read; `good` unless it was malformed or not kept.
  void take_request_fields(std::uint32_t stream, const HpackDecoder& decoder, bool good,
                           std::uint64_t first_ns);
  void take_response_fields(std::uint32_t stream, const HpackDecoder& decoder, bool good,
                            std::uint64_t first_ns);
  void take_content(Party from, std::uint32_t stream, std::string_view bytes,
                    std::uint64_t time_ns);
  // Content that was not seen.
  void miss_content(Party from, std::uint32_t stream, std::uint64_t bytes, std::uint64_t time_ns);
  // That party has said all.
  void end(Party from, std::uint32_t stream, std::uint64_t time_ns);
  void reset(std::uint32_t stream, std::uint32_t code);
  // What is above is not answered (RFC 9113, 6.8).
  void go_away(std::uint32_t last_stream, std::uint32_t code);
  // Any frame of that party may have been missed.
  void lose(Party from, std::uint64_t time_ns);
  // Time passes while others go on: gives up what may have been answered unseen.
  void sweep(std::uint64_t now_ns);
  void tell_all(const char* error);

 private:
  using Streams = std::map<std::uint32_t, Exchange>;

  Exchange& open(std::uint32_t stream, std::uint64_t first_ns);
  Exchange* find(std::uint32_t stream);
  void end_request(Exchange& e, std::uint64_t time_ns);
  void complete(Exchange& e) override;
  // Tells it and lets it go; returns what comes behind it.
  Streams::iterator give_up(Streams::iterator at, const char* error);

  Streams streams_;                    // by their numbers, which grow
  std::uint32_t highest_[2] = {0, 0};  // number so far: the server's (even), the client's
  std::uint64_t swept_ns_ = 0;
};

}  // namespace trivet::tracing
