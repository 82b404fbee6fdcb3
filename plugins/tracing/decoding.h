// SPDX-License-Identifier: Apache-2.0
// Undoes the compression of what HTTP carries. Output is bounded by the caller and work by the
// input, so that no message can make either grow out of proportion; what is cut off or damaged
// gives what comes before. The only user of zlib, brotli and zstd here. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

}  // namespace trivet::tracing
