// SPDX-License-Identifier: Apache-2.0
#include "control/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace trivet {
namespace {

// The largest record is a request with two bodies; a daemon that sends more without a line end is
// none.
constexpr std::size_t kMaxAnswerBytes = 64 << 20;

Error nobody_answers(int code, const std::string& path) {
  if (code == EACCES || code == EPERM) {
    return Error{
        "the control socket " + path +
            " refuses this user: be root or a member of the group that control.read_group names",
        code,
        {}};
  }
  if (code == ENOENT || code == ECONNREFUSED) {
    return Error{
        "no trivet answers at " + path +
            ": is it running? start it with \"trivet run\", or name its socket with --socket",
        code,
        {}};
  }
  return system_error(code, "cannot connect to " + path);
}

Error unexpected() {
  return Error{"the daemon's answer is not one to this request: is it of another version?"};
}

// What made a descriptor of signals readable.
void drain(int interrupt) {
  pollfd waited{interrupt, POLLIN, 0};
  char bytes[1024];
  while (poll(&waited, 1, 0) > 0 && (waited.revents & POLLIN) != 0 &&
         read(interrupt, bytes, sizeof(bytes)) > 0) {
  }
}

}  // namespace

Result<ControlClient> ControlClient::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Error{"the socket path \"" + path + "\" must have 1 to " +
                 std::to_string(sizeof(address.sun_path) - 1) + " bytes"};
  }
  path.copy(address.sun_path, path.size());
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return system_error(errno, "cannot make a socket");
  ControlClient client(descriptor);
  if (::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return nobody_answers(errno, path);
  }
  return client;
}

ControlClient::ControlClient(ControlClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), buffer_(std::move(other.buffer_)) {}

ControlClient::~ControlClient() {
  if (socket_ >= 0) close(socket_);
}

Result<void> ControlClient::send(const std::string& request) {
  std::string_view rest = request;
  while (!rest.empty()) {
    ssize_t sent = ::send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    // The daemon may have refused this user and gone: its reason is still to be read.
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return {};
    if (sent < 0) return system_error(errno, "cannot send the request to trivet");
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<bool> ControlClient::receive(std::string& line, const std::vector<int>& interrupts) {
  std::size_t searched = 0;
  for (;;) {
    std::size_t end = buffer_.find('\n', searched);
    if (end != buffer_.npos) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return true;
    }
    searched = buffer_.size();
    if (searched > kMaxAnswerBytes) return Error{"the daemon's answer has no end"};

    std::vector<pollfd> waited = {{socket_, POLLIN, 0}};
    for (int interrupt : interrupts) waited.push_back({interrupt, POLLIN, 0});
    if (poll(waited.data(), waited.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return system_error(errno, "cannot wait for trivet's answer");
    }
    if (std::any_of(waited.begin() + 1, waited.end(), [](auto& w) { return w.revents != 0; })) {
      return false;
    }
    if (waited[0].revents == 0) continue;
    char bytes[64 << 10];
    ssize_t got = recv(socket_, bytes, sizeof(bytes), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || (got < 0 && errno == ECONNRESET)) {
      return Error{"trivet closed the connection: it has stopped", EPIPE, {}};
    }
    if (got < 0) return system_error(errno, "cannot read trivet's answer");
    buffer_.append(bytes, static_cast<std::size_t>(got));
  }
}

Result<std::string> ControlClient::call(const std::string& verb,
                                        const std::vector<std::string>& arguments) {
  if (auto sent = send(write_request({verb, arguments, {}, {}, {}})); !sent)
    return std::move(sent).error();
  std::string line;
  auto received = receive(line, {});
  if (!received) return std::move(received).error();
  auto answer = parse_answer(line);
  if (!answer) return std::move(answer).error();
  if (answer->kind == ControlAnswer::Kind::error) return answer->error;
  return answer->text;
}

Result<void> ControlClient::observe(const ObserveRequest& request,
                                    const std::function<bool(const std::string&)>& line,
                                    const std::function<bool(std::uint64_t)>& dropped,
                                    const std::vector<int>& interrupts) {
  if (auto sent = send(write_request({"observe", {}, request, {}, {}})); !sent) return sent;
  std::string received_line;
  for (;;) {
    auto received = receive(received_line, interrupts);
    if (!received) return std::move(received).error();
    if (!*received) return {};
    auto answer = parse_answer(received_line);
    if (!answer) return std::move(answer).error();
    switch (answer->kind) {
      case ControlAnswer::Kind::error:
        return answer->error;
      case ControlAnswer::Kind::end:
        return {};
      case ControlAnswer::Kind::dropped:
        if (!dropped(answer->dropped)) return {};
        break;
      case ControlAnswer::Kind::line:
        if (!line(answer->text)) return {};
        break;
      default:
        return unexpected();
    }
  }
}

Result<void> ControlClient::capture(const CaptureRequest& request,
                                    const std::function<void()>& begun,
                                    const std::function<bool(std::string_view)>& bytes,
                                    std::optional<std::chrono::steady_clock::time_point> until,
                                    const std::vector<int>& interrupts) {
  if (auto sent = send(write_request({"capture", {}, {}, {}, request})); !sent) return sent;
  std::string line;
  auto received = receive(line, interrupts);
  if (!received) return std::move(received).error();
  if (!*received) return {};
  auto answer = parse_answer(line);
  if (!answer) return std::move(answer).error();
  if (answer->kind == ControlAnswer::Kind::error) return answer->error;
  if (answer->kind != ControlAnswer::Kind::capture) return unexpected();
  begun();
  if (!buffer_.empty() && !bytes(buffer_)) return {};

  bool ending = false;
  std::vector<char> part(256 << 10);
  for (;;) {
    std::vector<pollfd> waited = {{socket_, POLLIN, 0}};
    for (int interrupt : interrupts) waited.push_back({interrupt, POLLIN, 0});
    int patience = -1;
    if (until && !ending) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(*until - std::chrono::steady_clock::now());
      patience = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
    }
    if (poll(waited.data(), waited.size(), patience) < 0 && errno != EINTR)
      return system_error(errno, "cannot wait for the capture");
    const bool interrupted =
        std::any_of(waited.begin() + 1, waited.end(), [](auto& w) { return w.revents != 0; });
    const bool due = until && std::chrono::steady_clock::now() >= *until;
    if (interrupted && ending) return {};
    if ((interrupted || due) && !ending) {
      ending = true;
      shutdown(socket_, SHUT_WR);
      for (int interrupt : interrupts) drain(interrupt);
    }
    if (waited[0].revents == 0) continue;
    const ssize_t got = recv(socket_, part.data(), part.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return {};
    if (got < 0) return system_error(errno, "cannot read the capture");
    if (!bytes({part.data(), static_cast<std::size_t>(got)})) return {};
  }
}

Result<void> ControlClient::query(
    const std::string& sql, const std::function<bool(const std::vector<std::string>&)>& columns,
    const std::function<bool(const std::vector<std::vector<Scalar>>&)>& rows,
    const std::vector<int>& interrupts) {
  if (auto sent = send(write_request({"query", {}, {}, sql, {}})); !sent) return sent;
  std::string received_line;
  for (;;) {
    auto received = receive(received_line, interrupts);
    if (!received) return std::move(received).error();
    if (!*received) return {};
    auto answer = parse_answer(received_line);
    if (!answer) return std::move(answer).error();
    switch (answer->kind) {
      case ControlAnswer::Kind::error:
        return answer->error;
      case ControlAnswer::Kind::end:
        return {};
      case ControlAnswer::Kind::columns:
        if (!columns(answer->columns)) return {};
        break;
      case ControlAnswer::Kind::rows:
        if (!rows(answer->rows)) return {};
        break;
      default:
        return unexpected();
    }
  }
}

}  // namespace trivet
