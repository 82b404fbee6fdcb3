// SPDX-License-Identifier: Apache-2.0
#include "outputs/datagram_sink.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

namespace trivet {
namespace {

constexpr int kPatienceMs = 200;

}  // namespace

Result<void> DatagramSink::connect() {
  if (socket_) return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof(address.sun_path))
    return system_error(ENAMETOOLONG, "cannot reach " + path_);
  std::memcpy(address.sun_path, path_.data(), path_.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return system_error(errno, "cannot reach " + path_);
  socket_ = std::move(socket);
  return {};
}

Result<void> DatagramSink::deliver(Lines& lines) {
  if (lines.empty()) return {};
  if (auto connected = connect(); !connected) return connected;
  while (!lines.empty()) {
    const std::string message = encode_(lines.front());
    if (send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) {
      const int error = errno;
      if (error == EMSGSIZE) {
        counts_.lose(Loss::too_large);
        lines.pop_front();
        continue;
      }
      if (error == EINTR) continue;
      if (error == EAGAIN) {
        pollfd ready{socket_.get(), POLLOUT, 0};
        if (poll(&ready, 1, kPatienceMs) <= 0) return {};
        continue;
      }
      if (error == ENOBUFS) return system_error(error, "cannot send to " + path_);
      // A receiver that was started anew has a new socket.
      socket_.reset();
      return system_error(error, "cannot send to " + path_);
    }
    lines.pop_front();
    ++counts_.delivered;
  }
  return {};
}

std::string syslog_message(const Line& line, int facility) {
  const std::time_t now = std::time(nullptr);
  tm parts{};
  ::localtime_r(&now, &parts);
  char moment[32];
  std::strftime(moment, sizeof(moment), "%b %e %H:%M:%S", &parts);
  return '<' + std::to_string(facility * 8 + line.severity) + '>' + moment + " trivet[" +
         std::to_string(getpid()) + "]: " + line.text;
}

std::string journal_message(const Line& line, const std::string& output) {
  return "MESSAGE=" + line.text + "\nPRIORITY=" + std::to_string(line.severity) +
         "\nSYSLOG_IDENTIFIER=trivet\nTRIVET_OUTPUT=" + output +
         "\nTRIVET_TABLE=" + std::string(line.table) + '\n';
}

}  // namespace trivet
