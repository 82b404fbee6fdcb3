// SPDX-License-Identifier: Apache-2.0
#include "tracing/decoding.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

namespace trivet::tracing {
namespace {

constexpr std::size_t max_codings = 3;
// What decoders of Content-Encoding must take (RFC 9659): 8 MiB.
constexpr int zstd_window_log = 23;
constexpr std::uint64_t max_ratio = 64;
constexpr std::uint64_t free_bytes = 1 << 20;

// One coding undone. `begun` is false if the bytes are not of that kind.
struct Outcome {
  std::string text;
  bool begun = false;
  bool whole = false;
};

// Hands `out` pieces of a buffer until `limit` is reached; false then.
class Sink {
 public:
  Sink(std::string& out, std::size_t limit) : out_(out), limit_(limit) {}
  // False once there is no room.
  bool put(const char* bytes, std::size_t size) {
    const std::size_t room = limit_ - out_.size();
    out_.append(bytes, std::min(room, size));
    return size <= room;
  }

 private:
  std::string& out_;
  std::size_t limit_;
};

using Buffer = std::array<char, 16384>;

Bytef* zlib_bytes(std::string_view bytes) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
}

Outcome undo_zlib(std::string_view body, std::size_t limit, int window_bits) {
  Outcome outcome;
  z_stream z{};
  if (inflateInit2(&z, window_bits) != Z_OK) return outcome;
  z.next_in = zlib_bytes(body);
  z.avail_in = static_cast<uInt>(body.size());
  Sink sink(outcome.text, limit);
  Buffer buffer;
  for (;;) {
    z.next_out = reinterpret_cast<Bytef*>(buffer.data());
    z.avail_out = static_cast<uInt>(buffer.size());
    const int status = inflate(&z, Z_NO_FLUSH);
    const std::size_t made = buffer.size() - z.avail_out;
    outcome.begun |= made > 0 || status == Z_STREAM_END;
    if (!sink.put(buffer.data(), made)) break;
    if (status == Z_STREAM_END) {
      outcome.whole = true;
      // Another member of a gzip file (RFC 1952, 2.2); what else follows is no part of the body.
      if (window_bits <= MAX_WBITS || z.avail_in < 2 || z.next_in[0] != 0x1f ||
          z.next_in[1] != 0x8b || inflateReset(&z) != Z_OK) {
        break;
      }
      outcome.whole = false;
    } else if (status != Z_OK) {
      break;
    }
  }
  inflateEnd(&z);
  return outcome;
}

Outcome undo_gzip(std::string_view body, std::size_t limit) {
  return undo_zlib(body, limit, 16 + MAX_WBITS);
}

// RFC 9110, 8.4.1.2: zlib's format; some send it without.
Outcome undo_deflate(std::string_view body, std::size_t limit) {
  Outcome outcome = undo_zlib(body, limit, MAX_WBITS);
  return outcome.begun ? outcome : undo_zlib(body, limit, -MAX_WBITS);
}

Outcome undo_brotli(std::string_view body, std::size_t limit) {
  Outcome outcome;
  BrotliDecoderState* decoder = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
  if (!decoder) return outcome;
  Sink sink(outcome.text, limit);
  Buffer buffer;
  const auto* in = reinterpret_cast<const std::uint8_t*>(body.data());
  std::size_t in_size = body.size();
  for (;;) {
    auto* out = reinterpret_cast<std::uint8_t*>(buffer.data());
    std::size_t out_size = buffer.size();
    const BrotliDecoderResult result =
        BrotliDecoderDecompressStream(decoder, &in_size, &in, &out_size, &out, nullptr);
    const std::size_t made = buffer.size() - out_size;
    outcome.begun |= made > 0 || result == BROTLI_DECODER_RESULT_SUCCESS;
    if (!sink.put(buffer.data(), made)) break;
    if (result == BROTLI_DECODER_RESULT_SUCCESS) outcome.whole = true;
    if (result != BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT) break;
  }
  BrotliDecoderDestroyInstance(decoder);
  return outcome;
}

Outcome undo_zstd(std::string_view body, std::size_t limit) {
  Outcome outcome;
  ZSTD_DCtx* decoder = ZSTD_createDCtx();
  if (!decoder) return outcome;
  ZSTD_DCtx_setParameter(decoder, ZSTD_d_windowLogMax, zstd_window_log);
  Sink sink(outcome.text, limit);
  Buffer buffer;
  ZSTD_inBuffer in{body.data(), body.size(), 0};
  for (;;) {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    const std::size_t before = in.pos;
    const std::size_t left = ZSTD_decompressStream(decoder, &out, &in);
    if (ZSTD_isError(left)) break;
    outcome.begun |= out.pos > 0 || left == 0;
    if (!sink.put(buffer.data(), out.pos)) {
      outcome.whole = false;
      break;
    }
    outcome.whole = left == 0;
    // Frames may follow each other (RFC 8878, 3.1).
    if (in.pos == in.size && out.pos < out.size) break;
    if (in.pos == before && out.pos == 0) break;
  }
  ZSTD_freeDCtx(decoder);
  return outcome;
}

struct Coding {
  std::string_view name;
  Outcome (*undo)(std::string_view body, std::size_t limit);
};
constexpr std::array<Coding, 5> codings = {{
    {"gzip", undo_gzip},
    {"x-gzip", undo_gzip},  // RFC 9110, 8.4.1.3
    {"deflate", undo_deflate},
    {"br", undo_brotli},
    {"zstd", undo_zstd},
}};

// The codings in the order in which they were applied; empty if nothing can be undone.
std::vector<Coding> listed(std::string_view header) {
  std::vector<Coding> found;
  while (!header.empty()) {
    const std::size_t comma = std::min(header.find(','), header.size());
    std::string name;
    for (char c : header.substr(0, comma)) {
      if (c != ' ' && c != '\t') name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
    header.remove_prefix(std::min(comma + 1, header.size()));
    if (name.empty() || name == "identity") continue;
    const auto* coding = std::ranges::find(codings, std::string_view(name), &Coding::name);
    if (coding == codings.end() || found.size() == max_codings) return {};
    found.push_back(*coding);
  }
  return found;
}

}  // namespace

DecodedBody decode_body(std::string_view body, std::string_view content_encoding,
                        std::size_t limit) {
  DecodedBody decoded;
  if (body.empty() || content_encoding.empty()) return decoded;
  const std::vector<Coding> applied = listed(content_encoding);
  if (applied.empty()) return decoded;
  decoded.whole = true;
  std::string held;
  for (auto coding = applied.rbegin(); coding != applied.rend(); ++coding) {
    Outcome outcome = coding->undo(body, limit);
    if (!outcome.begun) return {};
    held = std::move(outcome.text);
    body = held;
    decoded.whole &= outcome.whole;
  }
  for (const Coding& coding : applied) {
    decoded.codings.append(decoded.codings.empty() ? "" : ", ").append(coding.name);
  }
  decoded.text = std::move(held);
  return decoded;
}

struct Inflater::State {
  z_stream z{};
};

Inflater::Inflater() : state_(std::make_unique<State>()) {
  lost_ = inflateInit2(&state_->z, -MAX_WBITS) != Z_OK;
}
Inflater::~Inflater() {
  inflateEnd(&state_->z);
}

void Inflater::reset() {
  lost_ = inflateReset(&state_->z) != Z_OK;
}

bool Inflater::add(std::string_view bytes, std::string& out, std::size_t limit, bool& truncated) {
  if (lost_) return false;
  z_stream& z = state_->z;
  Buffer buffer;
  in_bytes_ += bytes.size();
  z.next_in = zlib_bytes(bytes);
  z.avail_in = static_cast<uInt>(bytes.size());
  do {
    z.next_out = reinterpret_cast<Bytef*>(buffer.data());
    z.avail_out = static_cast<uInt>(buffer.size());
    const int status = inflate(&z, Z_SYNC_FLUSH);
    const std::size_t made = buffer.size() - z.avail_out;
    out_bytes_ += made;
    const std::size_t kept = out.size() < limit ? std::min(limit - out.size(), made) : 0;
    out.append(buffer.data(), kept);
    truncated |= kept < made;
    if ((status != Z_OK && status != Z_BUF_ERROR && status != Z_STREAM_END) ||
        out_bytes_ > max_ratio * in_bytes_ + free_bytes) {
      lost_ = true;
      return false;
    }
    // RFC 7692, 7.2.3.4: a block may be marked as the last; another stream follows it.
    if (status == Z_STREAM_END && inflateReset(&z) != Z_OK) lost_ = true;
    if (status == Z_BUF_ERROR) break;
  } while (z.avail_in > 0 || z.avail_out == 0);
  return !lost_;
}

struct Unpacker::Zlib {
  z_stream stream{};
  bool made = inflateInit(&stream) == Z_OK;
  ~Zlib() {
    if (made) inflateEnd(&stream);
  }
};

struct Unpacker::Zstd {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  ~Zstd() { ZSTD_freeDCtx(context); }
};

Unpacker::Unpacker() = default;
Unpacker::~Unpacker() = default;

std::optional<Unpacker::Format> Unpacker::format_of(std::string_view bytes) {
  if (bytes.size() < 2) return std::nullopt;
  const unsigned first = static_cast<unsigned char>(bytes[0]);
  const unsigned second = static_cast<unsigned char>(bytes[1]);
  if (first == 0x28 && second == 0xb5) return Format::zstd;                         // RFC 8878
  if ((first & 0x0f) == 8 && (first << 8 | second) % 31 == 0) return Format::zlib;  // RFC 1950
  return std::nullopt;
}

bool Unpacker::begin(Format format) {
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

bool Unpacker::unpack(std::string_view& input, std::string& output, std::size_t room) {
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

void Unpacker::release() {
  zlib_.reset();
  zstd_.reset();
  ended_ = true;
}

std::size_t Unpacker::memory() const {
  // zlib's own figure for a window of 32 KiB.
  return (zlib_ ? 40'000 : 0) + (zstd_ ? ZSTD_sizeof_DCtx(zstd_->context) : 0);
}

}  // namespace trivet::tracing
