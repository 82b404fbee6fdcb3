// SPDX-License-Identifier: Apache-2.0
// One direction of a TCP connection, put in order by sequence number: retransmits and overlaps are
// dropped, early segments held for a bounded time and size, and what never came is told as a gap.
// Owned by a conversation; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

namespace trivet::tracing {

// What travelled in one packet. Sequence numbers are TCP's and wrap.
struct Segment {
  std::uint32_t sequence = 0;  // of the first byte
  std::uint32_t ack = 0;       // what its sender had received by then
  std::uint64_t time_ns = 0;
  std::string_view bytes;
  std::uint32_t unseen = 0;  // length of what followed `bytes` on the wire and was not captured
  bool in_order = false;     // a hole before it can no longer be filled
  bool first = false;        // the first bytes of the connection in this direction
  bool opening = false;      // the connection's first bytes: neither end has said anything before
  bool followed = false;     // the kernel has told of this connection since its first byte
  bool fin = false;

  std::uint32_t end() const { return sequence + static_cast<std::uint32_t>(bytes.size()) + unseen; }
};

// When bytes were seen, and what their sender had received by then.
struct Stamp {
  std::uint64_t time_ns = 0;
  std::uint32_t ack = 0;
};

// Whether sequence number a lies behind b.
inline bool after(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) > 0;
}

// Why bytes are missing.
enum class Gap : unsigned {
  lost,        // their event has not come: its lane has counted it
  no_room,     // they were late, and more than may be held came before them
  never_came,  // they were late, and nothing moved for too long
  not_told,    // the kernel told their length only
};
inline constexpr std::string_view gap_names[] = {"lost", "no_room", "never_came", "not_told"};
inline constexpr std::size_t gap_kinds = std::size(gap_names);

class Stream {
 public:
  // Gets the stream's content in order. Views are valid during the call.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void on_bytes(std::string_view bytes, const Stamp& stamp) = 0;
    virtual void on_gap(Gap reason, std::uint64_t bytes, const Stamp& stamp) = 0;
    virtual void on_end(const Stamp& stamp) = 0;  // FIN
  };

  // TCP's largest window (RFC 7323): what claims to be further away belongs to no live connection.
  static constexpr std::uint32_t max_distance = 1u << 30;

  // Starts over with this as the next sequence number.
  void anchor(std::uint32_t sequence);
  // Memory that it may hold, `room` in bytes, should be a receive window at least: so much may come
  // before a retransmission does.
  void feed(const Segment& segment, std::size_t room, Sink& sink);
  // Gives up waiting: passes on all that is held, with the gaps between.
  void flush(Sink& sink);

  std::uint32_t next() const { return next_; }
  bool waiting() const { return !held_.empty(); }
  std::size_t held_bytes() const { return held_bytes_; }

 private:
  struct Held {
    Segment segment;  // its bytes are those of `bytes`
    std::string bytes;

    std::size_t memory() const { return sizeof(Held) + bytes.size(); }
  };
  // An order among sequence numbers that lie within max_distance.
  struct Earlier {
    bool operator()(std::uint32_t a, std::uint32_t b) const { return after(b, a); }
  };

  void hold(const Segment& segment);
  void deliver(const Segment& segment, Sink& sink);
  // Passes on the first held segment, with the gap before it if there is one.
  void release_first(Gap reason, Sink& sink);
  // Passes on what is held and no longer behind a hole.
  void release_ready(Sink& sink);

  std::uint32_t next_ = 0;
  std::multimap<std::uint32_t, Held, Earlier> held_;  // by sequence number
  std::size_t held_bytes_ = 0;
};

}  // namespace trivet::tracing
