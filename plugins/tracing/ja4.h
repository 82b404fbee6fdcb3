// SPDX-License-Identifier: Apache-2.0
// JA4, FoxIO's fingerprint of TLS clients, over TCP: what a ClientHello offers in a form in which
// the same software gives the same text, whatever order it shuffles its extensions into. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trivet::tracing {

// As in the ClientHello, in its order, with its grease.
struct HelloOffer {
  unsigned legacy_version = 0;
  std::vector<unsigned> versions;  // of supported_versions
  std::vector<unsigned> ciphers;
  std::vector<unsigned> extensions;  // types
  std::vector<unsigned> signature_algorithms;
  std::string_view first_alpn;
};

// RFC 8701: numbers that clients send so that servers stay tolerant.
bool is_grease(unsigned value);

std::string ja4(const HelloOffer& offer);

}  // namespace trivet::tracing
