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

#include "control/request.h"
#include "query/query_job.h"
#include "records/format.h"
#include "records/tables.h"

namespace trivet {

class Connection {
 public:
  // Owns `socket`, which does not block.
  Connection(int socket, std::uint64_t id) : socket_(socket), id_(id) {}
  ~Connection();
  Connection(const Connection&) = delete;

  int socket() const { return socket_; }
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

  // Starts to send rows: those given, and then the follower's if there is one.
  void stream(const ObserveRequest& request, std::vector<Row> rows,
              std::shared_ptr<Follower> follower);
  // Starts to send a query's answer. The query ends with the connection.
  void answer(std::shared_ptr<QueryJob> query);
  // Turns rows into output until the buffer holds `output_bytes`. Returns rows that the client
  // lost.
  std::uint64_t fill(const Origin& origin, std::size_t output_bytes);

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
  std::string input_;
  std::string output_;
  bool input_ended_ = false;
  bool waiting_ = false;
  bool finishing_ = false;

  bool streaming_ = false;  // rows, or a query's answer
  std::shared_ptr<QueryJob> query_;
  ObserveRequest request_;
  std::deque<Row> rows_;
  std::shared_ptr<Follower> follower_;
  std::string_view heading_of_;  // the table whose columns the last heading named
};

}  // namespace trivet
