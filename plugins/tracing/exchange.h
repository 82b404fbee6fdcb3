// SPDX-License-Identifier: Apache-2.0
// A request and its answer under way, and how they become one record: times, what is kept as memory
// runs out, the reason why it is incomplete. What order answers come in is for those who derive:
// fifo.h, http2.cpp. Worker thread of the plugin.
#pragma once

#include <algorithm>
#include <utility>

#include "tracing/conversation.h"
#include "tracing/dialogue.h"

namespace trivet::tracing {

// `Record` has the columns TRIVET_EXCHANGE_COLUMNS, `Extra` is what the protocol notes beside it.
template <class Record, class Extra>
class ExchangeDialogue : public Dialogue {
 public:
  std::size_t memory() const override { return memory_; }

 protected:
  struct Exchange {
    Record record;
    Extra extra;
    std::uint64_t request_first_ns = 0;
    std::uint64_t request_last_ns = 0;
    std::uint64_t answer_first_ns = 0;
    std::uint64_t answer_last_ns = 0;
    Keep keep = Keep::whole;
    bool request_done = false;
    bool answer_begun = false;
    bool answer_done = false;
    bool told = false;  // a record has been given up already: its answer must still be passed over
    std::size_t memory = 0;
  };

  explicit ExchangeDialogue(Conversation& link) : link_(link) {}

  // Its request begins with a byte that was seen at time_ns.
  void begin(Exchange& e, std::uint64_t time_ns) {
    e.request_first_ns = time_ns;
    e.record.time = Time{time_ns};
    e.record.role = link_.role();
    e.record.assumed = link_.half_way();
    Budget& budget = link_.shared().budget;
    e.keep = budget.keep();
    if (e.keep == Keep::heads) ++budget.without_bodies;
    if (e.keep == Keep::sizes) ++budget.sizes_only;
    charge(e, sizeof(Exchange));
  }

  void begin_answer(Exchange& e, std::uint64_t first_ns) {
    e.answer_begun = true;
    e.answer_first_ns = first_ns;
  }

  void tell(Exchange& e, const char* error) {
    if (std::exchange(e.told, true)) return;
    Record& r = e.record;
    if (r.error.empty()) r.error = error;
    if (e.answer_begun) {
      if (e.answer_last_ns == 0) e.answer_last_ns = link_.last_activity_ns();
      if (e.request_done) r.first_byte = between(e.request_last_ns, e.answer_first_ns);
      r.latency = between(e.request_first_ns, e.answer_last_ns);
    } else {
      r.latency =
          between(e.request_first_ns, std::max(link_.last_activity_ns(), e.request_last_ns));
    }
    memory_ -= std::exchange(e.memory, 0);
    complete(e);
    link_.publish(std::move(r));
  }

  void charge(Exchange& e, std::size_t bytes) {
    e.memory += bytes;
    memory_ += bytes;
  }

  // Appends to a text of the record up to `limit`; false if not all of it was kept.
  bool keep_text(Exchange& e, std::string& text, std::string_view bytes, std::size_t limit) {
    if (e.told) return true;
    const std::size_t room = text.size() >= limit ? 0 : limit - text.size();
    const std::string_view kept = bytes.substr(0, room);
    text.append(kept);
    charge(e, kept.size());
    return kept.size() == bytes.size();
  }

  // The record is about to be told: what takes all of its texts is done now.
  virtual void complete(Exchange&) {}
  // Notes in the record that one party's message lacks bytes.
  virtual void mark_truncated(Exchange&, Party) {}

  static Duration between(std::uint64_t from_ns, std::uint64_t to_ns) {
    return {static_cast<std::int64_t>(to_ns - from_ns)};
  }

  Conversation& link_;
  std::size_t memory_ = 0;  // of all exchanges
};

}  // namespace trivet::tracing
