// SPDX-License-Identifier: Apache-2.0
// Takes one direction of a PostgreSQL connection apart into messages. Keeps the beginning of each
// body, and passes over bytes of a body that were not seen. Worker thread of the plugin.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trivet::tracing {

inline std::uint32_t big_endian_32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (char c : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

// What a client's first message asks for: a session, or what comes before one.
inline constexpr std::uint32_t postgresql_3 = 196608;
inline constexpr std::uint32_t postgresql_cancel = 80877102;
inline constexpr std::uint32_t postgresql_ssl = 80877103;
inline constexpr std::uint32_t postgresql_gssenc = 80877104;

class PostgresqlParser {
 public:
  enum class Step { need_more, message, failed };
  static constexpr std::uint32_t max_length = 0x7fffffff;

  explicit PostgresqlParser(std::size_t keep) : keep_(keep) {}

  // The next message has no type byte: a client's first one.
  void expect_untyped() { untyped_ = true; }
  // The next message is one byte: the answer to a request for encryption.
  void expect_byte() { byte_ = true; }
  bool expects_byte() const { return byte_; }

  Step next(std::string_view& input) {
    while (!input.empty()) {
      if (!in_body_) {
        if (header_.empty()) {
          body_.clear();
          if (body_.capacity() > 65536) std::string().swap(body_);
          cut_ = false;
        }
        if (byte_) {
          type_ = input.front();
          input.remove_prefix(1);
          size_ = 1;
          return Step::message;
        }
        const std::size_t wanted = untyped_ ? 4 : 5;
        const std::size_t taken = std::min(wanted - header_.size(), input.size());
        header_.append(input.substr(0, taken));
        input.remove_prefix(taken);
        if (header_.size() < wanted) return Step::need_more;
        const std::uint32_t length = big_endian_32(std::string_view(header_).substr(wanted - 4));
        if (length < 4 || length > max_length) return Step::failed;
        type_ = untyped_ ? '\0' : header_[0];
        size_ = length + (untyped_ ? 0 : 1);
        left_ = length - 4;
        in_body_ = true;
      }
      const std::size_t taken = std::min<std::size_t>(left_, input.size());
      if (!cut_) body_.append(input.substr(0, std::min(taken, keep_ - body_.size())));
      input.remove_prefix(taken);
      left_ -= static_cast<std::uint32_t>(taken);
      if (left_ > 0) return Step::need_more;
      end();
      return Step::message;
    }
    return Step::need_more;
  }

  // False if the message's end can no longer be known. A message that ends so never comes whole.
  bool skip(std::uint64_t bytes) {
    if (!in_body_ || bytes >= left_) return false;
    left_ -= static_cast<std::uint32_t>(bytes);
    cut_ = true;
    return true;
  }

  void reset() {
    header_.clear();
    in_body_ = untyped_ = byte_ = false;
  }
  // After an untyped or one-byte message has been read: what follows is as always.
  void expect_typed() { untyped_ = byte_ = false; }

  bool idle() const { return !in_body_ && header_.empty(); }
  char type() const { return type_; }
  std::string_view body() const { return body_; }
  // Whether body() is all of it.
  bool whole() const { return !cut_ && body_.size() + (type_ == '\0' ? 4u : 5u) == size_; }
  std::uint64_t size() const { return size_; }
  std::size_t held_bytes() const { return body_.capacity(); }

 private:
  void end() {
    in_body_ = false;
    header_.clear();
  }

  std::size_t keep_;
  std::string header_;
  std::string body_;
  char type_ = 0;
  std::uint64_t size_ = 0;
  std::uint32_t left_ = 0;
  bool in_body_ = false;
  bool untyped_ = false;
  bool byte_ = false;
  bool cut_ = false;
};

}  // namespace trivet::tracing
