// SPDX-License-Identifier: Apache-2.0
#include "tracing/stream.h"

#include <algorithm>
#include <utility>

namespace trivet::tracing {

void Stream::anchor(std::uint32_t sequence) {
  next_ = sequence;
  held_.clear();
  held_bytes_ = 0;
}

void Stream::feed(const Segment& segment, Sink& sink) {
  if (after(segment.sequence, next_)) {
    if (segment.sequence - next_ > max_distance) return;
    if (!segment.in_order) {
      hold(segment);
      while (held_bytes_ > max_held_bytes || held_.size() > max_held_segments) release_first(sink);
      return;
    }
    while (!held_.empty() && !after(held_.front().segment.sequence, segment.sequence)) {
      release_first(sink);
    }
    if (after(segment.sequence, next_)) {
      sink.on_gap(segment.sequence - next_, {segment.time_ns, segment.ack});
      next_ = segment.sequence;
    }
  }
  deliver(segment, sink);
  while (!held_.empty() && !after(held_.front().segment.sequence, next_)) release_first(sink);
}

void Stream::flush(Sink& sink) {
  while (!held_.empty()) release_first(sink);
}

void Stream::hold(const Segment& segment) {
  auto place = std::upper_bound(held_.begin(), held_.end(), segment.sequence,
                                [](std::uint32_t sequence, const Held& held) {
                                  return after(held.segment.sequence, sequence);
                                });
  held_bytes_ += segment.bytes.size();
  held_.insert(place, Held{segment, std::string(segment.bytes)});
}

void Stream::release_first(Sink& sink) {
  Held first = std::move(held_.front());
  held_.erase(held_.begin());
  held_bytes_ -= first.bytes.size();
  first.segment.bytes = first.bytes;
  if (after(first.segment.sequence, next_)) {
    sink.on_gap(first.segment.sequence - next_, {first.segment.time_ns, first.segment.ack});
    next_ = first.segment.sequence;
  }
  deliver(first.segment, sink);
}

void Stream::deliver(const Segment& segment, Sink& sink) {
  const Stamp stamp{segment.time_ns, segment.ack};
  const std::uint32_t known = next_ - segment.sequence;  // how much of it has been delivered
  const std::uint32_t length = segment.end() - segment.sequence;
  if (known > length) return;
  // Before the calls: a sink may anchor the stream anew.
  next_ = segment.end();
  if (known < segment.bytes.size()) {
    sink.on_bytes(segment.bytes.substr(known), stamp);
    if (segment.unseen) sink.on_gap(segment.unseen, stamp);
  } else if (known < length) {
    sink.on_gap(length - known, stamp);
  }
  if (segment.fin) {
    next_ = segment.end() + 1;  // FIN has a sequence number of its own (RFC 9293, 3.4)
    sink.on_end(stamp);
  }
}

}  // namespace trivet::tracing
