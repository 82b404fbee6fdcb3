// SPDX-License-Identifier: Apache-2.0
// Unpacks streams of zlib and zstd piece by piece, with bounded memory. The only user of both
// libraries in this plugin. Owned by a parser; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace trivet::tracing {

class Inflater {
 public:
  enum class Format { zlib, zstd };
  // What a zstd stream may refer back to, bytes; one that asks for more is refused.
  static constexpr unsigned max_window_log = 20;

  Inflater();
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

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
