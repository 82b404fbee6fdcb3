// SPDX-License-Identifier: Apache-2.0
// What the libraries' own compressors made is given back. tests/kernel/http_test.py has real
// servers.
#include <brotli/encode.h>
#include <doctest/doctest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

#include "tracing/decoding.h"

namespace trivet::tracing {
namespace {

// `window_bits` as deflateInit2 takes them: 31 gzip, 15 zlib, -15 neither.
std::string deflated(const std::string& text, int window_bits) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}
std::string brotli(const std::string& text) {
  std::string out(BrotliEncoderMaxCompressedSize(text.size()) + 64, '\0');
  std::size_t size = out.size();
  BrotliEncoderCompress(5, 24, BROTLI_MODE_GENERIC, text.size(),
                        reinterpret_cast<const std::uint8_t*>(text.data()), &size,
                        reinterpret_cast<std::uint8_t*>(out.data()));
  out.resize(size);
  return out;
}
std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

struct Case {
  const char* header;
  std::string (*encode)(const std::string&);
};
const Case cases[] = {
    {"gzip", [](const std::string& t) { return deflated(t, 31); }},
    {"deflate", [](const std::string& t) { return deflated(t, 15); }},
    {"deflate", [](const std::string& t) { return deflated(t, -15); }},
    {"br", brotli},
    {"zstd", zstd},
    {"zstd, gzip", [](const std::string& t) { return deflated(zstd(t), 31); }},
};

std::string lines(unsigned count) {
  std::string text;
  for (unsigned i = 0; i < count; ++i) text += "line " + std::to_string(i * 7919) + "\n";
  return text;
}

}  // namespace

TEST_CASE("each coding is undone, whole or as far as it came") {
  const std::string text = lines(2000);
  for (const Case& c : cases) {
    CAPTURE(c.header);
    const std::string encoded = c.encode(text);
    const DecodedBody whole = decode_body(encoded, c.header, 1 << 20);
    CHECK(whole.codings == c.header);
    CHECK(whole.whole);
    CHECK(whole.text == text);
    for (std::size_t cut = 1; cut < encoded.size(); cut += 97) {
      const DecodedBody part = decode_body(encoded.substr(0, cut), c.header, 1 << 20);
      CHECK_FALSE(part.whole);
      CHECK(text.starts_with(part.text));
    }
  }
}

TEST_CASE("a decompression bomb gives the limit and no more") {
  const std::string zeros(50'000'000, '\0');
  for (const Case& c : cases) {
    CAPTURE(c.header);
    const DecodedBody decoded = decode_body(c.encode(zeros), c.header, 65536);
    CHECK_FALSE(decoded.whole);
    CHECK(decoded.text.size() <= 65536);
    CHECK(decoded.text.capacity() <= 2 * 65536);
  }
  CHECK(decode_body(cases[0].encode(zeros), "gzip", 65536).text.size() == 65536);
}

TEST_CASE("members of gzip and frames of zstd follow each other") {
  CHECK(decode_body(deflated("one ", 31) + deflated("two", 31), "x-gzip", 100).text == "one two");
  CHECK(decode_body(zstd("one ") + zstd("two"), "zstd", 100).text == "one two");
}

TEST_CASE("what is unknown, damaged or as sent is left alone") {
  CHECK(decode_body("plain", "", 100).codings == "");
  CHECK(decode_body("plain", "identity", 100).codings == "");
  CHECK(decode_body("plain", "gzip", 100).codings == "");
  CHECK(decode_body("plain", "compress", 100).codings == "");
  CHECK(decode_body(deflated("x", 31), "gzip, compress", 100).codings == "");
  CHECK(decode_body(deflated("x", 31), "gzip, gzip, gzip, gzip", 100).codings == "");
  CHECK(decode_body(deflated("x", 31), " GZIP , identity", 100).text == "x");
}

TEST_CASE("a shared context that grows out of proportion is given up") {
  std::string bomb = deflated(std::string(200'000'000, '\0'), -15);
  Inflater inflater;
  std::string out;
  bool truncated = false;
  CHECK_FALSE(inflater.add(bomb, out, 100, truncated));
  CHECK(truncated);
  CHECK(out.size() == 100);
  CHECK_FALSE(inflater.add("x", out, 100, truncated));
}

}  // namespace trivet::tracing
