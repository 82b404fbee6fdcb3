// SPDX-License-Identifier: Apache-2.0
#include "capture/format.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "records/checksum.h"

namespace trivet {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little endian");

constexpr std::string_view kMagic = "trivcap\n";
constexpr std::uint32_t kFormat = 1;
// Magic, format, and four bytes of nothing.
constexpr std::size_t kHeadBytes = 16;
// Kind and size in front of the payload, the checksum behind it.
constexpr std::size_t kBlockHeadBytes = 8;
constexpr std::size_t kChecksumBytes = 8;
// Memory grows as bytes come, not as a size promises them.
constexpr std::size_t kStep = 256 << 10;

template <class Number>
void append(std::string& out, Number number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

template <class Number>
Number number_at(std::span<const std::byte> bytes, std::size_t at) {
  Number number;
  std::memcpy(&number, bytes.data() + at, sizeof(number));
  return number;
}

}  // namespace

std::string capture_head() {
  std::string head(kMagic);
  append(head, kFormat);
  append(head, std::uint32_t{0});
  return head;
}

std::string capture_block(BlockKind kind, std::span<const std::byte> payload) {
  std::string block;
  block.reserve(kBlockHeadBytes + payload.size() + kChecksumBytes);
  append(block, static_cast<std::uint32_t>(kind));
  append(block, static_cast<std::uint32_t>(payload.size()));
  block.append(reinterpret_cast<const char*>(payload.data()), payload.size());
  append(block, checksum_of(std::as_bytes(std::span(block))));
  return block;
}

Result<CaptureReader> CaptureReader::open(std::istream& stream) {
  CaptureReader reader(stream);
  if (!reader.read(kHeadBytes) ||
      std::memcmp(reader.block_.data(), kMagic.data(), kMagic.size()) != 0)
    return Error{"it is no capture of trivet's", EBADMSG};
  const auto format = number_at<std::uint32_t>(reader.block_, kMagic.size());
  if (format != kFormat)
    return Error{"it is a capture of format " + std::to_string(format) +
                     "; this trivet reads format " + std::to_string(kFormat),
                 EBADMSG};
  reader.place_ = kHeadBytes;
  return reader;
}

bool CaptureReader::read(std::size_t size) {
  const std::size_t wanted = block_.size() + size;
  while (block_.size() < wanted) {
    const std::size_t at = block_.size();
    block_.resize(std::min(wanted, at + kStep));
    stream_->read(reinterpret_cast<char*>(block_.data() + at),
                  static_cast<std::streamsize>(block_.size() - at));
    const auto got = static_cast<std::size_t>(stream_->gcount());
    if (at + got == block_.size()) continue;
    block_.resize(at + got);
    return false;
  }
  return true;
}

Result<std::optional<Block>> CaptureReader::next() {
  block_.clear();
  const auto damaged = [this](const char* what) {
    return Error{"it is damaged at byte " + std::to_string(place_) + ": " + what, EBADMSG};
  };
  if (!read(kBlockHeadBytes)) {
    cut_ = !block_.empty();
    return std::optional<Block>();
  }
  const auto size = number_at<std::uint32_t>(block_, 4);
  if (size > kMaxBlockBytes) return damaged("a block is larger than any");
  if (!read(size + kChecksumBytes)) {
    cut_ = true;
    return std::optional<Block>();
  }
  const auto all = std::span<const std::byte>(block_);
  if (number_at<std::uint64_t>(all, kBlockHeadBytes + size) !=
      checksum_of(all.first(kBlockHeadBytes + size)))
    return damaged("a checksum is wrong");
  place_ += all.size();
  return std::optional(Block{static_cast<BlockKind>(number_at<std::uint32_t>(all, 0)),
                             all.subspan(kBlockHeadBytes, size)});
}

Result<void> CaptureReader::rewind() {
  stream_->clear();
  if (!stream_->seekg(kHeadBytes)) return Error{"it is no file: it cannot be read twice", ESPIPE};
  place_ = kHeadBytes;
  cut_ = false;
  return {};
}

}  // namespace trivet
