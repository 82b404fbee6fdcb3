// SPDX-License-Identifier: Apache-2.0
#include "tracing/http.h"

#include <algorithm>
#include <utility>

namespace trivet::tracing {
namespace {

// More than any client pipelines; past it, the requests are not HTTP or never answered.
constexpr std::size_t max_outstanding = 1024;
// An unknown socket is given up after this much that does not look like a message's beginning: a
// connection found half-way may be inside a body.
constexpr unsigned max_strikes = 16;
constexpr std::uint64_t max_unknown_bytes = 256 << 10;
// Exchanges in step, one at a time, after which a client counts as one that does not pipeline.
constexpr unsigned enough_exchanges = 3;

// A request line that has not ended by then is none: nginx and Apache allow 8 KiB.
constexpr std::size_t max_probe_bytes = 16 << 10;

// From here on it pays to tell the kernel that a body's bytes need not come up.
constexpr std::uint64_t bulky_body_bytes = 1 << 20;

constexpr std::string_view redacted = "<redacted>";

std::string in_lower_case(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return lower;
}

// Path and query of a request target. The absolute form, which proxies get, carries scheme and
// authority before the path (RFC 9112, 3.2.2).
void split_target(std::string_view target, std::string& path, std::string& query) {
  if (!target.starts_with('/')) {
    std::size_t scheme = target.find("://");
    if (scheme != std::string_view::npos && scheme < target.find_first_of("/?")) {
      std::size_t start = target.find_first_of("/?", scheme + 3);
      target = start == std::string_view::npos ? std::string_view("/") : target.substr(start);
    }
  }
  std::size_t mark = target.find('?');
  path = target.substr(0, mark);
  if (mark != std::string_view::npos) query = target.substr(mark + 1);
}

Duration between(std::uint64_t from_ns, std::uint64_t to_ns) {
  return {static_cast<std::int64_t>(to_ns - from_ns)};
}

}  // namespace

HttpConversation::HttpConversation(const HttpOptions& options, HttpCounts& counts,
                                   Listener& listener)
    : options_(options),
      counts_(counts),
      listener_(listener),
      sides_{Side(*this, received), Side(*this, sent)} {}

std::size_t HttpConversation::memory() const {
  std::size_t total = exchange_memory_;
  for (const Side& side : sides_) {
    total += side.stream.held_bytes() + side.parser.held_bytes() + side.probe.capacity();
  }
  return total;
}

void HttpConversation::on_segment(Direction direction, const Segment& segment) {
  if (finished_) return;
  Side& side = sides_[direction];
  quiet_ = last_activity_ns_ != 0 && exchanges_.empty() &&
           segment.time_ns > last_activity_ns_ + options_.request_timeout_ns;
  last_activity_ns_ = std::max(last_activity_ns_, segment.time_ns);

  // Only a request looks at what the other side had sent, so this side's own end may move first.
  if (!side.seen || after(segment.end(), side.end_seen)) side.end_seen = segment.end();
  side.seen = true;

  // Whoever sent this had received all up to its ack, so that a hole before it is a lost event. (A
  // reset may carry any ack: it has no bytes and comes by on_reset().)
  Side& other = sides_[direction ^ 1u];
  if (role_known_ && !other.lost && after(segment.ack, other.stream.next())) {
    other.stream.feed({.sequence = segment.ack,
                       .ack = segment.sequence,
                       .time_ns = segment.time_ns,
                       .in_order = true},
                      other);
    if (finished_) return;
  }

  if (role_known_ && !side.lost) {
    side.stream.feed(segment, side);
  } else if (!role_known_ || (direction == request_direction_ && !requests_malformed_)) {
    probe(side, segment);
  }
}

// ---- finding the beginning ----

void HttpConversation::probe(Side& side, const Segment& segment) {
  if (segment.bytes.empty()) return;
  const bool joins = !side.probe.empty() && segment.sequence == side.probe_start.end();
  std::string joined;
  if (joins) joined.append(side.probe).append(segment.bytes);
  const std::string_view bytes = joins ? std::string_view(joined) : segment.bytes;

  const Guess request = guess_request(bytes);
  if (request == Guess::yes) {
    Segment start = joins ? side.probe_start : segment;
    std::string earlier = std::exchange(side.probe, {});
    start.bytes = joins ? std::string_view(earlier) : segment.bytes;
    if (!may_anchor(side, start)) return;
    set_role(side.direction);
    tell_all("gap");
    exchanges_.clear();
    exchange_memory_ = 0;
    anchored_ = true;
    if (start.first || quiet_) {
      trusted_ = true;
      pipelined_ = false;
      clean_exchanges_ = 0;
    } else if (!start.followed && !trusted_) {
      trusted_ = true;  // was there before us: taken as a client that does not pipeline
      clean_exchanges_ = 0;
    }
    requests().stream.anchor(start.sequence);
    requests().parser.reset();
    requests().lost = false;
    responses().stream.anchor(start.ack);
    responses().parser.reset();
    responses().lost = false;
    last_request_ack_ = start.ack;
    if (joins) requests().stream.feed(start, requests());
    if (!finished_) requests().stream.feed(segment, requests());
    return;
  }
  const Guess response = role_known_ ? Guess::no : guess_response(bytes);
  if (response == Guess::yes) {
    // Found half-way: the next request tells where to begin.
    set_role(side.direction == sent ? received : sent);
    side.probe.clear();
    return;
  }
  if ((request == Guess::maybe || response == Guess::maybe) && bytes.size() <= max_probe_bytes &&
      segment.unseen == 0) {
    if (joins) {
      side.probe = std::move(joined);
    } else {
      side.probe.assign(segment.bytes);
      side.probe_start = segment;
    }
    side.probe_start.bytes = side.probe;
    return;
  }
  side.probe.clear();
  if (role_known_) return;
  unknown_bytes_ += segment.bytes.size() + segment.unseen;
  // The first bytes of a connection leave no doubt; nor is it HTTP where a server speaks first.
  if (segment.first || ++strikes_ > max_strikes || unknown_bytes_ > max_unknown_bytes) {
    finished_ = true;
  }
}

void HttpConversation::set_role(Direction request_direction) {
  request_direction_ = request_direction;
  role_known_ = true;
  requests().parser = HttpParser(HttpParser::Kind::request);
  responses().parser = HttpParser(HttpParser::Kind::response);
}

bool HttpConversation::certain(std::uint32_t ack) const {
  if (responses().seen && after(responses().end_seen, ack)) return false;
  if (quiet_) return true;
  // A client that has been seen to wait for each response has all of them when it sends a request.
  return trusted_ && !pipelined_ && clean_exchanges_ >= enough_exchanges &&
         after(ack, last_request_ack_);
}

bool HttpConversation::may_anchor(const Side& side, const Segment& first) const {
  if (anchored_) return certain(first.ack);
  const Side& other = sides_[side.direction ^ 1u];
  if (other.seen && after(other.end_seen, first.ack)) return false;
  // Followed from its start, but the start has not come up: a request may be missing before this.
  return first.first || quiet_ || !first.followed;
}

// ---- in step ----

void HttpConversation::on_bytes(Side& side, std::string_view bytes, const Stamp& stamp) {
  const bool is_request = side.direction == request_direction_;
  while (!finished_ && !side.lost) {
    const bool was_idle = side.parser.idle();
    const HttpParser::Step step = side.parser.next(bytes);
    if (was_idle && !side.parser.idle()) {
      message_first_ns_[side.direction] = stamp.time_ns;
      if (is_request) begin_request(stamp);
    }
    switch (step) {
      case HttpParser::Step::need_more:
        return;
      case HttpParser::Step::head:
        if (is_request) {
          take_request_head(message_first_ns_[side.direction]);
        } else {
          take_response_head(message_first_ns_[side.direction]);
        }
        break;
      case HttpParser::Step::body:
        if (is_request) {
          if (exchanges_.empty()) break;
          Exchange& e = exchanges_.back();
          keep_body(side.parser.body(), e.record.request_body, e.record.request_body_bytes,
                    e.record.request_body_truncated, e);
        } else if (Exchange* e = unanswered()) {
          keep_body(side.parser.body(), e->record.response_body, e->record.response_body_bytes,
                    e->record.response_body_truncated, *e);
        }
        break;
      case HttpParser::Step::end:
        if (is_request) {
          end_request(stamp.time_ns);
        } else {
          end_response(stamp.time_ns);
        }
        break;
      case HttpParser::Step::failed:
        if (is_request) {
          fail_request(stamp.time_ns);
        } else {
          fail();
        }
        return;
    }
  }
}

void HttpConversation::on_gap(Side& side, std::uint64_t bytes, const Stamp& stamp) {
  if (finished_ || side.lost) return;
  const bool is_request = side.direction == request_direction_;
  if (side.parser.skip(bytes)) {
    // Within a body: its size stays exact.
    Exchange* e = is_request ? (exchanges_.empty() ? nullptr : &exchanges_.back()) : unanswered();
    if (e) {
      (is_request ? e->record.request_body_bytes : e->record.response_body_bytes) += bytes;
      (is_request ? e->record.request_body_truncated : e->record.response_body_truncated) = true;
    }
    on_bytes(side, {}, stamp);
    return;
  }
  ++counts_.gaps;
  counts_.gap_bytes += bytes;
  if (!is_request) {
    lose_response();
    return;
  }
  // What was asked before the gap is still answered in order; what is asked next is found by
  // probing.
  side.lost = true;
  side.probe.clear();
  if (!exchanges_.empty() && !exchanges_.back().request_done) {
    exchanges_.back().record.error = "gap";
    exchanges_.back().record.request_body_truncated = true;
    end_request(stamp.time_ns);
  }
}

void HttpConversation::on_end(Side& side, const Stamp& stamp) {
  if (finished_ || side.lost || side.direction == request_direction_) return;
  responses_ended_ = true;
  if (side.parser.finish() == HttpParser::Step::end) {
    end_response(stamp.time_ns);
  } else if (Exchange* e = unanswered(); e && e->response_begun) {
    e->response_last_ns = stamp.time_ns;
    e->record.response_body_truncated = true;
    tell(*e, "truncated");
  }
  tell_all(reset_ ? "reset" : "closed");
  while (!exchanges_.empty() && exchanges_.front().told) pop_front();
  side.lost = true;
}

void HttpConversation::begin_request(const Stamp& stamp) {
  if (responses().lost && !responses_ended_ && exchanges_.empty() && certain(stamp.ack)) {
    responses().stream.anchor(stamp.ack);
    responses().parser.reset();
    responses().lost = false;
    interim_ = false;
    if (quiet_) {
      trusted_ = true;
      pipelined_ = false;
      clean_exchanges_ = 0;
    }
  }
  last_request_ack_ = stamp.ack;
}

void HttpConversation::take_request_head(std::uint64_t time_ns) {
  if (exchanges_.size() == max_outstanding) {
    ++counts_.parse_errors;
    tell_all("capacity");
    finished_ = true;
    return;
  }
  if (!exchanges_.empty()) {
    pipelined_ = true;
    clean_exchanges_ = 0;
  }
  const HttpHead& head = requests().parser.head();
  Exchange& e = exchanges_.emplace_back();
  HttpRequest& r = e.record;
  e.request_first_ns = time_ns;
  r.time = Time{time_ns};
  r.role = request_direction_ == received ? "server" : "client";
  r.method = head.method;
  e.is_head = head.method == "HEAD";
  e.is_connect = head.method == "CONNECT";
  r.version = head.version;
  split_target(head.target, r.path, r.query);
  e.memory = sizeof(Exchange) + head.target.size();
  exchange_memory_ += e.memory;
  keep_headers(head, r.request_headers, e);
  for (const auto& [name, value] : r.request_headers.items) {
    if (name == "host" && r.host.empty()) r.host = std::get<std::string>(value);
    if (name == "user-agent" && r.user_agent.empty()) r.user_agent = std::get<std::string>(value);
  }
  announce_body(requests(), false);
}

void HttpConversation::announce_body(const Side& side, bool until_close) {
  const HttpHead& head = side.parser.head();
  if (head.chunked) {
    need(Need::every_byte);
  } else if ((until_close || head.content_length.value_or(0) > bulky_body_bytes) &&
             sides_[side.direction ^ 1u].parser.idle()) {
    need(Need::beginning);
  }
}

void HttpConversation::need(Need need) {
  if (std::exchange(need_, need) != need) listener_.on_need(need);
}

void HttpConversation::take_response_head(std::uint64_t first_ns) {
  const HttpHead& head = responses().parser.head();
  Exchange* e = unanswered();
  if (!e) {
    // Unasked for: the request was not seen, so it is not known whether a body follows.
    lose_response();
    return;
  }
  interim_ = head.status < 200 && head.status != 101;
  if (interim_) {
    responses().parser.expect_no_body();
    return;
  }
  e->response_begun = true;
  e->response_first_ns = first_ns;
  HttpRequest& r = e->record;
  r.status = head.status;
  r.status_message = head.reason;
  keep_headers(head, r.response_headers, *e);
  const bool tunnel = head.status == 101 || (e->is_connect && head.status / 100 == 2);
  if (tunnel || e->is_head || head.status == 204 || head.status == 304) {
    responses().parser.expect_no_body();
  } else {
    announce_body(responses(), !head.content_length);
  }
  if (tunnel) {
    // The bytes that follow are another protocol's.
    e->request_done = true;
    end_response(last_activity_ns_);
    tell_all("closed");
    finished_ = true;
  }
}

void HttpConversation::end_request(std::uint64_t time_ns) {
  if (exchanges_.empty()) return;
  Exchange& e = exchanges_.back();
  e.request_done = true;
  e.request_last_ns = time_ns;
  if (need_ == Need::beginning) need(Need::unknown);
  e.record.request_transfer = between(e.request_first_ns, time_ns);
  if (e.response_done) {
    // Answered before it was complete.
    tell(e, "");
  } else if (responses_ended_) {
    tell(e, reset_ ? "reset" : "closed");
  } else if (responses().lost) {
    tell(e, "gap");
  }
  while (!exchanges_.empty() && exchanges_.front().told &&
         (responses().lost || exchanges_.front().response_done)) {
    pop_front();
  }
}

void HttpConversation::end_response(std::uint64_t time_ns) {
  if (std::exchange(interim_, false)) return;
  Exchange* e = unanswered();
  if (!e) return;
  e->response_done = true;
  e->response_last_ns = time_ns;
  if (need_ == Need::beginning) need(Need::unknown);
  if (e->request_done) {
    tell(*e, "");
    if (exchanges_.size() == 1 && !pipelined_) ++clean_exchanges_;
  }
  while (!exchanges_.empty() && exchanges_.front().told && exchanges_.front().response_done) {
    pop_front();
  }
  if (requests_malformed_ && exchanges_.empty()) finished_ = true;
}

// The oldest exchange whose response is not complete.
HttpConversation::Exchange* HttpConversation::unanswered() {
  for (Exchange& e : exchanges_) {
    if (!e.response_done) return &e;
  }
  return nullptr;
}

void HttpConversation::lose_response() {
  responses().lost = true;
  interim_ = false;
  for (Exchange& e : exchanges_) {
    if (e.response_begun && !e.response_done) e.record.response_body_truncated = true;
    if (e.request_done) tell(e, "gap");
  }
  while (!exchanges_.empty() && exchanges_.front().told) pop_front();
  if (requests_malformed_ && exchanges_.empty()) finished_ = true;
}

void HttpConversation::fail() {
  ++counts_.parse_errors;
  tell_all("malformed");
  finished_ = true;
}

// Where the request begins is certain, so what answers it is, too; where it ends is not.
void HttpConversation::fail_request(std::uint64_t time_ns) {
  ++counts_.parse_errors;
  requests_malformed_ = true;
  requests().lost = true;
  if (!exchanges_.empty() && !exchanges_.back().request_done) {
    exchanges_.back().record.error = "malformed";
    end_request(time_ns);
  }
  if (exchanges_.empty()) finished_ = true;
}

// ---- telling ----

void HttpConversation::tell(Exchange& e, const char* error) {
  if (std::exchange(e.told, true)) return;
  HttpRequest& r = e.record;
  if (r.error.empty()) r.error = error;
  if (e.response_begun) {
    if (e.response_last_ns == 0) e.response_last_ns = last_activity_ns_;
    if (e.request_done) r.first_byte = between(e.request_last_ns, e.response_first_ns);
    r.latency = between(e.request_first_ns, e.response_last_ns);
  } else {
    r.latency = between(e.request_first_ns, std::max(last_activity_ns_, e.request_last_ns));
  }
  exchange_memory_ -= std::exchange(e.memory, 0);
  listener_.on_exchange(std::move(r));
}

void HttpConversation::tell_all(const char* error) {
  for (Exchange& e : exchanges_) tell(e, error);
}

void HttpConversation::pop_front() {
  exchange_memory_ -= exchanges_.front().memory;
  exchanges_.pop_front();
}

void HttpConversation::close(const char* error) {
  if (!finished_ && role_known_) {
    for (Side& side : sides_) {
      if (!side.lost) side.stream.flush(side);
    }
    if (!finished_ && !responses().lost) {
      Exchange* e = unanswered();
      const bool begun = e && e->response_begun;
      // A body that ends with the connection is whole only if the connection ended well.
      if (responses().parser.finish() == HttpParser::Step::end && !reset_) {
        end_response(last_activity_ns_);
      } else if (begun) {
        e->record.response_body_truncated = true;
        tell(*e, reset_ ? "reset" : "truncated");
      }
    }
    tell_all(reset_ ? "reset" : error);
  }
  exchanges_.clear();
  exchange_memory_ = 0;
  finished_ = true;
}

void HttpConversation::on_idle(std::uint64_t now_ns) {
  if (finished_ || now_ns <= last_activity_ns_) return;
  // A retransmission of what is missing takes at most some 200 ms in a connection that is alive.
  if (now_ns - last_activity_ns_ > 1'000'000'000) {
    for (Side& side : sides_) {
      if (!side.lost) side.stream.flush(side);
      if (finished_) return;
    }
  }
  if (now_ns - last_activity_ns_ > options_.request_timeout_ns) {
    tell_all("timeout");
    if (responses().lost) {
      exchanges_.clear();
      exchange_memory_ = 0;
    }
  }
}

void HttpConversation::keep_headers(const HttpHead& head, Fields& into, Exchange& e) {
  if (e.told) return;
  into.items.reserve(head.fields.size());
  for (const auto& [name, value] : head.fields) {
    std::string lower = in_lower_case(name);
    const bool hide =
        std::ranges::find(options_.redact_headers, lower) != options_.redact_headers.end();
    const std::size_t bytes = sizeof(Fields::items[0]) + name.size() + value.size();
    e.memory += bytes;
    exchange_memory_ += bytes;
    into.items.emplace_back(std::move(lower), std::string(hide ? redacted : value));
  }
}

void HttpConversation::keep_body(std::string_view bytes, std::string& body, std::uint64_t& size,
                                 bool& truncated, Exchange& e) {
  size += bytes.size();
  if (e.told) return;
  // What follows a hole is not kept: the text would read as if nothing were missing.
  const std::size_t room =
      truncated || body.size() >= options_.body_limit ? 0 : options_.body_limit - body.size();
  const std::string_view kept = bytes.substr(0, room);
  if (kept.size() < bytes.size()) truncated = true;
  if (kept.empty()) return;
  body.append(kept);
  e.memory += kept.size();
  exchange_memory_ += kept.size();
}

}  // namespace trivet::tracing
