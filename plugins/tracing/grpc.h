// SPDX-License-Identifier: Apache-2.0
// One gRPC call (gRPC over HTTP2, of grpc.io) as the bodies and fields of an HTTP/2 exchange carry
// it: counts its messages and makes its record. Owned by the exchange; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tracing/http_parser.h"
#include "trivet/records/grpc_request.h"

namespace trivet::tracing {

// Counts the length-prefixed messages of one direction.
class GrpcMessages {
 public:
  void read(std::string_view bytes);
  // Bytes that were not seen.
  void skip(std::uint64_t bytes);
  void lose() { lost_ = true; }

  // Begun or complete; not all of them once lost().
  std::uint32_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }  // without prefixes, as sent
  std::uint32_t compressed() const { return compressed_; }
  bool lost() const { return lost_; }

 private:
  unsigned prefix_bytes_ = 0;
  std::uint32_t length_ = 0;  // of the message whose prefix comes
  std::uint32_t remaining_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t compressed_ = 0;
  std::uint64_t bytes_ = 0;
  bool lost_ = false;
};

struct GrpcCall {
  GrpcMessages messages[2];  // by the party that sends them
  GrpcRequest record;        // service, method, encodings and status so far

  // Of a call to this path.
  GrpcCall(std::string_view path, const std::vector<HttpField>& fields);
  // The response's head, or its trailers.
  void take_response_fields(const std::vector<HttpField>& fields);
  // All has been said: what was counted becomes columns.
  void finish();
};

// Whether a request with this Content-Type is a call. gRPC-Web is no gRPC but plain HTTP.
bool is_grpc(std::string_view content_type);

}  // namespace trivet::tracing
