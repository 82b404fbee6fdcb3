// SPDX-License-Identifier: Apache-2.0
// One TCP connection as one socket sees it: finds out which protocol it carries, puts both
// directions in order and hands them to that protocol's dialogue. Where bytes are missing it takes
// the direction out of step, and back only where it is certain which answer comes next, so that no
// protocol ever has to guess a pair; where messages name their exchange, each direction comes back
// by itself. Owned by a connection; worker thread of the plugin.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "tracing/dialogue.h"
#include "tracing/options.h"
#include "tracing/stream.h"

namespace trivet::tracing {

// What all conversations share and count.
struct Shared {
  Budget budget;
  std::array<std::uint64_t, gap_kinds> gaps{};
  std::array<std::uint64_t, gap_kinds> gap_bytes{};
  std::uint64_t parse_errors = 0;
};

class Conversation {
 public:
  enum Direction : unsigned { received, sent };

  class Listener {
   public:
    virtual ~Listener() = default;
    // An exchange is over. The columns of the socket and the process are not filled in.
    virtual void on_exchange(AnyRequest record) = 0;
    virtual void on_need(Need need) = 0;
  };

  Conversation(const Options& options, Shared& shared, Listener& listener);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;
  ~Conversation();

  void on_segment(Direction direction, const Segment& segment);
  // The connection was reset by one of its ends: what follows is its close.
  void on_reset() { reset_ = true; }
  // Ends it: every request that has no response becomes a record with `error`, or with a more exact
  // reason where there is one.
  void close(const char* error);
  // Time passes without events: gives up waiting for segments and for responses.
  void on_idle(std::uint64_t now_ns);

  // Nothing more will come of it: no protocol that is known, no longer one, or malformed.
  bool finished() const { return finished_; }
  Direction request_direction() const { return client_direction_; }
  bool outstanding() const { return dialogue_ && dialogue_->outstanding(); }
  bool waiting_for_segments() const {
    return sides_[received].stream.waiting() || sides_[sent].stream.waiting();
  }
  // Memory that it holds beyond itself, bytes, about.
  std::size_t memory() const;

  // ---- for its dialogue ----

  const Options& options() const { return options_; }
  Shared& shared() { return shared_; }
  // This process's part, as records name it.
  const char* role() const { return client_direction_ == received ? "server" : "client"; }
  // Whether a direction is in step.
  bool in_step(Party party) const { return !finished_ && !side(party).lost; }
  bool answers_ended() const { return answers_ended_; }
  bool was_reset() const { return reset_; }
  // Whether requests from before it was joined may still be unanswered.
  bool half_way() const { return half_way_; }
  // Why what is unanswered stays so once the server has said all, or the socket is closed.
  const char* ending(const char* otherwise) const { return reset_ ? "reset" : otherwise; }
  std::uint64_t last_activity_ns() const { return last_activity_ns_; }

  // Call where a request begins, before it is outstanding: may bring the answers back in step.
  void request_begins(const Stamp& stamp);
  // The place in a direction is lost: dialogue's on_lost() comes back.
  void lose(Party party, std::uint64_t time_ns);
  // No further request is believed; answers still come.
  void distrust_requests(std::uint64_t time_ns);
  void need(Need need);
  void publish(AnyRequest record) { listener_.on_exchange(std::move(record)); }
  // Nothing more is wanted of this connection.
  void finish() { finished_ = true; }
  // What follows in both directions is `protocol`'s and goes to `next`: here `rest` of the bytes at
  // hand, which `next` gets once this call is over.
  void hand_over(const Protocol& protocol, std::unique_ptr<Dialogue> next, std::string_view rest) {
    protocol_ = &protocol;
    successor_ = std::move(next);
    succession_ = rest;
  }
  // What follows is another protocol's, which is found out anew; `rest` of the bytes at hand begins
  // it.
  void reopen(Party from, std::string_view rest = {}) {
    reopen_ = true;
    reopened_by_ = from;
    side(from).probe = rest;
  }

 private:
  struct Side final : Stream::Sink {
    Side(Conversation& conversation, Direction side_direction)
        : owner(conversation), direction(side_direction) {}
    void on_bytes(std::string_view bytes, const Stamp& stamp) override {
      owner.on_bytes(*this, bytes, stamp);
    }
    void on_gap(Gap reason, std::uint64_t bytes, const Stamp& stamp) override {
      owner.on_gap(*this, reason, bytes, stamp);
    }
    void on_end(const Stamp& stamp) override { owner.on_end(*this, stamp); }
    Party party() const {
      return direction == owner.client_direction_ ? Party::client : Party::server;
    }

    Conversation& owner;
    Direction direction;
    Stream stream;
    bool lost = true;  // it is not known where the next message begins
    bool seen = false;
    std::uint32_t end_seen = 0;  // the furthest byte seen, where seen
    std::uint32_t end_ack = 0;   // what its sender had received by then
    std::string probe;           // bytes that may begin a message
    bool aligned = false;        // a segment began where the probe does
    Segment probe_start;
  };

  void on_bytes(Side& side, std::string_view bytes, const Stamp& stamp);
  void on_gap(Side& side, Gap reason, std::uint64_t bytes, const Stamp& stamp);
  void on_end(Side& side, const Stamp& stamp);

  void look(Side& side, const Segment& segment);
  void look_for_request(Side& side, const Segment& segment);
  void lengthen_probe(Side& side, const Segment& segment);
  void decide(const Protocol& protocol, Side& side, const Inference& inference);
  void anchor(Side& side);
  void feed_probe(Side& side);
  void start_over(const Segment& segment);
  // The same for protocols with Protocol::find: both directions are put in order from now on.
  void follow_both(Side& own);
  void seek(Side& side, std::string_view bytes, const Stamp& stamp);
  // Whether its bytes are put in order: it is in step, or may come in step by itself.
  bool followed(const Side& side) const { return !side.lost || protocol_->find != nullptr; }
  // Whether nothing unseen lies between what that side had said and the segment: what was lost on
  // the way may be the request that ended a silence.
  bool follows(const Side& own, const Segment& segment) const;
  // Whether a request that was sent with this ack can only be answered by what follows that ack.
  bool certain(std::uint32_t ack) const;
  // Whether a client's bytes begin a turn: all before them had been received before the last
  // answer.
  bool begins_turn(const Segment& start) const;
  bool may_anchor(const Side& side) const;
  void forget_habits();
  // Before a connection that was found half-way is joined: whether its client waits for answers.
  void watch_turns(const Segment& segment);

  Side& side(Party party) { return sides_[client_direction_ ^ static_cast<unsigned>(party)]; }
  const Side& side(Party party) const {
    return sides_[client_direction_ ^ static_cast<unsigned>(party)];
  }
  Side& other(const Side& side) { return sides_[side.direction ^ 1u]; }

  const Options& options_;
  Shared& shared_;
  Listener& listener_;
  std::array<Side, 2> sides_;
  const Protocol* protocol_ = nullptr;
  std::unique_ptr<Dialogue> dialogue_;  // while the protocol is known
  Direction client_direction_ = received;
  bool anchored_ = false;  // has been in step at least once
  bool finished_ = false;
  bool reset_ = false;
  std::unique_ptr<Dialogue> successor_;
  std::string_view succession_;  // within the bytes at hand
  bool reopen_ = false;
  Party reopened_by_ = Party::client;
  bool fresh_ = false;  // another protocol begins here
  bool requests_distrusted_ = false;
  bool answers_ended_ = false;
  Need need_ = Need::unknown;
  // The client's habits, by which it is known what its acks mean.
  bool streams_ = false;   // it has begun a turn before it had all answers to the last one
  bool batches_ = false;   // it has sent a request behind another one in the same turn
  bool trusted_ = false;   // in step since the first byte, or since nothing was under way
  bool half_way_ = false;  // joined where earlier requests may have been under way, unseen
  bool watched_ = false;   // last_request_ack_ is known before that
  bool gap_in_turn_ = false;
  unsigned clean_turns_ = 0;
  std::uint32_t last_request_ack_ = 0;
  bool quiet_ = false;    // the segment at hand came after a silence of request_timeout
  unsigned strikes_ = 0;  // segments that look like nothing known
  std::uint64_t unknown_bytes_ = 0;
  std::uint64_t last_activity_ns_ = 0;
};

}  // namespace trivet::tracing
