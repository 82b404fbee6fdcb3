// SPDX-License-Identifier: Apache-2.0
#include "tracing/stream.h"

#include <utility>

namespace trivet::tracing {

void Stream::anchor(std::uint32_t sequence) {
  next_ = sequence;
  held_.clear();
  held_bytes_ = 0;
}

void Stream::feed(const Segment& segment, std::size_t room, Sink& sink) {
  if (after(segment.sequence, next_)) {
    if (segment.sequence - next_ > max_distance) return;
    if (!segment.in_order) {
      hold(segment);
      while (held_bytes_ > room) {
        release_first(Gap::no_room, sink);
        release_ready(sink);
      }
      return;
    }
    while (!held_.empty() && !after(held_.begin()->first, segment.sequence)) {
      release_first(Gap::lost, sink);
    }
    if (after(segment.sequence, next_)) {
      sink.on_gap(Gap::lost, segment.sequence - next_, {segment.time_ns, segment.ack});
      next_ = segment.sequence;
    }
  }
  deliver(segment, sink);
  release_ready(sink);
}

void Stream::flush(Sink& sink) {
  while (!held_.empty()) release_first(Gap::never_came, sink);
}

void Stream::hold(const Segment& segment) {
  Held held{segment, std::string(segment.bytes)};
  held_bytes_ += held.memory();
  held_.emplace(segment.sequence, std::move(held));
}

void Stream::release_first(Gap reason, Sink& sink) {
  auto node = held_.extract(held_.begin());
  Held& first = node.mapped();
  held_bytes_ -= first.memory();
  first.segment.bytes = first.bytes;
  if (after(first.segment.sequence, next_)) {
    sink.on_gap(reason, first.segment.sequence - next_, {first.segment.time_ns, first.segment.ack});
    next_ = first.segment.sequence;
  }
  deliver(first.segment, sink);
}

void Stream::release_ready(Sink& sink) {
  while (!held_.empty() && !after(held_.begin()->first, next_)) release_first(Gap::lost, sink);
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
    if (segment.unseen) sink.on_gap(Gap::not_told, segment.unseen, stamp);
  } else if (known < length) {
    sink.on_gap(Gap::not_told, length - known, stamp);
  }
  if (segment.fin) {
    next_ = segment.end() + 1;  // FIN has a sequence number of its own (RFC 9293, 3.4)
    sink.on_end(stamp);
  }
}

}  // namespace trivet::tracing
