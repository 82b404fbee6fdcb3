// SPDX-License-Identifier: Apache-2.0
// Undoes the compression of what protocols carry. Output is bounded by the caller and work by the
// input, so that no message can make either grow out of proportion; what is cut off or damaged
// gives what comes before. The only user of zlib, brotli and zstd here. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace trivet::tracing {

struct DecodedBody {
  std::string codings;  // undone, as Content-Encoding lists them; empty: nothing was to be done
  std::string text;
  bool whole = false;  // the coding's own end was reached within the limit
};

// Undoes the codings that a Content-Encoding header lists (RFC 9110, 8.4): gzip, deflate, br, zstd.
// Nothing is undone if one of them is unknown, there are more than three, or the body is none of
// that kind.
DecodedBody decode_body(std::string_view body, std::string_view content_encoding,
                        std::size_t limit);

// The messages of one direction that share a compression context (RFC 7692). One owner.
class Inflater {
 public:
  // Held by zlib for a window of 32 KiB, about.
  static constexpr std::size_t memory_bytes = 48 << 10;

  Inflater();
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Appends to `out` as long as that is below `limit`; what is beyond is passed over. False once
  // the context is lost: damaged, or more than 64 times as much came out as went in.
  bool add(std::string_view bytes, std::string& out, std::size_t limit, bool& truncated);
  void reset();                  // the next message starts with an empty context
  void lose() { lost_ = true; }  // bytes are missing

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::uint64_t in_bytes_ = 0;
  std::uint64_t out_bytes_ = 0;
  bool lost_ = false;
};

// Unpacks streams of zlib and zstd piece by piece, with bounded memory. One owner.
class Unpacker {
 public:
  enum class Format { zlib, zstd };
  // What a zstd stream may refer back to, bytes; one that asks for more is refused.
  static constexpr unsigned max_window_log = 20;

  Unpacker();
  ~Unpacker();
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  // The format of a stream by its first two bytes, or none.
  static std::optional<Format> format_of(std::string_view bytes);

  // A new stream begins, whatever came before. False without memory.
  bool begin(Format format);
  // Takes bytes off `input` and appends at most `room` to `output`. False if they are no stream of
  // that format. Past its end nothing is taken.
  bool unpack(std::string_view& input, std::string& output, std::size_t room);

  // Gives its memory back; begin() comes next.
  void release();
  // Bytes held, about.
  std::size_t memory() const;

 private:
  struct Zlib;
  struct Zstd;
  Format format_ = Format::zlib;
  bool ended_ = true;
  std::unique_ptr<Zlib> zlib_;  // made when first needed
  std::unique_ptr<Zstd> zstd_;
};

}  // namespace trivet::tracing
