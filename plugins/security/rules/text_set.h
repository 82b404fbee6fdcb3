// SPDX-License-Identifier: Apache-2.0
// A set of texts, by hash. Most texts that are asked for have a length that none of the set has,
// and are not hashed. Immutable once filled; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>

namespace trivet::security {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

class TextSet {
 public:
  void add(std::string text) {
    lengths_ |= bit(text);
    texts_.insert(std::move(text));
  }
  bool contains(std::string_view text) const {
    return lengths_ & bit(text) && texts_.contains(text);
  }
  auto begin() const { return texts_.begin(); }
  auto end() const { return texts_.end(); }
  std::size_t size() const { return texts_.size(); }

 private:
  static std::uint64_t bit(std::string_view text) { return std::uint64_t{1} << (text.size() & 63); }

  std::uint64_t lengths_ = 0;  // bit n: a text of n letters, or of n and a multiple of 64
  std::unordered_set<std::string, TextHash, std::equal_to<>> texts_;
};

}  // namespace trivet::security
