// SPDX-License-Identifier: Apache-2.0
// HTTP/1.x on one socket: recognises it by its first bytes, parses both directions and pairs
// requests with responses in order. It never guesses a pair: where bytes are missing, requests are
// told without a response until it is certain again which response comes next. Owned by a
// connection; worker thread of the plugin.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "tracing/http_parser.h"
#include "tracing/stream.h"
#include "trivet/records/http_request.h"

namespace trivet::tracing {

struct HttpOptions {
  std::size_t body_limit = 64 << 10;        // kept of each body, bytes
  std::vector<std::string> redact_headers;  // names in lower case; their values are not kept
  std::uint64_t request_timeout_ns = 60'000'000'000;
};

// What all conversations count.
struct HttpCounts {
  std::uint64_t gaps = 0;
  std::uint64_t gap_bytes = 0;
  std::uint64_t parse_errors = 0;
};

class HttpConversation {
 public:
  enum Direction : unsigned { received, sent };

  enum class Need {
    unknown,     // between messages
    beginning,   // a bulky body has begun whose end is known without seeing it
    every_byte,  // a body carries its framing within; this server may well send more of them
  };

  class Listener {
   public:
    virtual ~Listener() = default;
    // An exchange is over. The columns of the socket and the process are not filled in.
    virtual void on_exchange(HttpRequest record) = 0;
    // How much of what follows needs to come up has changed.
    virtual void on_need(Need need) = 0;
  };

  HttpConversation(const HttpOptions& options, HttpCounts& counts, Listener& listener);
  HttpConversation(const HttpConversation&) = delete;
  HttpConversation& operator=(const HttpConversation&) = delete;

  void on_segment(Direction direction, const Segment& segment);
  // The connection was reset by one of its ends: what follows is its close.
  void on_reset() { reset_ = true; }
  // Ends it: every request that has no response becomes a record with `error`, or with a more exact
  // reason where there is one.
  void close(const char* error);
  // Time passes without events: gives up waiting for segments and for responses.
  void on_idle(std::uint64_t now_ns);

  // Nothing more will come of it: not HTTP, no longer HTTP, or malformed.
  bool finished() const { return finished_; }
  // Bytes have been recognised as HTTP.
  bool recognised() const { return role_known_; }
  Direction request_direction() const { return request_direction_; }
  bool outstanding() const { return !exchanges_.empty(); }
  bool waiting_for_segments() const {
    return sides_[received].stream.waiting() || sides_[sent].stream.waiting();
  }
  // Memory that it holds beyond itself, bytes, about.
  std::size_t memory() const;

 private:
  struct Exchange {
    HttpRequest record;
    std::uint64_t request_first_ns = 0;
    std::uint64_t request_last_ns = 0;
    std::uint64_t response_first_ns = 0;
    std::uint64_t response_last_ns = 0;
    bool request_done = false;
    bool response_begun = false;
    bool response_done = false;
    bool told =
        false;  // a record has been given up already: its response must still be passed over
    bool is_head = false;
    bool is_connect = false;
    std::size_t memory = 0;
  };

  struct Side final : Stream::Sink {
    Side(HttpConversation& conversation, Direction side_direction)
        : owner(conversation), direction(side_direction), parser(HttpParser::Kind::request) {}
    void on_bytes(std::string_view bytes, const Stamp& stamp) override {
      owner.on_bytes(*this, bytes, stamp);
    }
    void on_gap(std::uint64_t bytes, const Stamp& stamp) override {
      owner.on_gap(*this, bytes, stamp);
    }
    void on_end(const Stamp& stamp) override { owner.on_end(*this, stamp); }

    HttpConversation& owner;
    Direction direction;
    Stream stream;
    HttpParser parser;
    bool lost = true;  // it is not known where the next message begins
    bool seen = false;
    std::uint32_t end_seen = 0;  // the furthest byte seen, where seen
    std::string probe;           // bytes that may begin a message
    Segment probe_start;
  };

  void on_bytes(Side& side, std::string_view bytes, const Stamp& stamp);
  void on_gap(Side& side, std::uint64_t bytes, const Stamp& stamp);
  void on_end(Side& side, const Stamp& stamp);

  // Looks for the beginning of a request (or, of an unknown socket, a response) at a segment's
  // start.
  void probe(Side& side, const Segment& segment);
  void set_role(Direction request_direction);
  // Whether a request that was sent with this ack can only be answered by what follows that ack.
  bool certain(std::uint32_t ack) const;
  bool may_anchor(const Side& side, const Segment& first) const;

  void begin_request(const Stamp& stamp);
  void take_request_head(std::uint64_t time_ns);
  void take_response_head(std::uint64_t first_ns);
  void announce_body(const Side& side, bool until_close);
  void need(Need need);
  void end_request(std::uint64_t time_ns);
  void end_response(std::uint64_t time_ns);
  void lose_response();
  void fail();
  void fail_request(std::uint64_t time_ns);
  void tell(Exchange& exchange, const char* error);
  void tell_all(const char* error);
  void pop_front();
  void keep_headers(const HttpHead& head, Fields& into, Exchange& exchange);
  void keep_body(std::string_view bytes, std::string& body, std::uint64_t& size, bool& truncated,
                 Exchange& exchange);
  Exchange* unanswered();

  Side& requests() { return sides_[request_direction_]; }
  Side& responses() { return sides_[request_direction_ ^ 1u]; }
  const Side& responses() const { return sides_[request_direction_ ^ 1u]; }

  const HttpOptions& options_;
  HttpCounts& counts_;
  Listener& listener_;
  std::array<Side, 2> sides_;
  std::deque<Exchange> exchanges_;
  std::size_t exchange_memory_ = 0;
  Direction request_direction_ = received;
  bool role_known_ = false;
  bool anchored_ = false;  // has been in step at least once
  bool finished_ = false;
  bool reset_ = false;
  bool requests_malformed_ = false;  // no further request is believed; answers still come
  Need need_ = Need::unknown;
  bool responses_ended_ = false;
  bool interim_ = false;    // the response under way is a 1xx
  bool pipelined_ = false;  // this client sends requests before it has the response
  bool trusted_ = false;    // in step since the first byte, or since nothing was under way
  bool quiet_ = false;      // the segment at hand came after a silence of request_timeout
  unsigned clean_exchanges_ = 0;
  unsigned strikes_ = 0;  // segments that look like no HTTP
  std::uint64_t unknown_bytes_ = 0;
  std::uint32_t last_request_ack_ = 0;
  std::uint64_t message_first_ns_[2] = {0, 0};
  std::uint64_t last_activity_ns_ = 0;
};

}  // namespace trivet::tracing
