// SPDX-License-Identifier: Apache-2.0
#include "tracing/mysql_answers.h"

#include <string>
#include <utility>

namespace trivet::tracing {
namespace {

using mysql::take_bytes;
using mysql::take_length;
using mysql::take_number;

constexpr std::uint64_t status_more_results = 0x0008, status_cursor_exists = 0x0040;
constexpr unsigned char ok_mark = 0x00, file_mark = 0xfb, end_mark = 0xfe, error_mark = 0xff;
constexpr std::uint64_t eof_bytes = 5;
constexpr std::uint16_t progress_report = 0xffff;  // MariaDB's: in the form of an error, and none

unsigned char mark_of(const MysqlPackets& read) {
  return static_cast<unsigned char>(read.body()[0]);
}

bool is_eof(const MysqlPackets& read) {
  return mark_of(read) == end_mark && read.payload_bytes() == eof_bytes;
}

// Returns the status flags.
std::uint64_t take_ok(std::string_view body, MysqlRequest& r) {
  take_number(body, 1);
  r.affected_rows += take_length(body);
  take_length(body);  // the last id that was inserted
  return take_number(body, 2);
}

}  // namespace

void MysqlAnswers::restart() {
  part_ = Part::first;
  late_eof_.reset();
}

bool MysqlAnswers::in_row(const MysqlPackets& read) const {
  return part_ == Part::rows && !read.body().empty() && mark_of(read) != end_mark &&
         mark_of(read) != error_mark;
}

bool MysqlAnswers::takes_late(const MysqlPackets& read) {
  if (!late_eof_) return false;
  const bool late = read.first_sequence() == *late_eof_ && is_eof(read);
  late_eof_.reset();
  set_eof(late);
  return late;
}

MysqlAnswers::Step MysqlAnswers::next(MysqlAnswer kind, const MysqlPackets& read, MysqlRequest& r) {
  const unsigned char mark = mark_of(read);
  if (mark == error_mark) {
    if (little_endian(read.body().substr(1), 2) == progress_report) return Step::more;
    take_error(read.body(), r);
    part_ = Part::first;
    return Step::refused;
  }
  switch (kind) {
    case MysqlAnswer::login:
      return mark == ok_mark ? Step::done : Step::more;
    case MysqlAnswer::one:
      if (mark == ok_mark) take_ok(read.body(), r);
      return Step::done;
    case MysqlAnswer::statement:
      return take_statement(read, r);
    case MysqlAnswer::result:
      return take_result(read, r);
    case MysqlAnswer::definitions:
    case MysqlAnswer::rows:
      part_ = Part::rows;
      if (mark == end_mark) {
        part_ = Part::first;
        return Step::done;
      }
      if (kind == MysqlAnswer::rows) ++r.rows;
      return Step::more;
    case MysqlAnswer::none:
    case MysqlAnswer::replication:
      break;
  }
  return Step::lost;  // these are not answered
}

MysqlAnswers::Step MysqlAnswers::take_result(const MysqlPackets& read, MysqlRequest& r) {
  const unsigned char mark = mark_of(read);
  std::string_view body = read.body();
  switch (part_) {
    case Part::first:
      if (mark == ok_mark) return end_result(take_ok(body, r));
      if (mark == file_mark) return Step::more;  // OK comes behind the file
      left_ = take_length(body);
      // The flag of those who may leave definitions out: MySQL 8, MariaDB 10.6.
      if (!body.empty() && body[0] == 0) left_ = 0;
      break;
    case Part::definitions:
      if (mark == end_mark) return Step::lost;
      --left_;
      break;
    case Part::rows:
      return take_row(read, r);
  }
  part_ = left_ > 0 ? Part::definitions : Part::rows;
  first_row_ = true;
  return Step::more;
}

MysqlAnswers::Step MysqlAnswers::take_row(const MysqlPackets& read, MysqlRequest& r) {
  const bool first = std::exchange(first_row_, false);
  // A row of 16 MiB may begin like that too.
  const bool ends = mark_of(read) == end_mark && read.payload_bytes() < MysqlPackets::max_payload;
  if (!ends || !is_eof(read)) {
    if (!ends && first && eof_ == Eof::sent) return Step::lost;
    if (first) eof_ = Eof::none;
    if (ends) return end_result(take_ok(read.body(), r));
    ++r.rows;
    return Step::more;
  }
  const std::uint64_t status = little_endian(read.body().substr(3), 2);
  // The one behind the definitions, unless the rows stay at the server.
  if (first && eof_ != Eof::none && !(status & status_cursor_exists)) {
    eof_ = Eof::sent;
    return Step::more;
  }
  return end_result(status);
}

MysqlAnswers::Step MysqlAnswers::end_result(std::uint64_t status) {
  part_ = Part::first;
  return status & status_more_results ? Step::more : Step::done;
}

// Definitions of parameters, and of columns behind them, each with an EOF packet where that is
// sent.
MysqlAnswers::Step MysqlAnswers::take_statement(const MysqlPackets& read, MysqlRequest& r) {
  bool eof = false;
  if (part_ == Part::first) {
    std::string_view body = read.body();
    if (mark_of(read) != ok_mark || body.size() < 12) return Step::lost;
    take_number(body, 1);
    r.statement = static_cast<std::uint32_t>(take_number(body, 4));
    behind_ = take_number(body, 2);
    left_ = take_number(body, 2);
    take_bytes(body, 1 + 2);
    if (!body.empty() && body[0] == 0) left_ = behind_ = 0;  // definitions are left out
    part_ = Part::definitions;
    if (left_ == 0) left_ = std::exchange(behind_, 0);
    if (left_ > 0) return Step::more;
  } else {
    eof = is_eof(read);
    if (eof ? left_ > 0 : left_ == 0 && behind_ == 0) return Step::lost;
    if (eof || left_ == 0) {
      set_eof(eof);
      left_ = std::exchange(behind_, 0);
    }
    if (!eof) --left_;
    if (left_ > 0 || behind_ > 0 || (!eof && eof_ == Eof::sent)) return Step::more;
    if (eof_ == Eof::unknown) late_eof_ = static_cast<std::uint8_t>(read.last_sequence() + 1);
  }
  part_ = Part::first;
  return Step::done;
}

void MysqlAnswers::take_error(std::string_view body, MysqlRequest& r) const {
  take_number(body, 1);
  r.status = std::to_string(take_number(body, 2));
  if (body.starts_with('#')) {
    body.remove_prefix(1);
    r.sqlstate = take_bytes(body, 5);
  }
  r.error_message = body.substr(0, message_limit_);
}

}  // namespace trivet::tracing
