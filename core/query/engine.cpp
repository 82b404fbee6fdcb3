// SPDX-License-Identifier: Apache-2.0
#include "query/engine.h"

#include <malloc.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <new>

#include "query/budget.h"
#include "query/column_table.h"
#include "query/sql_connection.h"
#include "query/table_module.h"

namespace trivet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kLiveSegmentRows = 16 << 10;

// What a live table lists now, as segments, so that a query reads it like any other.
std::vector<TablePart> listed(const LiveTable& table) {
  std::vector<TablePart> parts;
  std::unique_ptr<SegmentWriter> writer;
  std::uint64_t number = 0;
  table.each([&](const void* row) {
    if (!writer || writer->full()) {
      writer = std::make_unique<SegmentWriter>(*table.schema, kLiveSegmentRows);
      parts.push_back({writer->segment(), nullptr});
    }
    writer->append(row, ++number);
  });
  return parts;
}

// Of one query, from which on its memory is worth giving back.
constexpr std::size_t kMuch = 8 << 20;

// The C library keeps what queries have freed, in pieces between what others hold: the last query
// to end gives it back to the system.
class Running {
 public:
  Running(std::atomic<unsigned>& running, std::atomic<bool>& took_much)
      : running_(running), took_much_(took_much) {
    ++running_;
  }
  ~Running() {
    if (--running_ == 0 && took_much_.exchange(false)) malloc_trim(0);
  }
  Running(const Running&) = delete;

 private:
  std::atomic<unsigned>& running_;
  std::atomic<bool>& took_much_;
};

std::string seconds(std::uint64_t ns) {
  const auto tenths = ns / 100'000'000;
  return std::to_string(tenths / 10) + (tenths % 10 ? "." + std::to_string(tenths % 10) : "") +
         " s";
}

}  // namespace

QueryEngine::QueryEngine(const Tables& tables, std::vector<LiveTable> live, OriginNow origin)
    : tables_(tables), live_(std::move(live)), origin_(std::move(origin)) {
  limit_sqlite_memory();
  set_limits({});
}

void QueryEngine::set_limits(QueryLimits limits) {
  memory_bytes_ = limits.memory_bytes;
  time_ns_ = limits.time_ns;
}

Result<void> QueryEngine::run(const std::string& sql, RowSink& sink,
                              const std::atomic<bool>& cancelled, std::uint64_t time_ns) const {
  const std::uint64_t most_ns = time_ns_;
  const QueryLimits limits{memory_bytes_, time_ns == 0 ? most_ns : std::min(time_ns, most_ns)};
  const auto end = Clock::now() + std::chrono::nanoseconds(limits.time_ns);
  const auto late = [end] { return Clock::now() >= end; };
  sink.set_deadline(end);
  const Running running(running_, took_much_);  // its end is the last thing
  const auto over = [&cancelled, late] { return cancelled || late(); };
  Budget budget(limits.memory_bytes, over);
  // An aggregate may tell only at its end that it got no memory.
  const auto stopped = [&budget, over] { return budget.exceeded() || over(); };

  const Origin origin = origin_();  // one for the whole query
  std::vector<TableModule> modules;
  const auto add = [&](const RecordSchema& schema, auto parts) {
    modules.push_back({&schema,
                       [&schema, &origin, parts, stopped] {
                         return std::make_unique<TableRows>(schema, parts(), origin.boot_to_real_ns,
                                                            stopped);
                       },
                       &origin});
  };
  for (const auto& state : tables_.states()) {
    add(*state.schema, [this, table = state.schema->table] { return tables_.parts(table); });
  }
  for (const auto& table : live_) {
    add(*table.schema, [&table] { return listed(table); });
  }
  const LiveTable columns = column_table(schemas());
  add(*columns.schema, [&columns] { return listed(columns); });

  Result<bool> done = false;
  try {
    auto connection = SqlConnection::open(modules, stopped);
    done = connection ? (*connection)->select(sql, sink) : Result<bool>(connection.error());
  } catch (const std::bad_alloc&) {
    done = Error{"out of memory"};
  }
  if (budget.most() >= kMuch) took_much_ = true;
  if (cancelled || (done && *done)) return {};
  if (budget.exceeded()) {
    return Error{"the query needs more than " + std::to_string(limits.memory_bytes >> 20) +
                     " MiB of memory: ask for fewer rows or columns, or raise "
                     "query.max_memory_bytes",
                 ENOMEM};
  }
  if (late()) {
    return Error{"the query took longer than " + seconds(limits.time_ns) +
                     ": ask for a shorter time or fewer tables, or " +
                     (limits.time_ns < most_ns ? "give it more" : "raise query.max_time_s"),
                 ETIME};
  }
  if (!done) return std::move(done).error();
  return {};
}

std::vector<const RecordSchema*> QueryEngine::schemas() const {
  std::vector<const RecordSchema*> schemas;
  for (const auto& state : tables_.states()) schemas.push_back(state.schema);
  for (const auto& table : live_) schemas.push_back(table.schema);
  schemas.push_back(&ColumnRow::schema());
  return schemas;
}

}  // namespace trivet
