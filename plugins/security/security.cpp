// SPDX-License-Identifier: Apache-2.0
#include "security/security.h"

#include <unistd.h>

#include <algorithm>

#include "security/rule_list.h"
#include "security/rule_switches.h"
#include "trivet/records/alert.h"

namespace trivet::security {
namespace {

// A file that takes the place of another is known by its inode after this long.
constexpr std::chrono::seconds kFilesPeriod{1};

// Shows where the paths of calls lead that open nothing. On other kernels they are looked up after.
const Tier kResolvingTier = {
    "fentry",
    {"path_unlink", "path_rmdir", "path_mkdir", "path_mknod", "path_symlink", "path_link",
     "path_rename", "path_truncate", "path_chmod", "path_chown", "path_chroot", "path_mount"}};

// What the kernel programs are to know of a call that rules ask for.
void add_call(syscalls_config& settings, std::size_t type, std::uint16_t profiles) {
  const Call& call = kCalls[type];
  settings.shapes[type] = call.shape;
  settings.wanted[type] = profiles;
  auto place = [&](auto& by_number, std::uint16_t number) {
    if (number < std::size(by_number)) by_number[number] = static_cast<std::uint8_t>(type + 1);
  };
#ifdef __x86_64__
  place(settings.native, call.numbers.x86_64);
#else
  place(settings.native, call.numbers.arm64);
#endif
  place(settings.compat, call.numbers.i386);
  place(settings.compat, call.numbers.i386_older);
  place(settings.socketcall, call.numbers.socketcall);
}

bool has_native_number(const Call& call) {
#ifdef __x86_64__
  return call.numbers.x86_64 != kNoNumber;
#else
  return call.numbers.arm64 != kNoNumber;
#endif
}

// Whether programs can make 32-bit calls: the kernel then has this setting, even where it was
// booted with ia32_emulation=off.
bool kernel_has_compat_calls() {
#ifdef __x86_64__
  return access("/proc/sys/abi/vsyscall32", F_OK) == 0;
#else
  return false;
#endif
}

// Opens that programs have io_uring make, if rules ask for opens.
std::optional<ObjectSpec> opens_of_rings(const Reach& reach) {
  rings_config settings{};
  settings.calls[RING_OPENAT] = call_named("openat");
  settings.calls[RING_OPENAT2] = call_named("openat2");
  bool any = false;
  for (std::size_t i = 0; i < RING_CALLS; ++i) {
    settings.wanted[i] = reach.profiles[settings.calls[i]];
    any |= settings.wanted[i] != 0;
  }
  if (!any) return std::nullopt;
  settings.own_tgid = static_cast<std::uint32_t>(getpid());
  ObjectSpec rings;
  rings.name = "rings";
  rings.hooks.push_back({"io_uring",
                         {{"tp_btf", {"ring_submit", "ring_complete"}},
                          {"tp_btf before 6.3", {"ring_submit_sqe", "ring_complete"}}},
                         false});
  return rings.with_config(settings);
}

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
  compat_calls_ = compat == "auto" ? CompatCalls::automatic
                  : compat == "on" ? CompatCalls::on
                                   : CompatCalls::off;
  return {};
}

std::vector<ObjectSpec> SecurityPlugin::objects() const {
  ObjectSpec syscalls;
  syscalls.name = "syscalls";
  syscalls_config settings{};
  // Its own opens are trivet's answer to other events: telling them would never end.
  settings.own_tgid = static_cast<std::uint32_t>(getpid());
  Tier tracepoints{"tracepoint", {"call_exit"}, {}};
  bool any = false, paths = false;
  for (std::size_t type = 0; type < kExecve; ++type) {
    std::uint16_t profiles = rules_.reach().profiles[type];
    if (profiles == 0) continue;  // no rule asks: no hook, no cost
    any = true;
    add_call(settings, type, profiles);
    const auto call_shape = shape_of(type);
    paths |= !is_open(type) && (CALL_INDEX(call_shape, CALL_PATH(0)) != 0 ||
                                CALL_INDEX(call_shape, CALL_SECOND_PATH(0)) != 0);
    if (!has_native_number(kCalls[type])) continue;
    tracepoints.tracepoints.push_back("syscalls/sys_exit_" + std::string(kCalls[type].name));
  }
  if (!any) return {};
  if (!tracepoints.tracepoints.empty()) {
    syscalls.hooks.push_back({"calls", {tracepoints, {"tp_btf", {"raw_exit"}, {}}}});
  }
  if (paths) {
    settings.paths_hook = 1;
    syscalls.hooks.push_back({"paths", {kResolvingTier}, false});
  }
  if (compat_calls_ == CompatCalls::on ||
      (compat_calls_ == CompatCalls::automatic && kernel_has_compat_calls())) {
    settings.compat_hook = 1;
    syscalls.hooks.push_back(
        {"compat", {{"tp_btf", {"compat_exit"}, {}}}, compat_calls_ == CompatCalls::on});
  }
  std::vector<ObjectSpec> objects;
  if (!syscalls.hooks.empty()) objects.push_back(syscalls.with_config(settings));
  if (auto rings = opens_of_rings(rules_.reach())) objects.push_back(std::move(*rings));
  return objects;
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
  for (const auto& spec : objects()) {
    auto attached = host.attach(spec);
    if (!attached) {
      stop();
      return std::move(attached).error();
    }
    objects_.push_back(std::move(*attached));
  }
  host.log().info("rules are loaded", {{"rules", std::to_string(rules_.rules().size())},
                                       {"defined", std::to_string(rules_.statuses().size())}});
  return {};
}

bool SecurityPlugin::adopt(Plugin& next) {
  auto* other = dynamic_cast<SecurityPlugin*>(&next);
  // What the kernel tells is fixed when its programs are loaded.
  if (!other || other->rules_.reach().profiles != rules_.reach().profiles ||
      other->compat_calls_ != compat_calls_) {
    return false;
  }
  rules_ = std::move(other->rules_);
  remarks_ = std::move(other->remarks_);
  match_all_ = other->match_all_;
  evaluation_.attach(rules_.graph());
  show_rule_counts();
  ask_for_names();
  look_for_files();
  return true;
}

void SecurityPlugin::stop() noexcept {
  objects_.clear();
  names_.reset();
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
      alert(*candidate.rule, event);
    }
    if (!match_all_) return;
  }
}

void SecurityPlugin::alert(const Rule& rule, const RuleEvent& event) {
  std::string priority(name_of(rule.priority));
  host_->metrics()
      .counter("trivet_security_rules_matches_total", "Events that a rule matched",
               {{"rule", rule.name}, {"priority", priority}, {"source", rule.source}})
      .add();
  Alert record;
  set_subject(record, *event.header, event.process);
  record.rule = rule.name;
  record.priority = std::move(priority);
  record.source = rule.source;
  record.tags = rule.tags;
  record.output = rule.output.fill(evaluation_, record.output_fields);
  // Falco's output begins with the time, so that its fields always have it, in nanoseconds.
  record.output_fields.items.emplace_back(
      "evt.time",
      static_cast<std::int64_t>(event.header->time_ns) + event.facts->boot_to_real_ns());
  if (event.uncertain) record.output_fields.items.emplace_back("evt.uncertain", true);
  host_->publish(std::move(record));
}

void SecurityPlugin::look_for_files() {
  auto paths = paths_named(rules_.graph());
  if (!file_names_ || file_names_->paths() != paths) {
    file_names_ = std::make_unique<FileNames>(std::move(paths));
  }
}

void SecurityPlugin::ask_for_names() {
  auto names = host_names(rules_.graph());
  if (names.empty()) {
    names_.reset();
  } else if (!names_ || names_->names() != names) {
    names_ = std::make_unique<AddressNames>(std::move(names));
  }
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
