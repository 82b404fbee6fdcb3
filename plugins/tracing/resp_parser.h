// SPDX-License-Identifier: Apache-2.0
// Takes one direction of a Redis connection apart: RESP2 and RESP3 values, and commands typed as a
// line. Bounded in depth and in what it keeps; may pass over bytes within a string that were not
// seen. Worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trivet::tracing {

class RespParser {
 public:
  enum class Kind { commands, replies };
  enum class Step {
    need_more,  // the input is used up
    value,      // a whole value is there
    nothing,    // an empty command is over: Redis does not answer it
    failed,     // not RESP; nothing more will come
  };
  static constexpr std::size_t max_depth = 32;
  static constexpr std::size_t max_line = 64 << 10;  // as Redis itself
  static constexpr std::size_t max_elements = 256;   // kept

  RespParser(Kind kind, std::size_t text_limit) : kind_(kind), text_limit_(text_limit) {}

  // Takes from the front of `input` what the next value needs.
  Step next(std::string_view& input);
  // Passes over bytes that were not seen. False if the value's end can no longer be known.
  bool skip(std::uint64_t bytes);
  void reset();

  bool idle() const { return state_ == State::start; }
  // Of the value under way or just complete; valid until the next value begins.
  char type() const { return type_; }  // its first byte
  std::uint64_t size() const { return size_; }
  bool truncated() const { return truncated_; }
  // Commands: the words. Replies: the first words of an aggregate, for telling pushes.
  const std::vector<std::string>& words() const { return words_; }
  // Replies: as text.
  const std::string& text() const { return text_; }
  std::size_t held_bytes() const { return line_.capacity() + text_.capacity() + kept_; }

 private:
  enum class State { start, line, bulk, failed };
  struct Frame {
    std::uint64_t remaining;
    bool attribute;  // stands before a value and is none
  };

  Step fail();
  bool take_line(std::string_view line);
  bool take_inline(std::string_view line);
  bool begin_aggregate(std::string_view count, unsigned per_item);
  // One value is complete; true if with it the outermost is.
  bool end_value();
  void begin_word();
  void keep(std::string_view bytes);
  void decorate(std::string_view text);

  Kind kind_;
  std::size_t text_limit_;
  State state_ = State::start;
  char type_ = 0;
  char now_ = 0;      // the type of the element under way
  std::string line_;  // a line that came in pieces
  std::vector<Frame> frames_;
  std::uint64_t remaining_ = 0;  // of a bulk string and its line end
  std::uint64_t size_ = 0;
  bool inline_ = false;  // the command is typed as a line
  bool quiet_ = false;   // nothing comes of the value just read: an empty command
  bool truncated_ = false;
  bool separate_ = false;   // an element stands before the next one
  bool word_open_ = false;  // what comes belongs to the last of words_ too
  std::vector<std::string> words_;
  std::string text_;
  std::size_t kept_ = 0;
};

}  // namespace trivet::tracing
