// SPDX-License-Identifier: Apache-2.0
#include "security/alerts.h"

#include <time.h>

#include <algorithm>
#include <random>

namespace trivet::security {
namespace {

std::uint64_t random_word() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

std::uint64_t boot_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// A label has letters, digits and underscores; a tag may be T1003.008.
std::string tag_label(const std::string& tag) {
  std::string label = "tag_" + tag;
  for (char& c : label) {
    bool valid = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!valid) c = '_';
  }
  return label;
}

// The names and labels of Falco's own endpoint.
Labels falco_labels(const Rule& rule) {
  Labels labels{{"rule_name", rule.name},
                {"priority", std::to_string(static_cast<int>(rule.priority))},
                {"source", rule.source}};
  for (const auto& tag : rule.tags) {
    auto label = tag_label(tag);
    auto same = [&](const auto& known) { return known.first == label; };
    if (std::ranges::none_of(labels, same)) labels.emplace_back(std::move(label), "true");
  }
  return labels;
}

// The numbers of descriptors and ends of connections change from one call to the next.
bool tells_apart(const Argument& argument) {
  return argument.get && argument.get != show_result && argument.get != show_tuple &&
         argument.get != show_inode;
}

Alert alert_of(const Rule& rule, const RuleEvent& event, Evaluation& evaluation) {
  Alert record;
  set_subject(record, *event.header, event.process);
  record.rule = rule.name;
  record.priority = std::string(name_of(rule.priority));
  record.source = rule.source;
  record.tags = rule.tags;
  record.output = rule.output.fill(evaluation, record.output_fields);
  // Falco's output begins with the time, so that its fields always have it, in nanoseconds.
  record.output_fields.items.emplace_back(
      "evt.time",
      static_cast<std::int64_t>(event.header->time_ns) + event.facts->boot_to_real_ns());
  if (event.uncertain) record.output_fields.items.emplace_back("evt.uncertain", true);
  return record;
}

}  // namespace

Alerts::Alerts(Host& host, const AlertLimits& limits)
    : host_(host), key_{random_word(), random_word()}, limiter_([this](HeldAlerts&& held) {
        tell(std::move(held));
      }) {
  limiter_.set_limits(limits);
}

void Alerts::begin_rules(const AlertLimits& limits) {
  limiter_.set_limits(limits);
  counters_.clear();
}

Alerts::Counters& Alerts::counters(const Rule& rule) {
  auto known = counters_.find(&rule);
  if (known != counters_.end()) return known->second;
  auto& metrics = host_.metrics();
  Counters made{
      &metrics.counter("falcosecurity_falco_rules_matches_total", "Events that a rule matched",
                       falco_labels(rule)),
      &metrics.counter("trivet_security_held_alerts_total",
                       "Alerts that were held back and only counted", {{"rule_name", rule.name}})};
  return counters_.emplace(&rule, made).first->second;
}

// Who did what to what: a parent, a program, a user; a kind of event, a file or peer, arguments.
std::uint64_t Alerts::likeness(const RuleEvent& event) const {
  std::string text(kEventTypes[event.type]);
  auto add = [&](std::string_view part) { text.append(1, '\0').append(part); };
  if (event.parent) add(event.parent->exe);
  if (event.process) {
    add(event.process->exe);
    add(std::to_string(event.process->uid));
  }
  if (event.type == kExecve) {
    if (event.process) {
      for (const auto& argument : event.process->args) add(argument);
    }
    return keyed_hash(key_, text);
  }
  add(event.path);
  add(event.remote.to_string());
  add(std::to_string(event.is_server() ? event.local_port : event.remote_port));
  add(event.socket_path);
  for (const auto& argument : kCalls[event.type].arguments) {
    if (tells_apart(argument)) add(argument.get(event, argument.n));
  }
  return keyed_hash(key_, text);
}

void Alerts::raise(const Rule& rule, const RuleEvent& event, Evaluation& evaluation) {
  Counters& counters = this->counters(rule);
  counters.matches->add();
  auto make = [&] { return alert_of(rule, event, evaluation); };
  if (limiter_.admit(rule.name, event.header->cgroup_id, likeness(event), event.header->time_ns,
                     make)) {
    host_.publish(make());
  } else {
    counters.held->add();
  }
}

void Alerts::tick() {
  limiter_.expire(boot_now_ns());
}

void Alerts::tell(HeldAlerts&& held) {
  Alert summary = std::move(held.sample);
  const auto real_ns = [&](std::uint64_t boot_ns) {
    return static_cast<std::int64_t>(boot_ns) + host_.facts().boot_to_real_ns();
  };
  summary.held = held.count;
  summary.held_first = Time{held.first_ns};
  summary.held_last = Time{held.last_ns};
  auto& fields = summary.output_fields.items;
  fields.emplace_back("held.count", held.count);
  fields.emplace_back("held.unlike", held.unlike);
  fields.emplace_back("held.first", real_ns(held.first_ns));
  fields.emplace_back("held.last", real_ns(held.last_ns));
  std::string head = "Held back: " + std::to_string(held.count) + " alerts in " +
                     std::to_string((held.last_ns - held.first_ns) / 1'000'000'000) +
                     " s of this rule in this cgroup, " + std::to_string(held.unlike) +
                     " of them unlike those raised; one: ";
  summary.output.insert(0, head);
  host_.publish(std::move(summary));
}

}  // namespace trivet::security
