// SPDX-License-Identifier: Apache-2.0
// What clients and servers say in each protocol, made from the specifications: a question carries a
// number, and so does its answer. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracing/dialogue.h"

namespace trivet::tracing {

using Random = std::mt19937_64;

// One connection's two voices.
class Speaker {
 public:
  virtual ~Speaker() = default;
  // What is said before the first question, in turns: from the client?, the bytes.
  virtual std::vector<std::pair<bool, std::string>> opening() { return {}; }
  virtual std::string question(std::uint32_t number) = 0;
  virtual std::string answer(std::uint32_t number) = 0;
  // What the server may say unasked.
  virtual std::string unasked() { return {}; }
};

inline constexpr std::string_view stream_protocols[] = {"http",       "http2", "redis",
                                                        "postgresql", "mysql", "dns"};

// A connection in some dialect of that protocol.
std::unique_ptr<Speaker> make_speaker(std::string_view protocol, Random& random);

// The numbers that a record's question and answer carry; none where a text lacks bytes or there is
// no answer.
struct Numbers {
  std::optional<std::uint32_t> asked;
  std::optional<std::uint32_t> answered;
  bool whole = false;    // without a reason why it is not
  bool assumed = false;  // told as one that may be wrong
};
Numbers numbers_of(const AnyRequest& record);

// A DNS message with that number in its question, and in its answer if it is one.
std::string dns_message(std::uint16_t id, std::uint32_t number, bool response);

}  // namespace trivet::tracing
