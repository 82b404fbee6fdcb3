// SPDX-License-Identifier: Apache-2.0
// Takes one direction of a WebSocket (RFC 6455) apart as its bytes arrive: frames become messages,
// masking and compression (RFC 7692) are undone, control frames may come in between. Owned by the
// HTTP dialogue; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tracing/decoding.h"

namespace trivet::tracing {

struct WebSocketMessage {
  const char* type = "";
  std::optional<std::uint32_t> close_code;
  std::uint64_t bytes = 0;  // of payload, as sent
  std::uint32_t frames = 0;
  bool compressed = false;
  std::string payload;
  bool truncated = false;
  std::uint64_t first_ns = 0;
};

// What the handshake agreed on for one direction, from Sec-WebSocket-Extensions of the response.
struct WebSocketTerms {
  bool deflate = false;
  bool keeps_context = true;
};
WebSocketTerms websocket_terms(std::string_view extensions, bool from_client);

class WebSocketReader {
 public:
  enum class Step {
    need_more,  // the input is used up
    message,    // message() is there
    failed,     // no WebSocket: nothing more will come
  };

  WebSocketReader(std::size_t limit, WebSocketTerms terms) : limit_(limit), terms_(terms) {}

  // Takes from the front of `input` what the next step needs.
  Step next(std::string_view& input, std::uint64_t time_ns);
  // Passes over bytes that were not seen. False if they do not lie within a frame's payload.
  bool skip(std::uint64_t bytes);
  // After Step::message; the caller may take its parts.
  WebSocketMessage& message() { return done_; }
  std::size_t memory() const {
    return data_.payload.capacity() + done_.payload.capacity() +
           (inflater_ ? Inflater::memory_bytes : 0);
  }

 private:
  bool begin_frame(std::uint64_t time_ns);
  void take_payload(std::string_view bytes);
  Step end_frame();

  std::size_t limit_;
  WebSocketTerms terms_;
  std::unique_ptr<Inflater> inflater_;  // once a compressed message has come
  std::string header_;                  // of the frame under way, as far as it has come
  bool in_payload_ = false;
  bool final_ = false;
  bool control_frame_ = false;
  std::uint8_t mask_[4] = {0, 0, 0, 0};
  unsigned mask_at_ = 0;
  std::uint64_t remaining_ = 0;  // of the frame's payload
  bool data_open_ = false;       // a message that goes on in further frames
  WebSocketMessage data_;
  WebSocketMessage control_;
  WebSocketMessage done_;
};

}  // namespace trivet::tracing
