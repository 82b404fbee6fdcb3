// SPDX-License-Identifier: Apache-2.0
// The example of FoxIO's specification (technical_details/JA4.md), and its rules.
#include <doctest/doctest.h>

#include <algorithm>

#include "tracing/ja4.h"
#include "tracing/tls_crypto.h"

namespace trivet::tracing {
namespace {

HelloOffer chrome() {
  return {.legacy_version = 0x0303,
          .versions = {0x1a1a, 0x0304, 0x0303},
          .ciphers = {0x3a3a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9,
                      0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035},
          .extensions = {0x2a2a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d,
                         0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015},
          .signature_algorithms = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
          .first_alpn = "h2"};
}

}  // namespace

TEST_CASE("the specification's example has its fingerprint, whatever the order of its extensions") {
  HelloOffer offer = chrome();
  CHECK(ja4(offer) == "t13d1516h2_8daaf6152771_e5627efa2ab1");
  std::ranges::reverse(offer.extensions);
  std::ranges::reverse(offer.ciphers);
  CHECK(ja4(offer) == "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

TEST_CASE("what is missing or unusual has its own letters") {
  HelloOffer offer = chrome();
  offer.first_alpn = "http/1.1";
  CHECK(ja4(offer).substr(0, 10) == "t13d1516h1");
  offer.first_alpn = std::string_view("\x0a\x0a", 2);
  CHECK(ja4(offer).substr(0, 10) == "t13d15160a");
  offer.first_alpn = "";
  offer.versions.clear();
  std::erase(offer.extensions, 0u);
  CHECK(ja4(offer).substr(0, 10) == "t12i151500");
  CHECK(ja4({}) == "t00i000000_000000000000_000000000000");
  offer.ciphers.assign(200, 0x1301);
  CHECK(ja4(offer).substr(4, 2) == "99");
}

TEST_CASE("SHA-256 of FIPS 180-4's example") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("bytes that are no certificate are none") {
  CHECK_FALSE(read_certificate(""));
  CHECK_FALSE(read_certificate("0\x82\xff\xff"));
  CHECK_FALSE(read_certificate(std::string(5000, '0')));
}

}  // namespace trivet::tracing
