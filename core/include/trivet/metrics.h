// SPDX-License-Identifier: Apache-2.0
// Counters, gauges and histograms, exposed to Prometheus. The library stays behind this interface.
// Each plugin has a Metrics of its own: its series vanish when it stops.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace trivet {

using Labels = std::vector<std::pair<std::string, std::string>>;

// All thread-safe. Owned by the Metrics that made them, valid until it ends.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double amount = 1) = 0;
  // Follows a total that somebody else counts, such as a kernel map: adds what it grew by since the
  // last call. A smaller total counts as a restart from 0.
  virtual void follow(double total) = 0;
};
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
};
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;
};

// Names are `trivet_...` or a convention's own, base units, `_total` on counters. The same name and
// labels give the same object. A name's label keys must agree between calls, but for those that
// begin with `tag_`, which a series has or has not. Past a cap on the label sets of one name
// (metrics.max_series), further ones share the set in which each value is "other", and
// trivet_metrics_overflow_total counts them.
class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual Counter& counter(const std::string& name, const std::string& help,
                           const Labels& labels = {}) = 0;
  virtual Gauge& gauge(const std::string& name, const std::string& help,
                       const Labels& labels = {}) = 0;
  // `bounds` are upper bounds in the metric's base unit, ascending, without +Inf.
  virtual Histogram& histogram(const std::string& name, const std::string& help,
                               const std::vector<double>& bounds, const Labels& labels = {}) = 0;
};

}  // namespace trivet
