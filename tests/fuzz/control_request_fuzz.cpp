// SPDX-License-Identifier: Apache-2.0
// A line from a client of the control socket, as the daemon parses it. What was understood must
// come back the same when it is written and parsed again. What it asks of records is judged on one.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control/json_text.h"
#include "control/request.h"
#include "records/record_filter.h"
#include "trivet/records/flow.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view line(reinterpret_cast<const char*>(data), size);
  trivet::json_to_text(line);
  (void)trivet::parse_answer(line);
  auto request = trivet::parse_request(line);
  if (!request) return 0;
  if (request->observe) {
    const auto* schema = &trivet::Flow::schema();
    const auto filter = trivet::RecordFilter::create(request->observe->wish, {&schema, 1});
    static const trivet::Row row(*schema, std::make_shared<trivet::Flow>(), 1, 0);
    if (filter) (void)filter->passes(row, {});
  }
  auto again = trivet::parse_request(trivet::write_request(*request));
  if (!again || again->verb != request->verb || again->arguments != request->arguments ||
      again->observe.has_value() != request->observe.has_value()) {
    std::abort();
  }
  return 0;
}
