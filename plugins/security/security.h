// SPDX-License-Identifier: Apache-2.0
// The security plugin: judges rules in Falco's language on what the kernel tells of opens, links,
// connects and execs, and publishes an Alert for each match. Threads are the plugin's
// (trivet/plugin.h).
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "security/alerts.h"
#include "security/call_hooks.h"
#include "security/file_names.h"
#include "security/rules/rule_set.h"
#include "trivet/plugin.h"

namespace trivet::security {

class SecurityPlugin final : public Plugin {
 public:
  Result<void> configure(const Config& config) override;
  std::vector<Error> remarks() const override { return remarks_; }
  std::vector<OfflineVerb> offline_verbs() const override;
  std::vector<ObjectSpec> objects() const override;
  Result<void> start(Host& host) override;
  bool adopt(Plugin& next) override;
  void stop() noexcept override;

 private:
  template <class E>
  void judge_events(Host& host);
  void judge(RuleEvent& event);
  void judge_as_it_stands(const RuleEvent& event, const std::vector<Candidate>& candidates);
  void show_rule_counts();
  void ask_for_names();
  void look_for_files();

  // Set by configure(), and by adopt() from another instance.
  RuleSet rules_;
  std::vector<Error> remarks_;
  bool match_all_ = false;
  CompatCalls compat_calls_ = CompatCalls::automatic;
  AlertLimits limits_;

  // Between start() and stop(); the worker's.
  Host* host_ = nullptr;
  CallHooks calls_;
  Evaluation evaluation_;
  std::unique_ptr<Alerts> alerts_;
  std::unique_ptr<AddressNames> names_;
  std::vector<std::string> asked_names_;
  std::unique_ptr<FileNames> file_names_;
  std::vector<const Rule*> alerted_;  // by the event that is judged
  std::uint64_t events_ = 0;
  std::array<Counter*, kEventTypes.size()> event_counters_{};
  Counter* malformed_ = nullptr;
};

}  // namespace trivet::security
