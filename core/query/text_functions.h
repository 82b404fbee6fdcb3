// SPDX-License-Identifier: Apache-2.0
// Functions on text in the place of SQLite's own: instr(), replace(), LIKE, GLOB and trim() with
// the same results. SQLite looks at a query's limits between its machine's instructions only, and
// one call of these could take minutes.
#pragma once

struct sqlite3;

namespace trivet {

// Makes them known to a connection. A result code of SQLite.
int add_text_functions(sqlite3* connection);

}  // namespace trivet
