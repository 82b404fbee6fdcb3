// SPDX-License-Identifier: Apache-2.0
// One client of the control socket: its buffers and what it follows. Used by the server's loop
// only, on its thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/byte_source.h"
#include "control/request.h"
#include "query/query_job.h"
#include "records/format.h"
#include "records/tables.h"
#include "trivet/host.h"

namespace trivet {

class Connection {
 public:
  // Owns `socket`, which does not block.
  Connection(int socket, std::uint64_t id) : socket_(socket), id_(id) {}
  ~Connection();
  Connection(const Connection&) = delete;

  int socket() const { return socket_; }
  // What the client may do.
  Access granted() const { return granted_; }
  void grant(Access access) { granted_ = access; }
  std::uint64_t id() const { return id_; }

  // Reads what has come; false if the connection failed. A client that stops sending may still
  // read.
  bool read(std::size_t max_request_bytes);
  // Takes the next whole request line, unless an answer is still due.
  bool next_line(std::string& line);
  // A request without end that is longer than allowed.
  bool overlong(std::size_t max_request_bytes) const;

  void send(std::string_view text) { output_ += text; }
  // Writes as much as the socket takes; false if the connection failed.
  bool flush();

  // A verb is running for this client: no further request is taken meanwhile.
  void set_waiting(bool waiting) { waiting_ = waiting; }

  // Starts to send rows: what the scan finds, and then what of the follower's passes the filter
  // and is newer than all the scan looked at, if there is one.
  void stream(const ObserveRequest& request, RecordFilter filter, std::unique_ptr<RecordScan> scan,
              std::shared_ptr<Follower> follower);
  // Starts to send a query's answer. The query ends with the connection.
  void answer(std::shared_ptr<QueryJob> query);
  // Starts to send a capture, until the source ends; so does the connection then. One that its
  // client has left unread ends with the connection.
  void send_all(std::shared_ptr<ByteSource> source);
  // Turns rows into output until the buffer holds `output_bytes`. Returns rows that the client
  // lost.
  std::uint64_t fill(const Origin& origin, std::size_t output_bytes);
  // Whether fill() stopped so that others get their turn.
  bool unfinished() const { return scan_ != nullptr; }

  // Closes once everything has been written.
  void finish() { finishing_ = true; }
  bool done() const;
  bool wants_input(std::size_t max_request_bytes) const;
  bool wants_output() const { return !output_.empty(); }
  std::uint32_t watched = 0;  // the events that epoll watches now

 private:
  void send_row(const Row& row, const Origin& origin);

  int socket_;
  std::uint64_t id_;
  Access granted_ = Access::read;
  std::string input_;
  std::string output_;
  bool input_ended_ = false;
  bool waiting_ = false;
  bool finishing_ = false;

  bool streaming_ = false;  // rows, a query's answer or a capture
  std::shared_ptr<ByteSource> source_;
  std::shared_ptr<QueryJob> query_;
  ObserveRequest request_;
  RecordFilter filter_;
  std::unique_ptr<RecordScan> scan_;
  std::uint64_t seen_ = 0;  // by the scan: numbers up to this
  std::deque<Row> rows_;
  std::shared_ptr<Follower> follower_;
  std::string_view heading_of_;  // the table whose columns the last heading named
};

}  // namespace trivet
