// SPDX-License-Identifier: Apache-2.0
// Rows of one record type, stored by column: numbers as numbers, everything else as codes into the
// column's own dictionary. A segment only grows, and only by its SegmentWriter; rows that were
// there once never change, so whoever holds a segment reads rows() of them without a lock, on any
// thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trivet/record.h"

namespace trivet {

// Where one column's values are. Valid as long as the segment.
struct ColumnView {
  ColumnType type = ColumnType::integer;
  bool coded = false;      // a code names an entry of the dictionary, 0 stands for no value
  std::uint8_t width = 0;  // bytes of a code: 0, 1, 2, 4 or 8
  std::uint64_t base = 0;  // added to each code
  const std::byte* codes = nullptr;
  const std::uint8_t* nulls =
      nullptr;  // of numbers: 1 where there is no value; nullptr: all have one
  const std::string_view* entries = nullptr;  // of a dictionary that grows
  const std::uint32_t* ends = nullptr;  // of one that is complete: where in `heap` each entry ends
  const char* heap = nullptr;

  // A number's bits (boot_ns, ns, 0 or 1, a double's), or the code of an entry.
  std::uint64_t raw(std::size_t row) const {
    switch (width) {
      case 0:
        return base;
      case 1:
        return base + static_cast<std::uint8_t>(codes[row]);
      case 2:
        return base + read<std::uint16_t>(row);
      case 4:
        return base + read<std::uint32_t>(row);
      default:
        return base + read<std::uint64_t>(row);
    }
  }
  bool null(std::size_t row) const {
    return coded ? raw(row) == 0 : nulls != nullptr && nulls[row] != 0;
  }
  // The entry of a code other than 0: text, an address's 4 or 16 bytes, or what pack() made.
  std::string_view entry(std::uint64_t code) const {
    if (entries != nullptr) return entries[code];
    return {heap + ends[code - 1], ends[code] - ends[code - 1]};
  }

 private:
  template <class Word>
  Word read(std::size_t row) const {
    Word word;
    std::memcpy(&word, codes + row * sizeof(Word), sizeof(Word));
    return word;
  }
};

// Whether a column of this type keeps codes into a dictionary; else it keeps numbers.
bool is_coded(ColumnType type);

// What a complete column is made of. Its bytes are one run, in memory as in a file, little endian:
// where in the heap each entry ends (4 bytes each), the codes, a byte for each row that is 1 where
// there is no value, and the heap with the entries.
struct ColumnShape {
  std::uint8_t width = 0;  // as in ColumnView
  bool has_nulls = false;
  std::uint64_t base = 0;        // as in ColumnView
  std::uint32_t entries = 0;     // of a dictionary, with the one that stands for no value
  std::uint32_t heap_bytes = 0;  // of a dictionary

  std::size_t bytes(std::size_t rows) const {
    return entries * sizeof(std::uint32_t) + rows * width + (has_nulls ? rows : 0) + heap_bytes;
  }
};

class Segment {
 public:
  // No segment has more: large enough that a query hardly notices the borders, small enough to be
  // sealed in milliseconds.
  static constexpr std::size_t kMaxRows = 64 << 10;
  // Equal entries of at most this size share one code. Longer texts, such as bodies, hardly ever
  // repeat: looking them up would cost more than it saves.
  static constexpr std::size_t kMaxSharedBytes = 256;

  // The smallest and the largest number of a column, as signed 64-bit integers.
  struct Range {
    std::int64_t smallest;
    std::int64_t largest;
  };

  // Of a complete segment. Without `bytes`, the column is not there: no row has a value.
  struct CompleteColumn {
    ColumnShape shape;
    std::optional<Range> range;  // of numbers, if known
    std::unique_ptr<std::byte[]> bytes;
  };

  // From `rows` rows of the schema's columns and, behind them, of the rows' numbers. They must be
  // sound: codes within the dictionary, addresses of 4 or 16 bytes.
  static std::shared_ptr<const Segment> complete(const RecordSchema& schema, std::size_t rows,
                                                 std::vector<CompleteColumn> columns);
  ~Segment();
  Segment(const Segment&) = delete;

  const RecordSchema& schema() const { return *schema_; }
  std::size_t rows() const { return rows_.load(std::memory_order_acquire); }
  const ColumnView& column(std::size_t column) const { return columns_[column]; }
  // Codes of that column are below this: those of the rows() seen before.
  std::uint64_t entries(std::size_t column) const {
    return entry_counts_[column].load(std::memory_order_relaxed);
  }
  // Of numbers without gaps in a complete segment; else nothing is known.
  std::optional<Range> range(std::size_t column) const;
  // The same column's parts; nullptr while the segment grows.
  const CompleteColumn* complete_column(std::size_t column) const;
  // The row's number over all tables, in order of arrival.
  std::uint64_t number(std::size_t row) const { return columns_.back().raw(row); }
  // The record itself, made again.
  std::shared_ptr<const void> record(std::size_t row) const;
  // Memory taken, estimated.
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  friend class SegmentWriter;
  struct Store;  // the memory behind the views
  Segment(const RecordSchema& schema, std::unique_ptr<Store> store);

  const RecordSchema* schema_;
  std::unique_ptr<Store> store_;
  std::vector<ColumnView> columns_;  // the schema's, then the row's number
  std::vector<std::optional<Range>> ranges_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> entry_counts_;
  std::atomic<std::size_t> rows_ = 0;
  std::atomic<std::size_t> bytes_ = 0;
};

// Fills one segment. Owned by a table, one thread at a time.
class SegmentWriter {
 public:
  // Room for at most `capacity` rows, no more than kMaxRows; memory is taken as they come.
  SegmentWriter(const RecordSchema& schema, std::size_t capacity);
  ~SegmentWriter();

  void append(const void* record, std::uint64_t number);
  bool full() const { return segment_->rows() >= capacity_; }
  const std::shared_ptr<Segment>& segment() const { return segment_; }
  // The same rows in as little memory as they need. Nothing may be appended any more.
  std::shared_ptr<const Segment> seal() const;

 private:
  class Dictionary;
  void append_entry(std::size_t column, std::size_t row, std::string_view bytes);

  const std::size_t capacity_;
  std::shared_ptr<Segment> segment_;
  std::vector<std::unique_ptr<Dictionary>> dictionaries_;  // by column; null for numbers
  std::string packed_;
};

// A value of a segment's column. What it points to lives as long as the segment, or as `Unpacked`.
struct Unpacked {
  std::vector<std::string> texts;
  Fields fields;
};
Value value_at(const ColumnView& column, std::size_t row, Unpacked& unpacked);

}  // namespace trivet
