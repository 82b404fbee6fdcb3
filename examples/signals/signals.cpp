// SPDX-License-Identifier: Apache-2.0
// A plugin outside of trivet's own tree: who sends which signal to whom, as the table `signals` and
// a metric. configure() runs on the main thread, everything else on the plugin's worker.
#include "signals/signals.h"

#include <cstring>
#include <string>

#include "trivet/plugin.h"

namespace {

using namespace trivet;

#define SIGNAL_COLUMNS(X, R)                                                      \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                    \
  X(R, std::string, signal, none, always, "", "Name of the signal, such as KILL") \
  X(R, std::uint32_t, target_pid, none, always, "", "Process id of who gets it")  \
  X(R, std::string, target, none, always, "", "Name (comm) of who gets it")

TRIVET_RECORD(Signal, "signals", 1, "Signals that processes send", SIGNAL_COLUMNS);

std::string name_of(int number) {
  const char* name = sigabbrev_np(number);
  return name ? name : std::to_string(number);
}

class SignalsPlugin final : public Plugin {
 public:
  Result<void> configure(const Config& config) override {
    bool sigchld = false;
    ConfigReader read(config);
    read("sigchld", sigchld);
    config_.sigchld = sigchld;
    return read.finish();
  }

  std::vector<ObjectSpec> objects() const override {
    ObjectSpec spec;
    spec.name = "signals";
    spec.hooks = {{"signal", {{"tp_btf", {"signal_generate"}}}}};
    return {spec.with_config(config_)};
  }

  Result<void> start(Host& host) override {
    auto object = host.attach(objects().front());
    if (!object) return std::move(object).error();
    object_ = std::move(*object);
    host.table<Signal>();
    host.on<signal_event>([&host](const Event<signal_event>& event) {
      Signal record;
      set_subject(record, event.data.header, event.process);
      record.signal = name_of(static_cast<int>(event.data.number));
      record.target_pid = event.data.target_pid;
      record.target.assign(event.data.target, strnlen(event.data.target, sizeof event.data.target));
      host.metrics()
          .counter("trivet_signals_total", "Signals sent", {{"signal", record.signal}})
          .add();
      host.publish(std::move(record));
    });
    return {};
  }

  void stop() noexcept override { object_.reset(); }

 private:
  signals_config config_{};
  std::unique_ptr<Object> object_;
};

}  // namespace

TRIVET_PLUGIN(SignalsPlugin)
