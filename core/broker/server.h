// SPDX-License-Identifier: Apache-2.0
// Answers main's requests within what root's configuration offers. Owns everything that trivet has
// in the kernel. Broker thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "broker/broker.h"
#include "broker/files.h"
#include "broker/loader.h"
#include "broker/protocol.h"

namespace trivet::broker {

class Server {
 public:
  // Borrows both.
  Server(const BrokerOptions& options, Programs& programs);

  // A main process begins; the listening sockets are borrowed. What the one before had in the
  // kernel goes, but for what enforces: that stays until this one is ready.
  void begin(std::map<ListenSocket, int> listeners);

  // One request as it came, and the answer to send. Never fails: a bad request has an error for an
  // answer.
  Result<Answer> answer(std::span<const std::byte> message);

  // From now on nothing new enters the kernel: what remains is to unload.
  void stop_loading() { loading_ = false; }

 private:
  struct Instance {
    std::string name;  // plugin/object
    AttachedObject object;
    bool enforces = false;
  };

  // A file of code that a plugin looks at, or that an object's programs are attached to.
  struct CodeFile {
    std::uint32_t object;
    UniqueFd fd;
    std::vector<Probe> probes;
  };

  Result<Answer> handle(const LoadRequest& request);
  Result<Answer> handle(const UnloadRequest& request);
  Result<Answer> handle(const RetargetRequest& request);
  Result<Answer> handle(const LanesRequest& request);
  Result<Answer> handle(const IterateRequest& request);
  Result<Answer> handle(const OpenConfiguredRequest& request);
  Result<Answer> handle(const ListConfiguredRequest& request);
  Result<Answer> handle(const ReloadRequest& request);
  Result<Answer> handle(const CommitReloadRequest& request);
  Result<Answer> handle(const PluginNamesRequest& request);
  Result<Answer> handle(const OpenPluginRequest& request);
  Result<Answer> handle(const ListenerRequest& request);
  Result<Answer> handle(const ReadyRequest& request);
  Result<Answer> handle(const ContainerStateRequest& request);
  Result<Answer> handle(const ProcessFileRequest& request);
  Result<Answer> handle(const OwnedFolderRequest& request);
  Result<Answer> handle(const StartProgramRequest& request);
  Result<Answer> handle(const FindSilentRequest& request);
  Result<Answer> handle(const CodeFileRequest& request);
  Result<Answer> handle(const ProbeRequest& request);
  Result<Answer> handle(const ReleaseFileRequest& request);

  void tell_removed(const std::string& name) const;
  bool configured(const std::string& path) const;
  bool in_configured_folder(const std::string& path) const;
  // A plugin library that passed all checks.
  Result<UniqueFd> open_library(const std::string& plugin);
  Result<std::vector<std::byte>> read_object(const std::string& plugin, const std::string& object);

  const BrokerOptions& options_;
  Offer in_force_;
  std::optional<Offer> on_trial_;  // until main commits or gives up
  TrustedFiles trusted_;
  Loader loader_;
  std::map<ListenSocket, int> listeners_;
  Programs& programs_;
  bool loading_ = true;
  std::map<std::uint32_t, Instance> objects_;
  std::map<std::string, Instance> bereaved_;  // enforcing for a main that is being started again
  std::map<std::uint32_t, CodeFile> files_;
  std::uint32_t last_handle_ = 0;
  std::vector<SilentHook> silent_;  // as found at that time
  std::chrono::steady_clock::time_point looked_{};
};

}  // namespace trivet::broker
