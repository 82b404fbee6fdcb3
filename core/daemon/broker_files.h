// SPDX-License-Identifier: Apache-2.0
// The configuration's files as the main process reaches them: through the broker, which opens what
// root's configuration names and nothing else.
#pragma once

#include "broker/client.h"
#include "config/file_source.h"

namespace trivet {

// Main thread. The client outlives it.
class BrokerFiles final : public FileSource {
 public:
  explicit BrokerFiles(broker::Client& broker) : broker_(broker) {}
  Result<std::vector<std::string>> expand(const std::string& path) override;
  Result<TextFile> read(const std::string& path) override;

 private:
  broker::Client& broker_;
};

}  // namespace trivet
