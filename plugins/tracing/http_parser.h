// SPDX-License-Identifier: Apache-2.0
// Takes one direction of an HTTP/1.x connection apart (RFC 9112) as its bytes arrive, in pieces of
// any size. Strict where laxness would hide where a message ends: two parties that disagree about
// framing must not make a third one pair the wrong messages. Written here rather than taken from a
// library since it must also pass over bytes that were not captured. Worker thread of the plugin.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trivet::tracing {

using HttpField = std::pair<std::string_view, std::string_view>;  // name and value

// Start line and fields of a message. Views are valid until the parser's next call.
struct HttpHead {
  std::string_view method;  // requests
  std::string_view target;
  unsigned status = 0;  // responses
  std::string_view reason;
  std::string_view version;       // "1.0" or "1.1"
  std::vector<HttpField> fields;  // in order, as sent
  bool chunked = false;
  std::optional<std::uint64_t> content_length;

  // The value of the first field of that name; empty where there is none.
  std::string_view field(std::string_view name) const;
};

class HttpParser {
 public:
  enum class Kind { request, response };
  enum class Step {
    need_more,  // the input is used up
    head,       // head() is there; of one that is refused next, what was read
    body,       // body() is there
    end,        // the message is complete
    failed,     // not HTTP, or its framing is ambiguous: reason() says why; nothing more will come
  };
  // nginx and Apache refuse far smaller heads.
  static constexpr std::size_t max_head_bytes = 64 << 10;
  static constexpr std::size_t max_fields = 256;

  explicit HttpParser(Kind kind) : kind_(kind) {}

  // Takes from the front of `input` what the next step needs.
  Step next(std::string_view& input);
  // After Step::head: the message has no body whatever its fields say (HEAD, 204, 304, 1xx).
  void expect_no_body();
  // Passes over bytes that were not seen. False if the message's end can no longer be known.
  bool skip(std::uint64_t bytes);
  // The stream has ended: Step::end if that ends the message, need_more between messages, else
  // failed.
  Step finish();
  void reset();

  bool idle() const { return state_ == State::start; }
  const HttpHead& head() const { return head_; }
  std::string_view body() const { return body_; }
  // After Step::end: the fields behind the last chunk, in order; none if they are malformed, since
  // they frame nothing.
  const std::vector<HttpField>& trailers() const { return trailers_; }
  const char* reason() const { return reason_; }
  std::size_t held_bytes() const { return buffer_.capacity(); }

 private:
  enum class State {
    start,
    head,
    refused,  // its start line was good, the rest of its head was not
    length,
    until_close,
    chunk_size,
    chunk_extension,
    chunk_size_lf,
    chunk_data,
    chunk_cr,
    chunk_lf,
    trailer,
    failed,
  };

  Step fail(const char* reason);
  Step take_head(std::string_view& input);
  Step take_chunk_framing(std::string_view& input);
  bool take_trailer(std::string_view& input);
  Step refuse_long_head(std::string_view text);
  void clear_head();
  bool parse_start_line(std::string_view line);
  bool parse_fields(std::string_view text, std::vector<HttpField>& fields);
  bool parse_framing();

  Kind kind_;
  State state_ = State::start;
  std::string buffer_;                // a head that came in pieces, or trailers
  std::deque<std::string> unfolded_;  // values that were folded over lines
  HttpHead head_;
  std::vector<HttpField> trailers_;
  std::string_view body_;
  const char* reason_ = "";
  std::uint64_t remaining_ = 0;  // of the body, or of the chunk
  std::optional<std::uint64_t> content_length_;
  unsigned count_ = 0;  // digits, blank lines or trailer bytes so far
  bool line_empty_ = false;
};

// What the first bytes of a stream say.
enum class Guess { no, maybe, yes };
Guess guess_request(std::string_view bytes);
Guess guess_response(std::string_view bytes);

// Case-insensitive, ASCII.
bool same_name(std::string_view a, std::string_view b);

}  // namespace trivet::tracing
