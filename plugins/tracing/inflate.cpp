// SPDX-License-Identifier: Apache-2.0
#include "tracing/inflate.h"

#include <zlib.h>
#include <zstd.h>

#include <limits>

namespace trivet::tracing {

struct Inflater::Zlib {
  z_stream stream{};
  bool made = inflateInit(&stream) == Z_OK;
  ~Zlib() {
    if (made) inflateEnd(&stream);
  }
};

struct Inflater::Zstd {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  ~Zstd() { ZSTD_freeDCtx(context); }
};

Inflater::Inflater() = default;
Inflater::~Inflater() = default;

std::optional<Inflater::Format> Inflater::format_of(std::string_view bytes) {
  if (bytes.size() < 2) return std::nullopt;
  const unsigned first = static_cast<unsigned char>(bytes[0]);
  const unsigned second = static_cast<unsigned char>(bytes[1]);
  if (first == 0x28 && second == 0xb5) return Format::zstd;                         // RFC 8878
  if ((first & 0x0f) == 8 && (first << 8 | second) % 31 == 0) return Format::zlib;  // RFC 1950
  return std::nullopt;
}

bool Inflater::begin(Format format) {
  format_ = format;
  ended_ = false;
  if (format == Format::zlib) {
    if (!zlib_) zlib_ = std::make_unique<Zlib>();
    return zlib_->made && inflateReset(&zlib_->stream) == Z_OK;
  }
  zstd_ = std::make_unique<Zstd>();
  return zstd_->context &&
         !ZSTD_isError(ZSTD_DCtx_setParameter(zstd_->context, ZSTD_d_windowLogMax, max_window_log));
}

bool Inflater::unpack(std::string_view& input, std::string& output, std::size_t room) {
  if (ended_) return true;
  const std::size_t before = output.size();
  output.resize(before + room);
  std::size_t made = 0;
  bool sound = true;
  if (format_ == Format::zlib) {
    z_stream& z = zlib_->stream;
    constexpr std::size_t most = std::numeric_limits<uInt>::max();
    const std::size_t offered = std::min(input.size(), most);
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    z.avail_in = static_cast<uInt>(offered);
    z.next_out = reinterpret_cast<Bytef*>(output.data() + before);
    z.avail_out = static_cast<uInt>(std::min(room, most));
    const uInt room_offered = z.avail_out;
    const int status = inflate(&z, Z_NO_FLUSH);
    made = room_offered - z.avail_out;
    input.remove_prefix(offered - z.avail_in);
    ended_ = status == Z_STREAM_END;
    sound = ended_ || status == Z_OK || status == Z_BUF_ERROR;
  } else {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data() + before, room, 0};
    const std::size_t status = ZSTD_decompressStream(zstd_->context, &out, &in);
    made = out.pos;
    input.remove_prefix(in.pos);
    ended_ = status == 0;
    sound = !ZSTD_isError(status);
    // Some hundred KiB: too much to keep for each connection that is silent.
    if (ended_) zstd_.reset();
  }
  output.resize(before + made);
  return sound;
}

void Inflater::release() {
  zlib_.reset();
  zstd_.reset();
  ended_ = true;
}

std::size_t Inflater::memory() const {
  // zlib's own figure for a window of 32 KiB.
  return (zlib_ ? 40'000 : 0) + (zstd_ ? ZSTD_sizeof_DCtx(zstd_->context) : 0);
}

}  // namespace trivet::tracing
