// SPDX-License-Identifier: Apache-2.0
// What one MySQL session has prepared: texts by the ids that the server gave them. Bounded in
// number; what does not fit is not known. Owned by the dialogue; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>

namespace trivet::tracing {

class MysqlStatements {
 public:
  static constexpr std::size_t max_ids = 1024;
  // MariaDB's: the statement prepared last, whose id has not come yet.
  static constexpr std::uint32_t last_id = 0xffffffff;

  struct Statement {
    std::string text;
    bool truncated = false;
    std::size_t memory() const { return sizeof(Statement) + 64 + text.size(); }
  };

  // The client has sent it.
  void prepare(Statement statement) { last_ = std::move(statement); }
  // The server has given it an id. Replaces what was known under that.
  void remember(std::uint32_t id, Statement statement) {
    forget(id);
    if (by_id_.size() >= max_ids) return;
    bytes_ += statement.memory();
    by_id_.emplace(id, std::move(statement));
  }
  void forget(std::uint32_t id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return;
    bytes_ -= found->second.memory();
    by_id_.erase(found);
  }
  void clear() {
    by_id_.clear();
    bytes_ = 0;
    last_ = {};
  }
  const Statement* find(std::uint32_t id) const {
    if (id == last_id) return last_.text.empty() ? nullptr : &last_;
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : &found->second;
  }
  // Bytes, about.
  std::size_t memory() const { return bytes_ + last_.memory(); }

 private:
  std::unordered_map<std::uint32_t, Statement> by_id_;
  Statement last_;
  std::size_t bytes_ = 0;
};

}  // namespace trivet::tracing
