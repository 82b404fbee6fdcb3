// SPDX-License-Identifier: Apache-2.0
// What a plugin is. A plugin library carries its manifest in the ELF section .trivet.plugin and its
// BPF objects in .trivet.bpf.<name> (cmake/TrivetPlugin.cmake puts them there); both are read
// before the library is opened. The C++ ABI is pinned by the manifest's fingerprint.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trivet/bpf.h"
#include "trivet/config.h"
#include "trivet/host.h"
#include "trivet/result.h"

namespace trivet {

// A verb that needs no running trivet: the command line asks the plugin's code in its own process.
struct OfflineVerb {
  std::string name;  // two words, such as "rules ls"
  bool configured;   // it answers from what the last configure() read
  Verb answer;
};

// Life: constructed, configure() any number of times, then start(), stop(), again and again.
// Nothing may throw out of it.
class Plugin {
 public:
  virtual ~Plugin() = default;

  // Validates the plugin's table and the files it names, without side effects on the host, and
  // keeps what start() needs. Errors carry the place. Without root. Main thread, plugin not
  // started.
  virtual Result<void> configure(const Config& config) = 0;

  // What the last configure() found that stops nothing, such as a rule that is skipped and why:
  // said by `trivet check` and in the log. Main thread.
  virtual std::vector<Error> remarks() const { return {}; }

  // The verbs that this answers without being started. Main thread.
  virtual std::vector<OfflineVerb> offline_verbs() const { return {}; }

  // The objects that start() may attach, for `trivet doctor`.
  virtual std::vector<ObjectSpec> objects() const = 0;

  // Attaches, subscribes. On error nothing of it remains. Worker thread.
  virtual Result<void> start(Host& host) = 0;

  // Takes over live what `next`, another instance of this class, was configured with. False, with
  // nothing changed, where only a restart can: the core then stops this one and starts `next`.
  // Worker thread, between start() and stop().
  virtual bool adopt(Plugin& next) {
    static_cast<void>(next);
    return false;
  }

  // Detaches and forgets everything; `host` is not used afterwards. Worker thread.
  virtual void stop() noexcept = 0;
};

}  // namespace trivet

// Names the plugin's class: the one symbol that a plugin library exports.
#define TRIVET_PLUGIN(Class)                                                                   \
  extern "C" __attribute__((visibility("default"))) ::trivet::Plugin* trivet_plugin_create() { \
    return new Class();                                                                        \
  }
