// SPDX-License-Identifier: Apache-2.0
// The columns of an HTTP record from what the parser read: what is hidden, what is decoded. Pure
// functions; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tracing/http_parser.h"
#include "tracing/options.h"
#include "trivet/records/http_request.h"

namespace trivet::tracing {

// What its head says of a body.
struct BodyForm {
  std::string encoding;  // Content-Encoding
  std::string type;      // Content-Type without parameters, in lower case
};
BodyForm body_form(const HttpHead& head);

// Whether one of the tokens of a comma-separated header is `token`; case does not matter.
bool lists_token(std::string_view header, std::string_view token);

void set_request_line(HttpRequest& record, const HttpHead& head, const HttpOptions& options);
// Appends fields under their names in lower case; returns about how many bytes they take.
std::size_t keep_fields(const std::vector<HttpField>& fields, const HttpOptions& options,
                        Fields& into);
// A body as it is told: decoded, within the limit, without secrets. `decoded` becomes the codings
// that were undone.
void finish_body(std::string& body, bool& truncated, std::string& decoded, const BodyForm& form,
                 const HttpOptions& options);

}  // namespace trivet::tracing
