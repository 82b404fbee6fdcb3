// SPDX-License-Identifier: Apache-2.0
// Errors as values. A function that can fail for a reason outside the program returns Result<T>;
// a broken invariant aborts. Member names are std::expected's, which C++20 does not have yet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "trivet/api.h"

namespace trivet {

// Where in a file that a person wrote. Lines and columns count from 1; 0 means unknown.
struct TRIVET_API Place {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  // "file:line:column", shortened where parts are unknown.
  std::string to_string() const;
};

// One sentence for a person: the object, the action, the reason and what to do about it.
struct TRIVET_API Error {
  std::string message;
  int code = 0;  // an errno, or 0 where no system call failed
  Place place;   // set for errors in what a person wrote

  // "file:line:column: message".
  std::string to_string() const;
  // The same error with `context` and ": " before its message; each layer adds its part once.
  Error within(const std::string& context) &&;
};

// The line of `text` that a place names, with a caret below the column:
//
//     3 |   condition: proc.nme = x
//       |              ^
//
// Empty where the place names no line of it.
TRIVET_API std::string source_line(const Place& place, std::string_view text);

// An Error with strerror(code) after the message.
TRIVET_API Error system_error(int code, std::string message);

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // Must hold a value (or an error): std::bad_variant_access is a bug in the caller.
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : state_(std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<std::monostate, Error> state_;
};

}  // namespace trivet
