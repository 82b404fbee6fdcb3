// SPDX-License-Identifier: Apache-2.0
#include "cli/record.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <numeric>

#include "broker/unique_fd.h"
#include "capture/contents.h"
#include "capture/format.h"
#include "cli/client_verbs.h"
#include "cli/commands.h"
#include "control/client.h"

namespace trivet {
namespace {

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// What the file says of itself at its end; an error where it says nothing or is damaged.
Result<CaptureEnd> end_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  auto reader = CaptureReader::open(file);
  if (!reader) return std::move(reader).error();
  for (;;) {
    const auto block = reader->next();
    if (!block) return block.error();
    if (!*block) return Error{"it has no end: trivet stopped, or could not go on"};
    if ((*block)->kind != BlockKind::end) continue;
    const auto end = decode<CaptureEnd>((*block)->payload);
    if (end) return *end;
    return Error{"its end is malformed"};
  }
}

std::uint64_t sum(const LaneCounts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

int failed(const Error& error) {
  std::fprintf(stderr, "trivet: %s\n", error.to_string().c_str());
  return kExitFailure;
}

int report(const std::string& path) {
  const auto end = end_of(path);
  if (!end) return failed(Error(end.error()).within("capture " + path));
  std::fprintf(stderr, "trivet: %llu events are in %s\n",
               static_cast<unsigned long long>(sum(end->events)), path.c_str());
  if (end->reason == CaptureEnd::Reason::size)
    std::fprintf(stderr, "trivet: it ended before its time, as it was as large as --size allows\n");
  if (const auto lost = sum(end->lost); lost > 0)
    std::fprintf(stderr, "trivet: %llu events are not in it: the file was written too slowly\n",
                 static_cast<unsigned long long>(lost));
  if (const auto lost = sum(end->lost_in_kernel); lost > 0)
    std::fprintf(stderr, "trivet: %llu events never left the kernel: its rings were full\n",
                 static_cast<unsigned long long>(lost));
  return kExitSuccess;
}

}  // namespace

int record_capture(const RecordOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  auto client = ControlClient::connect(options.socket);
  if (!client) return failed(client.error());
  // It holds secrets, as payload and environments do: nobody else's, and never through a link.
  const UniqueFd file(
      open(options.file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return failed(system_error(errno, "cannot make the file " + options.file));
  std::optional<std::chrono::steady_clock::time_point> until;
  if (options.duration) until = std::chrono::steady_clock::now() + *options.duration;
  const int interrupt = interrupt_descriptor();
  std::optional<Error> trouble;
  bool begun = false;
  auto done = client->capture(
      options.request,
      [&] {
        begun = true;
        std::fprintf(stderr, "trivet: recording to %s%s\n", options.file.c_str(),
                     options.duration ? "" : "; end it with Ctrl-C");
      },
      [&](std::string_view bytes) {
        if (write_all(file.get(), bytes)) return true;
        trouble = system_error(errno, "cannot write to " + options.file);
        return false;
      },
      until, {interrupt});
  close(interrupt);
  if (done && trouble) done = *trouble;
  if (!begun) unlink(options.file.c_str());
  if (!done) return failed(done.error());
  return begun ? report(options.file) : kExitFailure;
}

}  // namespace trivet
