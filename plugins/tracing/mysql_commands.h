// SPDX-License-Identifier: Apache-2.0
// The commands of MySQL's protocol with MariaDB's additions, what each is answered by, and how to
// read the numbers and texts of packets. Static data and pure functions; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "tracing/mysql_packets.h"

namespace trivet::tracing {

enum class MysqlAnswer {
  none,
  one,          // a packet
  result,       // result sets, each with definitions of its columns and rows
  statement,    // a prepared statement with definitions of its parameters and columns
  definitions,  // up to an end
  rows,         // up to an end
  login,        // more questions up to OK or an error
  replication   // without end
};

struct MysqlCommand {
  std::uint8_t code;
  std::string_view name;
  MysqlAnswer answer;
};

namespace mysql {

inline constexpr std::uint8_t init_db = 2, query = 3, change_user = 17, prepare = 22, execute = 23,
                              long_data = 24, close = 25, reset = 26, fetch = 28,
                              reset_connection = 31, bulk_execute = 250;

inline constexpr std::array<MysqlCommand, 35> commands = {{
    {0, "SLEEP", MysqlAnswer::one},
    {1, "QUIT", MysqlAnswer::none},
    {init_db, "INIT DB", MysqlAnswer::one},
    {query, "QUERY", MysqlAnswer::result},
    {4, "FIELD LIST", MysqlAnswer::definitions},
    {5, "CREATE DB", MysqlAnswer::one},
    {6, "DROP DB", MysqlAnswer::one},
    {7, "REFRESH", MysqlAnswer::one},
    {8, "SHUTDOWN", MysqlAnswer::one},
    {9, "STATISTICS", MysqlAnswer::one},
    {10, "PROCESS INFO", MysqlAnswer::result},
    {11, "CONNECT", MysqlAnswer::one},
    {12, "PROCESS KILL", MysqlAnswer::one},
    {13, "DEBUG", MysqlAnswer::one},
    {14, "PING", MysqlAnswer::one},
    {15, "TIME", MysqlAnswer::one},
    {16, "DELAYED INSERT", MysqlAnswer::one},
    {change_user, "CHANGE USER", MysqlAnswer::login},
    {18, "BINLOG DUMP", MysqlAnswer::replication},
    {19, "TABLE DUMP", MysqlAnswer::replication},
    {20, "CONNECT OUT", MysqlAnswer::one},
    {21, "REGISTER SLAVE", MysqlAnswer::one},
    {prepare, "PREPARE", MysqlAnswer::statement},
    {execute, "EXECUTE", MysqlAnswer::result},
    {long_data, "SEND LONG DATA", MysqlAnswer::none},
    {close, "CLOSE", MysqlAnswer::none},
    {reset, "RESET", MysqlAnswer::one},
    {27, "SET OPTION", MysqlAnswer::one},
    {fetch, "FETCH", MysqlAnswer::rows},
    {29, "DAEMON", MysqlAnswer::one},
    {30, "BINLOG DUMP GTID", MysqlAnswer::replication},
    {reset_connection, "RESET CONNECTION", MysqlAnswer::one},
    {32, "CLONE", MysqlAnswer::replication},
    {33, "SUBSCRIBE GROUP REPLICATION STREAM", MysqlAnswer::replication},
    {bulk_execute, "BULK EXECUTE", MysqlAnswer::result},
}};

inline const MysqlCommand* find_command(char code) {
  const auto found =
      std::ranges::find(commands, static_cast<std::uint8_t>(code), &MysqlCommand::code);
  return found == commands.end() ? nullptr : &*found;
}

// Takes a number of a fixed size off `text`; what is missing reads as zero.
inline std::uint64_t take_number(std::string_view& text, std::size_t size) {
  const std::uint64_t value = little_endian(text, size);
  text.remove_prefix(std::min(size, text.size()));
  return value;
}

// A number that says its own length in its first byte.
inline std::uint64_t take_length(std::string_view& text) {
  const auto first = static_cast<std::uint8_t>(take_number(text, 1));
  return first == 0xfc   ? take_number(text, 2)
         : first == 0xfd ? take_number(text, 3)
         : first == 0xfe ? take_number(text, 8)
                         : first;
}

inline std::string_view take_bytes(std::string_view& text, std::uint64_t size) {
  const std::string_view bytes =
      text.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(size, text.size())));
  text.remove_prefix(bytes.size());
  return bytes;
}

// The string up to NUL, which it takes off `text` with it.
inline std::string_view take_string(std::string_view& text) {
  const std::string_view string = text.substr(0, text.find('\0'));
  text.remove_prefix(std::min(text.size(), string.size() + 1));
  return string;
}

// Takes query attributes (CLIENT_QUERY_ATTRIBUTES) off a COM_QUERY's payload. No statement begins
// with their count and the number of their sets, which is always 1.
void take_attributes(std::string_view& payload);

// Whether a client's bytes begin the compressed form of a command.
bool begins_compressed(std::string_view bytes);

}  // namespace mysql
}  // namespace trivet::tracing
