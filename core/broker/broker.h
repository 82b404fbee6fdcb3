// SPDX-License-Identifier: Apache-2.0
// The privileged process. It keeps root, loads and attaches kernel programs, opens the files that
// root's configuration names, and answers the requests of protocol.h; it parses nothing that comes
// from packets, programs or users. One thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/client.h"
#include "broker/programs.h"
#include "trivet/result.h"

namespace trivet::broker {

// A folder that main may write, see open_owned_folder(), and the setting that names it.
struct ConfiguredFolder {
  std::string path;
  std::string setting;
};

// What the configuration offers main, and a changed one changes.
struct Offer {
  // Files and folders that main may have opened: the configuration file and what it names.
  std::vector<std::string> files;
  // Plugins that the configuration enables: only their objects are loaded.
  std::vector<std::string> plugins;
  std::vector<ConfiguredFolder> folders;
  std::vector<ConfiguredProgram> programs;
};

// Settings of one run. Paths are absolute.
struct BrokerOptions {
  std::string plugin_directory;
  Offer offer;
  // False: files must belong to root. True: they may also belong to the user who called sudo.
  bool build_tree = false;
  std::string control_socket;        // empty: none
  std::string api_socket;            // likewise
  std::string read_group = "root";   // of both
  std::string write_group = "root";  // likewise
  // Both processes keep only the capabilities and system calls that they need, for good: the
  // calling process too. False where it has other work to do after the run.
  bool confined = true;
  // Whether main may have tiers tried that it does not use.
  bool probing = false;
  // How often in a minute main is started again where a signal has ended it.
  unsigned restarts_a_minute = 0;
  // Whether programs may be started, as this user: a third process is there for that.
  bool programs = false;
  uid_t program_uid = 65534;  // never 0
  gid_t program_gid = 65534;
  uid_t uid = 65534;  // of main; never 0
  gid_t gid = 65534;
  // Reads the configuration again in the broker. Unset: reload changes nothing.
  std::function<Result<Offer>()> reload;
  // Told what a person should know but what stops nothing. Unset: said nowhere.
  std::function<void(std::string_view)> warn;
};

// Runs `main` in a child without privileges (uid and gid as given, no capability, no_new_privs, a
// session without terminal, no descriptor but standard output, error and its socket) and serves it
// as the broker until it ends; then every program, link, map and the control socket are gone.
// Answers main's exit status, or an error if nothing could start or main died of a signal. Call
// with no other thread running. SIGTERM, SIGINT and SIGHUP reach main blocked: it takes them with
// signalfd or sigwait. The broker passes on those that it gets; a main that then does not end is
// killed. SIGPIPE is ignored in both.
Result<int> launch(const BrokerOptions& options, const std::function<int(Client&)>& main);

}  // namespace trivet::broker
