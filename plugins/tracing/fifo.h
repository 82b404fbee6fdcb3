// SPDX-License-Identifier: Apache-2.0
// Requests and answers of a protocol that answers in order, and the rule that each request becomes
// one record, answered or not. A protocol's dialogue derives from it. Worker thread of the plugin.
#pragma once

#include <deque>
#include <utility>

#include "tracing/exchange.h"

namespace trivet::tracing {

template <class Record, class Extra>
class FifoDialogue : public ExchangeDialogue<Record, Extra> {
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

 protected:
  using Base = ExchangeDialogue<Record, Extra>;
  using Base::begin_answer;
  using Base::between;
  using Base::link_;
  using Base::mark_truncated;
  using Base::memory_;
  using Base::tell;
  using typename Base::Exchange;

  // Past max_outstanding, which is more than clients pipeline, requests are not what they seem or
  // never answered.
  explicit FifoDialogue(Conversation& link, std::size_t max_outstanding = 1024)
      : Base(link), max_outstanding_(max_outstanding) {}

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
    Base::begin(e, time_ns);
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

  void tell_all(const char* error) {
    for (Exchange& e : exchanges_) tell(e, error);
  }

  std::deque<Exchange>& exchanges() { return exchanges_; }

 private:
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
};

}  // namespace trivet::tracing
