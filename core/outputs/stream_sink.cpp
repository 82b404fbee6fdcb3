// SPDX-License-Identifier: Apache-2.0
#include "outputs/stream_sink.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace trivet {
namespace {

constexpr int kPatienceMs = 200;

}  // namespace

Result<void> StreamSink::connect(Lines& lines) {
  if (stream_) {
    // A reader that has gone is noticed without a line for it, so that the next one finds another.
    pollfd gone{stream_.get(), 0, 0};
    if (poll(&gone, 1, 0) == 0 || (gone.revents & (POLLERR | POLLNVAL)) == 0) return {};
    stream_.reset();
    if (!lines.empty()) lines.front().sent = 0;
    return Error{"the reader has gone", EPIPE};
  }
  auto opened = open_();
  if (!opened) return std::move(opened).error();
  stream_ = std::move(*opened);
  return {};
}

Result<void> StreamSink::deliver(Lines& lines) {
  if (auto connected = connect(lines); !connected) return connected;
  while (!lines.empty()) {
    pollfd ready{stream_.get(), POLLOUT, 0};
    if (poll(&ready, 1, kPatienceMs) <= 0) return {};
    // A pipe that is ready takes this much without blocking, though it may be a blocking one.
    Line& line = lines.front();
    std::string piece = line.text.substr(line.sent, PIPE_BUF - 1);
    const bool last = line.sent + piece.size() == line.text.size();
    for (std::size_t i = 1; last && i < lines.size(); ++i) {
      if (piece.size() + 1 + lines[i].text.size() + 1 > PIPE_BUF) break;
      piece += '\n' + lines[i].text;
    }
    if (last) piece += '\n';
    const ssize_t written = write(stream_.get(), piece.data(), piece.size());
    if (written < 0) {
      if (errno == EAGAIN || errno == EINTR) return {};
      const int error = errno;
      stream_.reset();
      line.sent = 0;
      return system_error(error, "cannot write");
    }
    for (auto left = static_cast<std::size_t>(written); left > 0;) {
      Line& front = lines.front();
      const std::size_t rest = front.text.size() + 1 - front.sent;
      front.sent += std::min(left, rest);
      left -= std::min(left, rest);
      if (front.sent <= front.text.size()) break;
      lines.pop_front();
      ++counts_.delivered;
    }
  }
  return {};
}

}  // namespace trivet
