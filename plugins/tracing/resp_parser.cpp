// SPDX-License-Identifier: Apache-2.0
#include "tracing/resp_parser.h"

#include <algorithm>
#include <charconv>

namespace trivet::tracing {
namespace {

// The longest string that Redis lets anybody configure is far below.
constexpr std::int64_t max_bulk = std::int64_t{1} << 40;

bool parse_number(std::string_view text, std::int64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

void RespParser::reset() {
  state_ = State::start;
  frames_.clear();
  line_.clear();
}

RespParser::Step RespParser::fail() {
  state_ = State::failed;
  return Step::failed;
}

RespParser::Step RespParser::next(std::string_view& input) {
  while (!input.empty() && state_ != State::failed) {
    if (state_ == State::start) {
      size_ = kept_ = 0;
      truncated_ = separate_ = quiet_ = false;
      words_.clear();
      text_.clear();
      if (line_.capacity() > 4096) std::string().swap(line_);
      line_.clear();
      frames_.clear();
      inline_ = kind_ == Kind::commands && input.front() != '*';
      type_ = input.front();
      state_ = State::line;
    }
    if (state_ == State::bulk) {
      const std::size_t taken = std::min<std::uint64_t>(remaining_, input.size());
      const std::uint64_t content = remaining_ > 2 ? remaining_ - 2 : 0;
      keep(input.substr(0, std::min<std::uint64_t>(content, taken)));
      // The string's own length is to be believed, but only where its line end stands behind it.
      for (std::size_t i = content; i < taken; ++i) {
        if (input[i] != (remaining_ - i == 2 ? '\r' : '\n')) return fail();
      }
      input.remove_prefix(taken);
      size_ += taken;
      remaining_ -= taken;
      if (remaining_ > 0) return Step::need_more;
      state_ = State::line;
      if (end_value()) {
        state_ = State::start;
        return Step::value;
      }
      continue;
    }
    const std::size_t lf = input.find('\n');
    const std::string_view piece = input.substr(0, lf);
    const bool whole = lf != std::string_view::npos;
    if (line_.size() + piece.size() > max_line) return fail();
    size_ += piece.size() + whole;
    input.remove_prefix(piece.size() + whole);
    std::string_view line = piece;
    if (!whole || !line_.empty()) line = line_.append(piece);
    if (!whole) return Step::need_more;
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    } else if (!inline_) {
      return fail();
    }
    const bool complete = inline_ ? take_inline(line) : take_line(line);
    line_.clear();
    if (state_ == State::failed) return Step::failed;
    if (!complete) continue;
    state_ = State::start;
    return quiet_ ? Step::nothing : Step::value;
  }
  return state_ == State::failed ? Step::failed : Step::need_more;
}

bool RespParser::take_line(std::string_view line) {
  if (line.empty()) {
    fail();
    return false;
  }
  now_ = line.front();
  line.remove_prefix(1);
  std::int64_t length = 0;
  if (kind_ == Kind::commands && now_ != (frames_.empty() ? '*' : '$')) {
    fail();
    return false;
  }
  switch (now_) {
    case '*':
    case '~':
    case '>':
      return begin_aggregate(line, 1);
    case '%':
    case '|':
      return begin_aggregate(line, 2);
    case '$':
    case '!':
    case '=':
      if (!parse_number(line, length) || length < -1 || length > max_bulk ||
          (kind_ == Kind::commands && length < 0)) {
        fail();
        return false;
      }
      begin_word();
      if (length < 0) {
        keep("(nil)");
        return end_value();
      }
      remaining_ = static_cast<std::uint64_t>(length) + 2;
      state_ = State::bulk;
      return false;
    case '_':
      line = "(nil)";
      [[fallthrough]];
    case '+':
    case '-':
    case ':':
    case '#':
    case ',':
    case '(':
      begin_word();
      keep(line);
      return end_value();
    default:
      fail();
      return false;
  }
}

bool RespParser::begin_aggregate(std::string_view count, unsigned per_item) {
  std::int64_t items = 0;
  if (!parse_number(count, items) || items < -1 || items > max_bulk ||
      frames_.size() == max_depth) {
    fail();
    return false;
  }
  quiet_ = kind_ == Kind::commands && items <= 0;
  if (items <= 0 && now_ == '|') return false;
  if (separate_) decorate(", ");
  separate_ = false;
  if (items <= 0) {
    decorate(items < 0 ? "(nil)" : "[]");
    return end_value();
  }
  decorate("[");
  frames_.push_back({static_cast<std::uint64_t>(items) * per_item, now_ == '|'});
  return false;
}

bool RespParser::end_value() {
  separate_ = true;
  while (!frames_.empty()) {
    if (--frames_.back().remaining > 0) return false;
    const bool attribute = frames_.back().attribute;
    frames_.pop_back();
    decorate("]");
    if (attribute) return false;  // the value that it belongs to follows
  }
  return true;
}

// As sdssplitargs() of Redis reads a typed line: words, quoted ones with escapes.
bool RespParser::take_inline(std::string_view line) {
  std::string word;
  std::size_t at = 0;
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\0'; };
  for (;;) {
    while (at < line.size() && blank(line[at])) ++at;
    if (at == line.size()) break;
    word.clear();
    char quote = 0;
    for (; at < line.size() && (quote || !blank(line[at])); ++at) {
      const char c = line[at];
      if (quote && c == quote) {
        quote = 0;
      } else if (quote && c == '\\' && at + 1 < line.size()) {
        word += line[++at];
      } else if (!quote && (c == '"' || c == '\'')) {
        quote = c;
      } else {
        word += c;
      }
    }
    begin_word();
    keep(word);
  }
  quiet_ = words_.empty();
  return true;
}

// What stands between the elements of a reply.
void RespParser::decorate(std::string_view text) {
  if (kind_ == Kind::replies && text_.size() < text_limit_) text_.append(text);
}

void RespParser::begin_word() {
  if (separate_) decorate(", ");
  const bool wanted = kind_ == Kind::commands ? words_.size() < max_elements
                                              : frames_.size() == 1 && words_.size() < 3;
  word_open_ = wanted;
  if (wanted) {
    words_.emplace_back();
  } else if (kind_ == Kind::commands) {
    truncated_ = true;
  }
}

void RespParser::keep(std::string_view bytes) {
  const std::string_view kept = bytes.substr(0, kept_ >= text_limit_ ? 0 : text_limit_ - kept_);
  if (kept.size() < bytes.size()) truncated_ = true;
  kept_ += kept.size();
  if (kind_ == Kind::replies) text_.append(kept);
  if (word_open_) words_.back().append(kept);
}

bool RespParser::skip(std::uint64_t bytes) {
  if (state_ != State::bulk || remaining_ <= 2 || bytes > remaining_ - 2) return false;
  // What follows a hole is not kept: it would read as if nothing were missing.
  kept_ = text_limit_;
  remaining_ -= bytes;
  size_ += bytes;
  truncated_ = true;
  return true;
}

}  // namespace trivet::tracing
