// SPDX-License-Identifier: Apache-2.0
#include "tracing/http_parser.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace trivet::tracing {
namespace {

constexpr unsigned max_method = 32;
constexpr unsigned max_blank_lines = 8;
constexpr unsigned max_chunk_extension = 4096;
constexpr unsigned max_chunk_digits = 15;  // any more would not fit with room to spare in 64 bits

// RFC 9110, 5.6.2.
constexpr std::array<bool, 256> token_table = [] {
  std::array<bool, 256> table{};
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
  return table;
}();

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return token_table[c]; });
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// The word up to the next white space, which it takes off `text` with it.
std::string_view take_word(std::string_view& text) {
  std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  text = trim(text);
  return word;
}

// The line up to LF without its line end; takes it off `text`, which must contain an LF.
std::string_view take_line(std::string_view& text) {
  std::size_t lf = text.find('\n');
  std::string_view line = text.substr(0, lf);
  text.remove_prefix(lf + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

// Where the head's empty line ends, or npos; `from` is a place before which there is none.
std::size_t head_end(std::string_view text, std::size_t from) {
  for (;;) {
    std::size_t lf = text.find('\n', from);
    if (lf == std::string_view::npos) return lf;
    std::string_view rest = text.substr(lf + 1, 2);
    if (rest.starts_with('\n')) return lf + 2;
    if (rest == "\r\n") return lf + 3;
    from = lf + 1;
  }
}

bool is_version(std::string_view text) {
  return text.size() == 8 && text.starts_with("HTTP/1.") && (text[7] == '0' || text[7] == '1');
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view HttpHead::field(std::string_view name) const {
  for (const auto& [own, value] : fields) {
    if (same_name(own, name)) return value;
  }
  return {};
}

Guess guess_request(std::string_view bytes) {
  const std::size_t start = bytes.find_first_not_of("\r\n");
  if (std::min(start, bytes.size()) > 2 * max_blank_lines) return Guess::no;
  if (start == std::string_view::npos) return Guess::maybe;
  bytes.remove_prefix(start);
  std::size_t space = 0;
  while (space < bytes.size() && space <= max_method &&
         token_table[static_cast<unsigned char>(bytes[space])]) {
    ++space;
  }
  // Methods in use are upper case (RFC 9110, 9.1); words of other protocols often are not.
  if (std::ranges::any_of(bytes.substr(0, space), [](char c) { return c >= 'a' && c <= 'z'; })) {
    return Guess::no;
  }
  if (space == bytes.size() && space <= max_method) return Guess::maybe;
  if (space == 0 || space > max_method || !is_blank(bytes[space])) return Guess::no;
  std::size_t lf = bytes.find('\n', space);
  const bool printable = std::ranges::all_of(bytes.substr(space, lf - space), [](unsigned char c) {
    return (c >= 0x20 && c != 0x7f) || c == '\t' || c == '\r';
  });
  if (!printable) return Guess::no;
  if (lf == std::string_view::npos) {
    return bytes.size() > HttpParser::max_head_bytes ? Guess::no : Guess::maybe;
  }
  std::string_view line = bytes.substr(0, lf);
  if (line.ends_with('\r')) line.remove_suffix(1);
  line = trim(line);
  return line.size() > space + 10 && is_version(line.substr(line.size() - 8)) &&
                 is_blank(line[line.size() - 9])
             ? Guess::yes
             : Guess::no;
}

Guess guess_response(std::string_view bytes) {
  constexpr std::string_view start = "HTTP/1.";
  std::size_t known = std::min(bytes.size(), start.size());
  if (bytes.substr(0, known) != start.substr(0, known)) return Guess::no;
  if (bytes.size() < 13) return Guess::maybe;
  return is_version(bytes.substr(0, 8)) && bytes[8] == ' ' && is_digit(bytes[9]) &&
                 is_digit(bytes[10]) && is_digit(bytes[11])
             ? Guess::yes
             : Guess::no;
}

void HttpParser::reset() {
  state_ = State::start;
  buffer_.clear();
  count_ = 0;
  remaining_ = 0;
  reason_ = "";
}

HttpParser::Step HttpParser::fail(const char* reason) {
  state_ = State::failed;
  reason_ = reason;
  return Step::failed;
}

void HttpParser::expect_no_body() {
  if (state_ == State::length || state_ == State::until_close || state_ == State::chunk_size) {
    state_ = State::length;
    remaining_ = 0;
  }
}

HttpParser::Step HttpParser::next(std::string_view& input) {
  for (;;) {
    switch (state_) {
      case State::start:
        // RFC 9112, 2.2: empty lines before a request line are passed over.
        while (!input.empty() && (input.front() == '\r' || input.front() == '\n')) {
          input.remove_prefix(1);
          if (++count_ > 2 * max_blank_lines) return fail("too many empty lines between messages");
        }
        if (input.empty()) return Step::need_more;
        count_ = 0;
        if (buffer_.capacity() > 4096) std::string().swap(buffer_);
        buffer_.clear();
        state_ = State::head;
        break;
      case State::head:
        return take_head(input);
      case State::refused:
        return fail(reason_);
      case State::length:
      case State::chunk_data:
        if (remaining_ == 0) {
          if (state_ == State::chunk_data) {
            state_ = State::chunk_cr;
            break;
          }
          state_ = State::start;
          return Step::end;
        }
        if (input.empty()) return Step::need_more;
        body_ = input.substr(0, std::min<std::uint64_t>(remaining_, input.size()));
        input.remove_prefix(body_.size());
        remaining_ -= body_.size();
        return Step::body;
      case State::until_close:
        if (input.empty()) return Step::need_more;
        body_ = input;
        input = {};
        return Step::body;
      case State::chunk_size:
      case State::chunk_extension:
      case State::chunk_size_lf:
      case State::chunk_cr:
      case State::chunk_lf:
        if (input.empty()) return Step::need_more;
        if (take_chunk_framing(input) == Step::failed) return Step::failed;
        break;
      case State::trailer:
        if (take_trailer(input)) {
          state_ = State::start;
          count_ = 0;
          return Step::end;
        }
        if (state_ == State::failed) return Step::failed;
        return Step::need_more;
      case State::failed:
        return Step::failed;
    }
  }
}

HttpParser::Step HttpParser::take_head(std::string_view& input) {
  if (input.empty()) return Step::need_more;
  std::string_view text;
  if (buffer_.empty()) {
    std::size_t end = head_end(input, 0);
    if (end == std::string_view::npos || end > max_head_bytes) {
      if (input.size() > max_head_bytes) return refuse_long_head(input.substr(0, max_head_bytes));
      buffer_.assign(input);
      input = {};
      return Step::need_more;
    }
    text = input.substr(0, end);
    input.remove_prefix(end);
  } else {
    const std::size_t old_size = buffer_.size();
    std::string_view piece = input.substr(0, max_head_bytes + 1 - old_size);
    buffer_.append(piece);
    std::size_t end = head_end(buffer_, old_size > 2 ? old_size - 3 : 0);
    if (end == std::string::npos) {
      if (buffer_.size() > max_head_bytes) {
        return refuse_long_head(std::string_view(buffer_).substr(0, max_head_bytes));
      }
      input.remove_prefix(piece.size());
      return Step::need_more;
    }
    buffer_.resize(end);
    input.remove_prefix(end - old_size);
    text = buffer_;
  }
  clear_head();
  if (!parse_start_line(take_line(text))) return fail(reason_);
  if (!parse_fields(text, head_.fields) || !parse_framing()) state_ = State::refused;
  return Step::head;
}

HttpParser::Step HttpParser::refuse_long_head(std::string_view text) {
  constexpr const char* reason = "the head is longer than 64 KiB";
  clear_head();
  if (text.find('\n') == std::string_view::npos || !parse_start_line(take_line(text))) {
    return fail(reason);
  }
  reason_ = reason;
  state_ = State::refused;
  return Step::head;
}

void HttpParser::clear_head() {
  head_.fields.clear();
  trailers_.clear();
  head_.chunked = false;
  head_.content_length.reset();
  unfolded_.clear();
}

bool HttpParser::parse_start_line(std::string_view line) {
  reason_ = kind_ == Kind::request ? "not an HTTP/1.x request line" : "not an HTTP/1.x status line";
  if (std::memchr(line.data(), '\0', line.size()) || line.find('\r') != std::string_view::npos) {
    return false;
  }
  if (kind_ == Kind::request) {
    // RFC 9112, 3: any white space may stand for the one space, as it does for nginx.
    line = trim(line);
    head_.method = take_word(line);
    head_.target = take_word(line);
    if (!is_version(line) || !is_token(head_.method) || head_.method.size() > max_method) {
      return false;
    }
    head_.version = line.substr(5);
    return true;
  }
  if (line.size() < 12 || !is_version(line.substr(0, 8)) || line[8] != ' ') return false;
  head_.version = line.substr(5, 3);
  std::string_view digits = line.substr(9, 3);
  if (!std::ranges::all_of(digits, is_digit) || digits[0] == '0' || digits[0] > '5') return false;
  head_.status =
      static_cast<unsigned>((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0');
  line.remove_prefix(12);
  if (!line.empty() && line.front() != ' ') return false;
  head_.reason = trim(line);
  return true;
}

bool HttpParser::parse_fields(std::string_view text, std::vector<HttpField>& fields) {
  for (;;) {
    std::string_view line = take_line(text);
    if (line.empty()) return true;
    if (std::memchr(line.data(), '\0', line.size()) || line.find('\r') != std::string_view::npos) {
      reason_ = "a NUL or a bare CR in a header";
      return false;
    }
    if (line.front() == ' ' || line.front() == '\t') {
      if (fields.empty()) {
        reason_ = "the first header line is a continuation";
        return false;
      }
      auto& [name, value] = fields.back();
      if (same_name(name, "content-length") || same_name(name, "transfer-encoding")) {
        reason_ = "a header that frames the message is folded";
        return false;
      }
      // Line by line into the same string, or a head of 64 KiB of folds would be copied often.
      if (unfolded_.empty() || value.data() != unfolded_.back().data()) {
        unfolded_.emplace_back(value);
      }
      unfolded_.back().append(1, ' ').append(trim(line));
      value = unfolded_.back();
      continue;
    }
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      reason_ = "a header without a valid name";
      return false;
    }
    if (fields.size() == max_fields) {
      reason_ = "more than 256 headers";
      return false;
    }
    fields.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
  }
}

// RFC 9112, 6.3; where it allows a guess, none is made.
bool HttpParser::parse_framing() {
  bool encoded = false;
  bool chunked_last = false;
  content_length_.reset();
  for (const auto& [name, value] : head_.fields) {
    if (same_name(name, "content-length")) {
      if (value.empty() || value.size() > 18 || !std::ranges::all_of(value, is_digit)) {
        reason_ = "Content-Length is not a number";
        return false;
      }
      std::uint64_t length = 0;
      for (char c : value) length = length * 10 + static_cast<unsigned>(c - '0');
      if (content_length_ && *content_length_ != length) {
        reason_ = "two different Content-Length";
        return false;
      }
      content_length_ = length;
    } else if (same_name(name, "transfer-encoding")) {
      encoded = true;
      std::string_view codings = value;
      do {
        std::size_t comma = codings.find(',');
        std::string_view coding = trim(codings.substr(0, comma));
        codings = comma == std::string_view::npos ? std::string_view() : codings.substr(comma + 1);
        if (chunked_last) {
          reason_ = "Transfer-Encoding goes on behind chunked";
          return false;
        }
        chunked_last = same_name(coding, "chunked");
      } while (!codings.empty());
    }
  }
  if (encoded && (content_length_ || head_.version == "1.0")) {
    reason_ = content_length_ ? "both Transfer-Encoding and Content-Length"
                              : "Transfer-Encoding in HTTP/1.0";
    return false;
  }
  count_ = 0;
  remaining_ = content_length_.value_or(0);
  head_.chunked = chunked_last;
  head_.content_length = content_length_;
  if (chunked_last) {
    state_ = State::chunk_size;
  } else if (kind_ == Kind::request) {
    if (encoded) {
      reason_ = "a request whose Transfer-Encoding does not end in chunked";
      return false;
    }
    state_ = State::length;
  } else {
    state_ = content_length_ ? State::length : State::until_close;
  }
  return true;
}

HttpParser::Step HttpParser::take_chunk_framing(std::string_view& input) {
  const char c = input.front();
  input.remove_prefix(1);
  switch (state_) {
    case State::chunk_size: {
      int digit = is_digit(c)                          ? c - '0'
                  : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10
                                                       : -1;
      if (digit >= 0) {
        if (++count_ > max_chunk_digits) return fail("a chunk size of more than 15 digits");
        remaining_ = remaining_ * 16 + static_cast<unsigned>(digit);
        return Step::need_more;
      }
      if (count_ == 0) return fail("a chunk without a size");
      count_ = 0;
      if (c == '\r') {
        state_ = State::chunk_size_lf;
      } else if (c == ';' || c == ' ' || c == '\t') {
        state_ = State::chunk_extension;
      } else {
        return fail("a chunk size that is not hexadecimal");
      }
      return Step::need_more;
    }
    case State::chunk_extension:
      if (c == '\n' || c == '\0') return fail("a bare LF or a NUL in a chunk extension");
      if (++count_ > max_chunk_extension) return fail("a chunk extension of more than 4096 bytes");
      if (c == '\r') state_ = State::chunk_size_lf;
      return Step::need_more;
    case State::chunk_size_lf:
      if (c != '\n') return fail("a bare CR behind a chunk size");
      count_ = 0;
      line_empty_ = true;
      buffer_.clear();
      state_ = remaining_ ? State::chunk_data : State::trailer;
      return Step::need_more;
    case State::chunk_cr:
      if (c != '\r') return fail("a chunk is longer than its size");
      state_ = State::chunk_lf;
      return Step::need_more;
    default:
      if (c != '\n') return fail("a chunk is longer than its size");
      count_ = 0;
      state_ = State::chunk_size;
      return Step::need_more;
  }
}

bool HttpParser::take_trailer(std::string_view& input) {
  while (!input.empty()) {
    const char c = input.front();
    input.remove_prefix(1);
    if (++count_ > max_head_bytes) {
      fail("trailers of more than 64 KiB");
      return false;
    }
    buffer_ += c;
    if (c == '\n') {
      if (line_empty_) {
        if (!parse_fields(buffer_, trailers_)) trailers_.clear();
        return true;
      }
      line_empty_ = true;
    } else if (c != '\r') {
      line_empty_ = false;
    }
  }
  return false;
}

bool HttpParser::skip(std::uint64_t bytes) {
  if (state_ == State::until_close) return true;
  if ((state_ != State::length && state_ != State::chunk_data) || bytes > remaining_) return false;
  remaining_ -= bytes;
  return true;
}

HttpParser::Step HttpParser::finish() {
  if (state_ == State::start) return Step::need_more;
  if (state_ == State::until_close) {
    state_ = State::start;
    return Step::end;
  }
  return fail("the stream ended within a message");
}

}  // namespace trivet::tracing
