// SPDX-License-Identifier: Apache-2.0
// One message within an HTTP exchange that stays open: of a WebSocket, or an event of an event
// stream. Told when it is complete, long before the exchange ends.
#pragma once

#include <optional>
#include <string>

#include "trivet/records/request_columns.h"

namespace trivet {

#define TRIVET_HTTP_MESSAGE_COLUMNS(X, R)                                                          \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                                     \
  TRIVET_ENDPOINT_COLUMNS(X, R)                                                                    \
  TRIVET_TLS_COLUMNS(X, R)                                                                         \
  X(R, std::string, protocol, none, always, "network.protocol.name",                               \
    "websocket, or sse for server-sent events")                                                    \
  X(R, std::string, path, none, always, "url.path",                                                \
    "Path of the request that opened the WebSocket or the stream")                                 \
  X(R, std::string, sender, none, always, "", "Who sent it: client or server")                     \
  X(R, std::string, type, none, always, "",                                                        \
    "WebSocket: text, binary, close, ping, pong; event stream: name of the event")                 \
  X(R, std::string, id, none, detail, "", "Event stream: the last id up to here")                  \
  X(R, std::optional<std::uint32_t>, close_code, none, detail, "",                                 \
    "WebSocket: the reason of a close (RFC 6455, 7.4)")                                            \
  X(R, std::uint64_t, bytes, bytes, always, "",                                                    \
    "WebSocket: size of the payload as sent, compressed or not; event stream: of the data")        \
  X(R, std::uint32_t, frames, none, detail, "",                                                    \
    "WebSocket: frames that it was sent in; event stream: lines of data")                          \
  X(R, bool, compressed, none, detail, "", "WebSocket: whether it was sent compressed (RFC 7692)") \
  X(R, std::string, payload, none, detail, "", "Payload up to the limit, unmasked, decompressed")  \
  X(R, bool, payload_truncated, none, detail, "", "Whether payload lacks bytes")                   \
  X(R, ::trivet::Duration, transfer, nanoseconds, detail, "", "First to last byte of the message")

TRIVET_RECORD(HttpMessage, "http_messages", 1, "Messages of WebSockets and event streams",
              TRIVET_HTTP_MESSAGE_COLUMNS);

}  // namespace trivet
