// SPDX-License-Identifier: Apache-2.0
#include "config/bearer_token.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace trivet {
namespace {

// RFC 6750, 2.1, leaves a bearer token these letters. Fewer of them could be guessed.
constexpr std::size_t kMinTokenBytes = 20, kMaxTokenBytes = 4096;

}  // namespace

Result<std::string> bearer_token(const TextFile& file) {
  if (file.world_readable) {
    return Error{file.path + " can be read by everybody: chmod o-r " + file.path};
  }
  const std::string token = file.text.substr(0, file.text.find_last_not_of(" \t\r\n") + 1);
  const auto allowed = [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("-._~+/=").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (token.size() < kMinTokenBytes || token.size() > kMaxTokenBytes ||
      !std::ranges::all_of(token, allowed)) {
    return Error{file.path + " must hold a token of " + std::to_string(kMinTokenBytes) + " to " +
                 std::to_string(kMaxTokenBytes) + " letters, digits and -._~+/=: make one with " +
                 "\"openssl rand -hex 32\""};
  }
  return token;
}

}  // namespace trivet
