// SPDX-License-Identifier: Apache-2.0
#include "metrics/registry.h"

#include <prometheus/text_serializer.h>

#include <algorithm>

#include "metrics/registry_state.h"
#include "text/escape.h"

namespace trivet {
namespace {

using prometheus::MetricType;

constexpr const char* kOther = "other";

// Prometheus' data model: [a-zA-Z_:][a-zA-Z0-9_:]*, colons in metric names only.
bool valid_name(const std::string& name, bool colons) {
  auto valid = [&](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':') ||
           (c >= '0' && c <= '9');
  };
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::ranges::all_of(name, valid);
}

bool valid_labels(const Labels& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto& key = labels[i].first;
    // Names that start with __ are Prometheus' own, and so is a histogram's le.
    if (!valid_name(key, false) || key.starts_with("__") || key == "le") return false;
    if (i != 0 && key == labels[i - 1].first) return false;
  }
  return true;
}

std::vector<std::string> keys_of(const Labels& labels) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : labels) {
    if (!key.starts_with("tag_")) keys.push_back(key);
  }
  return keys;
}

std::unique_ptr<Series> make_series(const Description& description) {
  switch (description.type) {
    case MetricType::Counter:
      return std::make_unique<CounterSeries>();
    case MetricType::Gauge:
      return std::make_unique<GaugeSeries>();
    default:
      return std::make_unique<HistogramSeries>(description.bounds);
  }
}

// The library writes help texts as they are; the format wants these escaped.
std::string escaped_help(const std::string& help) {
  std::string out;
  for (char c : valid_utf8(help)) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

bool ascending(const std::vector<double>& bounds) {
  return std::ranges::adjacent_find(bounds, std::greater_equal<>()) == bounds.end();
}

prometheus::MetricFamily counter_family(const char* name, const char* help) {
  return {name, help, MetricType::Counter, {}};
}

}  // namespace

void CounterSeries::add(double amount) {
  counter_.Increment(amount);
}

void CounterSeries::follow(double total) {
  std::lock_guard lock(mutex_);
  counter_.Increment(total < followed_ ? total : total - followed_);
  followed_ = total;
}

Registry::State::State(std::size_t max_series) : max_series_(max_series) {}

void Registry::State::set_max_series(std::size_t max_series) {
  std::lock_guard lock(mutex_);
  max_series_ = max_series;
}

Series& Registry::State::acquire(const Description& description, const Labels& given, Hold& hold) {
  Labels labels = given;
  // One invalid byte would make Prometheus reject the whole scrape.
  for (auto& [key, value] : labels) value = valid_utf8(value);
  std::ranges::sort(labels);

  std::lock_guard lock(mutex_);
  auto found = families_.find(description.name);
  if (found == families_.end()) {
    if (!valid_name(description.name, true) || !valid_labels(labels) ||
        !ascending(description.bounds)) {
      return refuse(description, hold);
    }
    found = families_.emplace(description.name, Family{description, keys_of(labels), {}}).first;
  }
  Family& family = found->second;
  if (family.description.type != description.type ||
      family.description.bounds != description.bounds || family.keys != keys_of(labels)) {
    return refuse(description, hold);
  }
  if (!family.series.contains(labels) && family.series.size() >= max_series_ && !labels.empty()) {
    ++overflows_[description.name];
    for (auto& [key, value] : labels) value = kOther;
  }
  return take(family, labels, hold);
}

Series& Registry::State::take(Family& family, const Labels& labels, Hold& hold) {
  Held& held = family.series[labels];
  if (!held.series) held.series = make_series(family.description);
  ++held.holders;
  hold = {family.description.name, labels};
  return *held.series;
}

Series& Registry::State::refuse(const Description& description, Hold& hold) {
  ++refused_;
  hold = {};
  auto& series = unseen_[{description.name, description.type}];
  if (!series) {
    Description harmless = description;
    harmless.bounds.clear();
    series = make_series(harmless);
  }
  return *series;
}

void Registry::State::release(const Hold& hold) {
  std::lock_guard lock(mutex_);
  auto family = families_.find(hold.first);
  if (family == families_.end()) return;
  auto held = family->second.series.find(hold.second);
  if (held == family->second.series.end() || --held->second.holders != 0) return;
  family->second.series.erase(held);
  if (family->second.series.empty()) families_.erase(family);
}

std::vector<prometheus::MetricFamily> Registry::State::Collect() const {
  std::lock_guard lock(mutex_);
  std::vector<prometheus::MetricFamily> collected;
  for (const auto& [name, family] : families_) {
    prometheus::MetricFamily out{
        name, escaped_help(family.description.help), family.description.type, {}};
    for (const auto& [labels, held] : family.series) {
      auto metric = held.series->collect();
      for (const auto& [key, value] : labels) metric.label.push_back({key, value});
      out.metric.push_back(std::move(metric));
    }
    collected.push_back(std::move(out));
  }

  auto overflow =
      counter_family("trivet_metrics_overflow_total",
                     "Requests for a series beyond metrics.max_series, which got the one "
                     "whose labels are \"other\"");
  for (const auto& [name, count] : overflows_) {
    prometheus::ClientMetric metric;
    metric.label.push_back({"metric", name});
    metric.counter.value = count;
    overflow.metric.push_back(std::move(metric));
  }
  if (!overflow.metric.empty()) collected.push_back(std::move(overflow));

  auto refused =
      counter_family("trivet_metrics_refused_total",
                     "Requests for a series whose name, type, bounds or labels are wrong");
  refused.metric.emplace_back().counter.value = refused_;
  collected.push_back(std::move(refused));

  prometheus::MetricFamily build{
      "trivet_build_info", "The running build; always 1", MetricType::Gauge, {}};
  auto& info = build.metric.emplace_back();
  info.label = {{"version", TRIVET_VERSION}, {"fingerprint", TRIVET_FINGERPRINT}};
  info.gauge.value = 1;
  collected.push_back(std::move(build));
  return collected;
}

// The Metrics of one owner. Remembers what it holds, to give it back when it ends.
class Scope final : public Metrics {
 public:
  explicit Scope(std::shared_ptr<Registry::State> state) : state_(std::move(state)) {}
  ~Scope() override {
    for (const auto& [hold, series] : held_) state_->release(hold);
  }

  Counter& counter(const std::string& name, const std::string& help,
                   const Labels& labels) override {
    return get<CounterSeries>({name, help, MetricType::Counter, {}}, labels);
  }
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels) override {
    return get<GaugeSeries>({name, help, MetricType::Gauge, {}}, labels);
  }
  Histogram& histogram(const std::string& name, const std::string& help,
                       const std::vector<double>& bounds, const Labels& labels) override {
    return get<HistogramSeries>({name, help, MetricType::Histogram, bounds}, labels);
  }

 private:
  template <class T>
  T& get(const Description& description, const Labels& labels) {
    Registry::State::Hold hold;
    Series& series = state_->acquire(description, labels, hold);
    if (!hold.first.empty()) {
      std::lock_guard lock(mutex_);
      // Held once for each scope, however often it is asked for.
      if (!held_.emplace(hold, &series).second) state_->release(hold);
    }
    return static_cast<T&>(series);
  }

  std::shared_ptr<Registry::State> state_;
  std::mutex mutex_;
  std::map<Registry::State::Hold, Series*> held_;
};

Registry::Registry(std::size_t max_series) : state_(std::make_shared<State>(max_series)) {}

Registry::~Registry() = default;

void Registry::set_max_series(std::size_t max_series) {
  state_->set_max_series(max_series);
}

std::unique_ptr<Metrics> Registry::scope() {
  return std::make_unique<Scope>(state_);
}

std::string Registry::text() const {
  auto families = state_->Collect();
  auto process = ProcessMetrics().Collect();
  families.insert(families.end(), process.begin(), process.end());
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace trivet
