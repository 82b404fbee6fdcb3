// SPDX-License-Identifier: Apache-2.0
// The aggregates p50(x), p90(x) and p99(x): the smallest value of x such that at least that share
// of all values is no larger (nearest rank). NULLs do not count; without a value the result is
// NULL.
#pragma once

struct sqlite3;

namespace trivet {

// Makes them known to a connection. A result code of SQLite.
int add_percentiles(sqlite3* connection);

}  // namespace trivet
