// SPDX-License-Identifier: Apache-2.0
#include "tracing/postgresql.h"
#include "tracing/postgresql_parser.h"

namespace trivet::tracing {
namespace {

// A connection found half-way is not joined at larger messages.
constexpr std::uint32_t max_first_length = 16 << 20;

// A run of a client's messages of known types, up to one that the server answers at once.
unsigned messages_confidence(std::string_view bytes) {
  constexpr unsigned perhaps = 20;
  if (std::string_view("QPBF").find(bytes.front()) == std::string_view::npos) return 0;
  while (bytes.size() >= 5) {
    const char type = bytes.front();
    const std::uint32_t length = big_endian_32(bytes.substr(1));
    if (std::string_view("QPBDECSHFX").find(type) == std::string_view::npos || length < 4 ||
        length > max_first_length) {
      return 0;
    }
    const std::string_view body = bytes.substr(5, length - 4);
    if (type == 'Q' && !body.empty() && static_cast<unsigned char>(body.front()) < 0x20 &&
        body.front() != '\n' && body.front() != '\t' && body.front() != '\r' &&
        body.front() != '\0') {
      return 0;
    }
    if (body.size() < length - 4) return perhaps;
    if (type == 'Q' && (body.empty() || body.back() != '\0')) return 0;
    // The server answers these at once.
    if (std::string_view("QSHF").find(type) != std::string_view::npos) return Inference::certain;
    bytes.remove_prefix(5 + body.size());
  }
  return perhaps;
}

}  // namespace

Inference infer_postgresql(const Opening& opening) {
  constexpr unsigned perhaps = 20;
  const std::string_view bytes = opening.bytes;
  if (opening.first && bytes.front() == '\0') {
    if (bytes.size() >= 2 && bytes[1] != '\0') return {};
    if (bytes.size() < 8) return {perhaps};
    const std::uint32_t length = big_endian_32(bytes);
    const std::uint32_t code = big_endian_32(bytes.substr(4));
    if ((code == postgresql_ssl || code == postgresql_gssenc) && length == 8) {
      return {Inference::certain};
    }
    if (code == postgresql_cancel && (length == 16 || length == 12 + 256)) {
      return {Inference::certain};
    }
    if (code >> 16 != postgresql_3 >> 16 || length < 9 || length > 10000) return {};
    if (bytes.size() == 8) return {perhaps};
    const char c = bytes[8];
    return {(c >= 'a' && c <= 'z') || c == '_' ? Inference::certain : 0u};
  }
  // A server that is ready for the next query.
  if (!opening.first && bytes.size() >= 6 &&
      bytes.substr(bytes.size() - 6, 5) == std::string_view("Z\0\0\0\5", 5) &&
      std::string_view("ITE").find(bytes.back()) != std::string_view::npos) {
    return {Inference::certain, Party::server, false};
  }
  const unsigned confidence = messages_confidence(bytes);
  // A first message without a startup is another protocol's.
  return {confidence, Party::client, true};
}

}  // namespace trivet::tracing
