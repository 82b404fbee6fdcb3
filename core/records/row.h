// SPDX-License-Identifier: Apache-2.0
// One record on its way to a reader: either the record itself, or its place in a segment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "records/segment.h"
#include "trivet/record.h"

namespace trivet {

// The schema is static data of the library that made the record.
class Row {
 public:
  Row(const RecordSchema& schema, std::shared_ptr<const void> record, std::uint64_t number,
      std::size_t bytes)
      : schema_(&schema), record_(std::move(record)), number_(number), bytes_(bytes) {}
  Row(std::shared_ptr<const Segment> segment, std::size_t row)
      : schema_(&segment->schema()),
        segment_(std::move(segment)),
        row_(row),
        number_(segment_->number(row)),
        bytes_(sizeof(Row)) {}

  const RecordSchema& schema() const { return *schema_; }
  // Made again from the segment at each call if that is where it is.
  std::shared_ptr<const void> record() const { return segment_ ? segment_->record(row_) : record_; }
  // Of the schema's column with that index. What it points to lives as long as this row, or as
  // `unpacked`.
  Value value(std::size_t column, Unpacked& unpacked) const {
    return segment_ ? value_at(segment_->column(column), row_, unpacked)
                    : schema_->columns[column].get(record_.get());
  }
  // Over all tables, from 1, in order of arrival.
  std::uint64_t number() const { return number_; }
  // Memory that goes with this row, estimated.
  std::size_t bytes() const { return bytes_; }

 private:
  const RecordSchema* schema_;
  std::shared_ptr<const void> record_;
  std::shared_ptr<const Segment> segment_;
  std::size_t row_ = 0;
  std::uint64_t number_;
  std::size_t bytes_;
};

}  // namespace trivet
