// SPDX-License-Identifier: Apache-2.0
// Rows of queries for tests: a sink that keeps them as text, and one call that asks.
#pragma once

#include <atomic>
#include <cstdio>
#include <string>
#include <vector>

#include "query/engine.h"

namespace trivet {

struct KeptRows final : RowSink {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> rows;  // NULL is "NULL"

  bool columns(const std::vector<std::string>& columns) override {
    names = columns;
    return true;
  }
  bool row(std::span<const Cell> cells) override {
    auto& row = rows.emplace_back();
    for (const auto& cell : cells) {
      if (auto number = std::get_if<std::int64_t>(&cell)) {
        row.push_back(std::to_string(*number));
      } else if (auto real = std::get_if<double>(&cell)) {
        char text[32];
        std::snprintf(text, sizeof(text), "%.17g", *real);
        row.emplace_back(text);
      } else if (auto text = std::get_if<std::string_view>(&cell)) {
        row.emplace_back(*text);
      } else {
        row.emplace_back("NULL");
      }
    }
    return true;
  }
};

// The rows, or one row with one cell: the error.
inline std::vector<std::vector<std::string>> ask(const QueryEngine& engine,
                                                 const std::string& sql) {
  KeptRows kept;
  const std::atomic<bool> cancelled = false;
  auto done = engine.run(sql, kept, cancelled);
  if (!done) return {{"error: " + done.error().to_string()}};
  return kept.rows;
}

}  // namespace trivet
