// SPDX-License-Identifier: Apache-2.0
#include "control/request.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "text/escape.h"

namespace trivet {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<std::string_view, RecordFormat>, 5> kFormats = {{
    {"compact", RecordFormat::compact},
    {"json", RecordFormat::json},
    {"falco", RecordFormat::falco},
    {"text", RecordFormat::text},
    {"hubble", RecordFormat::hubble},
}};

std::string_view name_of(RecordFormat format) {
  for (const auto& [name, value] : kFormats) {
    if (value == format) return name;
  }
  return "compact";
}

Json parse(std::string_view text) {
  return Json::parse(text, nullptr, false);
}

// A line for the other end. Text that is no UTF-8 is repaired instead of refused.
std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

Error wrong(std::string_view member, std::string_view expected) {
  return Error{"request: \"" + std::string(member) + "\" must be " + std::string(expected)};
}

bool is_text(const Json& json) {
  return json.is_string();
}

bool is_texts(const Json& json) {
  return json.is_array() && std::ranges::all_of(json, is_text);
}

// {"any": [{"column": ["value", ...], ...}, ...], "not": false}
bool parse_clause(const Json& json, FilterClause& clause) {
  if (!json.is_object()) return false;
  for (const auto& [key, value] : json.items()) {
    if (key == "not" && value.is_boolean()) {
      clause.negated = value.get<bool>();
    } else if (key == "any" && value.is_array()) {
      for (const auto& tests : value) {
        if (!tests.is_object()) return false;
        auto& alternative = clause.alternatives.emplace_back();
        for (const auto& [column, values] : tests.items()) {
          if (!is_texts(values)) return false;
          alternative.push_back({column, values.get<std::vector<std::string>>()});
        }
      }
    } else {
      return false;
    }
  }
  return true;
}

Json json_of(const FilterClause& clause) {
  Json any = Json::array();
  for (const auto& tests : clause.alternatives) {
    Json& alternative = any.emplace_back(Json::object());
    for (const auto& test : tests) alternative[test.column] = test.values;
  }
  return {{"any", std::move(any)}, {"not", clause.negated}};
}

Result<void> parse_observe(const Json& json, ObserveRequest& observe) {
  for (const auto& [key, value] : json.items()) {
    if (key == "verb") continue;
    if (key == "table") {
      if (!value.is_string()) return wrong(key, "a string");
      observe.table = value.get<std::string>();
    } else if (key == "follow" || key == "colour" || key == "first") {
      if (!value.is_boolean()) return wrong(key, "true or false");
      (key == "follow"   ? observe.follow
       : key == "colour" ? observe.colour
                         : observe.first) = value.get<bool>();
    } else if (key == "since" || key == "until") {
      if (!value.is_number_integer()) return wrong(key, "nanoseconds since 1970");
      (key == "since" ? observe.wish.since_ns : observe.wish.until_ns) = value.get<std::int64_t>();
    } else if (key == "filters") {
      const bool right = value.is_array() && std::ranges::all_of(value, [&](const Json& one) {
                           return parse_clause(one, observe.wish.clauses.emplace_back());
                         });
      if (!right)
        return wrong(key, "a list of {\"any\": [{\"COLUMN\": [\"VALUE\"]}], \"not\": false}");
    } else if (key == "limit") {
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMaxObserveLimit) {
        return wrong(key, "a number from 0 to " + std::to_string(kMaxObserveLimit));
      }
      observe.limit = value.get<std::size_t>();
    } else if (key == "format") {
      auto format =
          value.is_string() ? record_format(value.get_ref<const std::string&>()) : std::nullopt;
      if (!format) return wrong(key, "compact, json, falco, text or hubble");
      observe.format = *format;
    } else {
      return Error{"request: unknown member \"" + printable(key) + "\""};
    }
  }
  if (observe.table.empty()) return wrong("table", "the name of a table");
  return {};
}

Result<void> parse_query(const Json& json, std::string& sql) {
  for (const auto& [key, value] : json.items()) {
    if (key == "verb") continue;
    if (key != "sql") return Error{"request: unknown member \"" + printable(key) + "\""};
    if (!value.is_string()) return wrong(key, "a string");
    sql = value.get<std::string>();
  }
  if (sql.empty()) return wrong("sql", "a SELECT statement");
  return {};
}

Result<void> parse_capture(const Json& json, CaptureRequest& capture) {
  for (const auto& [key, value] : json.items()) {
    if (key == "verb") continue;
    if (key == "plugins") {
      if (!is_texts(value)) return wrong(key, "a list of strings");
      capture.plugins = value.get<std::vector<std::string>>();
    } else if (key == "size") {
      if (!value.is_number_unsigned()) return wrong(key, "a number of bytes");
      capture.size = value.get<std::uint64_t>();
    } else {
      return Error{"request: unknown member \"" + printable(key) + "\""};
    }
  }
  if (capture.size < kMinCaptureBytes || capture.size > kMaxCaptureBytes)
    return wrong("size", "a number of bytes from " + std::to_string(kMinCaptureBytes) + " to " +
                             std::to_string(kMaxCaptureBytes));
  return {};
}

Scalar scalar_of(const Json& json) {
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  return {};
}

Result<void> parse_arguments(const Json& json, std::vector<std::string>& arguments) {
  for (const auto& [key, value] : json.items()) {
    if (key == "verb") continue;
    if (key != "arguments") return Error{"request: unknown member \"" + printable(key) + "\""};
    if (!value.is_array()) return wrong(key, "a list of strings");
    for (const auto& argument : value) {
      if (!argument.is_string()) return wrong(key, "a list of strings");
      arguments.push_back(argument.get<std::string>());
    }
  }
  return {};
}

class RowLines final : public RowText {
 public:
  void begin(std::string& out, const std::vector<std::string>& names) override {
    out += line_of(Json{{"columns", names}});
  }
  void row(std::string& out, std::span<const Cell> cells) override {
    out += open_ ? ",[" : "{\"rows\":[[";
    open_ = true;
    bool first = true;
    for (const auto& cell : cells) {
      if (!first) out += ',';
      first = false;
      append_json_cell(out, cell);
    }
    out += ']';
  }
  void pause(std::string& out) override {
    if (open_) out += "]}\n";
    open_ = false;
  }

 private:
  bool open_ = false;  // a line of rows
};

}  // namespace

std::optional<RecordFormat> record_format(std::string_view name) {
  for (const auto& [known, format] : kFormats) {
    if (known == name) return format;
  }
  return std::nullopt;
}

Result<ControlRequest> parse_request(std::string_view line) {
  Json json = parse(line);
  if (!json.is_object()) return Error{"request: not a JSON object on one line"};
  auto verb = json.find("verb");
  if (verb == json.end() || !verb->is_string()) return wrong("verb", "a string");

  ControlRequest request;
  request.verb = verb->get<std::string>();
  auto parsed = request.verb == "observe"   ? parse_observe(json, request.observe.emplace())
                : request.verb == "query"   ? parse_query(json, request.query.emplace())
                : request.verb == "capture" ? parse_capture(json, request.capture.emplace())
                                            : parse_arguments(json, request.arguments);
  if (!parsed) return std::move(parsed).error();
  return request;
}

std::string write_request(const ControlRequest& request) {
  Json json;
  json["verb"] = request.verb;
  if (const auto& observe = request.observe) {
    json["table"] = observe->table;
    json["follow"] = observe->follow;
    json["limit"] = observe->limit;
    json["format"] = name_of(observe->format);
    json["colour"] = observe->colour;
    json["first"] = observe->first;
    if (observe->wish.since_ns) json["since"] = *observe->wish.since_ns;
    if (observe->wish.until_ns) json["until"] = *observe->wish.until_ns;
    for (const auto& clause : observe->wish.clauses) json["filters"].push_back(json_of(clause));
  } else if (request.query) {
    json["sql"] = *request.query;
  } else if (request.capture) {
    json["plugins"] = request.capture->plugins;
    json["size"] = request.capture->size;
  } else {
    json["arguments"] = request.arguments;
  }
  return line_of(json);
}

Result<std::string> write_result(const std::string& text) {
  Json json = parse(text);
  if (json.is_discarded()) return Error{"the daemon's answer is no JSON: a bug in the verb"};
  return line_of(Json{{"result", std::move(json)}});
}

std::string write_error(const Error& error) {
  return line_of(Json{{"error", error.to_string()}, {"code", error.code}});
}

std::string write_dropped(std::uint64_t rows) {
  return line_of(Json{{"dropped", rows}});
}

std::string write_end() {
  return "{\"end\":true}\n";
}

std::string write_capture() {
  return "{\"capture\":true}\n";
}

std::string write_record(std::string_view json) {
  return "{\"record\":" + std::string(json) + "}\n";
}

std::string write_line(std::string_view line) {
  std::string out = "{\"line\":";
  append_json_string(out, line);
  return out + "}\n";
}

std::unique_ptr<RowText> write_rows() {
  return std::make_unique<RowLines>();
}

Result<ControlAnswer> parse_answer(std::string_view line) {
  Json json = parse(line);
  Error nonsense{"the daemon's answer is not understood: is it of another version?"};
  if (!json.is_object() || json.empty()) return nonsense;
  const std::string& kind = json.begin().key();
  const Json& value = json.begin().value();
  using Kind = ControlAnswer::Kind;
  ControlAnswer answer{};
  if (kind == "result" || kind == "record") {
    answer.kind = kind == "result" ? Kind::result : Kind::line;
    answer.text = value.dump();
    return answer;
  }
  if (kind == "end" || kind == "capture") {
    answer.kind = kind == "end" ? Kind::end : Kind::capture;
    return answer;
  }
  if (kind == "line" && value.is_string()) {
    answer.kind = Kind::line;
    answer.text = value.get<std::string>();
    return answer;
  }
  if (kind == "dropped" && value.is_number_unsigned()) {
    answer.kind = Kind::dropped;
    answer.dropped = value.get<std::uint64_t>();
    return answer;
  }
  if (kind == "error" && value.is_string()) {
    answer.kind = Kind::error;
    answer.error.message = value.get<std::string>();
    if (auto code = json.find("code"); code != json.end() && code->is_number_integer()) {
      answer.error.code = code->get<int>();
    }
    return answer;
  }
  if (kind == "columns" && value.is_array()) {
    answer.kind = Kind::columns;
    for (const auto& name : value) {
      if (!name.is_string()) return nonsense;
      answer.columns.push_back(name.get<std::string>());
    }
    return answer;
  }
  if (kind == "rows" && value.is_array()) {
    answer.kind = Kind::rows;
    for (const auto& row : value) {
      if (!row.is_array()) return nonsense;
      auto& cells = answer.rows.emplace_back();
      for (const auto& cell : row) cells.push_back(scalar_of(cell));
    }
    return answer;
  }
  return nonsense;
}

}  // namespace trivet
