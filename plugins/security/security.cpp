// SPDX-License-Identifier: Apache-2.0
#include "security/security.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "security/address_names.h"
#include "security/rule_list.h"
#include "security/rule_switches.h"

namespace trivet::security {
namespace {

// A file that takes the place of another is known by its inode after this long.
constexpr std::chrono::seconds kFilesPeriod{1};

// The files' errors as one, each with the line that it is about: the first at its place, the others
// in full after it.
Error joined(const std::vector<Error>& errors, const std::vector<TextFile>& files) {
  Error all = errors.front();
  for (const auto& error : errors) {
    if (&error != &errors.front()) all.message += "\n" + error.to_string();
    auto file = std::ranges::find(files, error.place.file, &TextFile::path);
    if (file == files.end()) continue;
    auto line = source_line(error.place, file->text);
    if (!line.empty()) all.message += "\n" + line;
  }
  return all;
}

}  // namespace

Result<void> SecurityPlugin::configure(const Config& config) {
  ConfigReader read(config);
  read.known("enabled");
  auto files = read.files("rules_files");
  std::string matching = "first", floor = "debug", compat = "auto";
  read.choice("rule_matching", matching, {"first", "all"});
  read.choice("compat_syscalls", compat, {"auto", "on", "off"});
  std::vector<std::string> priorities;
  for (const auto& name : priority_names()) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    priorities.push_back(std::move(lower));
  }
  read.choice("priority", floor, priorities);
  AlertLimits limits;
  read.range("alert_window_s", limits.window_s, 0, 3600);
  read.range("alerts_alike", limits.alike, 1, 1'000'000);
  read.range("alerts_different", limits.different, 1, 1000);
  auto switches = read_switches(read);
  if (read.failed()) return read.finish();

  Selection selection{parse_priority(floor).value_or(Priority::debug), {}};
  for (const auto& one : switches) selection.steps.push_back(one.step);
  auto loaded = load_rules(files, selection);
  if (!loaded.findings.errors.empty()) return joined(loaded.findings.errors, files);
  check_switches(switches, loaded.rules, read);
  if (auto done = read.finish(); !done) return done;
  rules_ = std::move(loaded.rules);
  remarks_ = std::move(loaded.findings.warnings);
  match_all_ = matching == "all";
  limits_ = limits;
  compat_calls_ = compat == "auto" ? CompatCalls::automatic
                  : compat == "on" ? CompatCalls::on
                                   : CompatCalls::off;
  return {};
}

std::vector<ObjectSpec> SecurityPlugin::objects() const {
  return CallHooks::objects(rules_.reach(), compat_calls_);
}

template <class E>
void SecurityPlugin::judge_events(Host& host) {
  host.on<E>([this](const Event<E>& event) {
    auto seen = RuleEvent::from(event, host_->facts());
    if (!seen) {
      malformed_->add();
      return;
    }
    judge(*seen);
  });
}

Result<void> SecurityPlugin::start(Host& host) {
  host_ = &host;
  events_ = 0;
  evaluation_.attach(rules_.graph());
  for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
    event_counters_[type] =
        &host.metrics().counter("trivet_security_events_total", "Events that rules were judged on",
                                {{"type", std::string(kEventTypes[type])}});
  }
  malformed_ = &host.metrics().counter("trivet_security_malformed_events_total",
                                       "Events whose parts contradict their sizes");
  alerts_ = std::make_unique<Alerts>(host, limits_);
  host.every(std::chrono::seconds(1), [this] { alerts_->tick(); });
  show_rule_counts();
  ask_for_names();
  look_for_files();
  host.every(kFilesPeriod, [this] { file_names_->refresh(); });

  judge_events<syscall_event>(host);
  host.on<process_exec_event>([this](const Event<process_exec_event>& event) {
    if (event.data.flags & PROCESS_SNAPSHOT) return;  // ran before: nothing happened now
    if (rules_.candidates(kExecve, 0).empty()) return;
    if (auto seen = RuleEvent::from(event, host_->facts())) judge(*seen);
  });
  if (auto hooked = calls_.start(host, rules_.reach(), compat_calls_); !hooked) {
    stop();
    return hooked;
  }
  host.log().info("rules are loaded", {{"rules", std::to_string(rules_.rules().size())},
                                       {"defined", std::to_string(rules_.statuses().size())}});
  return {};
}

bool SecurityPlugin::adopt(Plugin& next) {
  auto* other = dynamic_cast<SecurityPlugin*>(&next);
  if (!other || other->compat_calls_ != compat_calls_) return false;
  // First the kernel tells what either needs, then the rules change, between two events.
  auto widened = calls_.widen(other->rules_.reach());
  if (!widened || !*widened) return false;
  rules_ = std::move(other->rules_);
  remarks_ = std::move(other->remarks_);
  match_all_ = other->match_all_;
  limits_ = other->limits_;
  alerts_->begin_rules(limits_);
  evaluation_.attach(rules_.graph());
  show_rule_counts();
  ask_for_names();
  look_for_files();
  if (auto narrowed = calls_.narrow(rules_.reach()); !narrowed) {
    host_->log().warning("system calls that no rule needs any more are still told",
                         {{"reason", narrowed.error().to_string()}});
  }
  return true;
}

void SecurityPlugin::stop() noexcept {
  calls_.stop();
  alerts_.reset();
  names_.reset();
  asked_names_.clear();
  file_names_.reset();
  host_ = nullptr;
}

void SecurityPlugin::judge(RuleEvent& event) {
  event.number = ++events_;
  event.names = names_.get();
  event_counters_[event.type]->add();
  unsigned profile = profile_of(event);
  const auto& candidates = rules_.candidates(event.type, profile);
  if (candidates.empty()) return;
  // What is read is read as told and under each other name: no name hides the file.
  auto readings = file_names_->readings(event);
  alerted_.clear();
  judge_as_it_stands(event, candidates);
  for (auto& reading : readings) {
    event.path = std::move(reading.path);
    event.given = std::move(reading.given);
    judge_as_it_stands(event, candidates);
  }
}

void SecurityPlugin::judge_as_it_stands(const RuleEvent& event,
                                        const std::vector<Candidate>& candidates) {
  evaluation_.begin(event);
  for (const auto& candidate : candidates) {
    if (!evaluation_.matches(candidate.filter)) continue;
    if (std::ranges::find(alerted_, candidate.rule) == alerted_.end()) {
      alerted_.push_back(candidate.rule);
      alerts_->raise(*candidate.rule, event, evaluation_);
    }
    if (!match_all_) return;
  }
}

void SecurityPlugin::look_for_files() {
  auto paths = paths_named(rules_.graph());
  if (!file_names_ || file_names_->paths() != paths) {
    // In a replay the files of this machine are not those that were meant.
    bool here = host_->facts().host().daemon_pid == static_cast<std::uint32_t>(getpid());
    file_names_ = std::make_unique<FileNames>(std::move(paths), here);
  }
}

void SecurityPlugin::ask_for_names() {
  auto names = host_names(rules_.graph());
  if (names == asked_names_) return;
  names_ = names.empty() ? nullptr : host_->resolve(names, std::move(names_));
  asked_names_ = std::move(names);
}

void SecurityPlugin::show_rule_counts() {
  for (auto state : {RuleState::loaded, RuleState::skipped, RuleState::disabled}) {
    auto count = std::ranges::count(rules_.statuses(), state, &RuleStatus::state);
    host_->metrics()
        .gauge("trivet_security_rules", "Rules that the files define, by what became of them",
               {{"state", std::string(name_of(state))}})
        .set(static_cast<double>(count));
  }
}

std::vector<OfflineVerb> SecurityPlugin::offline_verbs() const {
  using Words = std::vector<std::string>;
  return {
      {"rules ls", true,
       [this](const Words&) -> Result<std::string> { return rules_as_json(rules_.statuses()); }},
      {"rules show", true,
       [this](const Words& words) -> Result<std::string> {
         if (words.size() != 1) return Error{"name one rule: trivet rules show \"NAME\""};
         return rule_as_json(rules_.statuses(), words.front());
       }},
      {"rules fields", false, [](const Words&) -> Result<std::string> { return fields_as_json(); }},
      {"rules events", false,
       [](const Words&) -> Result<std::string> { return events_as_json(); }}};
}

}  // namespace trivet::security

TRIVET_PLUGIN(trivet::security::SecurityPlugin)
