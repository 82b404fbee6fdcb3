// SPDX-License-Identifier: Apache-2.0
#include "http/documents.h"

#include <nlohmann/json.hpp>

#include "http/api_request.h"
#include "query/column_table.h"

namespace trivet {
namespace {

using Json = nlohmann::ordered_json;

// Text that is no UTF-8 is repaired instead of refused.
std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace

std::string index_json() {
  Json list = Json::array();
  for (const auto& entry : endpoints()) {
    const bool named = entry.path.size() > 1 && entry.path.ends_with('/');
    list.push_back({{"path", std::string(entry.path) + (named ? "{table}" : "")},
                    {"methods", entry.methods},
                    {"meaning", entry.meaning}});
  }
  return line_of({{"trivet", TRIVET_VERSION}, {"endpoints", std::move(list)}});
}

std::string version_json() {
  return line_of({{"version", TRIVET_VERSION}, {"fingerprint", TRIVET_FINGERPRINT}});
}

std::string tables_json(const std::vector<const RecordSchema*>& schemas) {
  Json tables = Json::array();
  for (const auto* schema : schemas) {
    Json columns = Json::array();
    column_table({schema}).each([&](const void* row) {
      const auto& column = *static_cast<const ColumnRow*>(row);
      columns.push_back({{"name", column.name},
                         {"type", column.type},
                         {"unit", column.unit},
                         {"otel", column.otel},
                         {"meaning", column.meaning}});
    });
    tables.push_back(
        {{"name", schema->table}, {"meaning", schema->meaning}, {"columns", std::move(columns)}});
  }
  return line_of({{"tables", std::move(tables)}});
}

std::string error_json(const Error& error) {
  Json json{{"message", error.message}};
  if (error.place.column != 0) json["position"] = error.place.column;
  return line_of({{"error", std::move(json)}});
}

}  // namespace trivet
