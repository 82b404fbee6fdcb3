// SPDX-License-Identifier: Apache-2.0
// wrong_pairs [REQUESTS [SEED]]: clients and servers that ask and answer through a network with
// delays, cuts and retransmissions, seen at one end's socket as the kernel would tell it, with 0.1
// to 5 % of the events lost, singly or in bursts. No record may hold the answer to another
// question, unless it says that it may (`assumed`), and none may come twice; without losses each
// question must have its answer. REQUESTS is shared by the protocols. Deterministic. Fails with
// status 1.
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "speakers.h"
#include "tracing/connections.h"
#include "tracing/datagrams.h"

namespace {

using namespace trivet;
using namespace trivet::tracing;

constexpr std::uint64_t us = 1'000, ms = 1'000'000, second = 1'000'000'000;

struct Tally {
  std::size_t asked = 0;
  std::size_t events = 0;
  std::size_t lost = 0;
  std::size_t whole = 0;     // records without error, with both numbers
  std::size_t unjudged = 0;  // records without error that lack a number
  std::size_t wrong = 0;
  std::size_t twice = 0;
  std::size_t assumed = 0;        // records of connections joined half-way
  std::size_t assumed_wrong = 0;  // those of them that are wrong, as they say they may be
};

// Which events are lost.
class Loss {
 public:
  Loss(Random& random, bool any) : random_(random) {
    if (!any) return;
    share_ = 1 + static_cast<unsigned>(random() % (random() % 4 == 0 ? 50 : 10));
    burst_ = random() % 2 == 0 ? 1 : 2 + static_cast<unsigned>(random() % 12);
  }
  bool any() const { return share_ > 0; }
  bool next() {
    if (left_ > 0) return --left_, true;
    if (random_() % (1000 * burst_) >= share_) return false;
    left_ = burst_ - 1;
    return true;
  }

 private:
  Random& random_;
  unsigned share_ = 0;  // in a thousand
  unsigned burst_ = 1;
  unsigned left_ = 0;
};

// Judges what is concluded.
class Judge final : public Connections::Outlet {
 public:
  Judge(Tally& count, std::size_t requests) : tally(count), seen_(requests + 1) {}
  void publish(AnyRequest record) override {
    const Numbers numbers = numbers_of(record);
    const bool wrong = numbers.asked && numbers.answered && *numbers.asked != *numbers.answered;
    tally.assumed += numbers.assumed;
    if (wrong) {
      ++(numbers.assumed ? tally.assumed_wrong : tally.wrong);
      return;
    }
    if (!numbers.whole) return;
    if (!numbers.asked || !numbers.answered) {
      ++tally.unjudged;
      return;
    }
    ++tally.whole;
    const std::uint32_t number = *numbers.asked;
    if (number < seen_.size() && seen_[number]) ++tally.twice;
    if (number < seen_.size()) seen_[number] = true;
  }
  void decide(std::uint64_t cookie, payload_verdict verdict) override {
    if (verdict == PAYLOAD_IGNORE) ignored = cookie;
  }
  void forget(std::uint64_t) override {}

  Tally& tally;
  std::uint64_t ignored = 0;  // the newest socket that the kernel shall tell nothing more of

 private:
  std::vector<bool> seen_;
};

// One TCP connection from its handshake to its end.
class Talk {
 public:
  Talk(Random& random, Loss& loss, Connections& connections, Judge& judge, Speaker& speaker,
       std::uint64_t cookie, std::uint64_t now_ns, std::uint32_t first_number, unsigned questions)
      : random_(random),
        loss_(loss),
        connections_(connections),
        judge_(judge),
        speaker_(speaker),
        cookie_(cookie),
        now_ns_(now_ns),
        number_(first_number),
        end_(first_number + questions),
        answered_(first_number),
        serving_(first_number),
        observed_(random() % 2 == 0),
        habit_(static_cast<unsigned>(random() % 3)),
        depth_(1 + static_cast<unsigned>(random() % 16)),
        delay_ns_((20 + random() % 2000) * us),
        bad_network_(random() % 4 == 0) {
    for (bool client : {false, true}) {
      ends_[client].next = ends_[client].first = static_cast<std::uint32_t>(random());
    }
    for (bool client : {false, true}) ends_[client].received = ends_[!client].next;
    // Some connections are there before events are told.
    told_from_ns_ = random() % 8 == 0 ? now_ns + random() % (200 * ms) : 0;
    // A client that never waits for its answers shows no place to join it at: nothing would be
    // whole.
    if (!loss.any() && told_from_ns_ > 0 && habit_ == 2) habit_ = 1;
    opening_ = speaker.opening();
  }

  std::uint64_t run() {
    owner(PAYLOAD_SENT);
    owner(PAYLOAD_RECEIVED);
    if (opening_.empty()) {
      think();
    } else {
      say(opening_[0].first, opening_[0].second);
    }
    while (!agenda_.empty()) {
      auto next = agenda_.begin();
      now_ns_ = next->first;
      const auto act = std::move(next->second);
      agenda_.erase(next);
      for (; ticked_ns_ + 100 * ms <= now_ns_; ticked_ns_ += 100 * ms) {
        if (now_ns_ - ticked_ns_ > second) ticked_ns_ = now_ns_ - 100 * ms;
        connections_.tick(ticked_ns_);
      }
      act();
    }
    socket_close_event event{};
    event.header.socket_cookie = cookie_;
    event.header.time_ns = now_ns_;
    if (tell()) connections_.on_close(event);
    return now_ns_;
  }

 private:
  struct Packet {
    bool from_client;
    std::uint32_t sequence;
    std::uint32_t ack;
    std::string bytes;
    bool fin;
  };
  struct End {
    std::uint32_t first = 0;     // number of its first byte
    std::uint32_t next = 0;      // of the next one
    std::uint32_t received = 0;  // up to where it has the other's bytes
    std::map<std::uint32_t, std::size_t>
        early;                          // lengths of what came before its time, from `received`
    std::uint64_t last_arrival_ns = 0;  // of what it sent
    std::uint64_t heard = 0;            // bytes of the other
    std::uint64_t said = 0;
    std::deque<std::uint64_t> ends;  // of its messages that have not arrived, in bytes said
  };

  void at(std::uint64_t time_ns, std::function<void()> act) {
    agenda_.emplace(time_ns, std::move(act));
  }

  // ---- what the kernel tells ----

  bool tell() {
    if (now_ns_ < told_from_ns_ || judge_.ignored == cookie_) return false;
    ++judge_.tally.events;
    const bool lost = loss_.next();
    judge_.tally.lost += lost;
    return !lost;
  }
  void owner(payload_direction direction) {
    socket_owner_event event{};
    event.header.socket_cookie = cookie_;
    event.header.time_ns = now_ns_;
    event.header.task = {1, 1000, 1};
    event.direction = static_cast<__u8>(direction);
    connections_.on_owner(event, {});
  }
  void observe(const Packet& packet, bool in_order) {
    const bool sent = packet.from_client == observed_;
    if (!tell()) return;
    socket_payload_event event{};
    event.header.socket_cookie = cookie_;
    event.header.time_ns = now_ns_;
    event.tcp_sequence = packet.sequence;
    event.tcp_ack = packet.ack;
    event.payload_bytes = event.captured_bytes = static_cast<__u32>(packet.bytes.size());
    event.direction = sent ? PAYLOAD_SENT : PAYLOAD_RECEIVED;
    const End& from = ends_[packet.from_client];
    const bool first = packet.sequence == from.first;
    event.flags =
        static_cast<__u8>((in_order ? PAYLOAD_IN_ORDER : 0) | (packet.fin ? PAYLOAD_FIN : 0));
    if (told_from_ns_ == 0) {
      const bool opening = first && packet.ack == ends_[!packet.from_client].first;
      event.flags |= static_cast<__u8>(PAYLOAD_FOLLOWED | (first ? PAYLOAD_FIRST : 0) |
                                       (opening ? PAYLOAD_OPENING : 0));
    }
    connections_.on_payload(event, packet.bytes);
  }

  // ---- the network ----

  void say(bool client, const std::string& message) {
    End& end = ends_[client];
    end.said += message.size();
    end.ends.push_back(end.said);
    write(client, message);
  }
  void write(bool client, std::string_view bytes) {
    while (!bytes.empty()) {
      std::size_t length = random_() % 4 == 0 ? 1 + random_() % bytes.size() : bytes.size();
      length = std::min<std::size_t>(length, 60000);
      send(client, std::string(bytes.substr(0, length)), false);
      bytes.remove_prefix(length);
    }
  }
  void send(bool client, std::string bytes, bool fin) {
    End& end = ends_[client];
    const Packet packet{client, end.next, end.received, std::move(bytes), fin};
    end.next += static_cast<std::uint32_t>(packet.bytes.size()) + fin;
    if (client == observed_) observe(packet, true);
    std::uint64_t arrival_ns = now_ns_ + delay_ns_;
    if (bad_network_ && random_() % 100 == 0) {
      arrival_ns += 200 * ms;  // sent again; the kernel tells the first time only
    } else {
      arrival_ns = std::max(arrival_ns, end.last_arrival_ns);
      end.last_arrival_ns = arrival_ns;
    }
    at(arrival_ns, [this, packet] { arrive(packet); });
  }
  void arrive(const Packet& packet) {
    End& to = ends_[!packet.from_client];
    if (packet.from_client != observed_) observe(packet, packet.sequence == to.received);
    const auto length = packet.bytes.size() + packet.fin;
    to.early[packet.sequence] = length;
    for (auto next = to.early.find(to.received); next != to.early.end();
         next = to.early.find(to.received)) {
      to.received += static_cast<std::uint32_t>(next->second);
      to.heard += next->second;
      to.early.erase(next);
    }
    // Whole messages that have come.
    End& from = ends_[packet.from_client];
    while (!from.ends.empty() && from.ends.front() <= to.heard) {
      from.ends.pop_front();
      heard(packet.from_client);
    }
  }

  // ---- the two programs ----

  void heard(bool from_client) {
    if (step_ < opening_.size()) {
      if (++step_ < opening_.size()) {
        say(opening_[step_].first, opening_[step_].second);
      } else {
        think();
      }
      return;
    }
    if (from_client) {
      ++unanswered_;
      if (!busy_) serve();
      return;
    }
    ++answered_;
    if (answered_ == end_) {
      send(true, "", true);
      return;
    }
    if (answered_ == number_ || (habit_ == 2 && random_() % 2 == 0)) think();
  }
  void serve() {
    busy_ = true;
    at(now_ns_ + random_() % (300 * us), [this] {
      // As many as it has read, or some of them.
      std::string bytes;
      if (random_() % 50 == 0) bytes += speaker_.unasked();
      for (unsigned left = 1 + static_cast<unsigned>(random_() % 4); left > 0 && unanswered_ > 0;
           --left, --unanswered_) {
        bytes += speaker_.answer(serving_++);
        ends_[false].ends.push_back(ends_[false].said + bytes.size());
      }
      ends_[false].said += bytes.size();
      write(false, bytes);
      busy_ = false;
      if (unanswered_ > 0) serve();
    });
  }
  void think() {
    if (thinking_ || number_ == end_) return;
    thinking_ = true;
    // Longer than any request's timeout now and then.
    const std::uint64_t pause =
        random_() % 500 == 0 ? 70 * second : random_() % (random_() % 16 == 0 ? 5 * ms : 100 * us);
    at(now_ns_ + pause, [this] {
      thinking_ = false;
      const unsigned most = habit_ == 0 ? 1 : 1 + static_cast<unsigned>(random_() % depth_);
      std::string bytes;
      for (unsigned i = 0; i < most && number_ < end_ && number_ - answered_ < 2 * depth_; ++i) {
        bytes += speaker_.question(number_++);
        ends_[true].ends.push_back(ends_[true].said + bytes.size());
      }
      ends_[true].said += bytes.size();
      write(true, bytes);
      if (habit_ == 2 && random_() % 2 == 0) think();
    });
  }

  Random& random_;
  Loss& loss_;
  Connections& connections_;
  Judge& judge_;
  Speaker& speaker_;
  std::uint64_t cookie_;
  std::uint64_t now_ns_;
  std::uint32_t number_;  // of the next question
  std::uint32_t end_;
  std::uint32_t answered_;
  std::uint32_t serving_;  // the next answer's
  bool observed_;          // the client's socket is looked at, else the server's
  unsigned habit_;         // one question at a time; several, then all answers; without waiting
  unsigned depth_;
  std::uint64_t delay_ns_;
  bool bad_network_;
  std::uint64_t told_from_ns_;
  std::vector<std::pair<bool, std::string>> opening_;
  std::size_t step_ = 0;
  End ends_[2];  // by whether it is the client
  std::multimap<std::uint64_t, std::function<void()>> agenda_;
  std::uint64_t ticked_ns_ = now_ns_;
  unsigned unanswered_ = 0;
  bool busy_ = false;
  bool thinking_ = false;
};

Tally converse(std::string_view protocol, std::size_t requests, Random& random, bool losses) {
  Tally tally;
  Judge judge(tally, requests);
  Options options;
  options.http.enabled = protocol.starts_with("http");
  options.redis.enabled = protocol == "redis";
  options.postgresql.enabled = protocol == "postgresql";
  options.mysql.enabled = protocol == "mysql";
  options.dns.enabled = protocol == "dns";
  Shared shared;
  Connections connections(options, ConnectionLimits{}, shared, judge);
  std::uint64_t now_ns = second;
  std::uint64_t cookie = 0;
  while (tally.asked < requests) {
    const auto questions =
        static_cast<unsigned>(std::min<std::size_t>(1 + random() % 2000, requests - tally.asked));
    Loss loss(random, losses);
    const auto speaker = make_speaker(protocol, random);
    Talk talk(random, loss, connections, judge, *speaker, ++cookie, now_ns,
              static_cast<std::uint32_t>(tally.asked + 1), questions);
    tally.asked += questions;
    now_ns = talk.run() + ms;
  }
  // What waits is told.
  connections.tick(now_ns += second);
  connections.tick(now_ns + 1000 * second);
  return tally;
}

// DNS in datagrams: late, out of order, lost on the way, with few ids.
Tally ask_in_datagrams(std::size_t requests, Random& random, bool losses) {
  Tally tally;
  Judge judge(tally, requests);
  Datagrams datagrams(5 * second, [&](DnsRequest record) { judge.publish(std::move(record)); });
  std::uint64_t now_ns = second;
  std::optional<Loss> loss(std::in_place, random, losses);
  struct Sent {
    std::uint64_t time_ns;
    std::uint64_t cookie;
    std::uint16_t id;
    std::uint32_t number;
  };
  std::multimap<std::uint64_t, Sent> answers;
  const auto tell = [&](std::uint64_t cookie, bool response, std::uint16_t id,
                        std::uint32_t number) {
    ++tally.events;
    if (loss->next()) {
      ++tally.lost;
      return;
    }
    const std::string bytes = dns_message(id, number, response);
    socket_payload_event event{};
    event.header.socket_cookie = cookie;
    event.header.time_ns = now_ns;
    event.payload_bytes = event.captured_bytes = static_cast<__u32>(bytes.size());
    event.direction = response ? PAYLOAD_RECEIVED : PAYLOAD_SENT;
    event.flags = PAYLOAD_DATAGRAM;
    datagrams.on_datagram(event, bytes);
  };
  for (std::uint32_t number = 1; number <= requests; ++number) {
    now_ns += random() % (20 * us);
    if (number % 4096 == 0) {
      loss.emplace(random, losses);
      datagrams.tick(now_ns);
    }
    for (auto next = answers.begin(); next != answers.end() && next->first <= now_ns;
         next = answers.erase(next)) {
      tell(next->second.cookie, true, next->second.id, next->second.number);
    }
    const Sent sent{now_ns, 1 + random() % 8, static_cast<std::uint16_t>(number % 509), number};
    ++tally.asked;
    tell(sent.cookie, false, sent.id, number);
    if (random() % 1000 != 0) answers.emplace(now_ns + random() % ms, sent);
  }
  now_ns += second;
  for (const auto& [time, sent] : answers) tell(sent.cookie, true, sent.id, sent.number);
  datagrams.tick(now_ns + 10 * second);
  return tally;
}

bool report(std::string_view name, const Tally& tally, bool losses, double least) {
  const double whole = static_cast<double>(tally.whole) / static_cast<double>(tally.asked);
  const bool good = tally.wrong == 0 && tally.twice == 0 && whole >= least;
  std::printf(
      "%-18.*s %9zu asked, %9zu events, %5.2f %% lost: %6.2f %% whole, %zu unjudged, %zu "
      "wrong, %zu twice; %zu assumed, %zu of them wrong%s\n",
      static_cast<int>(name.size()), name.data(), tally.asked, tally.events,
      100.0 * static_cast<double>(tally.lost) / static_cast<double>(tally.events), 100.0 * whole,
      tally.unjudged, tally.wrong, tally.twice, tally.assumed, tally.assumed_wrong,
      good     ? ""
      : losses ? ": FAILED"
               : ": FAILED (nothing was lost)");
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t all = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  Random random(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
  constexpr std::size_t kinds = std::size(stream_protocols) + 1;
  bool good = true;
  for (const bool losses : {false, true}) {
    const std::size_t each = std::max<std::size_t>(1, (losses ? all : all / 10) / kinds);
    for (const std::string_view protocol : stream_protocols) {
      // Those that are found half-way lack some, lost or not.
      good &=
          report(protocol, converse(protocol, each, random, losses), losses, losses ? 0.2 : 0.9);
    }
    good &= report("dns in datagrams", ask_in_datagrams(each, random, losses), losses,
                   losses ? 0.8 : 0.99);
  }
  return good ? 0 : 1;
}
