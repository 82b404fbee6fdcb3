// SPDX-License-Identifier: Apache-2.0
// Requests and answers of a protocol that answers in order: times, the reasons why an exchange is
// incomplete, and the rule that each request becomes one record, answered or not. A protocol's
// dialogue derives from it. Worker thread of the plugin.
#pragma once

#include <algorithm>
#include <deque>
#include <utility>

#include "tracing/conversation.h"
#include "tracing/dialogue.h"

namespace trivet::tracing {

// `Record` has the columns TRIVET_EXCHANGE_COLUMNS, `Extra` is what the protocol notes beside it.
template <class Record, class Extra>
class FifoDialogue : public Dialogue {
 public:
  void on_lost(Party from, std::uint64_t time_ns) override {
    if (from == Party::server) {
      lose_answers();
    } else if (Exchange* e = unfinished()) {
      // What was asked before the gap is still answered in order.
      if (e->record.error.empty()) e->record.error = "gap";
      mark_truncated(*e, Party::client);
      end_request(time_ns);
    }
  }

  void abandon() override {
    tell_all("gap");
    exchanges_.clear();
    memory_ = 0;
  }

  void on_end(std::uint64_t time_ns) override {
    if (Exchange* e = unanswered(); e && e->answer_begun) {
      e->answer_last_ns = time_ns;
      mark_truncated(*e, Party::server);
      tell(*e, "truncated");
    }
    tell_all(link_.ending("closed"));
    while (!exchanges_.empty() && exchanges_.front().told) pop_front();
  }

  void close(const char* error) override {
    if (Exchange* e = unanswered(); e && e->answer_begun && link_.in_step(Party::server)) {
      mark_truncated(*e, Party::server);
      tell(*e, link_.ending("truncated"));
    }
    tell_all(link_.ending(error));
    exchanges_.clear();
    memory_ = 0;
  }

  void expire() override {
    if (Exchange* e = unanswered(); e && e->answer_begun) mark_truncated(*e, Party::server);
    tell_all("timeout");
    if (link_.in_step(Party::server)) return;
    exchanges_.clear();
    memory_ = 0;
  }

  bool outstanding() const override { return !exchanges_.empty(); }
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

  // Past max_outstanding, which is more than clients pipeline, requests are not what they seem or
  // never answered.
  explicit FifoDialogue(Conversation& link, std::size_t max_outstanding = 1024)
      : link_(link), max_outstanding_(max_outstanding) {}

  // A request begins whose first byte was seen at time_ns; nullptr if there are too many, and the
  // conversation is over. Conversation::request_begins() comes first.
  Exchange* begin_request(std::uint64_t time_ns) {
    if (exchanges_.size() == max_outstanding_) {
      ++link_.shared().parse_errors;
      tell_all("capacity");
      link_.finish();
      return nullptr;
    }
    Exchange& e = exchanges_.emplace_back();
    e.request_first_ns = time_ns;
    e.record.time = Time{time_ns};
    e.record.role = link_.role();
    e.record.assumed = link_.half_way();
    Budget& budget = link_.shared().budget;
    e.keep = budget.keep();
    if (e.keep == Keep::heads) ++budget.without_bodies;
    if (e.keep == Keep::sizes) ++budget.sizes_only;
    charge(e, sizeof(Exchange));
    return &e;
  }

  // The request whose end has not come yet.
  Exchange* unfinished() {
    return exchanges_.empty() || exchanges_.back().request_done ? nullptr : &exchanges_.back();
  }
  // The oldest exchange whose answer is not complete.
  Exchange* unanswered() {
    for (Exchange& e : exchanges_) {
      if (!e.answer_done) return &e;
    }
    return nullptr;
  }

  void end_request(std::uint64_t time_ns) {
    Exchange* e = unfinished();
    if (!e) return;
    e->request_done = true;
    e->request_last_ns = time_ns;
    e->record.request_transfer = between(e->request_first_ns, time_ns);
    if (e->answer_done) {
      tell(*e, "");  // answered before it was complete
    } else if (link_.answers_ended()) {
      tell(*e, link_.ending("closed"));
    } else if (!link_.in_step(Party::server)) {
      tell(*e, "gap");
    }
    while (!exchanges_.empty() && exchanges_.front().told &&
           (!link_.in_step(Party::server) || exchanges_.front().answer_done)) {
      pop_front();
    }
  }

  // What began was no request after all.
  void drop_request() {
    if (!unfinished()) return;
    memory_ -= exchanges_.back().memory;
    exchanges_.pop_back();
  }

  void begin_answer(Exchange& e, std::uint64_t first_ns) {
    e.answer_begun = true;
    e.answer_first_ns = first_ns;
  }

  void end_answer(std::uint64_t time_ns) {
    Exchange* e = unanswered();
    if (!e) return;
    e->answer_done = true;
    e->answer_last_ns = time_ns;
    if (e->request_done) tell(*e, "");
    while (!exchanges_.empty() && exchanges_.front().told && exchanges_.front().answer_done) {
      pop_front();
    }
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

  void tell_all(const char* error) {
    for (Exchange& e : exchanges_) tell(e, error);
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

  std::deque<Exchange>& exchanges() { return exchanges_; }
  Conversation& link_;

 private:
  static Duration between(std::uint64_t from_ns, std::uint64_t to_ns) {
    return {static_cast<std::int64_t>(to_ns - from_ns)};
  }

  void lose_answers() {
    for (Exchange& e : exchanges_) {
      if (e.answer_begun && !e.answer_done) mark_truncated(e, Party::server);
      if (e.request_done) tell(e, "gap");
    }
    while (!exchanges_.empty() && exchanges_.front().told) pop_front();
  }

  void pop_front() {
    memory_ -= exchanges_.front().memory;
    exchanges_.pop_front();
  }

  std::size_t max_outstanding_;
  std::deque<Exchange> exchanges_;
  std::size_t memory_ = 0;
};

}  // namespace trivet::tracing
