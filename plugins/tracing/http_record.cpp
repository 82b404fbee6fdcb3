// SPDX-License-Identifier: Apache-2.0
#include "tracing/http_record.h"

#include <algorithm>
#include <utility>

#include "tracing/decoding.h"

namespace trivet::tracing {
namespace {

constexpr std::size_t max_form = 128;
constexpr std::size_t max_listed_name = 256;

std::string in_lower_case(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return lower;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

std::string shown_value(const std::string& name, std::string_view value,
                        const HttpOptions& options) {
  if (name.size() > max_listed_name || options.redact_headers.matches(name)) {
    return std::string(redacted);
  }
  if (name == "cookie") return redact_cookies(value, options.redact_cookies);
  if (name == "set-cookie") return redact_set_cookie(value, options.redact_cookies);
  if (name == "location" || name == "referer" || name == "content-location") {
    return redact_url(value, options.redact_parameters);
  }
  return std::string(value);
}

}  // namespace

BodyForm body_form(const HttpHead& head) {
  BodyForm form;
  // Several fields of one name are one list (RFC 9110, 5.3).
  for (const auto& [name, value] : head.fields) {
    if (!same_name(name, "content-encoding") || form.encoding.size() > max_form) continue;
    form.encoding.append(form.encoding.empty() ? "" : ",").append(value.substr(0, max_form));
  }
  const std::string_view type = head.field("content-type").substr(0, max_form);
  form.type = in_lower_case(trimmed(type.substr(0, type.find(';'))));
  return form;
}

bool lists_token(std::string_view header, std::string_view token) {
  for (;;) {
    const std::size_t comma = header.find(',');
    if (same_name(trimmed(header.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) return false;
    header.remove_prefix(comma + 1);
  }
}

void set_request_line(HttpRequest& record, const HttpHead& head, const HttpOptions& options) {
  record.method = head.method;
  record.version = head.version;
  record.host = head.field("host");
  record.user_agent = head.field("user-agent");
  // The absolute form, which proxies get, carries scheme and authority before the path (RFC 9112,
  // 3.2.2).
  std::string_view target = head.target;
  if (!target.starts_with('/')) {
    const std::size_t scheme = target.find("://");
    if (scheme != std::string_view::npos && scheme < target.find_first_of("/?")) {
      const std::size_t start = target.find_first_of("/?", scheme + 3);
      target = start == std::string_view::npos ? std::string_view("/") : target.substr(start);
    }
  }
  const std::size_t mark = target.find('?');
  record.path = target.substr(0, mark);
  record.route = options.routes.route(record.path);
  if (mark != std::string_view::npos) {
    record.query = redact_parameters(target.substr(mark + 1), options.redact_parameters);
  }
}

std::size_t keep_fields(const std::vector<HttpField>& fields, const HttpOptions& options,
                        Fields& into) {
  std::size_t bytes = 0;
  into.items.reserve(into.items.size() + fields.size());
  for (const auto& [name, value] : fields) {
    bytes += sizeof(Fields::items[0]) + name.size() + value.size();
    std::string lower = in_lower_case(name);
    std::string shown = shown_value(lower, value, options);
    into.items.emplace_back(std::move(lower), std::move(shown));
  }
  return bytes;
}

void finish_body(std::string& body, bool& truncated, std::string& decoded, const BodyForm& form,
                 const HttpOptions& options) {
  if (body.empty()) return;
  if (!form.encoding.empty()) {
    DecodedBody result = decode_body(body, form.encoding, options.body_limit);
    if (!result.codings.empty()) {
      decoded = std::move(result.codings);
      truncated |= !result.whole;
      body = std::move(result.text);
    }
  }
  if (form.type == "application/x-www-form-urlencoded") {
    body = redact_parameters(body, options.redact_parameters);
  } else if (form.type == "application/json" || form.type.ends_with("+json")) {
    body = redact_json(body, options.redact_parameters);
  }
}

}  // namespace trivet::tracing
