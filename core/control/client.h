// SPDX-License-Identifier: Apache-2.0
// The CLI's end of the control socket: see docs/control-protocol.md. One request for each
// connection. Single thread, blocking.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/request.h"
#include "trivet/result.h"

namespace trivet {

class ControlClient {
 public:
  // Error in a person's words if nobody answers there.
  static Result<ControlClient> connect(const std::string& socket_path);
  ControlClient(ControlClient&& other) noexcept;
  ~ControlClient();

  // Runs a verb: its answer as JSON text, or the daemon's error.
  Result<std::string> call(const std::string& verb, const std::vector<std::string>& arguments);

  // Runs a statement: calls `columns` once with the names, then `rows` with some rows at a time.
  // Returns at the end, or when either returns false, or at an interrupt as observe() does.
  Result<void> query(const std::string& sql,
                     const std::function<bool(const std::vector<std::string>&)>& columns,
                     const std::function<bool(const std::vector<std::vector<Scalar>>&)>& rows,
                     const std::vector<int>& interrupts = {});

  // Calls `line` for each record, printed as the request says, and `dropped` with each count of
  // records that were lost because this client was slow. Returns at the end, or when either returns
  // false, or when one of the descriptors `interrupts` is readable or broken.
  Result<void> observe(const ObserveRequest& request,
                       const std::function<bool(const std::string&)>& line,
                       const std::function<bool(std::uint64_t)>& dropped,
                       const std::vector<int>& interrupts = {});

  // Calls `begun` once the capture is under way, then `bytes` with what comes of it. Asks for its
  // end at an interrupt or at `until`, and at the next interrupt stops waiting for it. Returns at
  // the end, or when `bytes` returns false.
  Result<void> capture(const CaptureRequest& request, const std::function<void()>& begun,
                       const std::function<bool(std::string_view)>& bytes,
                       std::optional<std::chrono::steady_clock::time_point> until,
                       const std::vector<int>& interrupts);

 private:
  explicit ControlClient(int socket) : socket_(socket) {}
  Result<void> send(const std::string& request);
  // The next line without its end; false at an interrupt. The end of the stream is an error.
  Result<bool> receive(std::string& line, const std::vector<int>& interrupts);

  int socket_;
  std::string buffer_;
};

}  // namespace trivet
