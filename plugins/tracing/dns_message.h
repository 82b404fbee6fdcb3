// SPDX-License-Identifier: Apache-2.0
// A DNS message (RFC 1035, RFC 6891, RFC 9460) read for a record. Bounded against compression loops
// and counts that lie; a message that ends early keeps what came before. Pure functions; any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trivet::tracing {

struct DnsMessage {
  std::uint16_t id = 0;
  bool response = false;
  unsigned opcode = 0;
  bool authoritative = false;
  bool truncated = false;
  bool recursion_desired = false;
  bool dnssec_ok = false;
  unsigned rcode = 0;         // with the bits of EDNS
  std::string question_name;  // of the first question, as master files write it
  unsigned question_type = 0;
  std::uint32_t answer_count = 0;
  std::vector<std::string> answers;  // "A 192.0.2.1", up to max_answers

  static constexpr std::size_t max_answers = 32;
};

// Nothing if it is no DNS message: a header that cannot be, or no whole first question.
std::optional<DnsMessage> read_dns(std::string_view message);

// Whether two names are the same, whatever the case of their letters (RFC 1035, 2.3.3).
bool same_dns_name(std::string_view a, std::string_view b);

std::string dns_type(unsigned type);
std::string dns_rcode(unsigned rcode);
std::string dns_opcode(unsigned opcode);

}  // namespace trivet::tracing
