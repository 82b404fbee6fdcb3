// SPDX-License-Identifier: Apache-2.0
#include "records/packed.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace trivet {
namespace {

void append_word(std::string& out, std::uint64_t word) {
  char bytes[sizeof(word)];
  std::memcpy(bytes, &word, sizeof(word));
  out.append(bytes, sizeof(bytes));
}

void append_text(std::string& out, std::string_view text) {
  append_word(out, text.size());
  out += text;
}

std::uint64_t word_of(const Scalar& value) {
  if (auto v = std::get_if<bool>(&value)) return *v ? 1 : 0;
  if (auto v = std::get_if<std::int64_t>(&value)) return static_cast<std::uint64_t>(*v);
  if (auto v = std::get_if<std::uint64_t>(&value)) return *v;
  if (auto v = std::get_if<double>(&value)) return std::bit_cast<std::uint64_t>(*v);
  return 0;
}

Scalar scalar_of(std::size_t alternative, std::uint64_t word) {
  switch (alternative) {
    case 1:
      return word != 0;
    case 2:
      return static_cast<std::int64_t>(word);
    case 3:
      return word;
    case 4:
      return std::bit_cast<double>(word);
    default:
      return {};
  }
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  std::uint64_t word() {
    std::uint64_t word = 0;
    std::memcpy(&word, rest_.data(), std::min(sizeof(word), rest_.size()));
    rest_.remove_prefix(std::min(sizeof(word), rest_.size()));
    return word;
  }
  std::string text() {
    std::size_t size = std::min<std::size_t>(word(), rest_.size());
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }
  std::size_t alternative() {
    auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }

 private:
  std::string_view rest_;
};

}  // namespace

void pack(std::string& out, std::span<const std::string> texts) {
  for (const auto& text : texts) append_text(out, text);
}

void pack(std::string& out, const Fields& fields) {
  for (const auto& [name, value] : fields.items) {
    out += static_cast<char>(value.index());
    append_text(out, name);
    if (auto text = std::get_if<std::string>(&value)) {
      append_text(out, *text);
    } else {
      append_word(out, word_of(value));
    }
  }
}

std::vector<std::string> unpack_texts(std::string_view bytes) {
  std::vector<std::string> texts;
  for (Reader reader(bytes); !reader.empty();) texts.push_back(reader.text());
  return texts;
}

Fields unpack_fields(std::string_view bytes) {
  constexpr std::size_t kText = 5;
  static_assert(std::is_same_v<std::variant_alternative_t<kText, Scalar>, std::string>);
  Fields fields;
  for (Reader reader(bytes); !reader.empty();) {
    std::size_t alternative = reader.alternative();
    std::string name = reader.text();
    Scalar value =
        alternative == kText ? Scalar(reader.text()) : scalar_of(alternative, reader.word());
    fields.items.emplace_back(std::move(name), std::move(value));
  }
  return fields;
}

}  // namespace trivet
