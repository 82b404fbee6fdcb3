// SPDX-License-Identifier: Apache-2.0
// Prints each new record as one line: what `trivet run` shows on a terminal. A thread of its own,
// so that a slow terminal slows nothing else; what it cannot print in time is counted by the
// tables.
#pragma once

#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "records/format.h"
#include "records/tables.h"

namespace trivet {

class Printer {
 public:
  // Follows these tables from now on and writes to `descriptor`, which it does not own.
  Printer(Tables& tables, std::vector<std::string> names, OriginNow origin, int descriptor);

 private:
  std::jthread thread_;
};

}  // namespace trivet
