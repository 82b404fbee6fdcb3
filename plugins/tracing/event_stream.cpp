// SPDX-License-Identifier: Apache-2.0
#include "tracing/event_stream.h"

#include <algorithm>
#include <utility>

namespace trivet::tracing {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::size_t field_room = 16;  // names of fields are shorter

}  // namespace

bool EventStreamReader::next(std::string_view& input, std::uint64_t time_ns) {
  while (!input.empty()) {
    if (std::exchange(after_cr_, false) && input.front() == '\n') {
      input.remove_prefix(1);
      continue;
    }
    if (line_bytes_ == 0 && event_.lines == 0) event_.first_ns = time_ns;
    const std::size_t end = std::min(input.find_first_of("\r\n"), input.size());
    const std::size_t most = std::max(limit_, max_name) + field_room;
    line_.append(input.substr(0, std::min(end, most - std::min(most, line_.size()))));
    line_bytes_ += end;
    if (end == input.size()) {
      input = {};
      return false;
    }
    after_cr_ = input[end] == '\r';
    input.remove_prefix(end + 1);
    if (end_line()) return true;
  }
  return false;
}

bool EventStreamReader::end_line() {
  std::string_view line = line_;
  std::uint64_t bytes = std::exchange(line_bytes_, 0);
  if (!std::exchange(begun_, true) && line.starts_with(byte_order_mark)) {
    line.remove_prefix(byte_order_mark.size());
    bytes -= byte_order_mark.size();
  }
  if (line.empty()) {
    line_.clear();
    std::string type = std::exchange(event_.type, {});
    if (event_.lines == 0) return false;
    std::string id = event_.id;
    done_ = std::exchange(event_, {});
    event_.id = std::move(id);
    done_.type = type.empty() ? "message" : std::move(type);
    ++count_;
    return true;
  }
  const std::size_t colon = std::min(line.find(':'), line.size());
  const std::string_view field = line.substr(0, colon);
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  const std::uint64_t value_bytes = bytes - (line.size() - value.size());
  if (field == "data") {
    std::string& data = event_.data;
    if (event_.lines++ > 0) {
      ++event_.bytes;
      if (data.size() < limit_) data += '\n';
    }
    const std::size_t room = limit_ - std::min(limit_, data.size());
    event_.bytes += value_bytes;
    if (!event_.truncated) data.append(value.substr(0, room));
    event_.truncated |= value_bytes > room;
  } else if (field == "event") {
    event_.type = value.substr(0, max_name);
  } else if (field == "id") {
    event_.id = value.substr(0, max_name);
  }
  line_.clear();
  return false;
}

}  // namespace trivet::tracing
