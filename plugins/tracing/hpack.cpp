// SPDX-License-Identifier: Apache-2.0
#include "tracing/hpack.h"

#include <array>
#include <utility>

namespace trivet::tracing {
namespace {

// RFC 7541, appendix A; the first has index 1.
constexpr std::array<HttpField, 61> static_table = {{
    {":authority", ""},
    {":method", "GET"},
    {":method", "POST"},
    {":path", "/"},
    {":path", "/index.html"},
    {":scheme", "http"},
    {":scheme", "https"},
    {":status", "200"},
    {":status", "204"},
    {":status", "206"},
    {":status", "304"},
    {":status", "400"},
    {":status", "404"},
    {":status", "500"},
    {"accept-charset", ""},
    {"accept-encoding", "gzip, deflate"},
    {"accept-language", ""},
    {"accept-ranges", ""},
    {"accept", ""},
    {"access-control-allow-origin", ""},
    {"age", ""},
    {"allow", ""},
    {"authorization", ""},
    {"cache-control", ""},
    {"content-disposition", ""},
    {"content-encoding", ""},
    {"content-language", ""},
    {"content-length", ""},
    {"content-location", ""},
    {"content-range", ""},
    {"content-type", ""},
    {"cookie", ""},
    {"date", ""},
    {"etag", ""},
    {"expect", ""},
    {"expires", ""},
    {"from", ""},
    {"host", ""},
    {"if-match", ""},
    {"if-modified-since", ""},
    {"if-none-match", ""},
    {"if-range", ""},
    {"if-unmodified-since", ""},
    {"last-modified", ""},
    {"link", ""},
    {"location", ""},
    {"max-forwards", ""},
    {"proxy-authenticate", ""},
    {"proxy-authorization", ""},
    {"range", ""},
    {"referer", ""},
    {"refresh", ""},
    {"retry-after", ""},
    {"server", ""},
    {"set-cookie", ""},
    {"strict-transport-security", ""},
    {"transfer-encoding", ""},
    {"user-agent", ""},
    {"vary", ""},
    {"via", ""},
    {"www-authenticate", ""},
}};

// RFC 7541, appendix B: the code is canonical, so that the lengths of the codes of the 256 bytes
// and of the end say all.
constexpr unsigned symbols = 257, longest_code = 30;
constexpr std::array<std::uint8_t, symbols> code_lengths = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,
    5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8,  15, 6,  12, 10, 13, 6,  7,  7,  7,  7,  7,  7,
    7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8,  13, 19, 13, 14, 6,
    15, 5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,  6,  7,  6,  5,  5,  6,  7,  7,
    7,  7,  7,  15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30};

// By length: the first code, its place among the symbols in the order of their codes, and the first
// 32 bits (left-aligned) that are beyond all codes of that length.
struct Codes {
  std::array<std::uint32_t, longest_code + 1> first{};
  std::array<std::uint16_t, longest_code + 1> place{};
  std::array<std::uint64_t, longest_code + 1> beyond{};
  std::array<std::uint16_t, symbols> in_order{};
};
constexpr Codes make_codes() {
  Codes codes;
  std::uint32_t code = 0;
  std::uint16_t place = 0;
  for (unsigned length = 1; length <= longest_code; ++length) {
    code <<= 1;
    codes.first[length] = code;
    codes.place[length] = place;
    for (unsigned symbol = 0; symbol < symbols; ++symbol) {
      if (code_lengths[symbol] != length) continue;
      codes.in_order[place++] = static_cast<std::uint16_t>(symbol);
      ++code;
    }
    codes.beyond[length] = std::uint64_t{code} << (32 - length);
  }
  return codes;
}
constexpr Codes codes = make_codes();
constexpr unsigned shortest_code = 5, end_of_string = 256;

// An integer whose first bits are the low ones of the first byte (RFC 7541, 5.1). False if it is
// cut off or beyond 32 bits.
bool take_integer(std::string_view& in, unsigned prefix_bits, std::uint64_t& value) {
  if (in.empty()) return false;
  const unsigned mask = (1u << prefix_bits) - 1;
  value = static_cast<std::uint8_t>(in.front()) & mask;
  in.remove_prefix(1);
  if (value < mask) return true;
  for (unsigned shift = 0; shift <= 28; shift += 7) {
    if (in.empty()) return false;
    const auto byte = static_cast<std::uint8_t>(in.front());
    in.remove_prefix(1);
    value += std::uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80) == 0) return value <= 0xffffffff;
  }
  return false;
}

bool take_text(std::string_view& in, std::string& text) {
  text.clear();
  if (in.empty()) return false;
  const bool coded = (in.front() & 0x80) != 0;
  std::uint64_t length = 0;
  if (!take_integer(in, 7, length) || length > in.size()) return false;
  const std::string_view bytes = in.substr(0, length);
  in.remove_prefix(length);
  if (coded) return huffman_decode(bytes, text);
  text = bytes;
  return true;
}

}  // namespace

bool huffman_decode(std::string_view coded, std::string& text) {
  std::uint64_t bits = 0;  // left-aligned in 64
  unsigned count = 0;
  std::size_t at = 0;
  for (;;) {
    while (count <= 56 && at < coded.size()) {
      bits |= std::uint64_t{static_cast<std::uint8_t>(coded[at++])} << (56 - count);
      count += 8;
    }
    const std::uint64_t front = bits >> 32;
    unsigned length = shortest_code;
    while (length < longest_code && front >= codes.beyond[length]) ++length;
    if (length > count) break;
    const auto code = static_cast<std::uint32_t>(bits >> (64 - length));
    const unsigned symbol = codes.in_order[codes.place[length] + (code - codes.first[length])];
    if (symbol == end_of_string) return false;
    text += static_cast<char>(symbol);
    bits <<= length;
    count -= length;
  }
  // What is left are the first bits of the end's code, fewer than a byte.
  return count < 8 && (count == 0 || bits >> (64 - count) == (1u << count) - 1);
}

void HpackDecoder::begin() {
  forget();
  table_limit_ = default_table_bytes;
}

void HpackDecoder::forget() {
  table_.clear();
  table_bytes_ = 0;
}

bool HpackDecoder::decode(std::string_view block) {
  text_.clear();
  spans_.clear();
  fields_.clear();
  unknown_ = 0;
  bool good = true;
  while (good && !block.empty()) good = take_field(block);
  std::string_view text = text_;
  for (const Span& span : spans_) {
    fields_.emplace_back(text.substr(0, span.name_bytes),
                         text.substr(span.name_bytes, span.value_bytes));
    text.remove_prefix(span.name_bytes + span.value_bytes);
  }
  if (!good) forget();
  return good;
}

bool HpackDecoder::take_field(std::string_view& in) {
  const auto first = static_cast<std::uint8_t>(in.front());
  if ((first & 0x80) != 0) {
    std::uint64_t index = 0;
    if (!take_integer(in, 7, index) || index == 0) return false;
    if (index <= static_table.size()) {
      keep(static_table[index - 1].first, static_table[index - 1].second);
    } else if (const Entry* entry = dynamic_entry(index)) {
      keep(entry->name, entry->value);
    } else {
      ++unknown_;
    }
    return true;
  }
  if ((first & 0x40) != 0) return take_literal(in, 6, true);
  if ((first & 0x20) == 0) return take_literal(in, 4, false);
  std::uint64_t size = 0;
  if (!take_integer(in, 5, size)) return false;
  table_limit_ = size < max_table_bytes ? static_cast<std::size_t>(size) : max_table_bytes;
  evict(table_limit_);
  return true;
}

bool HpackDecoder::take_literal(std::string_view& in, unsigned prefix_bits, bool indexed) {
  std::uint64_t index = 0;
  if (!take_integer(in, prefix_bits, index)) return false;
  Entry entry;
  if (index == 0) {
    if (!take_text(in, entry.name)) return false;
  } else if (index <= static_table.size()) {
    entry.name = static_table[index - 1].first;
  } else if (const Entry* named = dynamic_entry(index)) {
    entry.name = named->name;
  } else {
    entry.known = false;
  }
  if (!take_text(in, entry.value)) return false;
  if (entry.known) {
    keep(entry.name, entry.value);
  } else {
    ++unknown_;
  }
  if (indexed) insert(std::move(entry));
  return true;
}

const HpackDecoder::Entry* HpackDecoder::dynamic_entry(std::uint64_t index) const {
  const std::uint64_t place = index - static_table.size() - 1;
  return place < table_.size() && table_[place].known ? &table_[place] : nullptr;
}

void HpackDecoder::keep(std::string_view name, std::string_view value) {
  if (spans_.size() == max_fields || text_.size() + name.size() + value.size() > max_text_bytes) {
    ++unknown_;
    return;
  }
  text_.append(name).append(value);
  spans_.push_back({name.size(), value.size()});
}

// Entries are counted from the newest, so those that are known keep their index whatever the
// encoder's own limit is: a limit of ours that differs costs knowledge, never truth.
void HpackDecoder::insert(Entry entry) {
  const std::size_t size = entry.size();
  if (size > table_limit_) {
    forget();
    return;
  }
  evict(table_limit_ - size);
  table_bytes_ += size;
  table_.push_front(std::move(entry));
}

void HpackDecoder::evict(std::size_t limit) {
  while (table_bytes_ > limit) {
    table_bytes_ -= table_.back().size();
    table_.pop_back();
  }
}

}  // namespace trivet::tracing
