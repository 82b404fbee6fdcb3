// SPDX-License-Identifier: Apache-2.0
// One DNS query and its response, over UDP or TCP, as one end saw them.
#pragma once

#include "trivet/records/request_columns.h"

namespace trivet {

#define TRIVET_DNS_REQUEST_COLUMNS(X, R)                                                          \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                                    \
  TRIVET_ENDPOINT_COLUMNS(X, R)                                                                   \
  TRIVET_TLS_COLUMNS(X, R)                                                                        \
  X(R, std::string, transport, none, detail, "network.transport", "udp or tcp")                   \
  X(R, std::uint16_t, id, none, detail, "", "Id of the query")                                    \
  X(R, std::string, operation, none, detail, "", "QUERY, NOTIFY, UPDATE or another opcode")       \
  X(R, std::string, question_name, none, always, "dns.question.name",                             \
    "Name that was asked for, without the last dot, as master files write it")                    \
  X(R, std::string, question_type, none, always, "", "Type that was asked for: A, AAAA, ...")     \
  X(R, std::string, response_code, none, always, "",                                              \
    "NOERROR, NXDOMAIN, ...; empty if no response came")                                          \
  X(R, std::vector<std::string>, answers, none, always, "dns.answers",                            \
    "Records of the answer section, each as type and value, up to the limit")                     \
  X(R, std::uint32_t, answer_count, none, detail, "", "Records that the answer section counts")   \
  X(R, bool, authoritative, none, detail, "", "Whether an authority answered")                    \
  X(R, bool, truncated, none, detail, "", "Whether the response says that it lacks records (TC)") \
  X(R, bool, recursion_desired, none, detail, "", "Whether the query asks for recursion")         \
  X(R, bool, dnssec_ok, none, detail, "", "Whether the query asks for DNSSEC records (DO)")       \
  X(R, std::uint64_t, request_bytes, bytes, detail, "", "Size of the query's message")            \
  X(R, std::uint64_t, response_bytes, bytes, detail, "", "Size of the response's message")        \
  TRIVET_EXCHANGE_COLUMNS(X, R)

TRIVET_RECORD(DnsRequest, "dns_requests", 1, "DNS queries", TRIVET_DNS_REQUEST_COLUMNS);

}  // namespace trivet
