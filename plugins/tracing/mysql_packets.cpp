// SPDX-License-Identifier: Apache-2.0
#include "tracing/mysql_packets.h"

#include <algorithm>

namespace trivet::tracing {
namespace {

constexpr std::size_t max_kept_capacity = 65536;
constexpr std::size_t unpack_bytes = 16384;  // at a time

std::string_view text_of(const unsigned char* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

MysqlPackets::Step MysqlPackets::next(std::string_view& input) {
  if (!compressed_) return take(input);
  for (;;) {
    if (read_ < unpacked_.size()) {
      std::string_view rest = std::string_view(unpacked_).substr(read_);
      const Step step = take(rest);
      read_ = unpacked_.size() - rest.size();
      if (step != Step::need_more) return step;
    }
    unpacked_.clear();
    read_ = 0;
    if (in_frame_) {
      const std::size_t before = input.size();
      const Step step = take_frame(input);
      if (step != Step::need_more) return step;
      if (in_frame_ && unpacked_.empty() && input.size() == before) return Step::need_more;
      continue;
    }
    while (framing_ < sizeof(frame_header_) && !input.empty()) {
      frame_header_[framing_++] = static_cast<unsigned char>(input.front());
      input.remove_prefix(1);
    }
    if (framing_ < sizeof(frame_header_)) return Step::need_more;
    framing_ = 0;
    frame_left_ = static_cast<std::uint32_t>(little_endian(text_of(frame_header_, 3), 3));
    plain_left_ = static_cast<std::uint32_t>(little_endian(text_of(frame_header_ + 4, 3), 3));
    in_frame_ = true;
    stored_ = plain_left_ == 0;
    begun_ = false;
    magic_.clear();
  }
}

// Goes on with a frame: packets of one that is stored, or more in unpacked_.
MysqlPackets::Step MysqlPackets::take_frame(std::string_view& input) {
  std::string_view part = input.substr(0, frame_left_);
  const std::size_t offered = part.size();
  const auto used = [&] {
    input.remove_prefix(offered - part.size());
    frame_left_ -= static_cast<std::uint32_t>(offered - part.size());
  };
  if (stored_) {
    const Step step = take(part);
    used();
    in_frame_ = frame_left_ > 0;
    return step;
  }
  if (!begun_) {
    const std::size_t wanted = std::min(part.size(), 2 - magic_.size());
    magic_.append(part.substr(0, wanted));
    part.remove_prefix(wanted);
    used();
    if (magic_.size() < 2) return frame_left_ == 0 ? Step::failed : Step::need_more;
    const auto format = Unpacker::format_of(magic_);
    std::string_view magic = magic_;
    if (!format || !unpacker_.begin(*format) || !unpacker_.unpack(magic, unpacked_, unpack_bytes)) {
      return Step::failed;
    }
    begun_ = true;
    return Step::need_more;
  }
  if (!unpacker_.unpack(part, unpacked_, unpack_bytes)) return Step::failed;
  used();
  if (unpacked_.size() > plain_left_) return Step::failed;
  plain_left_ -= static_cast<std::uint32_t>(unpacked_.size());
  if (!unpacked_.empty()) return Step::need_more;
  if (offered > 0 && part.size() == offered) return Step::failed;  // goes on behind its end
  if (frame_left_ == 0) {
    if (plain_left_ > 0) return Step::failed;
    in_frame_ = false;
  }
  return Step::need_more;
}

MysqlPackets::Step MysqlPackets::take(std::string_view& input) {
  for (;;) {
    if (!in_body_) {
      while (taken_ < sizeof(header_) && !input.empty()) {
        header_[taken_++] = static_cast<unsigned char>(input.front());
        input.remove_prefix(1);
      }
      if (taken_ < sizeof(header_)) return Step::need_more;
      const std::uint8_t sequence = header_[3];
      if (continues_) {
        if (sequence != static_cast<std::uint8_t>(last_sequence_ + 1)) return Step::failed;
      } else {
        body_.clear();
        if (body_.capacity() > max_kept_capacity) std::string().swap(body_);
        first_sequence_ = sequence;
        payload_bytes_ = size_ = 0;
        cut_ = false;
      }
      left_ = static_cast<std::uint32_t>(little_endian(text_of(header_, 3), 3));
      continues_ = left_ == max_payload;
      last_sequence_ = sequence;
      payload_bytes_ += left_;
      size_ += sizeof(header_) + left_;
      taken_ = 0;
      in_body_ = true;
    }
    const std::size_t taken = std::min<std::size_t>(left_, input.size());
    if (!cut_) body_.append(input.substr(0, std::min(taken, keep_ - body_.size())));
    input.remove_prefix(taken);
    left_ -= static_cast<std::uint32_t>(taken);
    if (left_ > 0) return Step::need_more;
    in_body_ = false;
    if (!continues_) return Step::packet;
  }
}

bool MysqlPackets::skip(std::uint64_t bytes) {
  if (compressed_ || !in_body_ || bytes >= left_) return false;
  left_ -= static_cast<std::uint32_t>(bytes);
  cut_ = true;
  return true;
}

void MysqlPackets::reset() {
  taken_ = framing_ = 0;
  in_body_ = continues_ = in_frame_ = false;
  unpacked_.clear();
  read_ = 0;
  unpacker_.release();
}

}  // namespace trivet::tracing
