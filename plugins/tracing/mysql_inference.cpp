// SPDX-License-Identifier: Apache-2.0
#include "tracing/mysql.h"
#include "tracing/mysql_commands.h"

namespace trivet::tracing {
namespace {

constexpr unsigned perhaps = 20;
constexpr std::size_t header = 4;
constexpr std::size_t frame_header = 7;
// So much of a statement is believed without its end.
constexpr std::size_t enough_text = 64;

bool is_text(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t' || c == '\r';
  });
}

bool begins_statement(std::string_view text) {
  return is_text(text) &&
         (text.empty() || (text[0] >= 'A' && text[0] <= 'Z') ||
          (text[0] >= 'a' && text[0] <= 'z') ||
          std::string_view(" \n\t\r(/-#;{").find(text[0]) != std::string_view::npos);
}

// Whether what there is of a payload of `length` bytes, at least one, may be a command's.
bool is_command(std::string_view payload, std::size_t length) {
  const MysqlCommand* command = mysql::find_command(payload.front());
  if (!command) return false;
  payload.remove_prefix(1);
  switch (command->code) {
    case mysql::query:
      mysql::take_attributes(payload);
      return length > 1 && begins_statement(payload);
    case mysql::prepare:
      return length > 1 && begins_statement(payload);
    case mysql::init_db:
      return length > 1 && length <= 257 && is_text(payload);
    case mysql::execute:
      // Id, flags, and the number of iterations, which is 1.
      return length >= 10 && (payload.size() < 5 || payload[4] <= 0x0f) &&
             (payload.size() < 9 || payload.substr(5, 4) == std::string_view("\1\0\0\0", 4));
    case mysql::bulk_execute:
    case mysql::long_data:
      return length >= 7;
    case mysql::close:
    case mysql::reset:
      return length == 5;
    case mysql::fetch:
      return length == 9;
    case mysql::change_user:
      return length >= 3 && is_text(payload.substr(0, payload.find('\0')));
    case 4:  // FIELD LIST: a table's name, and a pattern
      return length >= 2 && is_text(payload.substr(0, payload.find('\0')));
    case 1:
    case 9:
    case 10:
    case 13:
    case 14:
    case mysql::reset_connection:
      return length == 1;
    default:
      return false;
  }
}

// A run of a client's commands.
unsigned commands_confidence(std::string_view bytes) {
  while (!bytes.empty()) {
    if (bytes.size() > 3 && bytes[3] != 0) return 0;
    if (bytes.size() <= header) return perhaps;
    const std::size_t length = little_endian(bytes, 3);
    const std::string_view payload = bytes.substr(header, length);
    if (length == 0 || !is_command(payload, length)) return 0;
    if (payload.size() < length) {
      const bool statement = payload[0] == mysql::query || payload[0] == mysql::prepare;
      return statement && payload.size() > enough_text ? Inference::certain : perhaps;
    }
    bytes.remove_prefix(header + length);
  }
  return Inference::certain;
}

// The server's first word: a greeting, or an error instead.
unsigned greeting_confidence(std::string_view bytes) {
  const std::size_t length = little_endian(bytes, 3);
  if (bytes.size() > 1 && bytes[1] > 1) return 0;
  if ((bytes.size() > 2 && bytes[2] != 0) || (bytes.size() > 3 && bytes[3] != 0)) return 0;
  if (bytes.size() <= header) return perhaps;
  const std::string_view payload = bytes.substr(header, length);
  if (payload.empty()) return 0;
  if (payload[0] == '\xff') {
    const std::uint64_t code = payload.size() >= 3 ? little_endian(payload.substr(1), 2) : 1040;
    if (code < 1000 || code > 4999 ||
        !is_text(payload.substr(std::min<std::size_t>(3, payload.size())))) {
      return 0;
    }
  } else if (payload[0] != 10 || length < 40 ||
             (payload.size() > 1 && (payload[1] < '0' || payload[1] > '9')) ||
             !is_text(payload.substr(1, payload.find('\0') - 1))) {
    return 0;
  }
  return payload.size() < length ? perhaps : Inference::certain;
}

// A server that has answered all: OK or the end of rows, without warnings.
bool ends_answer(std::string_view bytes) {
  const auto ends = [&](std::string_view head, std::size_t zeros, bool ok) {
    const std::size_t size = header + 1 + zeros + 4;
    if (bytes.size() < size) return false;
    const std::string_view packet = bytes.substr(bytes.size() - size);
    const std::string_view rest = packet.substr(header + 1 + zeros);
    const std::uint64_t status = little_endian(rest.substr(ok ? 0 : 2), 2);
    const std::uint64_t warnings = little_endian(rest.substr(ok ? 2 : 0), 2);
    return packet.starts_with(head) && packet[3] != 0 &&
           (packet[4] == '\xfe' || (ok && packet[4] == 0 && bytes.size() == size)) &&
           packet.substr(header + 1, zeros).find_first_not_of('\0') == std::string_view::npos &&
           warnings == 0 && (status & 3) != 0 && status < 0x8000;
  };
  return ends(std::string_view("\5\0\0", 3), 0, false) ||
         ends(std::string_view("\7\0\0", 3), 2, true);
}

}  // namespace

void mysql::take_attributes(std::string_view& payload) {
  if (payload.size() < 2 || static_cast<unsigned char>(payload[0]) >= 0x20 || payload[1] != 1)
    return;
  const auto count = static_cast<std::size_t>(payload[0]);
  payload.remove_prefix(2);
  if (count == 0) return;
  const std::string_view nulls = take_bytes(payload, (count + 7) / 8);
  take_number(payload, 1);
  std::array<std::uint8_t, 0x20> types{};
  for (std::size_t i = 0; i < count; ++i) {
    types[i] = static_cast<std::uint8_t>(take_number(payload, 2));
    take_bytes(payload, take_length(payload));
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (i / 8 < nulls.size() && (nulls[i / 8] >> (i % 8) & 1)) continue;
    std::uint64_t size = 0;
    switch (types[i]) {
      case 1:  // TINY
        size = 1;
        break;
      case 2:  // SHORT, YEAR
      case 13:
        size = 2;
        break;
      case 3:  // LONG, FLOAT, INT24
      case 4:
      case 9:
        size = 4;
        break;
      case 5:  // DOUBLE, LONGLONG
      case 8:
        size = 8;
        break;
      case 6:  // NULL
        break;
      default:  // texts, and dates and times with a byte of length
        size = take_length(payload);
    }
    take_bytes(payload, size);
  }
}

bool mysql::begins_compressed(std::string_view bytes) {
  if (bytes.size() < frame_header + 2 || bytes[3] != 0) return false;
  const std::uint64_t packed = little_endian(bytes, 3);
  const std::uint64_t plain = little_endian(bytes.substr(4), 3);
  const std::string_view content = bytes.substr(frame_header);
  if (plain > 0) return Unpacker::format_of(content) && packed >= 2 && packed < plain;
  if (packed <= header || content.size() <= header) return false;
  const unsigned confidence = commands_confidence(content.substr(0, packed));
  return confidence == Inference::certain || (confidence > 0 && content.size() < packed);
}

Inference infer_mysql(const Opening& opening) {
  const std::string_view bytes = opening.bytes;
  // The server speaks first.
  if (opening.first && !opening.known) {
    return {greeting_confidence(bytes), Party::server, true};
  }
  if (bytes.size() <= header && !opening.known) return {};
  unsigned confidence = commands_confidence(bytes);
  if (confidence == 0 && mysql::begins_compressed(bytes)) confidence = Inference::certain;
  if (confidence > 0) {
    // A short command proves little on a connection of which nothing else is known.
    const bool answered = opening.answer.size() > header && opening.answer[3] == 1;
    const bool brief = bytes.size() < 12 && !opening.known && !answered;
    return {brief ? std::min(confidence, perhaps) : confidence, Party::client, true};
  }
  if (!opening.first && ends_answer(bytes)) return {Inference::certain, Party::server, false};
  return {};
}

}  // namespace trivet::tracing
