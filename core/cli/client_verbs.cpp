// SPDX-License-Identifier: Apache-2.0
#include "cli/client_verbs.h"

#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "cli/commands.h"
#include "control/client.h"
#include "control/json_text.h"

namespace trivet {
namespace {

int failed(const Error& error) {
  std::fprintf(stderr, "trivet: %s\n", error.to_string().c_str());
  return kExitFailure;
}

// Whoever reads our output may stop reading: that is the end of the work, not a failure.
bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
}

bool is_pipe(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode);
}

// What ends a stream: a signal, or that nobody reads the output any more. A broken pipe polls as an
// error even while nothing comes; other kinds of files do not. The first one is to be closed.
std::vector<int> stream_interrupts() {
  std::vector<int> interrupts = {interrupt_descriptor()};
  if (is_pipe(STDOUT_FILENO)) interrupts.push_back(STDOUT_FILENO);
  return interrupts;
}

}  // namespace

int interrupt_descriptor() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

int ask_daemon(const std::string& socket, const std::string& verb,
               const std::vector<std::string>& arguments, bool json) {
  std::signal(SIGPIPE, SIG_IGN);
  auto client = ControlClient::connect(socket);
  if (!client) return failed(client.error());
  auto answer = client->call(verb, arguments);
  if (!answer) return failed(answer.error());
  print(json ? json_indented(*answer) + '\n' : json_to_text(*answer));
  return kExitSuccess;
}

int apply_policy(const std::string& socket, const std::string& path, std::chrono::seconds within,
                 bool json) {
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) return failed(system_error(errno, "cannot read " + path));
  return ask_daemon(socket, "policy apply", {path, text, std::to_string(within.count())}, json);
}

int query_daemon(const std::string& socket, const std::string& sql, QueryFormat format) {
  std::signal(SIGPIPE, SIG_IGN);
  auto client = ControlClient::connect(socket);
  if (!client) return failed(client.error());
  const auto output = query_output(format);
  const std::vector<int> interrupts = stream_interrupts();
  auto result = client->query(
      sql, [&](const std::vector<std::string>& names) { return print(output->begin(names)); },
      [&](const std::vector<std::vector<Scalar>>& rows) { return print(output->rows(rows)); },
      interrupts);
  print(output->end());
  std::fflush(stdout);
  close(interrupts.front());
  return result ? kExitSuccess : failed(result.error());
}

int observe_daemon(const std::string& socket, const ObserveRequest& request) {
  std::signal(SIGPIPE, SIG_IGN);
  auto client = ControlClient::connect(socket);
  if (!client) return failed(client.error());
  const std::vector<int> interrupts = stream_interrupts();
  auto result = client->observe(
      request,
      [&](const std::string& line) {
        return print(line + '\n') && (!request.follow || std::fflush(stdout) == 0);
      },
      [](std::uint64_t rows) {
        std::fprintf(stderr, "trivet: %llu records were lost: this reader is too slow\n",
                     static_cast<unsigned long long>(rows));
        return true;
      },
      interrupts);
  std::fflush(stdout);
  close(interrupts.front());
  return result ? kExitSuccess : failed(result.error());
}

}  // namespace trivet
