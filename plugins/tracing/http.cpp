// SPDX-License-Identifier: Apache-2.0
#include "tracing/http.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tracing/event_stream.h"
#include "tracing/fifo.h"
#include "tracing/http2.h"
#include "tracing/http_exchange.h"
#include "tracing/http_parser.h"
#include "tracing/websocket.h"

namespace trivet::tracing {
namespace {

// From here on it pays to tell the kernel that a body's bytes need not come up.
constexpr std::uint64_t bulky_body_bytes = 1 << 20;

struct HttpExtra {
  bool is_head = false;
  bool is_connect = false;
  bool asks_websocket = false;
  bool asks_http2 = false;
  BodyForm bodies[2];  // by the party that sends it
};

// What follows an Upgrade to WebSocket.
struct WebSocket {
  std::string path;
  WebSocketReader readers[2];  // by party
  bool lost[2] = {false, false};
};

using HttpFifo = FifoDialogue<HttpRequest, HttpExtra>;

class HttpDialogue final : public HttpExchanges<HttpFifo> {
 public:
  HttpDialogue(const HttpOptions& options, Conversation& link)
      : HttpExchanges(options, link),
        parsers_{HttpParser(HttpParser::Kind::request), HttpParser(HttpParser::Kind::response)} {}

  void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) override;
  bool skip(Party from, std::uint64_t bytes, const Stamp& stamp) override;
  void on_lost(Party from, std::uint64_t time_ns) override;
  void restart(Party from) override;
  void on_end(std::uint64_t time_ns) override;
  void close(const char* error) override;
  void expire() override;
  std::size_t memory() const override;

 private:
  HttpParser& parser(Party party) { return parsers_[static_cast<unsigned>(party)]; }
  void take_request_head();
  void take_response_head(const Stamp& stamp);
  void announce_body(Party sender, bool until_close);
  void end_request(std::uint64_t time_ns);
  void end_response(std::uint64_t time_ns);
  void finish_if_over();
  void take_events(Exchange& e, std::string_view bytes, const Stamp& stamp);
  bool becomes_http2();
  void upgrade_to_http2(std::string_view rest);
  void open_websocket(const Exchange& e, const HttpHead& head);
  void take_websocket(Party from, std::string_view bytes, const Stamp& stamp);
  HttpMessage message(const char* protocol, Party sender, std::string path, std::uint64_t first_ns,
                      std::uint64_t last_ns) const;

  HttpParser parsers_[2];  // by party
  std::uint64_t message_first_ns_[2] = {0, 0};
  bool bulky_ = false;                       // the kernel has been told of a bulky body
  bool interim_ = false;                     // the response under way is a 1xx
  bool requests_malformed_ = false;          // no further request is believed; answers still come
  bool over_ = false;                        // what follows is another protocol's
  std::optional<EventStreamReader> events_;  // of the response under way
  std::string events_path_;
  std::unique_ptr<WebSocket> websocket_;
};

std::size_t HttpDialogue::memory() const {
  std::size_t bytes = HttpFifo::memory() + parsers_[0].held_bytes() + parsers_[1].held_bytes();
  if (events_) bytes += events_->memory() + events_path_.capacity();
  if (websocket_) {
    bytes += sizeof(WebSocket) + websocket_->path.capacity();
    for (const WebSocketReader& reader : websocket_->readers) bytes += reader.memory();
  }
  return bytes;
}

void HttpDialogue::restart(Party from) {
  // No WebSocket has a place where one could begin again.
  if (websocket_) link_.finish();
  parser(from).reset();
  if (from == Party::server) {
    interim_ = false;
    events_.reset();
  }
}

void HttpDialogue::on_bytes(Party from, std::string_view bytes, const Stamp& stamp) {
  HttpParser& read = parser(from);
  while (link_.in_step(from) && !over_) {
    if (websocket_) {
      take_websocket(from, bytes, stamp);
      return;
    }
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
        } else if (becomes_http2()) {
          upgrade_to_http2(bytes);
        } else {
          take_response_head(stamp);
        }
        break;
      case HttpParser::Step::body:
        if (Exchange* e = from == Party::client ? unfinished() : unanswered()) {
          if (from == Party::server && events_) take_events(*e, read.body(), stamp);
          keep_body(read.body(), from, *e);
        }
        break;
      case HttpParser::Step::end:
        if (Exchange* e = from == Party::client ? unfinished() : unanswered(); e && !interim_) {
          HttpRequest& r = e->record;
          keep_headers(read.trailers(),
                       from == Party::client ? r.request_trailers : r.response_trailers, *e);
        }
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
  if (websocket_) return websocket_->readers[static_cast<unsigned>(from)].skip(bytes);
  if (!parser(from).skip(bytes)) return false;
  if (Exchange* e = from == Party::client ? unfinished() : unanswered()) {
    skip_body(bytes, from, *e);
    if (from == Party::server) {
      events_.reset();
      e->record.response_events.reset();
    }
  }
  on_bytes(from, {}, stamp);
  return true;
}

void HttpDialogue::on_lost(Party from, std::uint64_t time_ns) {
  if (websocket_) {
    // What the other end says can still be read.
    websocket_->lost[static_cast<unsigned>(from)] = true;
    if (websocket_->lost[0] && websocket_->lost[1]) link_.finish();
    return;
  }
  if (from == Party::server) {
    interim_ = false;
    events_.reset();
    if (Exchange* e = unanswered()) e->record.response_events.reset();
  }
  HttpFifo::on_lost(from, time_ns);
  if (from == Party::server) finish_if_over();
}

void HttpDialogue::on_end(std::uint64_t time_ns) {
  if (parser(Party::server).finish() == HttpParser::Step::end) end_response(time_ns);
  HttpFifo::on_end(time_ns);
}

void HttpDialogue::close(const char* error) {
  // A body that ends with the connection is whole only if the connection ended well.
  if (link_.in_step(Party::server) && !link_.was_reset() &&
      parser(Party::server).finish() == HttpParser::Step::end) {
    end_response(link_.last_activity_ns());
  }
  HttpFifo::close(error);
}

void HttpDialogue::expire() {
  // Nothing need happen in a stream of events for as long as it is open.
  if (!events_) HttpFifo::expire();
}

void HttpDialogue::finish_if_over() {
  if (requests_malformed_ && !outstanding()) link_.finish();
}

void HttpDialogue::take_request_head() {
  Exchange* e = begin_request(message_first_ns_[0]);
  if (!e) return;
  const HttpHead& head = parser(Party::client).head();
  set_request_line(e->record, head, options_);
  e->extra = {.is_head = head.method == "HEAD",
              .is_connect = head.method == "CONNECT",
              .asks_websocket = lists_token(head.field("upgrade"), "websocket"),
              .asks_http2 = lists_token(head.field("upgrade"), "h2c"),
              .bodies = {body_form(head), {}}};
  charge(*e, 2 * head.target.size() + e->record.host.size() + e->record.user_agent.size());
  keep_headers(head.fields, e->record.request_headers, *e);
  announce_body(Party::client, false);
}

void HttpDialogue::announce_body(Party sender, bool until_close) {
  const HttpHead& head = parser(sender).head();
  const Party other = sender == Party::client ? Party::server : Party::client;
  if (head.chunked || (sender == Party::server && events_)) {
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
  keep_headers(head.fields, r.response_headers, *e);
  e->extra.bodies[1] = body_form(head);
  const bool tunnel = head.status == 101 || (e->extra.is_connect && head.status / 100 == 2);
  if (tunnel || e->extra.is_head || head.status == 204 || head.status == 304) {
    parser(Party::server).expect_no_body();
  } else {
    if (e->extra.bodies[1].type == "text/event-stream" && e->extra.bodies[1].encoding.empty()) {
      events_.emplace(options_.message_limit);
      events_path_ = r.path;
      r.response_events = 0;
    }
    announce_body(Party::server, !head.content_length);
  }
  if (tunnel) {
    if (e->extra.asks_websocket && head.status == 101) open_websocket(*e, head);
    e->request_done = true;
    end_response(link_.last_activity_ns());
    tell_all("closed");
    if (websocket_) return;
    // Whose the bytes that follow are shows anew, as with TLS through a proxy.
    over_ = true;
    link_.reopen(Party::server);
  }
}

bool HttpDialogue::becomes_http2() {
  const Exchange* e = unanswered();
  return e && e->extra.asks_http2 && parser(Party::server).head().status == 101;
}

// RFC 7540, 3.2: the answer itself comes on stream 1.
void HttpDialogue::upgrade_to_http2(std::string_view rest) {
  Exchange& e = *unanswered();
  over_ = e.told = true;
  tell_all("closed");
  link_.hand_over(http2_protocol,
                  open_upgraded_http2(link_.options(), link_,
                                      {.record = std::move(e.record),
                                       .body = std::move(e.extra.bodies[0]),
                                       .first_ns = e.request_first_ns,
                                       .last_ns = e.request_last_ns}),
                  rest);
}

void HttpDialogue::open_websocket(const Exchange& e, const HttpHead& head) {
  const std::string_view extensions = head.field("sec-websocket-extensions");
  websocket_ = std::make_unique<WebSocket>(
      WebSocket{.path = e.record.path,
                .readers = {{options_.message_limit, websocket_terms(extensions, true)},
                            {options_.message_limit, websocket_terms(extensions, false)}}});
  link_.need(Need::every_byte);
}

void HttpDialogue::take_websocket(Party from, std::string_view bytes, const Stamp& stamp) {
  WebSocketReader& reader = websocket_->readers[static_cast<unsigned>(from)];
  for (;;) {
    switch (reader.next(bytes, stamp.time_ns)) {
      case WebSocketReader::Step::need_more:
        return;
      case WebSocketReader::Step::failed:
        ++link_.shared().parse_errors;
        link_.finish();
        return;
      case WebSocketReader::Step::message: {
        WebSocketMessage& m = reader.message();
        HttpMessage told = message("websocket", from, websocket_->path, m.first_ns, stamp.time_ns);
        told.type = m.type;
        told.close_code = m.close_code;
        told.bytes = m.bytes;
        told.frames = m.frames;
        told.compressed = m.compressed;
        told.payload = std::move(m.payload);
        told.payload_truncated = m.truncated;
        link_.publish(std::move(told));
      }
    }
  }
}

void HttpDialogue::take_events(Exchange& e, std::string_view bytes, const Stamp& stamp) {
  while (events_->next(bytes, stamp.time_ns)) {
    StreamEvent& event = events_->event();
    HttpMessage told = message("sse", Party::server, events_path_, event.first_ns, stamp.time_ns);
    told.type = std::move(event.type);
    told.id = std::move(event.id);
    told.bytes = event.bytes;
    told.frames = event.lines;
    told.payload = std::move(event.data);
    told.payload_truncated = event.truncated;
    link_.publish(std::move(told));
  }
  e.record.response_events = events_->count();
}

HttpMessage HttpDialogue::message(const char* protocol, Party sender, std::string path,
                                  std::uint64_t first_ns, std::uint64_t last_ns) const {
  HttpMessage m;
  m.time = Time{first_ns};
  m.role = link_.role();
  m.protocol = protocol;
  m.path = std::move(path);
  m.sender = sender == Party::client ? "client" : "server";
  m.transfer = {static_cast<std::int64_t>(last_ns - first_ns)};
  return m;
}

void HttpDialogue::end_request(std::uint64_t time_ns) {
  if (std::exchange(bulky_, false)) link_.need(Need::unknown);
  HttpFifo::end_request(time_ns);
}

void HttpDialogue::end_response(std::uint64_t time_ns) {
  if (std::exchange(interim_, false)) return;
  if (!unanswered()) return;
  if (std::exchange(bulky_, false)) link_.need(Need::unknown);
  events_.reset();
  end_answer(time_ns);
  finish_if_over();
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
