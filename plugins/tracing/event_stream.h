// SPDX-License-Identifier: Apache-2.0
// Takes the body of an event stream (server-sent events: WHATWG HTML, 9.2) apart as its bytes
// arrive. Owned by the HTTP dialogue; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trivet::tracing {

struct StreamEvent {
  std::string type;         // "message" where the event names none
  std::string id;           // the last one up to here
  std::string data;         // lines joined, up to the limit
  std::uint64_t bytes = 0;  // of data
  std::uint32_t lines = 0;  // of data
  bool truncated = false;
  std::uint64_t first_ns = 0;
};

class EventStreamReader {
 public:
  static constexpr std::size_t max_name = 256;  // kept of an event's type and id, bytes

  explicit EventStreamReader(std::size_t limit) : limit_(limit) {}

  // Takes from the front of `input` up to the end of an event: true if event() is there, false if
  // the input is used up.
  bool next(std::string_view& input, std::uint64_t time_ns);
  StreamEvent& event() { return done_; }          // the caller may take its parts
  std::uint32_t count() const { return count_; }  // of events so far
  std::size_t memory() const {
    return line_.capacity() + event_.data.capacity() + done_.data.capacity();
  }

 private:
  bool end_line();

  std::size_t limit_;
  std::string line_;              // as far as it has come, up to the limit
  std::uint64_t line_bytes_ = 0;  // of it in all
  bool after_cr_ = false;         // an LF now belongs to the line end before
  bool begun_ = false;            // the first line is over
  StreamEvent event_;
  StreamEvent done_;
  std::uint32_t count_ = 0;
};

}  // namespace trivet::tracing
