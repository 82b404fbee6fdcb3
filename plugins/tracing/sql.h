// SPDX-License-Identifier: Apache-2.0
// What is told of an SQL text: its first word, a fingerprint without literals, and the text without
// passwords. A scan by tokens that never fails: what is cut off or unknown stays as it is. Pure
// functions; any thread.
#pragma once

#include <string>
#include <string_view>

namespace trivet::tracing {

enum class SqlDialect { postgresql, mysql };

struct SqlText {
  std::string operation;    // the first word, in capitals
  std::string fingerprint;  // literals as ?, lists of them as one, without comments
  std::string text;         // as it came, but for string literals that are passwords
};

SqlText read_sql(std::string_view sql, SqlDialect dialect, bool redact);

}  // namespace trivet::tracing
