// SPDX-License-Identifier: Apache-2.0
// All outputs of the configuration, and how they change with it. Used by the main thread alone, but
// for counts().
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/unique_fd.h"
#include "config/output_settings.h"
#include "outputs/output.h"

namespace trivet {

// What these settings get wrong that only shows once conditions are tried. The error is placed in
// the configuration.
Result<void> check_outputs(const std::vector<OutputSettings>& outputs);

// How outputs reach what this process may not open or start itself. Any thread.
struct OutputAccess {
  std::function<Result<UniqueFd>(const std::string& path)> folder;
  std::function<Result<UniqueFd>(const std::string& output)> program;
};

class Outputs {
 public:
  // What apply() will do: the new outputs' settings, each with a sink unless it stays as it is.
  class Prepared {
    friend class Outputs;
    struct Change {
      OutputSettings settings;
      std::unique_ptr<Output> made;  // of a new name
      std::unique_ptr<Sink> sink;    // null: nothing changes
    };
    std::vector<Change> changes_;
  };

  // All must outlive the outputs.
  Outputs(Tables& tables, OriginNow origin, OutputAccess access, Log& log);
  ~Outputs();

  // Whether all of that can be had; nothing changes yet.
  Result<Prepared> prepare(std::vector<OutputSettings> settings);
  // Outputs that stay the same go on; of those that changed the queue stays; those that are gone
  // get a moment to hand over what waits.
  void apply(Prepared prepared);
  // The end: all of them get that long.
  void finish(std::chrono::milliseconds patience);

  // Those there are now, by name.
  std::vector<const Output*> all() const;

 private:
  Result<std::unique_ptr<Sink>> make_sink(const OutputSettings& settings, OutputCounts& counts);
  Output* find(const std::string& name) const;
  static void end(std::vector<std::unique_ptr<Output>> outputs, std::chrono::milliseconds patience);

  Tables& tables_;
  const OriginNow origin_;
  const OutputAccess access_;
  Log& log_;
  std::vector<std::unique_ptr<Output>> outputs_;
};

}  // namespace trivet
