// SPDX-License-Identifier: Apache-2.0
#include "control/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "records/hubble.h"

namespace trivet {
namespace {

// Rows turned into text at a time: a batch stays below the output limit in all but absurd cases.
constexpr std::size_t kBatchRows = 64;
// After which a scan lets other clients have theirs.
constexpr std::chrono::milliseconds kTurn{10};

}  // namespace

Connection::~Connection() {
  if (query_) query_->cancel();
  close(socket_);
}

bool Connection::read(std::size_t max_request_bytes) {
  char bytes[16 << 10];
  while (wants_input(max_request_bytes)) {
    ssize_t got = recv(socket_, bytes, sizeof(bytes), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (got == 0) {
      input_ended_ = true;
      return true;
    }
    input_.append(bytes, static_cast<std::size_t>(got));
  }
  return true;
}

bool Connection::next_line(std::string& line) {
  if (waiting_ || streaming_ || finishing_) return false;
  std::size_t end = input_.find('\n');
  if (end == input_.npos) {
    // The last line of a client that stopped sending needs no end.
    if (!input_ended_ || input_.empty()) return false;
    end = input_.size();
  }
  line = input_.substr(0, end);
  input_.erase(0, end + 1);
  return true;
}

bool Connection::overlong(std::size_t max_request_bytes) const {
  if (finishing_) return false;
  std::size_t end = input_.find('\n');
  return (end == input_.npos ? input_.size() : end) >= max_request_bytes;
}

bool Connection::flush() {
  std::size_t written = 0;
  while (written < output_.size()) {
    ssize_t sent = ::send(socket_, output_.data() + written, output_.size() - written,
                          MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (sent < 0) return false;
    written += static_cast<std::size_t>(sent);
  }
  output_.erase(0, written);
  return true;
}

void Connection::stream(const ObserveRequest& request, RecordFilter filter,
                        std::unique_ptr<RecordScan> scan, std::shared_ptr<Follower> follower) {
  streaming_ = true;
  request_ = request;
  filter_ = std::move(filter);
  scan_ = std::move(scan);
  follower_ = std::move(follower);
  heading_of_ = {};
}

void Connection::answer(std::shared_ptr<QueryJob> query) {
  streaming_ = true;
  query_ = std::move(query);
}

void Connection::send_all(std::shared_ptr<ByteSource> source) {
  streaming_ = true;
  source_ = std::move(source);
}

std::uint64_t Connection::fill(const Origin& origin, std::size_t output_bytes) {
  std::uint64_t lost = 0;
  if (source_) {
    // A client that stops sending has had enough.
    if (input_ended_) source_->finish();
    if (output_.size() < output_bytes && !source_->take(output_, output_bytes)) {
      source_.reset();
      streaming_ = false;
      finishing_ = true;
    }
    return lost;
  }
  if (query_) {
    if (output_.size() < output_bytes && !query_->take(output_)) {
      const auto& result = query_->result();
      output_ += result ? write_end() : write_error(result.error());
      query_.reset();
      streaming_ = false;
    }
    return lost;
  }
  if (scan_) {
    if (!scan_->step(origin, RecordScan::Clock::now() + kTurn)) return lost;
    auto rows = scan_->take();
    rows_.assign(std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
    seen_ = scan_->last_number();
    scan_.reset();
  }
  while (streaming_ && output_.size() < output_bytes) {
    if (rows_.empty() && follower_) {
      auto rows = follower_->take(kBatchRows);
      // Asked for behind the rows and told before them: a loss is never told late.
      if (auto dropped = follower_->take_dropped()) {
        lost += dropped;
        output_ += write_dropped(dropped);
      }
      if (rows.empty()) break;
      std::erase_if(rows, [&](const Row& row) {
        return row.number() <= seen_ || !filter_.passes(row, origin);
      });
      if (rows.empty()) continue;
      rows_.assign(std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
    }
    if (rows_.empty()) {
      output_ += write_end();
      streaming_ = false;
      break;
    }
    send_row(rows_.front(), origin);
    rows_.pop_front();
  }
  return lost;
}

void Connection::send_row(const Row& row, const Origin& origin) {
  const auto made = row.record();
  const void* record = made.get();
  const RecordSchema& schema = row.schema();
  switch (request_.format) {
    case RecordFormat::json:
      output_ += write_record(to_json(schema, record, origin));
      return;
    case RecordFormat::falco:
      output_ += write_record(to_falco_json(*static_cast<const Alert*>(record), origin));
      return;
    case RecordFormat::text:
      output_ += write_line(to_falco_text(*static_cast<const Alert*>(record), origin));
      return;
    case RecordFormat::hubble:
      output_ += write_record(to_hubble_json(*static_cast<const Flow*>(record), origin));
      return;
    case RecordFormat::compact:
      break;
  }
  if (heading_of_ != schema.table) {
    heading_of_ = schema.table;
    output_ += write_line(line_heading(schema, request_.colour));
  }
  output_ += write_line(to_line(schema, record, origin, request_.colour));
}

bool Connection::done() const {
  if (!output_.empty() || waiting_) return false;
  if (finishing_) return true;
  return input_ended_ && input_.empty() && !streaming_;
}

bool Connection::wants_input(std::size_t max_request_bytes) const {
  return !input_ended_ && !waiting_ && !finishing_ && input_.size() < max_request_bytes;
}

}  // namespace trivet
