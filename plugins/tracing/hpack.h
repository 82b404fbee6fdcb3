// SPDX-License-Identifier: Apache-2.0
// Undoes the header compression of one direction of HTTP/2 (RFC 7541) for a bystander, who may have
// come late or missed some of it: of the dynamic table it knows the newest entries, and what refers
// to others is counted as unknown, never guessed. Written here since libraries, libnghttp2 among
// them, give up at the first such reference. Worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "tracing/http_parser.h"

namespace trivet::tracing {

class HpackDecoder {
 public:
  // Kept of the dynamic table: what browsers allow. An encoder that uses more has its older entries
  // unknown.
  static constexpr std::size_t max_table_bytes = 64 << 10;
  static constexpr std::size_t default_table_bytes = 4096;  // RFC 9113, 6.5.2
  // Kept of one block: as HttpParser, which bounds heads and fields so.
  static constexpr std::size_t max_fields = HttpParser::max_fields;
  static constexpr std::size_t max_text_bytes = HttpParser::max_head_bytes;

  // The connection begins: the table is empty, and of the default size.
  void begin();
  // Blocks were missed: all that the table held may have moved.
  void forget();
  // Decodes a whole block. False if it is malformed: fields() has what came before, and the table
  // is forgotten.
  bool decode(std::string_view block);

  // Of the last block, in order, those that are known. Views are valid until the next call.
  const std::vector<HttpField>& fields() const { return fields_; }
  // How many of its fields are missing there: their name or value refers to what was not seen, or
  // they are more than are kept.
  std::uint32_t unknown() const { return unknown_; }
  std::size_t memory() const { return table_bytes_ + text_.capacity(); }

 private:
  struct Entry {
    std::string name;
    std::string value;
    bool known = true;
    std::size_t size() const { return name.size() + value.size() + 32; }  // RFC 7541, 4.1
  };
  struct Span {
    std::size_t name_bytes;
    std::size_t value_bytes;
  };

  bool take_field(std::string_view& in);
  bool take_literal(std::string_view& in, unsigned prefix_bits, bool indexed);
  // Of the entry with that index; nullptr where it is unknown.
  const Entry* dynamic_entry(std::uint64_t index) const;
  void keep(std::string_view name, std::string_view value);
  void insert(Entry entry);
  void evict(std::size_t limit);

  std::deque<Entry> table_;  // newest first
  std::size_t table_bytes_ = 0;
  std::size_t table_limit_ = max_table_bytes / 4;  // of a connection whose beginning was not seen
  std::string text_;                               // of the fields, one behind the other
  std::vector<Span> spans_;
  std::vector<HttpField> fields_;
  std::uint32_t unknown_ = 0;
};

// Appends what a Huffman-coded text stands for (RFC 7541, 5.2). False if it is malformed.
bool huffman_decode(std::string_view coded, std::string& text);

}  // namespace trivet::tracing
