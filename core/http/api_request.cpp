// SPDX-License-Identifier: Apache-2.0
#include "http/api_request.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "text/escape.h"
#include "trivet/config.h"

namespace trivet {
namespace {

constexpr EndpointEntry kEndpoints[] = {
    {Endpoint::index, "/", "GET, HEAD", "This list"},
    {Endpoint::query, "/v1/query", "GET, POST", "The rows of a SELECT statement"},
    {Endpoint::tables, "/v1/tables", "GET, HEAD", "What can be asked for, by table and column"},
    {Endpoint::status, "/v1/status", "GET, HEAD", "How this trivet fares"},
    {Endpoint::stream, "/v1/stream/", "GET", "Records as they come: alerts, requests, flows"},
    {Endpoint::version, "/v1/version", "GET, HEAD", "The version of this trivet"},
};

struct FormatEntry {
  RowFormat format;
  std::string_view name;
  std::string_view media_types[2];  // the first is what an answer says
};
// By rank where a client takes any.
constexpr FormatEntry kFormats[] = {
    {RowFormat::json_lines, "jsonl", {"application/x-ndjson", "application/jsonl"}},
    {RowFormat::json_array, "json", {"application/json", "application/json"}},
    {RowFormat::csv, "csv", {"text/csv", "text/csv"}},
};

using Parameters = std::vector<std::pair<std::string, std::string>>;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// Calls `visit` with each part of `text` between separators.
template <class Visit>
void split(std::string_view text, char separator, Visit visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = high < 0 ? -1 : hex_digit(text[i + 2]);
      if (low < 0) return Error{"a % in a parameter begins a byte in hexadecimal: write %25 for %"};
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

// name=value&..., as in a target or the body of a form.
Result<void> read_form(std::string_view text, Parameters& parameters) {
  Result<void> done;
  split(text, '&', [&](std::string_view part) {
    if (part.empty() || !done) return;
    const std::size_t equals = std::min(part.find('='), part.size());
    auto name = decoded(part.substr(0, equals));
    auto value = decoded(part.substr(std::min(equals + 1, part.size())));
    if (!name || !value) {
      done = (name ? value : name).error();
      return;
    }
    parameters.emplace_back(std::move(*name), std::move(*value));
  });
  return done;
}

Result<void> read_json(const std::string& body, Parameters& parameters) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object())
    return Error{"the body is not a JSON object: write {\"sql\": \"SELECT ...\"}"};
  for (const auto& [name, value] : json.items()) {
    if (value.is_string()) {
      parameters.emplace_back(name, value.get<std::string>());
    } else if (value.is_number() && name != "sql") {
      parameters.emplace_back(name, value.dump());
    } else {
      return Error{"\"" + printable(name) + "\" in the body must be a text" +
                   (name == "sql" ? "" : " or a number")};
    }
  }
  return {};
}

// The parameters of the target and those of the body, by the type that it says it has.
Result<Parameters> parameters_of(const RequestMessage& request, std::string_view query) {
  Parameters parameters;
  if (auto read = read_form(query, parameters); !read) return std::move(read).error();
  if (request.body.empty()) return parameters;
  const std::string type = lower(
      trimmed(std::string_view(request.content_type).substr(0, request.content_type.find(';'))));
  Result<void> read;
  if (type == "application/x-www-form-urlencoded") {
    read = read_form(request.body, parameters);
  } else if (type == "application/json") {
    read = read_json(request.body, parameters);
  } else {
    parameters.emplace_back("sql", request.body);
  }
  if (!read) return std::move(read).error();
  return parameters;
}

Error unknown_parameter(const std::string& name, const std::vector<std::string>& known) {
  std::string list;
  for (const auto& one : known) list += (list.empty() ? "" : ", ") + one;
  return Error{"unknown parameter \"" + printable(name.substr(0, 40)) + "\": there are " + list};
}

Result<std::uint64_t> seconds_as_ns(const std::string& text) {
  double seconds = 0;
  const auto* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, seconds);
  if (parsed.ec != std::errc() || parsed.ptr != end || !(seconds >= 0.001 && seconds <= 86400)) {
    return Error{"timeout must be a number of seconds from 0.001 to 86400"};
  }
  return static_cast<std::uint64_t>(seconds * 1e9);
}

// The best of our formats by the client's weights (RFC 9110, 12.5.1); none if it takes none.
std::optional<RowFormat> accepted(std::string_view accept) {
  if (trimmed(accept).empty()) return kFormats[0].format;
  std::optional<RowFormat> best;
  double best_weight = 0;
  for (const auto& entry : kFormats) {
    // The most specific range that fits counts.
    double weight = 0;
    std::size_t specific = 0;
    split(accept, ',', [&](std::string_view range) {
      double q = 1;
      std::string type;
      split(range, ';', [&](std::string_view part) {
        const std::string word = lower(trimmed(part));
        if (type.empty()) {
          type = word;
        } else if (word.starts_with("q=")) {
          std::from_chars(word.data() + 2, word.data() + word.size(), q);
        }
      });
      for (const auto media : entry.media_types) {
        const std::string any_subtype = std::string(media.substr(0, media.find('/'))) + "/*";
        const std::size_t rank = type == media         ? 3
                                 : type == any_subtype ? 2
                                 : type == "*/*"       ? 1
                                                       : 0;
        if (rank > specific) {
          specific = rank;
          weight = q;
        }
      }
    });
    if (weight > best_weight) {
      best = entry.format;
      best_weight = weight;
    }
  }
  return best;
}

std::variant<ApiRequest, Refusal> understand_query(const RequestMessage& request,
                                                   const Parameters& parameters) {
  ApiRequest asked;
  asked.endpoint = Endpoint::query;
  std::optional<RowFormat> format;
  for (const auto& [name, value] : parameters) {
    if (name == "sql") {
      asked.sql = value;
    } else if (name == "timeout") {
      auto time = seconds_as_ns(value);
      if (!time) return Refusal{400, time.error()};
      asked.time_ns = *time;
    } else if (name == "format") {
      const auto known = std::ranges::find(kFormats, value, &FormatEntry::name);
      if (known == std::end(kFormats))
        return Refusal{400, Error{"format must be jsonl, json or csv"}};
      format = known->format;
    } else {
      auto error = unknown_parameter(name, {"sql", "format", "timeout"});
      if (request.method == "POST") {
        error.message += "; a body that is the statement itself is of type text/plain";
      }
      return Refusal{400, std::move(error)};
    }
  }
  if (!format) format = accepted(request.accept);
  if (!format) {
    return Refusal{406, Error{"rows come as application/x-ndjson, application/json or text/csv: "
                              "accept one of these"}};
  }
  asked.format = *format;
  if (asked.sql.empty()) {
    return Refusal{400,
                   Error{"sql is missing: write /v1/query?sql=SELECT+..., or send the statement "
                         "as the body of a POST"}};
  }
  return asked;
}

std::variant<ApiRequest, Refusal> understand_stream(std::string_view table,
                                                    const Parameters& parameters) {
  ApiRequest asked;
  asked.endpoint = Endpoint::stream;
  asked.table = table;
  for (const auto& [name, value] : parameters) {
    if (name != "backlog") return Refusal{400, unknown_parameter(name, {"backlog"})};
    const auto* end = value.data() + value.size();
    const auto parsed = std::from_chars(value.data(), end, asked.backlog);
    if (parsed.ec != std::errc() || parsed.ptr != end || asked.backlog > kMaxBacklog) {
      return Refusal{400,
                     Error{"backlog must be a number from 0 to " + std::to_string(kMaxBacklog)}};
    }
  }
  return asked;
}

// Path and query of a target in origin or absolute form (RFC 9112, 3.2).
std::pair<std::string_view, std::string_view> parts_of(std::string_view target) {
  if (lower(target.substr(0, 7)) == "http://") {
    target.remove_prefix(7);
    const auto slash = target.find_first_of("/?");
    target = slash == target.npos ? "/" : target.substr(slash);
  }
  const std::size_t mark = std::min(target.find('?'), target.size());
  return {target.substr(0, mark), target.substr(std::min(mark + 1, target.size()))};
}

const EndpointEntry* find_endpoint(std::string_view path) {
  for (const auto& entry : kEndpoints) {
    const bool named = entry.endpoint == Endpoint::stream;
    if (named ? path.starts_with(entry.path) : path == entry.path) return &entry;
  }
  return nullptr;
}

}  // namespace

std::span<const EndpointEntry> endpoints() {
  return kEndpoints;
}

std::string_view media_type(RowFormat format) {
  return std::ranges::find(kFormats, format, &FormatEntry::format)->media_types[0];
}

std::string_view endpoint_path(const RequestMessage& request) {
  const auto* entry = find_endpoint(parts_of(request.target).first);
  return entry ? entry->path : "other";
}

std::variant<ApiRequest, Refusal> understand(const RequestMessage& request) {
  const auto [path, query] = parts_of(request.target);
  const auto* entry = find_endpoint(path);
  if (!entry) {
    std::vector<std::string> known;
    for (const auto& one : kEndpoints) known.emplace_back(one.path);
    const std::string near = nearest(path, known);
    return Refusal{404,
                   Error{"there is nothing at " + printable(path.substr(0, 100)) + ": " +
                         (near.empty() ? "/ lists what there is" : "did you mean " + near + "?")}};
  }
  bool allowed = false;
  split(entry->methods, ',', [&](std::string_view m) { allowed |= trimmed(m) == request.method; });
  if (!allowed) {
    return Refusal{405,
                   Error{printable(request.method) + " is not for " + std::string(entry->path) +
                         ": use " + std::string(entry->methods)},
                   entry->methods};
  }
  auto parameters = parameters_of(request, query);
  if (!parameters) return Refusal{400, std::move(parameters).error()};
  if (entry->endpoint == Endpoint::query) return understand_query(request, *parameters);
  if (entry->endpoint == Endpoint::stream) {
    return understand_stream(path.substr(entry->path.size()), *parameters);
  }
  ApiRequest asked;
  asked.endpoint = entry->endpoint;
  return asked;
}

bool authorized(std::string_view authorization, std::string_view token) {
  constexpr std::string_view kScheme = "bearer ";
  if (lower(authorization.substr(0, kScheme.size())) != kScheme) return false;
  const std::string_view given = trimmed(authorization.substr(kScheme.size()));
  // Volatile, so that no compiler finds a way out of the loop.
  volatile unsigned char differs = given.size() == token.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char expected = token.empty() ? 0 : token[i % token.size()];
    differs = differs | static_cast<unsigned char>(given[i] ^ expected);
  }
  return differs == 0 && !token.empty();
}

}  // namespace trivet
