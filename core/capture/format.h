// SPDX-License-Identifier: Apache-2.0
// Captures as files: a head, then blocks, each with its checksum (docs/capture.md). The reader
// trusts nothing that it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trivet/result.h"

namespace trivet {

enum class BlockKind : std::uint32_t {
  host = 1,
  configuration = 2,
  fact = 3,
  events = 4,
  socket_snapshot_begun = 5,
  socket_snapshot_ended = 6,
  container = 7,
  environment = 8,
  exe_hash = 9,
  accounts = 10,
  addresses = 11,
  lost = 12,
  end = 13,
};

// Payload of one block.
inline constexpr std::size_t kMaxBlockBytes = 32 << 20;

// What a file begins with.
std::string capture_head();
// A block of at most kMaxBlockBytes, ready to be written.
std::string capture_block(BlockKind kind, std::span<const std::byte> payload);

struct Block {
  BlockKind kind;                      // may be one that this version does not know
  std::span<const std::byte> payload;  // until the next call
};

// Not thread-safe; borrows the stream.
class CaptureReader {
 public:
  // An error where the stream begins as no capture does, or as one of another version.
  static Result<CaptureReader> open(std::istream& stream);

  // The next whole block; none at the end. An error, with its place in the file, where it is
  // damaged.
  Result<std::optional<Block>> next();
  // Whether the file ended within a block.
  bool cut() const { return cut_; }
  // Back to the first block; an error where the stream is a pipe.
  Result<void> rewind();

 private:
  explicit CaptureReader(std::istream& stream) : stream_(&stream) {}
  // Appends up to `size` bytes to block_; whether there were so many.
  bool read(std::size_t size);

  std::istream* stream_;
  std::vector<std::byte> block_;
  std::uint64_t place_ = 0;
  bool cut_ = false;
};

}  // namespace trivet
