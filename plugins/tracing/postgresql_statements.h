// SPDX-License-Identifier: Apache-2.0
// What one PostgreSQL session has prepared: texts by statement name, statements by portal. Bounded
// in number; what does not fit is not known. Owned by the dialogue; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>

namespace trivet::tracing {

class PostgresqlStatements {
 public:
  static constexpr std::size_t max_names = 1024;
  static constexpr std::size_t max_name = 256;

  struct Statement {
    std::string text;
    bool truncated = false;
  };

  // Replaces what was known under that name.
  void prepare(std::string_view name, std::string_view text, bool truncated);
  void forget(std::string_view name);
  void bind(std::string_view portal, std::string_view statement);
  // The name of the statement that a portal runs, or nullptr.
  const std::string* bound(std::string_view portal) const;
  const Statement* find(const std::string& name) const;
  void clear();
  // Bytes, about.
  std::size_t memory() const { return bytes_ + portals_.size() * 2 * max_name; }

 private:
  std::unordered_map<std::string, Statement> statements_;
  std::unordered_map<std::string, std::string> portals_;
  std::size_t bytes_ = 0;
};

}  // namespace trivet::tracing
