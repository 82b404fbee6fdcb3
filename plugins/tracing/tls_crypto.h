// SPDX-License-Identifier: Apache-2.0
// What TLS records need of OpenSSL's libcrypto, of which this is the only user: a digest, and what
// a certificate says of itself. Nothing is verified. Worker thread of the plugin.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trivet::tracing {

// SHA-256 as 64 hex digits.
std::string sha256_hex(std::string_view bytes);

struct Certificate {
  std::string subject;             // RFC 2253, in UTF-8
  std::string issuer;              // the same
  std::vector<std::string> names;  // subject's alternative names: DNS, addresses, e-mail, URIs
  std::string not_before;          // RFC 3339, UTC
  std::string not_after;
};

// None if the bytes are no X.509 certificate in DER. Texts are cut at 1024 bytes, names at 16.
std::optional<Certificate> read_certificate(std::string_view der);

}  // namespace trivet::tracing
