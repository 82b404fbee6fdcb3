// SPDX-License-Identifier: Apache-2.0
// A connection for tests of protocols: what its ends say, with or without losses of events.
#pragma once

#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracing/conversation.h"

namespace trivet::tracing {

constexpr std::uint64_t ms = 1'000'000;

// Both ends of a connection as one socket sees them, and what its conversation concludes. Each
// event takes a millisecond; what is lost is an event, not a packet: the ends go on.
template <class Record>
class WireOf : public Conversation::Listener {
 public:
  explicit WireOf(bool at_server = true, Options options = {})
      : options_(std::move(options)),
        client_direction_(at_server ? Conversation::received : Conversation::sent) {}

  void client(std::string_view bytes, bool lost = false) { send(true, bytes, lost, false); }
  void server(std::string_view bytes, bool lost = false) { send(false, bytes, lost, false); }
  void client_fin() { send(true, {}, false, true); }
  void server_fin() { send(false, {}, false, true); }
  void silence(std::uint64_t ns) {
    now_ns += ns;
    conversation.on_idle(now_ns);
  }

  void on_exchange(AnyRequest record) override {
    if (auto* message = std::get_if<HttpMessage>(&record)) {
      messages.push_back(std::move(*message));
    } else if (auto* call = std::get_if<GrpcRequest>(&record)) {
      calls.push_back(std::move(*call));
    } else {
      records.push_back(std::move(std::get<Record>(record)));
    }
  }
  void on_need(Need now) override { need = now; }

  std::uint64_t now_ns = 1000 * ms;
  std::vector<Record> records;
  std::vector<HttpMessage> messages;
  std::vector<GrpcRequest> calls;
  Need need = Need::unknown;
  bool known_from_start = true;
  std::uint32_t unseen = 0;  // of the next segment: not captured

 private:
  void send(bool from_client, std::string_view bytes, bool lost, bool fin) {
    now_ns += ms;
    std::uint32_t& own = from_client ? client_next_ : server_next_;
    const std::uint32_t start = from_client ? 0xfffffff0u : 70000u;
    Segment segment{
        .sequence = own,
        .ack = from_client ? server_next_ : client_next_,
        .time_ns = now_ns,
        .bytes = bytes,
        .unseen = std::exchange(unseen, 0),
        .in_order = true,
        .first = known_from_start && own == start,
        .opening = known_from_start && client_next_ == 0xfffffff0u && server_next_ == 70000,
        .followed = known_from_start,
        .fin = fin};
    own = segment.end() + fin;
    if (lost) return;
    const auto other =
        client_direction_ == Conversation::received ? Conversation::sent : Conversation::received;
    conversation.on_segment(from_client ? client_direction_ : other, segment);
  }

  Options options_;
  Conversation::Direction client_direction_;
  std::uint32_t client_next_ = 0xfffffff0u;
  std::uint32_t server_next_ = 70000;

 public:
  Shared counts;
  Conversation conversation{options_, counts, *this};
};

// How a client sends: one request at a time, some in a turn, or more while answers are under way.
enum class Habit { singly, in_turns, streaming };

// Lets a client ask `requests` questions with that habit, in segments that hold pieces of messages,
// one message or several; each segment's event is lost with a chance of `loss` in ten thousand.
template <class Record, class Ask, class Answer>
void converse(WireOf<Record>& wire, std::mt19937& random, Habit habit, unsigned requests,
              unsigned loss, Ask ask, Answer answer) {
  const auto in_pieces = [&](const std::string& bytes, bool from_client) {
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t length = random() % 3 == 0 ? 1 + random() % bytes.size() : bytes.size();
      const std::string_view piece = std::string_view(bytes).substr(at, length);
      const bool lost = random() % 10'000 < loss;
      if (from_client) {
        wire.client(piece, lost);
      } else {
        wire.server(piece, lost);
      }
      at += piece.size();
    }
  };
  const auto answers = [&](unsigned from, unsigned to) {
    std::string bytes;
    for (unsigned id = from; id < to; ++id) {
      bytes += answer(id);
      if (random() % 2 == 0) in_pieces(std::exchange(bytes, {}), false);
    }
    in_pieces(bytes, false);
  };
  const unsigned depth = habit == Habit::singly ? 1 : 2 + random() % 16;
  unsigned sent = 0;
  unsigned answered = 0;
  while (answered < requests) {
    std::string bytes;
    for (; sent < requests && sent - answered < depth; ++sent) bytes += ask(sent);
    in_pieces(bytes, true);
    const unsigned until =
        habit == Habit::streaming ? answered + 1 + random() % (sent - answered) : sent;
    answers(answered, until);
    answered = until;
    if (random() % 8 == 0) wire.conversation.on_idle(wire.now_ns);
  }
  wire.conversation.close("closed");
}

}  // namespace trivet::tracing
