// SPDX-License-Identifier: Apache-2.0
// DNS: how it is recognised over TCP, the dialogue that pairs its queries and responses there, and
// what datagrams share with it. Pairs by id and question. Worker thread of the plugin.
#pragma once

#include <memory>

#include "tracing/dialogue.h"
#include "tracing/dns_message.h"

namespace trivet::tracing {

Inference infer_dns(const Opening& opening);
std::unique_ptr<Dialogue> open_dns(const Options& options, Conversation& link);

// A query under way, and what of it becomes a record.
struct DnsQuery {
  DnsRequest record;
  unsigned type = 0;
  std::uint64_t last_ns = 0;

  // A query with its message, its first and its last byte's time.
  static DnsQuery of(const DnsMessage& message, std::size_t size, std::uint64_t first_ns,
                     std::uint64_t last_ns);
  bool asks(const DnsMessage& response) const;
  void answer(const DnsMessage& response, std::size_t size, std::uint64_t first_ns,
              std::uint64_t last_ns);
  void give_up(const char* error, std::uint64_t now_ns);
};

}  // namespace trivet::tracing
