// SPDX-License-Identifier: Apache-2.0
#include "query/row_condition.h"

#include <chrono>
#include <new>
#include <utility>

#include "query/budget.h"
#include "query/sql_connection.h"
#include "query/table_module.h"

namespace trivet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{1};
constexpr std::size_t kMemoryBytes = 256 << 20;

// Takes the numbers of the rows that pass: rowid has them in its lower half (query/table_module).
class Passing final : public RowSink {
 public:
  explicit Passing(std::size_t rows) : passes_(rows) {}
  bool columns(const std::vector<std::string>&) override { return true; }
  bool row(std::span<const Cell> cells) override {
    if (auto id = std::get_if<std::int64_t>(&cells[0]))
      passes_.at(static_cast<std::size_t>(*id & 0xffffffff)) = true;
    return true;
  }
  std::vector<bool> take() { return std::move(passes_); }

 private:
  std::vector<bool> passes_;
};

// SQLite counts characters from the start of the statement, people from that of the condition.
Error as_written(Error error, std::size_t before) {
  const auto where = [](std::size_t column) {
    return " (at character " + std::to_string(column) + ")";
  };
  const std::string told = where(error.place.column);
  if (const auto at = error.message.find(told);
      error.place.column > before && at != std::string::npos)
    error.message.replace(at, told.size(), where(error.place.column - before));
  error.place = {};
  return error;
}

Result<std::vector<bool>> select(const std::string& condition, const RecordSchema& schema,
                                 std::shared_ptr<const Segment> segment, const Origin& origin) {
  const std::size_t rows = segment->rows();
  const auto end = Clock::now() + kPatience;
  const auto stopped = [end] { return Clock::now() >= end; };
  std::vector<TableModule> modules;
  modules.push_back({&schema,
                     [&] {
                       return std::make_unique<TableRows>(
                           schema, std::vector<TablePart>{{segment, nullptr}},
                           origin.boot_to_real_ns, stopped);
                     },
                     &origin});
  const std::string before = "SELECT rowid FROM " + std::string(schema.table) + " WHERE (";
  Passing passing(rows);
  limit_sqlite_memory();
  const Budget budget(kMemoryBytes, stopped);
  try {
    auto connection = SqlConnection::open(modules, stopped);
    // A comment at the end of the condition must not hide the bracket.
    const auto done = connection ? (*connection)->select(before + condition + "\n)", passing)
                                 : Result<bool>(connection.error());
    if (done && *done) return passing.take();
    if (done || stopped()) return Error{"the condition could not be judged within a second"};
    return as_written(done.error(), before.size());
  } catch (const std::bad_alloc&) {
    return Error{"the condition needs too much memory"};
  }
}

}  // namespace

Result<void> check_condition(const std::string& condition, const RecordSchema& schema) {
  const SegmentWriter none(schema, 1);
  auto judged = select(condition, schema, none.segment(), {});
  if (!judged) return std::move(judged).error();
  return {};
}

Result<std::vector<bool>> judge_condition(const std::string& condition, std::span<const Row> rows,
                                          const Origin& origin) {
  if (rows.empty()) return std::vector<bool>();
  const RecordSchema& schema = rows.front().schema();
  SegmentWriter writer(schema, rows.size());
  for (const auto& row : rows) writer.append(row.record().get(), row.number());
  return select(condition, schema, writer.segment(), origin);
}

}  // namespace trivet
