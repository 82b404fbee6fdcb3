// SPDX-License-Identifier: Apache-2.0
#include "query/percentile.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>

namespace trivet {
namespace {

// SQLite zeroes it; the values' memory is SQLite's, so that it counts as the query's.
struct Values {
  std::int64_t* numbers;  // a double's bits once `real` is set
  std::uint64_t count, room;
  bool real;
};
static_assert(sizeof(double) == sizeof(std::int64_t));

double* reals(Values& values) {
  return reinterpret_cast<double*>(values.numbers);
}

bool make_room(Values& values) {
  if (values.count < values.room) return true;
  const std::uint64_t room = std::max<std::uint64_t>(16, values.room + values.room / 2);
  void* larger = sqlite3_realloc64(values.numbers, room * sizeof(std::int64_t));
  if (!larger) return false;
  values.numbers = static_cast<std::int64_t*>(larger);
  values.room = room;
  return true;
}

void take(sqlite3_context* context, int, sqlite3_value** arguments) {
  const int type = sqlite3_value_type(arguments[0]);
  if (type == SQLITE_NULL) return;
  if (type != SQLITE_INTEGER && type != SQLITE_FLOAT) {
    sqlite3_result_error(context,
                         "p50(), p90() and p99() are of numbers: give them a number column", -1);
    return;
  }
  auto* values = static_cast<Values*>(sqlite3_aggregate_context(context, sizeof(Values)));
  if (!values || !make_room(*values)) {
    sqlite3_result_error_nomem(context);
    return;
  }
  if (type == SQLITE_FLOAT && !values->real) {
    values->real = true;
    for (std::uint64_t i = 0; i < values->count; ++i) {
      reals(*values)[i] = static_cast<double>(values->numbers[i]);
    }
  }
  if (values->real) {
    reals(*values)[values->count++] = sqlite3_value_double(arguments[0]);
  } else {
    values->numbers[values->count++] = sqlite3_value_int64(arguments[0]);
  }
}

void give(sqlite3_context* context) {
  auto* values = static_cast<Values*>(sqlite3_aggregate_context(context, 0));
  if (!values) return;
  const auto percent = reinterpret_cast<std::uintptr_t>(sqlite3_user_data(context));
  if (values->count != 0) {
    const std::uint64_t place = (values->count * percent + 99) / 100 - 1;
    if (values->real) {
      double* first = reals(*values);
      std::nth_element(first, first + place, first + values->count);
      sqlite3_result_double(context, first[place]);
    } else {
      std::int64_t* first = values->numbers;
      std::nth_element(first, first + place, first + values->count);
      sqlite3_result_int64(context, first[place]);
    }
  }
  sqlite3_free(values->numbers);
  values->numbers = nullptr;
}

}  // namespace

int add_percentiles(sqlite3* connection) {
  struct Percentile {
    const char* name;
    std::uintptr_t percent;
  };
  for (const auto& [name, percent] : {Percentile{"p50", 50}, {"p90", 90}, {"p99", 99}}) {
    const int result =
        sqlite3_create_function_v2(connection, name, 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                   reinterpret_cast<void*>(percent), nullptr, take, give, nullptr);
    if (result != SQLITE_OK) return result;
  }
  return SQLITE_OK;
}

}  // namespace trivet
