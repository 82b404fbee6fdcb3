// SPDX-License-Identifier: Apache-2.0
// Bytes of HTTP/2 for tests: frames by hand, header blocks by libnghttp2, whose encoder is the
// judge of our decoder. The only user of libnghttp2.
#pragma once

#include <nghttp2/nghttp2.h>

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracing/http2_frames.h"

namespace trivet::tracing {

using TextFields = std::vector<std::pair<std::string, std::string>>;

inline std::string big_endian(std::uint64_t value, unsigned size) {
  std::string bytes;
  while (size-- > 0) bytes += static_cast<char>(value >> (8 * size));
  return bytes;
}

inline std::string frame_of(Http2Frame::Type type, unsigned flags, std::uint32_t stream,
                            std::string_view payload = {}) {
  return big_endian(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) +
         big_endian(stream, 4) + std::string(payload);
}

// One end's encoder.
class Encoder {
 public:
  explicit Encoder(std::size_t table_bytes = 4096) {
    if (nghttp2_hd_deflate_new(&deflater_, table_bytes) != 0) throw std::bad_alloc();
  }
  ~Encoder() { nghttp2_hd_deflate_del(deflater_); }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  void resize(std::size_t table_bytes) {
    nghttp2_hd_deflate_change_table_size(deflater_, table_bytes);
  }
  std::string block(const TextFields& fields, unsigned flags = NGHTTP2_NV_FLAG_NONE) {
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields) {
      const auto bytes = [](const std::string& text) {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
      };
      list.push_back(
          {bytes(name), bytes(value), name.size(), value.size(), static_cast<std::uint8_t>(flags)});
    }
    std::string out(nghttp2_hd_deflate_bound(deflater_, list.data(), list.size()), '\0');
    const auto length =
        nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<std::uint8_t*>(out.data()), out.size(),
                              list.data(), list.size());
    if (length < 0) throw std::runtime_error(nghttp2_strerror(static_cast<int>(length)));
    out.resize(static_cast<std::size_t>(length));
    return out;
  }
  std::string headers(std::uint32_t stream, const TextFields& fields, bool end_stream = false) {
    return frame_of(Http2Frame::headers,
                    Http2Frame::end_headers | (end_stream ? Http2Frame::end_stream : 0), stream,
                    block(fields));
  }

 private:
  nghttp2_hd_deflater* deflater_ = nullptr;
};

inline std::string data_of(std::uint32_t stream, std::string_view bytes, bool end_stream = true) {
  return frame_of(Http2Frame::data, end_stream ? Http2Frame::end_stream : 0, stream, bytes);
}

inline TextFields request_of(std::string method, std::string path, TextFields more = {}) {
  TextFields fields = {{":method", std::move(method)},
                       {":scheme", "http"},
                       {":authority", "example.org"},
                       {":path", std::move(path)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
inline TextFields response_of(std::string status, TextFields more = {}) {
  TextFields fields = {{":status", std::move(status)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

}  // namespace trivet::tracing
