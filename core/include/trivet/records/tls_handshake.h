// SPDX-License-Identifier: Apache-2.0
// The beginning of one TLS connection, as far as it travels in the clear: ClientHello and
// ServerHello, or the alert that came instead.
#pragma once

#include "trivet/records/request_columns.h"

namespace trivet {

#define TRIVET_TLS_HANDSHAKE_COLUMNS(X, R)                                                        \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                                    \
  TRIVET_ENDPOINT_COLUMNS(X, R)                                                                   \
  X(R, std::string, version, none, always, "tls.protocol.version",                                \
    "Version that the server chose: 1.0 to 1.3; empty if it chose none")                          \
  X(R, std::string, server_name, none, always, "tls.client.server_name",                          \
    "Name that the client asked for (SNI)")                                                       \
  X(R, std::string, cipher, none, always, "tls.cipher", "Cipher suite that the server chose")     \
  X(R, std::string, alpn, none, detail, "tls.next_protocol",                                      \
    "Application protocol that the server chose; hidden in 1.3")                                  \
  X(R, std::vector<std::string>, alpn_offered, none, detail, "",                                  \
    "Application protocols that the client offered")                                              \
  X(R, std::vector<std::string>, versions_offered, none, detail, "",                              \
    "Versions that the client offered")                                                           \
  X(R, std::uint32_t, ciphers_offered, none, detail, "", "Cipher suites that the client offered") \
  X(R, std::string, ja4, none, detail, "", "JA4 fingerprint of the client's hello")               \
  X(R, std::string, certificate_subject, none, detail, "tls.server.subject",                      \
    "Whom the server's certificate names (RFC 2253); hidden in 1.3")                              \
  X(R, std::string, certificate_issuer, none, detail, "tls.server.issuer",                        \
    "Who issued it (RFC 2253); hidden in 1.3")                                                    \
  X(R, std::vector<std::string>, certificate_names, none, detail, "",                             \
    "Its alternative names: hosts, addresses, e-mail, URIs; hidden in 1.3")                       \
  X(R, std::string, certificate_not_before, none, detail, "tls.server.not_before",                \
    "Since when it is valid (RFC 3339); hidden in 1.3")                                           \
  X(R, std::string, certificate_not_after, none, detail, "tls.server.not_after",                  \
    "Until when it is valid (RFC 3339); hidden in 1.3")                                           \
  X(R, bool, retried, none, detail, "", "Whether the server asked for another ClientHello")       \
  X(R, std::string, alert, none, always, "", "Alert that came in the clear instead, by name")     \
  TRIVET_EXCHANGE_COLUMNS(X, R)

TRIVET_RECORD(TlsHandshake, "tls_handshakes", 1, "Beginnings of TLS connections",
              TRIVET_TLS_HANDSHAKE_COLUMNS);

}  // namespace trivet
