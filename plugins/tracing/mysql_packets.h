// SPDX-License-Identifier: Apache-2.0
// Takes one direction of a MySQL connection apart into packets, unpacks the compressed protocol,
// and joins what was cut at 16 MiB. Keeps the beginning of each payload, and passes over bytes of
// it that were not seen. Owned by the dialogue; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tracing/decoding.h"

namespace trivet::tracing {

inline std::uint64_t little_endian(std::string_view bytes, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) {
    value = value << 8 | (i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u);
  }
  return value;
}

class MysqlPackets {
 public:
  enum class Step { need_more, packet, failed };
  static constexpr std::uint32_t max_payload = 0xffffff;  // one that is as long goes on

  explicit MysqlPackets(std::size_t keep) : keep_(keep) {}

  // What follows is compressed.
  void set_compressed() { compressed_ = true; }
  bool compressed() const { return compressed_; }

  // Takes bytes up to the end of a packet; call until it needs more.
  Step next(std::string_view& input);
  // False if the packet's end can no longer be known.
  bool skip(std::uint64_t bytes);
  // A packet begins here.
  void reset();

  bool idle() const { return taken_ == 0 && !in_body_ && !continues_ && !in_frame_ && !framing_; }
  // Of the packet under way, or the last one.
  std::string_view body() const { return body_; }
  bool whole() const { return !cut_ && body_.size() == payload_bytes_; }  // whether body() is all
  std::uint64_t payload_bytes() const { return payload_bytes_; }
  std::uint64_t size() const { return size_; }  // with headers
  std::uint8_t first_sequence() const { return first_sequence_; }
  std::uint8_t last_sequence() const { return last_sequence_; }
  std::size_t held_bytes() const {
    return body_.capacity() + unpacked_.capacity() + unpacker_.memory();
  }

 private:
  Step take(std::string_view& input);
  Step take_frame(std::string_view& input);

  std::size_t keep_;
  // The packet.
  unsigned char header_[4] = {};
  unsigned taken_ = 0;  // bytes of the header
  std::string body_;
  std::uint32_t left_ = 0;
  bool in_body_ = false;
  bool continues_ = false;  // the next packet belongs to the one before it
  bool cut_ = false;
  std::uint64_t payload_bytes_ = 0;
  std::uint64_t size_ = 0;
  std::uint8_t first_sequence_ = 0;
  std::uint8_t last_sequence_ = 0;
  // The compressed frame around it.
  bool compressed_ = false;
  unsigned char frame_header_[7] = {};
  unsigned framing_ = 0;  // bytes of the frame's header
  bool in_frame_ = false;
  bool stored_ = false;
  bool begun_ = false;  // the unpacker knows the format
  std::uint32_t frame_left_ = 0;
  std::uint32_t plain_left_ = 0;
  std::string magic_;
  std::string unpacked_;
  std::size_t read_ = 0;  // of unpacked_
  Unpacker unpacker_;
};

}  // namespace trivet::tracing
