// SPDX-License-Identifier: Apache-2.0
#include "tracing/conversation.h"

#include <algorithm>
#include <utility>

#include "tracing/protocols.h"

namespace trivet::tracing {
namespace {

// An unknown socket is given up after this much that does not look like a message's beginning: a
// connection found half-way may be inside a body.
constexpr unsigned max_strikes = 16;
constexpr std::uint64_t max_unknown_bytes = 256 << 10;
// Turns after which a client counts as one that waits for all answers before it goes on; more where
// a turn has several requests, as the habit is harder to tell from chance.
constexpr unsigned enough_turns = 3;
constexpr unsigned enough_turns_of_batches = 64;
// Turns that are watched before a connection of pipelined requests is joined half-way.
constexpr unsigned turns_before_joining = 16;
// Nothing that begins a connection is longer: nginx and Apache allow request lines of 8 KiB.
constexpr std::size_t max_probe_bytes = 16 << 10;
// Looked at to find the place in a direction: a few of the longest common frames of HTTP/2.
constexpr std::size_t max_seek_bytes = 64 << 10;

}  // namespace

Conversation::Conversation(const Options& options, Shared& shared, Listener& listener)
    : options_(options),
      shared_(shared),
      listener_(listener),
      sides_{Side(*this, received), Side(*this, sent)} {}

Conversation::~Conversation() = default;

std::size_t Conversation::memory() const {
  std::size_t total = dialogue_ ? dialogue_->memory() : 0;
  for (const Side& side : sides_) total += side.stream.held_bytes() + side.probe.capacity();
  return total;
}

void Conversation::on_segment(Direction direction, const Segment& segment) {
  if (finished_) return;
  Side& own = sides_[direction];
  quiet_ = last_activity_ns_ != 0 && !outstanding() &&
           segment.time_ns > last_activity_ns_ + options_.request_timeout_ns &&
           follows(own, segment);
  last_activity_ns_ = std::max(last_activity_ns_, segment.time_ns);

  // Only a request looks at what the other side had sent, so this side's own end may move first.
  if (!own.seen || !after(own.end_seen, segment.end())) {
    own.end_seen = segment.end();
    own.end_ack = segment.ack;
  }
  own.seen = true;

  // Whoever sent this had received all up to its ack, so that a hole before it is a lost event. (A
  // reset may carry any ack: it has no bytes and comes by on_reset().)
  Side& opposite = other(own);
  if (dialogue_ && followed(opposite) && after(segment.ack, opposite.stream.next())) {
    opposite.stream.feed({.sequence = segment.ack,
                          .ack = segment.sequence,
                          .time_ns = segment.time_ns,
                          .in_order = true},
                         shared_.budget.early(), opposite);
    if (finished_) return;
  }

  if (!dialogue_) {
    look(own, segment);
  } else if (followed(own)) {
    own.stream.feed(segment, shared_.budget.early(), own);
  } else if (own.party() == Party::client && !requests_distrusted_) {
    look_for_request(own, segment);
  }
  if (std::exchange(reopen_, false) && !finished_) start_over(segment);
}

// ---- finding the beginning ----

void Conversation::lengthen_probe(Side& side, const Segment& segment) {
  if (!side.probe.empty() && segment.sequence == side.probe_start.end()) {
    side.probe.append(segment.bytes);
    side.probe_start.fin |= segment.fin;
  } else {
    side.probe.assign(segment.bytes);
    side.probe_start = segment;
    side.probe_start.first |= fresh_;
    side.probe_start.opening |= fresh_;
  }
  side.probe_start.unseen = segment.unseen;
  side.probe_start.bytes = side.probe;
}

void Conversation::look(Side& own, const Segment& segment) {
  if (segment.bytes.empty()) return;
  lengthen_probe(own, segment);
  Inference best;
  const Protocol* chosen = nullptr;
  Side* beginning = nullptr;
  bool perhaps = false;
  // An answer may settle what the question left open.
  for (Side* side : {&own, &other(own)}) {
    if (side->probe.empty()) continue;
    const Opening opening{side->probe, other(*side).probe, side->probe_start.opening};
    for (const Protocol& protocol : protocols()) {
      if (!protocol.enabled(options_)) continue;
      const Inference inference = protocol.infer(opening);
      if (inference.confidence > 0 && side == &own) perhaps = true;
      if (inference.confidence <= best.confidence) continue;
      best = inference;
      chosen = &protocol;
      beginning = side;
    }
  }
  if (best.confidence >= Inference::certain) {
    decide(*chosen, *beginning, best);
    return;
  }
  if (perhaps && own.probe.size() <= max_probe_bytes && segment.unseen == 0) return;
  const bool first = own.probe_start.first;
  own.probe.clear();
  unknown_bytes_ += segment.bytes.size() + segment.unseen;
  // The first bytes of a connection leave no doubt.
  if (first || ++strikes_ > max_strikes || unknown_bytes_ > max_unknown_bytes) finished_ = true;
}

void Conversation::decide(const Protocol& protocol, Side& side, const Inference& inference) {
  protocol_ = &protocol;
  client_direction_ = inference.sender == Party::client ? side.direction : other(side).direction;
  dialogue_ = protocol.open(options_, *this);
  if (protocol.find) {
    follow_both(side);
    return;
  }
  if (inference.begins && may_anchor(side)) {
    anchor(side);
    return;
  }
  // Found half-way: the next request tells where to begin.
  for (Side& each : sides_) each.probe.clear();
}

void Conversation::look_for_request(Side& side, const Segment& segment) {
  if (segment.bytes.empty()) return;
  if (!anchored_) watch_turns(segment);
  lengthen_probe(side, segment);
  const Inference inference = protocol_->infer({side.probe, {}, true, true});
  const bool request = inference.sender == Party::client && inference.begins;
  if (request && inference.confidence >= Inference::certain && may_anchor(side)) {
    anchor(side);
    return;
  }
  if (!request || inference.confidence == 0 || inference.confidence >= Inference::certain ||
      side.probe.size() > max_probe_bytes || segment.unseen != 0) {
    side.probe.clear();
  }
}

// From the beginning of a message at the front of the side's probe, both directions are in step.
void Conversation::anchor(Side& own) {
  const Segment start = own.probe_start;
  dialogue_->abandon();
  anchored_ = true;
  if (start.first || quiet_) {
    trusted_ = true;
    half_way_ = false;
    forget_habits();
  } else if (!start.followed && !trusted_) {
    trusted_ = half_way_ = true;  // was there before us: its habits are to be seen
    forget_habits();
  }
  fresh_ = false;
  Side& opposite = other(own);
  own.stream.anchor(start.sequence);
  opposite.stream.anchor(start.ack);
  for (Side* side : {&own, &opposite}) {
    side->lost = false;
    dialogue_->restart(side->party());
  }
  last_request_ack_ = own.party() == Party::client ? start.ack : start.sequence;
  feed_probe(own);
  feed_probe(opposite);
}

void Conversation::feed_probe(Side& side) {
  const std::string bytes = std::exchange(side.probe, {});
  if (bytes.empty() || side.lost || finished_) return;
  side.probe_start.bytes = bytes;
  side.stream.feed(side.probe_start, shared_.budget.early(), side);
}

void Conversation::follow_both(Side& own) {
  const Segment start = own.probe_start;
  anchored_ = true;
  fresh_ = false;
  Side& opposite = other(own);
  if (opposite.probe.empty()) {
    opposite.probe_start = {.sequence = start.ack, .ack = start.sequence, .first = start.first};
  }
  // A direction is in step from a message's beginning.
  own.lost = false;
  opposite.lost = !opposite.probe_start.first;
  for (Side* each : {&own, &opposite}) {
    each->stream.anchor(each->probe_start.sequence);
    if (!each->lost) dialogue_->restart(each->party());
  }
  for (Side* each : {&own, &opposite}) {
    const std::string bytes = std::exchange(each->probe, {});
    each->probe_start.bytes = bytes;
    if (!finished_) each->stream.feed(each->probe_start, shared_.budget.early(), *each);
  }
}

void Conversation::seek(Side& side, std::string_view bytes, const Stamp& stamp) {
  if (side.probe.empty()) side.aligned = true;
  side.probe.append(bytes);
  for (;;) {
    const Place place = protocol_->find(side.probe, side.aligned);
    if (place.offset > 0) side.aligned = false;
    side.probe.erase(0, place.offset);
    if (place.certain) break;
    if (side.probe.size() <= max_seek_bytes) return;
    side.probe.erase(0, 1);
    side.aligned = false;
  }
  const std::string found = std::exchange(side.probe, {});
  side.lost = false;
  dialogue_->restart(side.party());
  dialogue_->on_bytes(side.party(), found, stamp);
}

// The segment is the one that said so.
void Conversation::start_over(const Segment& segment) {
  Side& own = side(reopened_by_);
  const std::string rest = std::exchange(own.probe, {});
  dialogue_->close("closed");
  dialogue_.reset();
  protocol_ = nullptr;
  anchored_ = trusted_ = false;
  forget_habits();
  strikes_ = 0;
  unknown_bytes_ = 0;
  fresh_ = true;
  for (Side& each : sides_) {
    each.lost = true;
    each.probe.clear();
    each.stream.anchor(each.stream.next());
  }
  if (rest.empty()) return;
  Segment first = segment;
  first.sequence = own.stream.next() - static_cast<std::uint32_t>(rest.size());
  first.bytes = rest;
  first.unseen = 0;
  look(own, first);
}

void Conversation::forget_habits() {
  streams_ = batches_ = gap_in_turn_ = false;
  clean_turns_ = 0;
}

bool Conversation::follows(const Side& own, const Segment& segment) const {
  const Side& opposite = sides_[own.direction ^ 1u];
  std::uint32_t end = own.seen ? own.end_seen : opposite.end_ack;
  if (opposite.seen && after(opposite.end_ack, end)) end = opposite.end_ack;
  return segment.sequence == end;
}

bool Conversation::certain(std::uint32_t ack) const {
  const Side& answers = side(Party::server);
  if (answers.seen && after(answers.end_seen, ack)) return false;
  if (quiet_) return true;
  // A client that has been seen to wait for all answers has them when it begins another turn.
  return trusted_ && !streams_ &&
         clean_turns_ >= (batches_ ? enough_turns_of_batches : enough_turns) &&
         after(ack, last_request_ack_);
}

void Conversation::watch_turns(const Segment& segment) {
  if (std::exchange(watched_, true) && !after(segment.ack, last_request_ack_)) return;
  last_request_ack_ = segment.ack;
  clean_turns_ = begins_turn(segment) ? clean_turns_ + 1 : 0;
}

bool Conversation::begins_turn(const Segment& start) const {
  const Side& answers = side(Party::server);
  return answers.seen && answers.end_seen == start.ack && answers.end_ack == start.sequence;
}

bool Conversation::may_anchor(const Side& own) const {
  const Segment& start = own.probe_start;
  if (anchored_) return certain(start.ack) && (quiet_ || begins_turn(start));
  const Side& opposite = sides_[own.direction ^ 1u];
  if (start.first || quiet_) return true;
  if (opposite.seen && after(opposite.end_seen, start.ack)) return false;
  // Followed from its start, but the start has not come up: a request may be missing before this.
  return !start.followed &&
         (!protocol_->pipelined || (begins_turn(start) && clean_turns_ >= turns_before_joining));
}

// ---- in step ----

void Conversation::on_bytes(Side& own, std::string_view bytes, const Stamp& stamp) {
  if (reopen_) {
    own.probe.append(bytes);
  } else if (!finished_ && own.lost) {
    if (protocol_->find) seek(own, bytes, stamp);
  } else if (!finished_) {
    dialogue_->on_bytes(own.party(), bytes, stamp);
    if (!successor_) return;
    dialogue_ = std::move(successor_);
    dialogue_->on_bytes(own.party(), std::exchange(succession_, {}), stamp);
  }
}

void Conversation::on_gap(Side& own, Gap reason, std::uint64_t bytes, const Stamp& stamp) {
  if (!finished_ && own.lost) own.probe.clear();
  if (finished_ || own.lost || dialogue_->skip(own.party(), bytes, stamp)) return;
  ++shared_.gaps[static_cast<std::size_t>(reason)];
  shared_.gap_bytes[static_cast<std::size_t>(reason)] += bytes;
  lose(own.party(), stamp.time_ns);
}

void Conversation::on_end(Side& own, const Stamp& stamp) {
  if (finished_ || !followed(own) || own.party() == Party::client) return;
  answers_ended_ = true;
  dialogue_->on_end(stamp.time_ns);
  own.lost = true;
}

void Conversation::request_begins(const Stamp& stamp) {
  Side& answers = side(Party::server);
  const bool turn = after(stamp.ack, last_request_ack_);
  if (quiet_) half_way_ = false;
  if (dialogue_->outstanding()) {
    (turn ? streams_ : batches_) = true;
    if (turn) clean_turns_ = 0;
    // It may have done so too before it was joined: the answers at hand may be to earlier requests.
    if (turn && half_way_ && !answers.lost) lose(Party::server, stamp.time_ns);
  } else if (turn && !gap_in_turn_) {
    ++clean_turns_;
  }
  if (answers.lost && !answers_ended_ && !dialogue_->outstanding() && certain(stamp.ack)) {
    answers.stream.anchor(stamp.ack);
    answers.lost = false;
    dialogue_->restart(Party::server);
    if (quiet_) {
      trusted_ = true;
      forget_habits();
    }
  }
  if (turn) gap_in_turn_ = answers.lost;
  last_request_ack_ = stamp.ack;
}

void Conversation::lose(Party party, std::uint64_t time_ns) {
  Side& own = side(party);
  own.lost = true;
  own.probe.clear();
  gap_in_turn_ = true;
  dialogue_->on_lost(party, time_ns);
}

void Conversation::distrust_requests(std::uint64_t time_ns) {
  ++shared_.parse_errors;
  requests_distrusted_ = true;
  lose(Party::client, time_ns);
}

void Conversation::need(Need need) {
  if (std::exchange(need_, need) != need) listener_.on_need(need);
}

void Conversation::close(const char* error) {
  if (!finished_ && dialogue_) {
    for (Side& side : sides_) {
      if (followed(side)) side.stream.flush(side);
    }
    if (!finished_) dialogue_->close(error);
  }
  finished_ = true;
}

void Conversation::on_idle(std::uint64_t now_ns) {
  if (finished_ || !dialogue_ || now_ns <= last_activity_ns_) return;
  // A retransmission of what is missing takes at most some 200 ms in a connection that is alive.
  if (now_ns - last_activity_ns_ > 1'000'000'000) {
    for (Side& side : sides_) {
      if (followed(side)) side.stream.flush(side);
      if (finished_) return;
    }
  }
  if (now_ns - last_activity_ns_ > options_.request_timeout_ns) dialogue_->expire();
}

}  // namespace trivet::tracing
