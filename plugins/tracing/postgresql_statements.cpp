// SPDX-License-Identifier: Apache-2.0
#include "tracing/postgresql_statements.h"

namespace trivet::tracing {

void PostgresqlStatements::prepare(std::string_view name, std::string_view text, bool truncated) {
  forget(name);
  if (statements_.size() >= max_names || name.size() > max_name) return;
  bytes_ += name.size() + text.size() + sizeof(Statement);
  statements_[std::string(name)] = {std::string(text), truncated};
}

void PostgresqlStatements::forget(std::string_view name) {
  const auto found = statements_.find(std::string(name));
  if (found == statements_.end()) return;
  bytes_ -= found->first.size() + found->second.text.size() + sizeof(Statement);
  statements_.erase(found);
}

void PostgresqlStatements::bind(std::string_view portal, std::string_view statement) {
  if (portal.size() > max_name) return;
  std::string key(portal);
  if (portals_.size() >= max_names && !portals_.contains(key)) return;
  portals_[std::move(key)] = statement.substr(0, max_name);
}

const std::string* PostgresqlStatements::bound(std::string_view portal) const {
  const auto found = portals_.find(std::string(portal));
  return found == portals_.end() ? nullptr : &found->second;
}

const PostgresqlStatements::Statement* PostgresqlStatements::find(const std::string& name) const {
  const auto found = statements_.find(name);
  return found == statements_.end() ? nullptr : &found->second;
}

void PostgresqlStatements::clear() {
  statements_.clear();
  portals_.clear();
  bytes_ = 0;
}

}  // namespace trivet::tracing
