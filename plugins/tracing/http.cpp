// SPDX-License-Identifier: Apache-2.0
#include "tracing/http.h"

#include <algorithm>
#include <string>
#include <utility>

#include "tracing/fifo.h"
#include "tracing/http_parser.h"

namespace trivet::tracing {
namespace {

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

struct HttpExtra {
  bool is_head = false;
  bool is_connect = false;
};

class HttpDialogue final : public FifoDialogue<HttpRequest, HttpExtra> {
 public:
  HttpDialogue(const HttpOptions& options, Conversation& link)
      : FifoDialogue(link),
        options_(options),
        parsers_{HttpParser(HttpParser::Kind::request), HttpParser(HttpParser::Kind::response)} {}

  void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) override;
  bool skip(Party from, std::uint64_t bytes, const Stamp& stamp) override;
  void on_lost(Party from, std::uint64_t time_ns) override;
  void restart(Party from) override;
  void on_end(std::uint64_t time_ns) override;
  void close(const char* error) override;
  std::size_t memory() const override {
    return FifoDialogue::memory() + parsers_[0].held_bytes() + parsers_[1].held_bytes();
  }

 private:
  HttpParser& parser(Party party) { return parsers_[static_cast<unsigned>(party)]; }
  void take_request_head();
  void take_response_head(const Stamp& stamp);
  void announce_body(Party sender, bool until_close);
  void end_request(std::uint64_t time_ns);
  void end_response(std::uint64_t time_ns);
  void finish_if_over();
  void mark_truncated(Exchange& e, Party party) override {
    (party == Party::client ? e.record.request_body_truncated : e.record.response_body_truncated) =
        true;
  }
  void keep_headers(const HttpHead& head, Fields& into, Exchange& e);
  void keep_body(std::string_view bytes, Party sender, Exchange& e);

  const HttpOptions& options_;
  HttpParser parsers_[2];  // by party
  std::uint64_t message_first_ns_[2] = {0, 0};
  bool bulky_ = false;               // the kernel has been told of a bulky body
  bool interim_ = false;             // the response under way is a 1xx
  bool requests_malformed_ = false;  // no further request is believed; answers still come
};

void HttpDialogue::restart(Party from) {
  parser(from).reset();
  if (from == Party::server) interim_ = false;
}

void HttpDialogue::on_bytes(Party from, std::string_view bytes, const Stamp& stamp) {
  HttpParser& read = parser(from);
  while (link_.in_step(from)) {
    const bool was_idle = read.idle();
    const HttpParser::Step step = read.next(bytes);
    if (was_idle && !read.idle()) {
      message_first_ns_[static_cast<unsigned>(from)] = stamp.time_ns;
      if (from == Party::client) link_.request_begins(stamp);
    }
    switch (step) {
      case HttpParser::Step::need_more:
        return;
      case HttpParser::Step::head:
        if (from == Party::client) {
          take_request_head();
        } else {
          take_response_head(stamp);
        }
        break;
      case HttpParser::Step::body:
        if (Exchange* e = from == Party::client ? unfinished() : unanswered()) {
          keep_body(read.body(), from, *e);
        }
        break;
      case HttpParser::Step::end:
        if (from == Party::client) {
          end_request(stamp.time_ns);
        } else {
          end_response(stamp.time_ns);
        }
        break;
      case HttpParser::Step::failed:
        if (from == Party::client) {
          // Where the request begins is certain, so what answers it is, too; where it ends is not.
          requests_malformed_ = true;
          if (Exchange* e = unfinished()) e->record.error = "malformed";
          link_.distrust_requests(stamp.time_ns);
          finish_if_over();
        } else {
          ++link_.shared().parse_errors;
          tell_all("malformed");
          link_.finish();
        }
        return;
    }
  }
}

bool HttpDialogue::skip(Party from, std::uint64_t bytes, const Stamp& stamp) {
  if (!parser(from).skip(bytes)) return false;
  // Within a body: its size stays exact.
  if (Exchange* e = from == Party::client ? unfinished() : unanswered()) {
    (from == Party::client ? e->record.request_body_bytes : e->record.response_body_bytes) += bytes;
    mark_truncated(*e, from);
  }
  on_bytes(from, {}, stamp);
  return true;
}

void HttpDialogue::on_lost(Party from, std::uint64_t time_ns) {
  if (from == Party::server) interim_ = false;
  FifoDialogue::on_lost(from, time_ns);
  if (from == Party::server) finish_if_over();
}

void HttpDialogue::on_end(std::uint64_t time_ns) {
  if (parser(Party::server).finish() == HttpParser::Step::end) end_response(time_ns);
  FifoDialogue::on_end(time_ns);
}

void HttpDialogue::close(const char* error) {
  // A body that ends with the connection is whole only if the connection ended well.
  if (link_.in_step(Party::server) && !link_.was_reset() &&
      parser(Party::server).finish() == HttpParser::Step::end) {
    end_response(link_.last_activity_ns());
  }
  FifoDialogue::close(error);
}

void HttpDialogue::finish_if_over() {
  if (requests_malformed_ && !outstanding()) link_.finish();
}

void HttpDialogue::take_request_head() {
  Exchange* e = begin_request(message_first_ns_[0]);
  if (!e) return;
  const HttpHead& head = parser(Party::client).head();
  HttpRequest& r = e->record;
  r.method = head.method;
  e->extra = {head.method == "HEAD", head.method == "CONNECT"};
  r.version = head.version;
  split_target(head.target, r.path, r.query);
  charge(*e, head.target.size());
  for (const auto& [name, value] : head.fields) {
    if (r.host.empty() && same_name(name, "host")) r.host = value;
    if (r.user_agent.empty() && same_name(name, "user-agent")) r.user_agent = value;
  }
  keep_headers(head, r.request_headers, *e);
  announce_body(Party::client, false);
}

void HttpDialogue::announce_body(Party sender, bool until_close) {
  const HttpHead& head = parser(sender).head();
  const Party other = sender == Party::client ? Party::server : Party::client;
  if (head.chunked) {
    link_.need(Need::every_byte);
    bulky_ = false;
  } else if ((until_close || head.content_length.value_or(0) > bulky_body_bytes) &&
             parser(other).idle()) {
    link_.need(Need::beginning);
    bulky_ = true;
  }
}

void HttpDialogue::take_response_head(const Stamp& stamp) {
  const HttpHead& head = parser(Party::server).head();
  Exchange* e = unanswered();
  if (!e) {
    // Unasked for: the request was not seen, so it is not known whether a body follows.
    link_.lose(Party::server, stamp.time_ns);
    return;
  }
  interim_ = head.status < 200 && head.status != 101;
  if (interim_) {
    parser(Party::server).expect_no_body();
    return;
  }
  begin_answer(*e, message_first_ns_[1]);
  HttpRequest& r = e->record;
  r.status = head.status;
  r.status_message = head.reason;
  keep_headers(head, r.response_headers, *e);
  const bool tunnel = head.status == 101 || (e->extra.is_connect && head.status / 100 == 2);
  if (tunnel || e->extra.is_head || head.status == 204 || head.status == 304) {
    parser(Party::server).expect_no_body();
  } else {
    announce_body(Party::server, !head.content_length);
  }
  if (tunnel) {
    // The bytes that follow are another protocol's.
    e->request_done = true;
    end_response(link_.last_activity_ns());
    tell_all("closed");
    link_.finish();
  }
}

void HttpDialogue::end_request(std::uint64_t time_ns) {
  if (std::exchange(bulky_, false)) link_.need(Need::unknown);
  FifoDialogue::end_request(time_ns);
}

void HttpDialogue::end_response(std::uint64_t time_ns) {
  if (std::exchange(interim_, false)) return;
  if (!unanswered()) return;
  if (std::exchange(bulky_, false)) link_.need(Need::unknown);
  end_answer(time_ns);
  finish_if_over();
}

void HttpDialogue::keep_headers(const HttpHead& head, Fields& into, Exchange& e) {
  if (e.told || e.keep == Keep::sizes) return;
  into.items.reserve(head.fields.size());
  for (const auto& [name, value] : head.fields) {
    std::string lower = in_lower_case(name);
    const bool hide =
        std::ranges::find(options_.redact_headers, lower) != options_.redact_headers.end();
    charge(e, sizeof(Fields::items[0]) + name.size() + value.size());
    into.items.emplace_back(std::move(lower), std::string(hide ? redacted : value));
  }
}

void HttpDialogue::keep_body(std::string_view bytes, Party sender, Exchange& e) {
  HttpRequest& r = e.record;
  const bool request = sender == Party::client;
  (request ? r.request_body_bytes : r.response_body_bytes) += bytes.size();
  bool& truncated = request ? r.request_body_truncated : r.response_body_truncated;
  // What follows a hole is not kept: the text would read as if nothing were missing.
  const std::size_t limit = truncated || e.keep != Keep::whole ? 0 : options_.body_limit;
  if (!keep_text(e, request ? r.request_body : r.response_body, bytes, limit)) truncated = true;
}

}  // namespace

Inference infer_http(const Opening& opening) {
  const auto confidence = [](Guess guess) {
    return guess == Guess::yes ? Inference::certain : guess == Guess::maybe ? 10u : 0u;
  };
  if (const unsigned request = confidence(guess_request(opening.bytes))) {
    return {request, Party::client, true};
  }
  return {confidence(guess_response(opening.bytes)), Party::server, false};
}

std::unique_ptr<Dialogue> open_http(const Options& options, Conversation& link) {
  return std::make_unique<HttpDialogue>(options.http, link);
}

}  // namespace trivet::tracing
