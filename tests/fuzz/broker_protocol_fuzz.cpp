// SPDX-License-Identifier: Apache-2.0
// What a main process that was taken over may send: any bytes as a request.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "broker/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto message = std::as_bytes(std::span(data, size));
  auto request = trivet::broker::decode_request(message);
  // What is taken for a request has no byte to spare.
  if (request && trivet::broker::encode(*request).size() != size) std::abort();
  (void)trivet::broker::decode_answer(message, {});
  return 0;
}
