// SPDX-License-Identifier: Apache-2.0
#include "tracing/websocket.h"

#include <algorithm>
#include <utility>

namespace trivet::tracing {
namespace {

constexpr unsigned opcode_continuation = 0, opcode_text = 1, opcode_binary = 2, opcode_close = 8,
                   opcode_ping = 9, opcode_pong = 10;
constexpr std::uint64_t max_control_bytes = 125;
// RFC 7692, 7.2.1: what the sender has left off.
constexpr std::string_view sync_marker("\0\0\xff\xff", 4);

const char* type_name(unsigned opcode) {
  switch (opcode) {
    case opcode_text:
      return "text";
    case opcode_binary:
      return "binary";
    case opcode_close:
      return "close";
    case opcode_ping:
      return "ping";
    case opcode_pong:
      return "pong";
    default:
      return nullptr;
  }
}

// How long a frame's header is, as far as its first two bytes tell.
std::size_t header_size(std::string_view header) {
  if (header.size() < 2) return 2;
  const unsigned second = static_cast<unsigned char>(header[1]);
  const unsigned length = second & 0x7f;
  return 2u + (length == 126 ? 2u : length == 127 ? 8u : 0u) + (second & 0x80 ? 4u : 0u);
}

}  // namespace

WebSocketTerms websocket_terms(std::string_view extensions, bool from_client) {
  WebSocketTerms terms;
  terms.deflate = extensions.find("permessage-deflate") != std::string_view::npos;
  terms.keeps_context =
      extensions.find(from_client ? "client_no_context_takeover" : "server_no_context_takeover") ==
      std::string_view::npos;
  return terms;
}

WebSocketReader::Step WebSocketReader::next(std::string_view& input, std::uint64_t time_ns) {
  for (;;) {
    if (!in_payload_) {
      if (input.empty()) return Step::need_more;
      const std::size_t size = header_size(header_);
      const std::size_t taken = std::min(size - header_.size(), input.size());
      header_.append(input.substr(0, taken));
      input.remove_prefix(taken);
      if (header_.size() < size || header_size(header_) > size) continue;
      if (!begin_frame(time_ns)) return Step::failed;
    }
    const std::size_t taken = std::min<std::uint64_t>(remaining_, input.size());
    take_payload(input.substr(0, taken));
    input.remove_prefix(taken);
    remaining_ -= taken;
    if (remaining_ > 0) return Step::need_more;
    if (end_frame() == Step::message) return Step::message;
  }
}

bool WebSocketReader::begin_frame(std::uint64_t time_ns) {
  const auto at = [this](std::size_t i) {
    return static_cast<std::uint64_t>(static_cast<unsigned char>(header_[i]));
  };
  const std::uint64_t flags = at(0);
  const unsigned opcode = flags & 0x0f;
  const bool compressed = flags & 0x40;
  const std::size_t length_bytes = (at(1) & 0x7f) == 126 ? 2 : (at(1) & 0x7f) == 127 ? 8 : 0;
  remaining_ = length_bytes ? 0 : at(1) & 0x7f;
  for (std::size_t i = 0; i < length_bytes; ++i) remaining_ = remaining_ << 8 | at(2 + i);
  for (std::size_t i = 0; i < 4; ++i) {
    mask_[i] = at(1) & 0x80 ? static_cast<std::uint8_t>(at(2 + length_bytes + i)) : 0;
  }
  mask_at_ = 0;
  final_ = flags & 0x80;
  control_frame_ = opcode & 0x08;
  header_.clear();
  in_payload_ = true;
  if ((flags & 0x30) || remaining_ >> 63 || (compressed && !terms_.deflate)) return false;
  if (control_frame_) {
    if (!type_name(opcode) || !final_ || compressed || remaining_ > max_control_bytes) return false;
    control_ = {.type = type_name(opcode), .frames = 1, .first_ns = time_ns};
    return true;
  }
  if (opcode == opcode_continuation) {
    if (!data_open_ || compressed) return false;
  } else {
    if (data_open_ || !type_name(opcode)) return false;
    data_ = {.type = type_name(opcode), .compressed = compressed, .first_ns = time_ns};
    data_open_ = true;
    if (compressed) {
      if (!inflater_) {
        inflater_ = std::make_unique<Inflater>();
      } else if (!terms_.keeps_context) {
        inflater_->reset();
      }
    }
  }
  ++data_.frames;
  return true;
}

void WebSocketReader::take_payload(std::string_view bytes) {
  WebSocketMessage& m = control_frame_ ? control_ : data_;
  m.bytes += bytes.size();
  const bool inflate = m.compressed;
  // What follows a hole is not kept: the text would read as if nothing were missing.
  const std::size_t room = m.truncated || m.payload.size() > limit_ ? 0 : limit_ - m.payload.size();
  // A close carries its code in the payload, kept or not.
  const std::size_t wanted = inflate ? bytes.size() : control_frame_ ? bytes.size() : room;
  std::string clear(bytes.substr(0, wanted));
  for (char& c : clear) c = static_cast<char>(c ^ mask_[mask_at_++ & 3]);
  mask_at_ += static_cast<unsigned>((bytes.size() - clear.size()) & 3);
  if (inflate) {
    if (!inflater_->add(clear, m.payload, limit_, m.truncated)) m.truncated = true;
  } else {
    m.payload.append(clear);
    m.truncated |= clear.size() < bytes.size();
  }
}

WebSocketReader::Step WebSocketReader::end_frame() {
  in_payload_ = false;
  if (!final_) return Step::need_more;
  if (control_frame_) {
    done_ = std::exchange(control_, {});
    if (done_.type == std::string_view("close") && done_.payload.size() >= 2) {
      done_.close_code = static_cast<unsigned>(static_cast<unsigned char>(done_.payload[0]) << 8 |
                                               static_cast<unsigned char>(done_.payload[1]));
      done_.payload.erase(0, 2);
    }
    if (done_.payload.size() > limit_) {
      done_.payload.resize(limit_);
      done_.truncated = true;
    }
    return Step::message;
  }
  if (data_.compressed && !inflater_->add(sync_marker, data_.payload, limit_, data_.truncated)) {
    data_.truncated = true;
  }
  data_open_ = false;
  done_ = std::exchange(data_, {});
  return Step::message;
}

bool WebSocketReader::skip(std::uint64_t bytes) {
  // The end of a frame must come with bytes that are seen, or nobody would tell its message.
  if (!in_payload_ || bytes >= remaining_) return false;
  WebSocketMessage& m = control_frame_ ? control_ : data_;
  remaining_ -= bytes;
  mask_at_ += static_cast<unsigned>(bytes & 3);
  m.bytes += bytes;
  m.truncated = true;
  if (m.compressed) inflater_->lose();
  return true;
}

}  // namespace trivet::tracing
