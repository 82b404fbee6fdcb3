// SPDX-License-Identifier: Apache-2.0
// Numbers, texts and lists as bytes, in the machine's own byte order: both ends are one program.
// The reader trusts nothing that it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace trivet::broker {

// Appends to a message. Not thread-safe.
class Writer {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_integral_v<T>);
    append(&value, sizeof(value));
  }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    append(value.data(), value.size());
  }
  void bytes(std::span<const std::byte> value) {
    number(static_cast<std::uint32_t>(value.size()));
    append(value.data(), value.size());
  }
  template <class List, class Each>
  void list(const List& items, Each each) {
    number(static_cast<std::uint32_t>(items.size()));
    for (const auto& item : items) each(item);
  }
  const std::vector<std::byte>& message() const { return message_; }

 private:
  void append(const void* data, std::size_t size) {
    const auto* from = static_cast<const std::byte*>(data);
    message_.insert(message_.end(), from, from + size);
  }
  std::vector<std::byte> message_;
};

// Reads a message from front to back. What does not fit the message or its limit makes the reader
// fail: from then on it reads zeros and empty texts, so a caller asks once, at the end. Not
// thread-safe; borrows the message.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> message) : rest_(message) {}

  template <class T>
  T number() {
    static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>);
    T value = 0;
    if (auto from = take(sizeof(T)); !from.empty()) std::memcpy(&value, from.data(), sizeof(T));
    return value;
  }
  bool flag() { return number<std::uint8_t>() != 0; }
  std::string text(std::size_t limit) {
    auto from = take(length(limit));
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }
  std::vector<std::byte> bytes(std::size_t limit) {
    auto from = take(length(limit));
    return {from.begin(), from.end()};
  }
  // Calls each() for every item of a list of at most `limit`.
  template <class Each>
  void list(std::size_t limit, Each each) {
    for (std::size_t left = length(limit); left > 0 && !failed_; left--) each();
  }
  // Whether everything was well-formed and nothing is left over.
  bool complete() const { return !failed_ && rest_.empty(); }

 private:
  std::size_t length(std::size_t limit) {
    auto value = number<std::uint32_t>();
    if (value > limit) failed_ = true;
    return failed_ ? 0 : value;
  }
  std::span<const std::byte> take(std::size_t size) {
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return {};
    }
    auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  std::span<const std::byte> rest_;
  bool failed_ = false;
};

}  // namespace trivet::broker
