// SPDX-License-Identifier: Apache-2.0
// Requests and answers of the control socket as text: see docs/control-protocol.md. With
// json_text.h the only user of the JSON library. Pure; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "query/row_text.h"
#include "records/record_filter.h"
#include "trivet/result.h"
#include "trivet/value.h"

namespace trivet {

enum class RecordFormat { compact, json, falco, text, hubble };

// What `observe` asks for.
struct ObserveRequest {
  std::string table;        // "alerts", "requests", "flows", or any table's name
  bool follow = false;      // go on with new records
  std::size_t limit = 100;  // records to begin with: the newest of those that pass
  bool first = false;       // the oldest instead
  RecordWish wish;          // which records
  RecordFormat format = RecordFormat::compact;
  bool colour = false;
};

// What `capture` asks for.
struct CaptureRequest {
  std::vector<std::string> plugins;  // whose events; none: those of all
  std::uint64_t size = 0;            // bytes that the capture may have
};

struct ControlRequest {
  std::string verb;
  std::vector<std::string> arguments;
  std::optional<ObserveRequest> observe;  // set if verb is "observe"
  std::optional<std::string> query;       // set if verb is "query": the statement
  std::optional<CaptureRequest> capture;  // set if verb is "capture"
};

// Records that one `observe` may begin with.
inline constexpr std::size_t kMaxObserveLimit = 100'000;
// Bytes that one `capture` may ask for.
inline constexpr std::uint64_t kMinCaptureBytes = 1 << 20;
inline constexpr std::uint64_t kMaxCaptureBytes = std::uint64_t{1} << 40;

// Parses one line from a client. The error is for that client.
Result<ControlRequest> parse_request(std::string_view line);
// The same request as a line, with its end.
std::string write_request(const ControlRequest& request);

// The answers, each a line with its end. `json` is one JSON text of any layout.
Result<std::string> write_result(const std::string& json);
std::string write_error(const Error& error);
std::string write_dropped(std::uint64_t rows);
std::string write_end();
// After it come a capture's bytes, and nothing else.
std::string write_capture();
// `json` is one JSON text on one line.
std::string write_record(std::string_view json);
// A line that a person reads.
std::string write_line(std::string_view line);
// A query's names and rows as such lines, some rows in each.
std::unique_ptr<RowText> write_rows();

struct ControlAnswer {
  enum class Kind { result, error, line, dropped, columns, rows, end, capture } kind;
  std::string text;  // JSON text of a result, a line to print, or of a record
  Error error;
  std::uint64_t dropped = 0;
  std::vector<std::string> columns;
  std::vector<std::vector<Scalar>> rows;
};
// Parses one line from the daemon.
Result<ControlAnswer> parse_answer(std::string_view line);

std::optional<RecordFormat> record_format(std::string_view name);

}  // namespace trivet
