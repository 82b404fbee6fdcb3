// SPDX-License-Identifier: Apache-2.0
#include "outputs/output.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "query/row_condition.h"
#include "records/hubble.h"
#include "trivet/records/alert.h"

namespace trivet {
namespace {

using namespace std::chrono_literals;

constexpr FollowerLimits kQueue{.rows = 100'000, .bytes = 64 << 20};
constexpr std::size_t kRowsAtOnce = 256;
constexpr std::chrono::milliseconds kIdle = 200ms;
constexpr std::chrono::milliseconds kFirstPause = 100ms, kLongestPause = 5s;
constexpr int kInformational = 6;

// Falco's priorities are syslog's severities.
int severity_of(const std::string& priority) {
  static const std::map<std::string, int, std::less<>> kSeverities{
      {"Emergency", 0}, {"Alert", 1},  {"Critical", 2},      {"Error", 3},
      {"Warning", 4},   {"Notice", 5}, {"Informational", 6}, {"Debug", 7}};
  const auto known = kSeverities.find(priority);
  return known == kSeverities.end() ? kInformational : known->second;
}

}  // namespace

std::string_view name_of(Loss loss) {
  switch (loss) {
    case Loss::queue_full:
      return "queue_full";
    case Loss::rate:
      return "rate";
    case Loss::condition:
      return "condition";
    case Loss::too_large:
      return "too_large";
    case Loss::refused:
      return "refused";
    case Loss::spool_full:
      return "spool_full";
    case Loss::broken:
      return "broken";
    case Loss::stopped:
      break;
  }
  return "stopped";
}

bool RateLimit::take(Clock::time_point now) {
  if (rate_ == 0) return true;
  const std::chrono::duration<double> passed = now - last_;
  last_ = now;
  tokens_ = std::min(burst_, tokens_ + passed.count() * rate_);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

Line line_of(const Row& row, OutputFormat format, const Origin& origin) {
  const RecordSchema& schema = row.schema();
  const auto record = row.record();
  Line line{.text = {}, .table = schema.table, .severity = kInformational};
  const Alert* alert =
      schema.table == Alert::schema().table ? static_cast<const Alert*>(record.get()) : nullptr;
  if (alert) line.severity = severity_of(alert->priority);
  if (alert && format == OutputFormat::falco) {
    line.text = to_falco_json(*alert, origin);
  } else if (alert && format == OutputFormat::text) {
    line.text = to_falco_text(*alert, origin);
  } else if (format == OutputFormat::hubble && schema.table == Flow::schema().table) {
    line.text = to_hubble_json(*static_cast<const Flow*>(record.get()), origin);
  } else {
    // Which table it is of stands first; the rest is what `observe -o json` prints.
    line.text = to_table_json(schema, record.get(), origin);
  }
  return line;
}

Output::Output(Tables& tables, OriginNow origin, Log& log, OutputSettings settings)
    : tables_(tables),
      origin_(std::move(origin)),
      settings_(std::move(settings)),
      follower_(tables.follow(settings_.tables, kQueue, 0)),
      rate_(settings_.rate, settings_.burst),
      condition_trouble_(log, "the condition of output " + settings_.name),
      trouble_(log, "output " + settings_.name) {}

Output::~Output() {
  pause();
}

void Output::pause() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Output::replace(OutputSettings settings, std::unique_ptr<Sink> sink) {
  const bool same_kind = settings.target.index() == settings_.target.index();
  sink_.reset();
  sink_ = std::move(sink);
  // Elsewhere a line starts anew.
  if (!same_kind && !waiting_.empty()) waiting_.front().sent = 0;
  rate_ = RateLimit(settings.rate, settings.burst);
  tables_.follow_other(*follower_, settings.tables);
  settings_ = std::move(settings);
}

void Output::resume() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    pthread_setname_np(pthread_self(), "output");
    run(stop);
  });
}

void Output::finish(Clock::time_point deadline) {
  deadline_ = deadline.time_since_epoch().count();
}

void Output::await() {
  if (thread_.joinable()) thread_.join();
  std::uint64_t left = waiting_.size();
  for (auto rows = follower_->take(kRowsAtOnce); !rows.empty(); rows = follower_->take(kRowsAtOnce))
    left += rows.size();
  waiting_.clear();
  counts_->lose(Loss::stopped, left);
}

void Output::run(const std::stop_token& stop) {
  std::chrono::milliseconds pause = 0ms;
  Clock::time_point next{};
  while (!stop.stop_requested()) {
    const auto deadline = Clock::time_point(Clock::duration(deadline_.load()));
    const bool ending = deadline.time_since_epoch().count() != 0;
    if (waiting_.empty()) {
      const bool hurry = ending || sink_->busy();
      choose(follower_->wait(hurry ? 10ms : kIdle, kRowsAtOnce));
      // Nothing comes any more once the daemon ends.
      if (ending && waiting_.empty() && !sink_->busy()) break;
    }
    counts_->lose(Loss::queue_full, follower_->take_dropped());
    if (ending && Clock::now() >= deadline) break;
    if (Clock::now() < next) {
      std::this_thread::sleep_for(std::min<Clock::duration>(next - Clock::now(), kIdle));
      continue;
    }
    if (auto done = sink_->deliver(waiting_); !done) {
      ++counts_->failures;
      trouble_.failed(done.error());
      pause = std::clamp(pause * 2, kFirstPause, kLongestPause);
      next = Clock::now() + pause;
      if (ending) break;
    } else {
      trouble_.worked();
      pause = 0ms;
    }
  }
  sink_->finish();
}

// A receiver of records over HTTP must not be sent records about that, which would never end.
bool Output::own(const Row& row) const {
  if (!std::holds_alternative<HttpTarget>(settings_.target)) return false;
  static const auto self = static_cast<std::uint64_t>(getpid());
  const Column* pid = row.schema().find("pid");
  const auto record = row.record();
  const Value value = pid ? pid->get(record.get()) : Value();
  const auto* number = std::get_if<std::uint64_t>(&value);
  return number && *number == self;
}

std::vector<bool> Output::judge(const std::vector<Row>& rows, const Origin& origin) {
  std::vector<bool> passes(rows.size(), settings_.where.empty());
  if (settings_.where.empty()) return passes;
  std::map<std::string_view, std::vector<std::size_t>> by_table;
  for (std::size_t i = 0; i < rows.size(); ++i) by_table[rows[i].schema().table].push_back(i);
  for (const auto& [table, places] : by_table) {
    std::vector<Row> of_table;
    for (const std::size_t place : places) of_table.push_back(rows[place]);
    const auto judged = judge_condition(settings_.where, of_table, origin);
    if (!judged) {
      counts_->lose(Loss::condition, places.size());
      condition_trouble_.failed(judged.error());
      continue;
    }
    condition_trouble_.worked();
    for (std::size_t i = 0; i < places.size(); ++i) {
      passes[places[i]] = (*judged)[i];
      if (!(*judged)[i]) ++counts_->filtered;
    }
  }
  return passes;
}

void Output::choose(std::vector<Row> rows) {
  if (rows.empty()) return;
  const auto others = std::erase_if(rows, [this](const Row& row) { return own(row); });
  counts_->filtered += others;
  const Origin origin = origin_();
  const auto passes = judge(rows, origin);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!passes[i]) continue;
    if (rate_.take(Clock::now()))
      waiting_.push_back(line_of(rows[i], settings_.format, origin));
    else
      counts_->lose(Loss::rate);
  }
}

}  // namespace trivet
