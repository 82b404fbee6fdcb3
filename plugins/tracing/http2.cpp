// SPDX-License-Identifier: Apache-2.0
#include "tracing/http2.h"

#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tracing/exchange.h"
#include "tracing/grpc.h"
#include "tracing/hpack.h"
#include "tracing/http2_frames.h"
#include "tracing/http_exchange.h"

namespace trivet::tracing {
namespace {

// Servers allow some hundred streams at once, and 100 is advised (RFC 9113, 6.5.2); past this the
// oldest is given up.
constexpr std::size_t max_streams = 16384;
// A direction that fails to be HTTP/2 so often is none.
constexpr unsigned max_failures = 16;
constexpr std::uint64_t sweep_ns = 1'000'000'000;
// Of a header block, held for the next one.
constexpr std::size_t common_block_bytes = 16 << 10;

// RFC 9113, 7, in order.
constexpr std::array<std::string_view, 14> error_codes = {"NO_ERROR",
                                                          "PROTOCOL_ERROR",
                                                          "INTERNAL_ERROR",
                                                          "FLOW_CONTROL_ERROR",
                                                          "SETTINGS_TIMEOUT",
                                                          "STREAM_CLOSED",
                                                          "FRAME_SIZE_ERROR",
                                                          "REFUSED_STREAM",
                                                          "CANCEL",
                                                          "COMPRESSION_ERROR",
                                                          "CONNECT_ERROR",
                                                          "ENHANCE_YOUR_CALM",
                                                          "INADEQUATE_SECURITY",
                                                          "HTTP_1_1_REQUIRED"};

std::uint32_t big(std::string_view bytes) {
  std::uint32_t value = 0;
  for (char c : bytes.substr(0, 4)) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

std::string error_name(std::uint32_t code) {
  return code < error_codes.size() ? std::string(error_codes[code]) : std::to_string(code);
}

// A block's fields: those of HTTP/2 itself, and the others as HTTP/1 has them.
struct Http2Head {
  HttpHead head;
  std::string_view authority;
  bool has_status = false;

  explicit Http2Head(const std::vector<HttpField>& fields) {
    head.version = "2";
    for (const auto& [name, value] : fields) {
      if (!name.starts_with(':')) {
        head.fields.emplace_back(name, value);
        continue;
      }
      if (name == ":status") {
        // Three digits, as every version of HTTP has them (RFC 9110, 15).
        const char* const end = value.data() + value.size();
        has_status = value.size() == 3 && value[0] > '0' &&
                     std::from_chars(value.data(), end, head.status).ptr == end;
        continue;
      }
      if (name == ":method") head.method = value;
      if (name == ":path") head.target = value;
      if (name == ":authority") authority = value;
    }
    // As a request of HTTP/1.1 that asks for a tunnel.
    if (head.method == "CONNECT" && head.target.empty()) head.target = authority;
  }
};

struct Http2Extra {
  BodyForm bodies[2];              // by the party that sends it
  std::unique_ptr<GrpcCall> grpc;  // if it is one
  bool hole = false;               // some of the answer may have been missed
};

using Streams = ExchangeDialogue<HttpRequest, Http2Extra>;

class Http2Dialogue final : public HttpExchanges<Streams> {
 public:
  Http2Dialogue(const HttpOptions& options, Conversation& link) : HttpExchanges(options, link) {
    link_.need(Need::every_byte);
  }

  void adopt(UpgradedRequest request);

  void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) override;
  bool skip(Party from, std::uint64_t bytes, const Stamp& stamp) override;
  void on_lost(Party from, std::uint64_t time_ns) override;
  void restart(Party from) override;
  void abandon() override { tell_all("gap"); }
  void on_end(std::uint64_t time_ns) override;
  void close(const char* error) override;
  void expire() override;
  bool outstanding() const override { return !streams_.empty(); }
  std::size_t memory() const override;

 private:
  // One party's frames, and the header block under way.
  struct Half {
    Http2Reader frames;
    HpackDecoder fields;
    std::uint64_t frame_first_ns = 0;
    std::string block;
    bool block_open = false;
    bool block_whole = true;
    bool block_ends_stream = false;
    bool block_promises = false;  // a request that the server makes for the client
    std::uint32_t block_stream = 0;
    std::uint64_t block_first_ns = 0;
    unsigned failures = 0;
  };

  Half& half(Party party) { return halves_[static_cast<unsigned>(party)]; }
  void fail(Party from, const Stamp& stamp);
  // False if it makes no sense here.
  bool take_frame(Party from, const Stamp& stamp);
  bool take_block_frame(Party from, const Stamp& stamp);
  void end_block(Party from, const Stamp& stamp);
  void take_request_block(Half& own, bool good);
  void take_response_block(Half& own, bool good);
  void take_content(Party from, std::string_view bytes, const Stamp& stamp);
  void take_reset(std::uint32_t stream, std::uint32_t code);
  void take_goaway(std::uint32_t last_stream, std::uint32_t code);
  Exchange& open_stream(std::uint32_t stream, std::uint64_t first_ns);
  Exchange* find(std::uint32_t stream);
  void end_side(Party from, std::uint32_t stream, std::uint64_t time_ns);
  void complete(Exchange& e) override;
  // Tells it and lets it go; returns what comes behind it.
  std::map<std::uint32_t, Exchange>::iterator give_up(
      std::map<std::uint32_t, Exchange>::iterator at, const char* error);
  void tell_all(const char* error);
  void sweep(std::uint64_t now_ns);

  Half halves_[2];                             // by party
  std::map<std::uint32_t, Exchange> streams_;  // by their numbers, which grow
  std::uint32_t highest_[2] = {0, 0};          // number so far: the server's (even), the client's
  std::uint64_t swept_ns_ = 0;
};

std::size_t Http2Dialogue::memory() const {
  std::size_t bytes = Streams::memory();
  for (const Half& each : halves_) {
    bytes += each.frames.memory() + each.fields.memory() + each.block.capacity();
  }
  return bytes;
}

void Http2Dialogue::adopt(UpgradedRequest request) {
  for (Half& each : halves_) each.fields.begin();
  Exchange& e = open_stream(1, request.first_ns);
  e.record = std::move(request.record);
  e.record.version = "2";
  e.record.stream = 1;
  e.extra.bodies[0] = std::move(request.body);
  e.request_done = true;
  e.request_last_ns = request.last_ns;
}

void Http2Dialogue::restart(Party from) {
  half(from).frames.reset();
}

void Http2Dialogue::on_bytes(Party from, std::string_view bytes, const Stamp& stamp) {
  Half& own = half(from);
  while (link_.in_step(from)) {
    if (own.frames.idle()) own.frame_first_ns = stamp.time_ns;
    switch (own.frames.next(bytes)) {
      case Http2Reader::Step::need_more:
        sweep(stamp.time_ns);
        return;
      case Http2Reader::Step::preface:
        for (Half& each : halves_) each.fields.begin();
        break;
      case Http2Reader::Step::data:
        take_content(from, own.frames.payload(), stamp);
        break;
      case Http2Reader::Step::frame:
        if (take_frame(from, stamp)) break;
        [[fallthrough]];
      case Http2Reader::Step::failed:
        fail(from, stamp);
        return;
    }
  }
}

void Http2Dialogue::fail(Party from, const Stamp& stamp) {
  ++link_.shared().parse_errors;
  if (++half(from).failures < max_failures) {
    link_.lose(from, stamp.time_ns);
    return;
  }
  tell_all("malformed");
  link_.finish();
}

bool Http2Dialogue::take_frame(Party from, const Stamp& stamp) {
  Half& own = half(from);
  const Http2Frame& frame = own.frames.frame();
  const std::string_view payload = own.frames.payload();
  // Nothing comes between the frames of a block (RFC 9113, 6.10).
  const bool continues = frame.type == Http2Frame::continuation;
  if (own.block_open != continues || (continues && frame.stream != own.block_stream)) return false;
  switch (frame.type) {
    case Http2Frame::data:
      if (frame.has(Http2Frame::end_stream)) end_side(from, frame.stream, stamp.time_ns);
      return true;
    case Http2Frame::headers:
    case Http2Frame::push_promise:
    case Http2Frame::continuation:
      return take_block_frame(from, stamp);
    case Http2Frame::rst_stream:
      take_reset(frame.stream, big(payload));
      return true;
    case Http2Frame::goaway:
      if (from == Party::server && own.frames.whole()) {
        take_goaway(big(payload) & 0x7fffffff, big(payload.substr(4)));
      }
      return true;
    default:
      return true;
  }
}

bool Http2Dialogue::take_block_frame(Party from, const Stamp& stamp) {
  Half& own = half(from);
  const Http2Frame& frame = own.frames.frame();
  std::string_view payload = own.frames.payload();
  if (frame.type != Http2Frame::continuation) {
    own.block.clear();
    own.block_whole = true;
    own.block_stream = frame.stream;
    own.block_first_ns = own.frame_first_ns;
    own.block_promises = frame.type == Http2Frame::push_promise;
    own.block_ends_stream = !own.block_promises && frame.has(Http2Frame::end_stream);
    if (own.block_promises) {
      if (from == Party::client) return false;
      own.block_stream = big(payload) & 0x7fffffff;
      if (own.frames.whole()) payload.remove_prefix(4);
    }
  }
  own.block_whole &=
      own.frames.whole() && own.block.size() + payload.size() <= Http2Reader::max_payload_bytes;
  if (own.block_whole) own.block.append(payload);
  own.block_open = !frame.has(Http2Frame::end_headers);
  if (!own.block_open) end_block(from, stamp);
  return true;
}

void Http2Dialogue::end_block(Party from, const Stamp& stamp) {
  Half& own = half(from);
  bool good = own.block_whole;
  if (good) {
    good = own.fields.decode(own.block);
  } else {
    own.fields.decode({});
    own.fields.forget();
  }
  if (!good) ++link_.shared().parse_errors;
  if (own.block.capacity() > common_block_bytes) own.block = {};
  const std::uint32_t stream = own.block_stream;
  if (from == Party::client || own.block_promises) {
    take_request_block(own, good);
    if (own.block_promises) {
      end_side(Party::client, stream, stamp.time_ns);
      return;
    }
  } else {
    take_response_block(own, good);
  }
  if (own.block_ends_stream) end_side(from, stream, stamp.time_ns);
}

void Http2Dialogue::take_request_block(Half& own, bool good) {
  const Http2Head block(own.fields.fields());
  Exchange* e = find(own.block_stream);
  const bool trailers = e != nullptr;
  if (!e) {
    // Numbers grow: what is not higher belongs to a stream that was told, or not seen to begin.
    std::uint32_t& highest = highest_[own.block_stream & 1];
    if (own.block_stream <= highest) return;
    highest = own.block_stream;
    e = &open_stream(own.block_stream, own.block_first_ns);
  }
  HttpRequest& r = e->record;
  r.unknown_fields += own.fields.unknown();
  if (!good) r.error = "malformed";
  if (trailers) {
    keep_headers(block.head.fields, r.request_trailers, *e);
    return;
  }
  set_request_line(r, block.head, options_);
  if (!block.authority.empty()) r.host = block.authority;
  e->extra.bodies[0] = body_form(block.head);
  charge(*e, 2 * block.head.target.size() + r.host.size() + r.user_agent.size());
  keep_headers(block.head.fields, r.request_headers, *e);
  if (is_grpc(block.head.field("content-type"))) {
    e->extra.grpc = std::make_unique<GrpcCall>(r.path, block.head.fields);
    charge(*e, sizeof(GrpcCall));
  }
}

void Http2Dialogue::take_response_block(Half& own, bool good) {
  Exchange* e = find(own.block_stream);
  if (!e) return;
  const Http2Head block(own.fields.fields());
  HttpRequest& r = e->record;
  if (!good) r.error = "malformed";
  if (block.head.status / 100 == 1) return;  // interim
  r.unknown_fields += own.fields.unknown();
  if (e->extra.grpc) e->extra.grpc->take_response_fields(block.head.fields);
  // What has no status is a head only if none has come, and none can have been missed. Of a head
  // with a status that is not known, one that is may come behind: it was an interim one.
  const bool head = block.has_status ? !r.status : !e->answer_begun && !e->extra.hole;
  if (!head) {
    if (!e->answer_begun) begin_answer(*e, own.block_first_ns);
    keep_headers(block.head.fields, r.response_trailers, *e);
    return;
  }
  if (block.has_status) {
    if (!e->answer_begun) e->extra.hole = false;
    r.status = block.head.status;
    r.response_headers.items.clear();
  }
  if (!e->answer_begun || r.response_body_bytes == 0) begin_answer(*e, own.block_first_ns);
  keep_headers(block.head.fields, r.response_headers, *e);
  e->extra.bodies[1] = body_form(block.head);
}

void Http2Dialogue::take_content(Party from, std::string_view bytes, const Stamp& stamp) {
  Exchange* e = find(half(from).frames.frame().stream);
  if (!e) return;
  if (from == Party::server && !e->answer_begun) begin_answer(*e, stamp.time_ns);
  if (e->extra.grpc) e->extra.grpc->messages[static_cast<unsigned>(from)].read(bytes);
  keep_body(bytes, from, *e);
}

bool Http2Dialogue::skip(Party from, std::uint64_t bytes, const Stamp& stamp) {
  std::uint64_t content = 0;
  if (!half(from).frames.skip(bytes, content)) return false;
  if (Exchange* e = find(half(from).frames.frame().stream); e && content > 0) {
    if (from == Party::server && !e->answer_begun) begin_answer(*e, stamp.time_ns);
    if (e->extra.grpc) e->extra.grpc->messages[static_cast<unsigned>(from)].skip(content);
    skip_body(content, from, *e);
  }
  on_bytes(from, {}, stamp);
  return true;
}

void Http2Dialogue::take_reset(std::uint32_t stream, std::uint32_t code) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  Exchange& e = found->second;
  // A server that has answered may say so that it wants no more of the request (RFC 9113, 8.1).
  if (e.answer_done) {
    give_up(found, "");
    return;
  }
  e.record.error_code = error_name(code);
  give_up(found, "reset");
}

// What it names no more will not be answered (RFC 9113, 6.8).
void Http2Dialogue::take_goaway(std::uint32_t last_stream, std::uint32_t code) {
  for (auto next = streams_.upper_bound(last_stream); next != streams_.end();) {
    if ((next->first & 1) == 0) {
      ++next;
      continue;
    }
    next->second.record.error_code = error_name(code);
    next = give_up(next, "closed");
  }
}

Http2Dialogue::Exchange& Http2Dialogue::open_stream(std::uint32_t stream, std::uint64_t first_ns) {
  if (streams_.size() == max_streams) give_up(streams_.begin(), "capacity");
  Exchange& e = streams_[stream];
  begin(e, first_ns);
  e.record.version = "2";
  e.record.stream = stream;
  e.extra.hole = !link_.in_step(Party::server);
  return e;
}

Http2Dialogue::Exchange* Http2Dialogue::find(std::uint32_t stream) {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : &found->second;
}

void Http2Dialogue::end_side(Party from, std::uint32_t stream, std::uint64_t time_ns) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  Exchange& e = found->second;
  if (from == Party::client) {
    e.request_done = true;
    e.request_last_ns = time_ns;
    e.record.request_transfer = between(e.request_first_ns, time_ns);
  } else {
    if (!e.answer_begun) begin_answer(e, time_ns);
    e.answer_done = true;
    e.answer_last_ns = time_ns;
  }
  if (e.answer_done && e.request_done) {
    give_up(found, e.extra.hole ? "gap" : "");
  } else if (link_.answers_ended()) {
    give_up(found, link_.ending("closed"));
  }
}

void Http2Dialogue::on_lost(Party from, std::uint64_t time_ns) {
  Half& own = half(from);
  own.frames.reset();
  own.fields.forget();
  own.block_open = false;
  own.block = {};
  for (auto next = streams_.begin(); next != streams_.end();) {
    Exchange& e = next->second;
    if (from == Party::server) {
      if (!e.answer_done) {
        e.extra.hole = true;
        if (e.answer_begun) mark_truncated(e, from);
        if (e.extra.grpc) e.extra.grpc->messages[1].lose();
      }
    } else if (!e.request_done) {
      // Its end may be among what is missing; its answer says which stream it is for.
      if (e.record.error.empty()) e.record.error = "gap";
      mark_truncated(e, from);
      if (e.extra.grpc) e.extra.grpc->messages[0].lose();
      e.request_done = true;
      e.request_last_ns = time_ns;
      e.record.request_transfer = between(e.request_first_ns, time_ns);
      if (e.answer_done) {
        next = give_up(next, "gap");
        continue;
      }
    }
    ++next;
  }
}

// Of those that may have been answered unseen nothing may come any more.
void Http2Dialogue::sweep(std::uint64_t now_ns) {
  if (now_ns < swept_ns_ + sweep_ns) return;
  swept_ns_ = now_ns;
  const std::uint64_t patience_ns = link_.options().request_timeout_ns;
  for (auto next = streams_.begin(); next != streams_.end();) {
    const Exchange& e = next->second;
    const bool over =
        (e.extra.hole || !e.record.error.empty()) && e.request_first_ns + patience_ns < now_ns;
    next = over ? give_up(next, "gap") : std::next(next);
  }
}

void Http2Dialogue::on_end(std::uint64_t time_ns) {
  for (auto next = streams_.begin(); next != streams_.end();) {
    Exchange& e = next->second;
    if (e.answer_begun && !e.answer_done) {
      e.answer_last_ns = time_ns;
      mark_truncated(e, Party::server);
    }
    next = give_up(next, e.answer_done    ? ""
                         : e.extra.hole   ? "gap"
                         : e.answer_begun ? "truncated"
                                          : link_.ending("closed"));
  }
}

void Http2Dialogue::close(const char* error) {
  for (auto next = streams_.begin(); next != streams_.end();) {
    Exchange& e = next->second;
    if (e.answer_begun && !e.answer_done) mark_truncated(e, Party::server);
    next = give_up(next, e.answer_done    ? ""
                         : e.extra.hole   ? "gap"
                         : e.answer_begun ? link_.ending("truncated")
                                          : link_.ending(error));
  }
}

// A stream whose answer has begun may be silent for as long as it is open.
void Http2Dialogue::expire() {
  for (auto next = streams_.begin(); next != streams_.end();) {
    const Exchange& e = next->second;
    if (e.answer_begun && !e.extra.hole && !e.answer_done) {
      ++next;
    } else {
      next = give_up(next, e.answer_done ? "" : e.extra.hole ? "gap" : "timeout");
    }
  }
}

void Http2Dialogue::complete(Exchange& e) {
  if (e.extra.grpc) {
    GrpcCall& call = *e.extra.grpc;
    call.finish();
    GrpcRequest& r = call.record;
    r.time = e.record.time;
    r.role = e.record.role;
    r.http_status = e.record.status;
    r.stream = e.record.stream;
    r.error_code = e.record.error_code;
    r.error = e.record.error;
    r.request_transfer = e.record.request_transfer;
    r.first_byte = e.record.first_byte;
    r.latency = e.record.latency;
    link_.publish(std::move(r));
  }
  HttpExchanges::complete(e);
}

std::map<std::uint32_t, Http2Dialogue::Exchange>::iterator Http2Dialogue::give_up(
    std::map<std::uint32_t, Exchange>::iterator at, const char* error) {
  tell(at->second, error);
  return streams_.erase(at);
}

void Http2Dialogue::tell_all(const char* error) {
  for (auto next = streams_.begin(); next != streams_.end();) next = give_up(next, error);
}

}  // namespace

std::unique_ptr<Dialogue> open_http2(const Options& options, Conversation& link) {
  return std::make_unique<Http2Dialogue>(options.http, link);
}

std::unique_ptr<Dialogue> open_upgraded_http2(const Options& options, Conversation& link,
                                              UpgradedRequest request) {
  auto dialogue = std::make_unique<Http2Dialogue>(options.http, link);
  dialogue->adopt(std::move(request));
  return dialogue;
}

}  // namespace trivet::tracing
