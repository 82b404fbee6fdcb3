// SPDX-License-Identifier: Apache-2.0
// What a client of the HTTP API may send: any bytes, in pieces of any size. However they are cut,
// the same requests come out of them, and each is understood or refused. Only when a head is found
// to be wrong depends on the pieces.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/api_request.h"
#include "http/documents.h"
#include "http/message.h"

namespace {

using trivet::RequestReader;

// Everything that the requests say.
std::string told(std::string_view bytes, std::size_t piece) {
  RequestReader reader;
  std::string out, input;
  while (!bytes.empty()) {
    input += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (;;) {
      const auto progress = reader.read(input);
      (void)reader.take_expectation();
      if (progress == RequestReader::Progress::needs_more) break;
      if (progress == RequestReader::Progress::wrong) {
        if (reader.refusal().status < 400 || reader.refusal().error.message.empty()) std::abort();
        return out;
      }
      const auto request = reader.take();
      if (request.body.size() > trivet::kMaxBodyBytes) std::abort();
      out += request.method + ' ' + request.target + ' ' + request.body + ' ' + request.accept +
             ' ' + request.authorization + (request.keep_alive ? " on\n" : " end\n");
      (void)trivet::authorized(request.authorization, "0123456789abcdef0123");
      (void)trivet::endpoint_path(request);
      const auto understood = trivet::understand(request);
      if (auto refusal = std::get_if<trivet::Refusal>(&understood)) {
        out += trivet::error_json(refusal->error);
      } else {
        const auto& asked = std::get<trivet::ApiRequest>(understood);
        if (asked.backlog > trivet::kMaxBacklog || asked.sql.size() > trivet::kMaxBodyBytes) {
          std::abort();
        }
        out += asked.sql + asked.table + std::to_string(asked.time_ns);
      }
    }
    // What is not a request yet waits, within limits.
    if (input.size() > trivet::kMaxHeadBytes + piece) std::abort();
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (told(bytes, bytes.size()) != told(bytes, data[0] % 64 + 1u)) std::abort();
  return 0;
}
