// SPDX-License-Identifier: Apache-2.0
// The series behind Registry, its scopes and the endpoint. A series lives as long as a scope holds
// it. Thread-safe.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "metrics/registry.h"

namespace trivet {

// One label set of one name.
class Series {
 public:
  virtual ~Series() = default;
  virtual prometheus::ClientMetric collect() const = 0;
};

class CounterSeries final : public Series, public Counter {
 public:
  void add(double amount) override;
  void follow(double total) override;
  prometheus::ClientMetric collect() const override { return counter_.Collect(); }

 private:
  prometheus::Counter counter_;
  std::mutex mutex_;
  double followed_ = 0;
};

class GaugeSeries final : public Series, public Gauge {
 public:
  void set(double value) override { gauge_.Set(value); }
  prometheus::ClientMetric collect() const override { return gauge_.Collect(); }

 private:
  prometheus::Gauge gauge_;
};

class HistogramSeries final : public Series, public Histogram {
 public:
  explicit HistogramSeries(const std::vector<double>& bounds) : histogram_(bounds) {}
  void observe(double value) override { histogram_.Observe(value); }
  prometheus::ClientMetric collect() const override { return histogram_.Collect(); }

 private:
  prometheus::Histogram histogram_;
};

// What a name means: the same in every call that uses it.
struct Description {
  std::string name;
  std::string help;
  prometheus::MetricType type;
  std::vector<double> bounds;  // of a histogram
};

class Registry::State final : public prometheus::Collectable {
 public:
  explicit State(std::size_t max_series);

  // A hold on one series, by name and labels.
  using Hold = std::pair<std::string, Labels>;

  // The series, new or shared, which the caller holds until it release()s `hold`. A name or label
  // that Prometheus forbids, or a name used with another type, bounds or label keys before, is a
  // bug of the caller: it is counted, and the series is one that nobody sees.
  Series& acquire(const Description& description, const Labels& labels, Hold& hold);
  void release(const Hold& hold);

  void set_max_series(std::size_t max_series);
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct Held {
    std::unique_ptr<Series> series;
    std::size_t holders = 0;
  };
  struct Family {
    Description description;
    std::vector<std::string> keys;
    std::map<Labels, Held> series;
  };
  Series& refuse(const Description& description, Hold& hold);
  Series& take(Family& family, const Labels& labels, Hold& hold);

  mutable std::mutex mutex_;
  std::size_t max_series_;
  std::map<std::string, Family> families_;
  std::map<std::string, double> overflows_;  // by metric name
  double refused_ = 0;
  // Refused callers' series, by name and type.
  std::map<std::pair<std::string, prometheus::MetricType>, std::unique_ptr<Series>> unseen_;
};

// The process's own resources, under the names that every Prometheus client uses. Reads /proc/self
// at each scrape; what is unreadable there is left out.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace trivet
