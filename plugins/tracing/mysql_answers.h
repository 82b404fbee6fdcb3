// SPDX-License-Identifier: Apache-2.0
// Reads the packets of one answer after another: results with definitions and rows, prepared
// statements, OK and errors. Owned by the dialogue; worker thread of the plugin.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "tracing/mysql_commands.h"
#include "tracing/mysql_packets.h"
#include "trivet/records/mysql_request.h"

namespace trivet::tracing {

class MysqlAnswers {
 public:
  enum class Step { more, done, refused, lost };

  explicit MysqlAnswers(std::size_t message_limit) : message_limit_(message_limit) {}

  // Whether an EOF packet stands behind definitions (without CLIENT_DEPRECATE_EOF). Where it is not
  // told, the packets tell it.
  void set_eof(bool sent) { eof_ = sent ? Eof::sent : Eof::none; }
  // No answer is under way.
  void restart();
  // Takes the packet that `read` holds, of an answer to such a command, and notes in `r` what it
  // says. Lost: it cannot be one, and where the next answer begins is not known.
  Step next(MysqlAnswer kind, const MysqlPackets& read, MysqlRequest& r);
  // Whether the packet is the end of an answer that was done already.
  bool takes_late(const MysqlPackets& read);
  // Whether the packet under way is a row.
  bool in_row(const MysqlPackets& read) const;

  void take_error(std::string_view body, MysqlRequest& r) const;

 private:
  enum class Eof { unknown, sent, none };
  enum class Part { first, definitions, rows };

  Step take_result(const MysqlPackets& read, MysqlRequest& r);
  Step take_row(const MysqlPackets& read, MysqlRequest& r);
  Step take_statement(const MysqlPackets& read, MysqlRequest& r);
  Step end_result(std::uint64_t status);

  std::size_t message_limit_;
  Eof eof_ = Eof::unknown;
  Part part_ = Part::first;
  std::uint64_t left_ = 0;    // definitions
  std::uint64_t behind_ = 0;  // definitions of the group behind this one
  bool first_row_ = false;
  std::optional<std::uint8_t> late_eof_;  // the number of an EOF packet that may still come
};

}  // namespace trivet::tracing
