// SPDX-License-Identifier: Apache-2.0
// The command line: what each verb was asked for. run, check, doctor, rules and replay are done
// elsewhere in the core and called through Commands; all other verbs are clients of the daemon and
// complete here.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace trivet {

// Exit status of every verb.
inline constexpr int kExitSuccess = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

// Where the daemon's files are unless the command line says otherwise.
inline constexpr const char* kDefaultConfig = "/etc/trivet/trivet.toml";
inline constexpr const char* kDefaultSocket = "/run/trivet/trivet.sock";

struct RunOptions {
  std::string config = kDefaultConfig;
  std::string plugins;  // folder of the plugin libraries; empty: beside the program
  bool quiet = false;   // print no records, even on a terminal
};

struct CheckOptions {
  std::optional<std::string> config;  // none if only rules or policies are to be checked
  std::vector<std::string> rules;     // files or folders, instead of the configuration's
  std::vector<std::string> policies;
  std::string plugins;
};

struct DoctorOptions {
  std::string config = kDefaultConfig;
  std::string plugins;
  bool json = false;
};

struct RulesOptions {
  std::string verb;                    // ls, show, fields or events
  std::vector<std::string> arguments;  // what follows it
  std::string config = kDefaultConfig;
  std::vector<std::string> rules;  // files or folders, instead of the configuration's
  std::string plugins;
  bool json = false;
};

struct ReplayOptions {
  std::string file;
  std::vector<std::string> tables;    // whose records are printed; none: all
  std::optional<std::string> config;  // instead of the capture's own
  std::vector<std::string> rules;     // files or folders, instead of the configuration's
  std::vector<std::string> plugins;   // that run; none: all that the configuration enables
  std::string format;                 // compact, json, falco or text
  bool colour = false;
};

// Each returns the exit status, having printed errors itself.
struct Commands {
  std::function<int(const RunOptions&)> run;
  std::function<int(const CheckOptions&)> check;
  std::function<int(const DoctorOptions&)> doctor;
  std::function<int(const RulesOptions&)> rules;
  std::function<int(const ReplayOptions&)> replay;
};

// Parses the command line and does what it says. Returns the exit status.
int run_command_line(int argc, char** argv, const Commands& commands);

}  // namespace trivet
