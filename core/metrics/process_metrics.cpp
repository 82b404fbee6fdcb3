// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "metrics/registry_state.h"

namespace trivet {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

std::string read(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void add(std::vector<MetricFamily>& families, const char* name, const char* help, MetricType type,
         std::optional<double> value) {
  if (!value) return;
  prometheus::ClientMetric metric;
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = *value;
  families.push_back({name, help, type, {metric}});
}

// Seconds since 1970 at which the host booted.
std::optional<double> boot_time() {
  std::istringstream lines(read("/proc/stat"));
  for (std::string line; std::getline(lines, line);) {
    double seconds;
    if (std::sscanf(line.c_str(), "btime %lf", &seconds) == 1) return seconds;
  }
  return std::nullopt;
}

std::optional<double> open_descriptors() {
  std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  if (!folder) return std::nullopt;  // after a change of user /proc/self/fd may be root's
  double count = 0;
  while (const dirent* entry = readdir(folder.get())) count += entry->d_name[0] != '.';
  return count - 1;  // without the folder's own
}

}  // namespace

std::vector<MetricFamily> ProcessMetrics::Collect() const {
  std::vector<MetricFamily> families;
  add(families, "process_open_fds", "Number of open file descriptors.", MetricType::Gauge,
      open_descriptors());

  // The name in parentheses may hold anything: fields are counted from its end (proc(5), from 3).
  std::string stat = read("/proc/self/stat");
  std::size_t name_end = stat.rfind(')');
  if (name_end == stat.npos) return families;
  std::istringstream rest(stat.substr(name_end + 1));
  std::vector<std::string> fields(std::istream_iterator<std::string>{rest}, {});
  auto field = [&](std::size_t number) {
    return fields.size() > number - 3 ? std::strtod(fields[number - 3].c_str(), nullptr) : 0;
  };
  double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  add(families, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
      MetricType::Counter, (field(14) + field(15)) / ticks);
  add(families, "process_virtual_memory_bytes", "Virtual memory size in bytes.", MetricType::Gauge,
      field(23));
  add(families, "process_resident_memory_bytes", "Resident memory size in bytes.",
      MetricType::Gauge, field(24) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  if (auto boot = boot_time()) {
    add(families, "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.", MetricType::Gauge,
        *boot + field(22) / ticks);
  }
  return families;
}

}  // namespace trivet
