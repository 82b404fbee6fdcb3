// SPDX-License-Identifier: Apache-2.0
#include "tracing/ja4.h"

#include <algorithm>

#include "tracing/tls_crypto.h"

namespace trivet::tracing {
namespace {

constexpr unsigned extension_server_name = 0, extension_alpn = 16;

std::string hex4(unsigned value) {
  std::string text;
  for (int shift = 12; shift >= 0; shift -= 4) text += "0123456789abcdef"[value >> shift & 0xf];
  return text;
}

std::string two_digits(std::size_t count) {
  count = std::min<std::size_t>(count, 99);
  return {static_cast<char>('0' + count / 10), static_cast<char>('0' + count % 10)};
}

std::vector<unsigned> without_grease(std::vector<unsigned> values) {
  std::erase_if(values, is_grease);
  return values;
}

std::string listed(const std::vector<unsigned>& values) {
  std::string text;
  for (unsigned value : values) text.append(text.empty() ? "" : ",").append(hex4(value));
  return text;
}

const char* version_letters(unsigned version) {
  switch (version) {
    case 0x0304:
      return "13";
    case 0x0303:
      return "12";
    case 0x0302:
      return "11";
    case 0x0301:
      return "10";
    case 0x0300:
      return "s3";
    case 0x0002:
      return "s2";
    default:
      return "00";
  }
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string alpn_letters(std::string_view alpn) {
  if (alpn.empty()) return "00";
  if (is_alphanumeric(alpn.front()) && is_alphanumeric(alpn.back())) {
    return {alpn.front(), alpn.back()};
  }
  const auto first = static_cast<unsigned char>(alpn.front());
  const auto last = static_cast<unsigned char>(alpn.back());
  return {"0123456789abcdef"[first >> 4], "0123456789abcdef"[last & 15]};
}

std::string short_hash(const std::string& text) {
  return text.empty() ? std::string(12, '0') : sha256_hex(text).substr(0, 12);
}

}  // namespace

bool is_grease(unsigned value) {
  return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

std::string ja4(const HelloOffer& offer) {
  const std::vector<unsigned> versions = without_grease(offer.versions);
  std::vector<unsigned> ciphers = without_grease(offer.ciphers);
  std::vector<unsigned> extensions = without_grease(offer.extensions);
  const unsigned version =
      versions.empty() ? offer.legacy_version : *std::ranges::max_element(versions);
  const bool named = std::ranges::count(extensions, extension_server_name) > 0;

  std::string text = "t";
  text += version_letters(version);
  text += named ? 'd' : 'i';
  text += two_digits(ciphers.size());
  text += two_digits(extensions.size());
  text += alpn_letters(offer.first_alpn);

  std::ranges::sort(ciphers);
  std::erase_if(extensions,
                [](unsigned e) { return e == extension_server_name || e == extension_alpn; });
  std::ranges::sort(extensions);
  std::string offered = listed(extensions);
  const std::string algorithms = listed(without_grease(offer.signature_algorithms));
  if (!algorithms.empty()) offered.append("_").append(algorithms);
  return text + '_' + short_hash(listed(ciphers)) + '_' + short_hash(offered);
}

}  // namespace trivet::tracing
