// SPDX-License-Identifier: Apache-2.0
#include "tracing/sql.h"

namespace trivet::tracing {
namespace {

constexpr std::string_view redacted = "'<redacted>'";

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

std::string in_capitals(std::string_view text) {
  std::string capitals(text.substr(0, 32));
  for (char& c : capitals) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return capitals;
}

class Scanner {
 public:
  Scanner(std::string_view sql, SqlDialect dialect, bool redact)
      : sql_(sql), mysql_(dialect == SqlDialect::mysql), redact_(redact) {}

  SqlText read() {
    while (at_ < sql_.size()) take_token();
    if (result_.text.empty() && kept_ == 0) {
      result_.text = sql_;
    } else {
      result_.text.append(sql_.substr(kept_));
    }
    return std::move(result_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0';
  }

  void take_token() {
    const std::size_t start = at_;
    const char c = peek();
    if (is_space(c)) {
      ++at_;
      spaced_ = true;
    } else if ((c == '-' && peek(1) == '-' && (!mysql_ || is_space(peek(2)))) ||
               (mysql_ && c == '#')) {
      at_ = std::min(sql_.find('\n', at_), sql_.size());
      spaced_ = true;
    } else if (mysql_ && c == '/' && peek(1) == '*' &&
               (peek(2) == '!' || (peek(2) == 'M' && peek(3) == '!'))) {
      // What stands in it is run, by servers from some version on.
      at_ += peek(2) == '!' ? 3 : 4;
      while (is_digit(peek())) ++at_;
      spaced_ = true;
    } else if (mysql_ && c == '*' && peek(1) == '/') {
      at_ += 2;
      spaced_ = true;
    } else if (c == '/' && peek(1) == '*') {
      take_comment();
      spaced_ = true;
    } else if (c == '\'' || (mysql_ && c == '"')) {
      take_quoted(c, mysql_ || escapes_);
      literal(start, true);
    } else if (c == '"' || c == '`') {
      take_quoted(c, false);
      put(sql_.substr(start, at_ - start), true);
    } else if (!mysql_ && c == '$' && take_dollar_quoted()) {
      literal(start, true);
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      while (is_digit(peek()) || is_letter(peek()) || peek() == '.' ||
             ((peek() == '+' || peek() == '-') && (sql_[at_ - 1] | 0x20) == 'e' &&
              sql_.substr(start, 2) != "0x")) {
        ++at_;
      }
      literal(start, false);
    } else if (is_letter(c)) {
      while (is_letter(peek()) || is_digit(peek()) || peek() == '$') ++at_;
      take_word(sql_.substr(start, at_ - start));
    } else {
      ++at_;
      // $1 and @name are no literals.
      if (c == '$' || c == '@' || c == ':') {
        while (is_letter(peek()) || is_digit(peek()) || peek() == '@') ++at_;
      }
      put(sql_.substr(start, at_ - start), false);
    }
  }

  void take_comment() {
    // PostgreSQL's nest.
    unsigned depth = 0;
    do {
      if (peek() == '/' && peek(1) == '*' && (depth == 0 || !mysql_)) {
        ++depth;
        at_ += 2;
      } else if (peek() == '*' && peek(1) == '/') {
        --depth;
        at_ += 2;
      } else {
        ++at_;
      }
    } while (depth > 0 && at_ < sql_.size());
    at_ = std::min(at_, sql_.size());
  }

  void take_quoted(char quote, bool backslash) {
    ++at_;
    while (at_ < sql_.size()) {
      const char c = sql_[at_++];
      if (c == '\\' && backslash) {
        ++at_;
      } else if (c == quote) {
        if (peek() != quote) return;
        ++at_;
      }
    }
    at_ = std::min(at_, sql_.size());
  }

  bool take_dollar_quoted() {
    std::size_t end = at_ + 1;
    while (end < sql_.size() && (is_letter(sql_[end]) || (is_digit(sql_[end]) && end > at_ + 1))) {
      ++end;
    }
    if (end >= sql_.size() || sql_[end] != '$') return false;
    const std::string_view tag = sql_.substr(at_, end + 1 - at_);
    const std::size_t close = sql_.find(tag, end + 1);
    at_ = close == std::string_view::npos ? sql_.size() : close + tag.size();
    return true;
  }

  void take_word(std::string_view word) {
    const std::string capitals = in_capitals(word);
    if (result_.operation.empty()) result_.operation = capitals;
    // E'..' of PostgreSQL has escapes; N'..', X'..' and B'..' are literals all the same.
    escapes_ = capitals == "E" && peek() == '\'';
    if (peek() == '\'' && word.size() == 1 && std::string_view("ENXB").find(capitals[0]) != npos) {
      return;
    }
    if (capitals.ends_with("PASSWORD") || capitals == "IDENTIFIED") {
      secret_in_ = 6;
    }
    put(word, true);
  }

  void literal(std::size_t start, bool text) {
    escapes_ = false;
    if (text && secret_in_ > 0 && redact_) {
      result_.text.append(sql_.substr(kept_, start - kept_)).append(redacted);
      kept_ = at_;
      secret_in_ = 6;  // REPLACE names the old one too
    }
    // One ? stands for a list of literals.
    std::string& out = result_.fingerprint;
    if (out.ends_with("?,")) {
      out.pop_back();
      spaced_ = false;
      return;
    }
    put("?", true);
  }

  // Appends a token to the fingerprint; words are kept apart.
  void put(std::string_view token, bool word) {
    if (secret_in_ > 0) --secret_in_;
    std::string& out = result_.fingerprint;
    if (spaced_ && !out.empty() && token != "," && token != ")") {
      if (!out.ends_with('(')) out += ' ';
    } else if (word && !out.empty() && !spaced_ && last_word_) {
      out += ' ';
    }
    out += token;
    last_word_ = word;
    spaced_ = false;
  }

  static constexpr std::size_t npos = std::string_view::npos;
  std::string_view sql_;
  bool mysql_;
  bool redact_;
  std::size_t at_ = 0;
  std::size_t kept_ = 0;  // how much of sql_ is in text already
  bool spaced_ = false;
  bool last_word_ = false;
  bool escapes_ = false;
  unsigned secret_in_ = 0;  // a string within this many tokens is a password
  SqlText result_;
};

}  // namespace

SqlText read_sql(std::string_view sql, SqlDialect dialect, bool redact) {
  return Scanner(sql, dialect, redact).read();
}

}  // namespace trivet::tracing
