// SPDX-License-Identifier: Apache-2.0
// Lines as datagrams to a Unix socket: in the form of syslog(3), or as entries of systemd's
// journal.
#pragma once

#include <functional>
#include <string>

#include "broker/unique_fd.h"
#include "outputs/sink.h"

namespace trivet {

class DatagramSink final : public Sink {
 public:
  using Encode = std::function<std::string(const Line&)>;

  // `path` is the receiver's socket.
  DatagramSink(std::string path, Encode encode, OutputCounts& counts)
      : path_(std::move(path)), encode_(std::move(encode)), counts_(counts) {}
  Result<void> deliver(Lines& lines) override;

 private:
  Result<void> connect();

  const std::string path_;
  const Encode encode_;
  OutputCounts& counts_;
  UniqueFd socket_;
};

// "<PRI>Nov  5 12:00:00 trivet[42]: text", what syslog(3) sends to /dev/log, with the local time of
// the call. `facility` is a number of RFC 5424.
std::string syslog_message(const Line& line, int facility);
// Fields of the journal's own protocol: MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, TRIVET_OUTPUT and
// TRIVET_TABLE.
std::string journal_message(const Line& line, const std::string& output);

}  // namespace trivet
