// SPDX-License-Identifier: Apache-2.0
#include "tracing/http2_streams.h"

#include <array>
#include <charconv>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace trivet::tracing {
namespace {

constexpr std::uint64_t sweep_ns = 1'000'000'000;

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

}  // namespace

void Http2Streams::adopt(UpgradedRequest request) {
  Exchange& e = open(1, request.first_ns);
  e.record = std::move(request.record);
  e.record.version = "2";
  e.record.stream = 1;
  e.extra.bodies[0] = std::move(request.body);
  e.request_done = true;
  e.request_last_ns = request.last_ns;
}

void Http2Streams::take_request_fields(std::uint32_t stream, const HpackDecoder& decoder, bool good,
                                       std::uint64_t first_ns) {
  const Http2Head block(decoder.fields());
  Exchange* e = find(stream);
  const bool trailers = e != nullptr;
  if (!e) {
    // Numbers grow: what is not higher belongs to a stream that was told, or not seen to begin.
    std::uint32_t& highest = highest_[stream & 1];
    if (stream <= highest) return;
    highest = stream;
    e = &open(stream, first_ns);
  }
  HttpRequest& r = e->record;
  r.unknown_fields += decoder.unknown();
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

void Http2Streams::take_response_fields(std::uint32_t stream, const HpackDecoder& decoder,
                                        bool good, std::uint64_t first_ns) {
  Exchange* e = find(stream);
  if (!e) return;
  const Http2Head block(decoder.fields());
  HttpRequest& r = e->record;
  if (!good) r.error = "malformed";
  if (block.head.status / 100 == 1) return;  // interim
  r.unknown_fields += decoder.unknown();
  if (e->extra.grpc) e->extra.grpc->take_response_fields(block.head.fields);
  // What has no status is a head only if none has come, and none can have been missed. Of a head
  // with a status that is not known, one that is may come behind: it was an interim one.
  const bool head = block.has_status ? !r.status : !e->answer_begun && !e->extra.hole;
  if (!head) {
    if (!e->answer_begun) begin_answer(*e, first_ns);
    keep_headers(block.head.fields, r.response_trailers, *e);
    return;
  }
  if (block.has_status) {
    if (!e->answer_begun) e->extra.hole = false;
    r.status = block.head.status;
    r.response_headers.items.clear();
  }
  if (!e->answer_begun || r.response_body_bytes == 0) begin_answer(*e, first_ns);
  keep_headers(block.head.fields, r.response_headers, *e);
  e->extra.bodies[1] = body_form(block.head);
}

void Http2Streams::take_content(Party from, std::uint32_t stream, std::string_view bytes,
                                std::uint64_t time_ns) {
  Exchange* e = find(stream);
  if (!e) return;
  if (from == Party::server && !e->answer_begun) begin_answer(*e, time_ns);
  if (e->extra.grpc) e->extra.grpc->messages[static_cast<unsigned>(from)].read(bytes);
  keep_body(bytes, from, *e);
}

void Http2Streams::miss_content(Party from, std::uint32_t stream, std::uint64_t bytes,
                                std::uint64_t time_ns) {
  Exchange* e = find(stream);
  if (!e) return;
  if (from == Party::server && !e->answer_begun) begin_answer(*e, time_ns);
  if (e->extra.grpc) e->extra.grpc->messages[static_cast<unsigned>(from)].skip(bytes);
  skip_body(bytes, from, *e);
}

void Http2Streams::reset(std::uint32_t stream, std::uint32_t code) {
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

void Http2Streams::go_away(std::uint32_t last_stream, std::uint32_t code) {
  for (auto next = streams_.upper_bound(last_stream); next != streams_.end();) {
    if ((next->first & 1) == 0) {
      ++next;
      continue;
    }
    next->second.record.error_code = error_name(code);
    next = give_up(next, "closed");
  }
}

Http2Streams::Exchange& Http2Streams::open(std::uint32_t stream, std::uint64_t first_ns) {
  if (streams_.size() == max_streams) give_up(streams_.begin(), "capacity");
  Exchange& e = streams_[stream];
  begin(e, first_ns);
  e.record.version = "2";
  e.record.stream = stream;
  e.extra.hole = !link_.in_step(Party::server);
  return e;
}

Http2Streams::Exchange* Http2Streams::find(std::uint32_t stream) {
  const auto found = streams_.find(stream);
  return found == streams_.end() ? nullptr : &found->second;
}

void Http2Streams::end_request(Exchange& e, std::uint64_t time_ns) {
  e.request_done = true;
  e.request_last_ns = time_ns;
  e.record.request_transfer = between(e.request_first_ns, time_ns);
}

void Http2Streams::end(Party from, std::uint32_t stream, std::uint64_t time_ns) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  Exchange& e = found->second;
  if (from == Party::client) {
    end_request(e, time_ns);
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

void Http2Streams::lose(Party from, std::uint64_t time_ns) {
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
      end_request(e, time_ns);
      if (e.answer_done) {
        next = give_up(next, "gap");
        continue;
      }
    }
    ++next;
  }
}

void Http2Streams::sweep(std::uint64_t now_ns) {
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

void Http2Streams::on_end(std::uint64_t time_ns) {
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

void Http2Streams::close(const char* error) {
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
void Http2Streams::expire() {
  for (auto next = streams_.begin(); next != streams_.end();) {
    const Exchange& e = next->second;
    if (e.answer_begun && !e.extra.hole && !e.answer_done) {
      ++next;
    } else {
      next = give_up(next, e.answer_done ? "" : e.extra.hole ? "gap" : "timeout");
    }
  }
}

void Http2Streams::complete(Exchange& e) {
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

Http2Streams::Streams::iterator Http2Streams::give_up(Streams::iterator at, const char* error) {
  tell(at->second, error);
  return streams_.erase(at);
}

void Http2Streams::tell_all(const char* error) {
  for (auto next = streams_.begin(); next != streams_.end();) next = give_up(next, error);
}

}  // namespace trivet::tracing
