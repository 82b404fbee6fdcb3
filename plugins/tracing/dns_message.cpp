// SPDX-License-Identifier: Apache-2.0
#include "tracing/dns_message.h"

#include <algorithm>
#include <array>
#include <utility>

#include "trivet/value.h"

namespace trivet::tracing {
namespace {

constexpr unsigned type_a = 1, type_ns = 2, type_cname = 5, type_soa = 6, type_ptr = 12,
                   type_mx = 15, type_txt = 16, type_aaaa = 28, type_srv = 33, type_dname = 39,
                   type_opt = 41, type_svcb = 64, type_https = 65;
constexpr std::size_t max_name = 255;  // RFC 1035, 2.3.4
constexpr std::size_t max_value = 512;
// Records that are looked at, whatever the header counts.
constexpr unsigned max_records = 512;

constexpr std::array<std::pair<unsigned, std::string_view>, 30> type_names = {{
    {1, "A"},      {2, "NS"},     {5, "CNAME"},   {6, "SOA"},    {12, "PTR"},  {13, "HINFO"},
    {15, "MX"},    {16, "TXT"},   {24, "SIG"},    {25, "KEY"},   {28, "AAAA"}, {29, "LOC"},
    {33, "SRV"},   {35, "NAPTR"}, {39, "DNAME"},  {41, "OPT"},   {43, "DS"},   {44, "SSHFP"},
    {46, "RRSIG"}, {47, "NSEC"},  {48, "DNSKEY"}, {50, "NSEC3"}, {52, "TLSA"}, {64, "SVCB"},
    {65, "HTTPS"}, {99, "SPF"},   {251, "IXFR"},  {252, "AXFR"}, {255, "ANY"}, {257, "CAA"},
}};
constexpr std::array<std::string_view, 11> rcode_names = {
    "NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
    "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};

class Reader {
 public:
  explicit Reader(std::string_view message) : message_(message) {}

  bool skip(std::size_t bytes) {
    if (message_.size() - at_ < bytes) return false;
    at_ += bytes;
    return true;
  }
  bool byte(unsigned& value) {
    if (at_ >= message_.size()) return false;
    value = static_cast<unsigned char>(message_[at_++]);
    return true;
  }
  bool word(unsigned& value) {
    unsigned high = 0, low = 0;
    if (message_.size() - at_ < 2 || !byte(high) || !byte(low)) return false;
    value = high << 8 | low;
    return true;
  }
  // A name as master files write it. Pointers lead backwards only, so that they end.
  bool name(std::string& text) {
    text.clear();
    std::size_t at = at_;
    std::size_t lowest = at_;
    bool jumped = false;
    std::size_t length = 0;
    for (;;) {
      if (at >= message_.size()) return false;
      const auto size = static_cast<unsigned char>(message_[at]);
      if ((size & 0xc0) == 0xc0) {
        if (at + 1 >= message_.size()) return false;
        const std::size_t target = static_cast<std::size_t>(size & 0x3f) << 8 |
                                   static_cast<unsigned char>(message_[at + 1]);
        if (!jumped) at_ = at + 2;
        jumped = true;
        if (target >= lowest) return false;
        lowest = at = target;
        continue;
      }
      if (size & 0xc0) return false;
      ++at;
      length += size + 1u;
      if (length > max_name || message_.size() - at < size) return false;
      if (size == 0) break;
      if (!text.empty()) text += '.';
      for (char c : message_.substr(at, size)) put(text, c);
      at += size;
    }
    if (!jumped) at_ = at;
    if (text.empty()) text = ".";
    return true;
  }
  std::size_t at() const { return at_; }
  void go(std::size_t at) { at_ = std::min(at, message_.size()); }
  std::string_view bytes(std::size_t from, std::size_t count) const {
    return message_.substr(std::min(from, message_.size()), count);
  }
  // RFC 1035, 5.1: what is not printable as \DDD.
  static void put(std::string& text, char c) {
    const auto value = static_cast<unsigned char>(c);
    if (c == '.' || c == '\\' || c == '"') {
      text += '\\';
      text += c;
    } else if (value > 0x20 && value < 0x7f) {
      text += c;
    } else {
      text += '\\';
      text += static_cast<char>('0' + value / 100);
      text += static_cast<char>('0' + value / 10 % 10);
      text += static_cast<char>('0' + value % 10);
    }
  }

 private:
  std::string_view message_;
  std::size_t at_ = 0;
};

// The value of a record whose data lie at `start`; empty where only its type is told.
std::string value_of(Reader read, unsigned type, std::size_t start, std::size_t size) {
  std::string name;
  unsigned number = 0;
  const std::string_view data = read.bytes(start, size);
  read.go(start);
  switch (type) {
    case type_a:
      return size == 4 ? IpAddress::v4(data.data()).to_string() : "";
    case type_aaaa: {
      if (size != 16) return "";
      IpAddress address;
      address.family = 6;
      std::copy(data.begin(), data.end(), address.bytes.begin());
      return address.to_string();
    }
    case type_ns:
    case type_cname:
    case type_ptr:
    case type_dname:
    case type_soa:
      return read.name(name) ? name : "";
    case type_mx:
      return read.word(number) && read.name(name) ? std::to_string(number) + ' ' + name : "";
    case type_srv: {
      unsigned weight = 0, port = 0;
      if (!read.word(number) || !read.word(weight) || !read.word(port) || !read.name(name))
        return "";
      return std::to_string(number) + ' ' + std::to_string(weight) + ' ' + std::to_string(port) +
             ' ' + name;
    }
    case type_svcb:
    case type_https:
      return read.word(number) && read.name(name) ? std::to_string(number) + ' ' + name : "";
    case type_txt: {
      std::string text;
      for (std::size_t at = 0; at < data.size() && text.size() < max_value;) {
        const auto length = static_cast<unsigned char>(data[at++]);
        text += text.empty() ? "\"" : " \"";
        for (char c : data.substr(at, length)) {
          if (c == ' ') {
            text += c;
          } else {
            Reader::put(text, c);
          }
        }
        text += '"';
        at += length;
      }
      return text;
    }
    default:
      return "";
  }
}

// One record; false if it does not end within the message.
bool take_record(Reader& read, DnsMessage& message, bool answer) {
  std::string name;
  unsigned type = 0, klass = 0, ttl_high = 0, ttl_low = 0, size = 0;
  if (!read.name(name) || !read.word(type) || !read.word(klass) || !read.word(ttl_high) ||
      !read.word(ttl_low) || !read.word(size)) {
    return false;
  }
  const std::size_t start = read.at();
  if (!read.skip(size)) return false;
  if (type == type_opt) {
    // RFC 6891, 6.1.3: the upper bits of the code, and DO, lie where the time to live would.
    message.rcode |= (ttl_high >> 8) << 4;
    message.dnssec_ok = ttl_low & 0x8000;
  } else if (answer && message.answers.size() < DnsMessage::max_answers) {
    std::string text = dns_type(type);
    const std::string value = value_of(read, type, start, size);
    if (!value.empty()) text.append(1, ' ').append(value.substr(0, max_value));
    message.answers.push_back(std::move(text));
  }
  return true;
}

}  // namespace

std::optional<DnsMessage> read_dns(std::string_view bytes) {
  Reader read(bytes);
  DnsMessage message;
  unsigned id = 0, flags = 0, questions = 0, counts[3] = {};
  if (!read.word(id) || !read.word(flags) || !read.word(questions) || !read.word(counts[0]) ||
      !read.word(counts[1]) || !read.word(counts[2])) {
    return {};
  }
  message.id = static_cast<std::uint16_t>(id);
  message.response = flags & 0x8000;
  message.opcode = flags >> 11 & 0xf;
  message.authoritative = flags & 0x0400;
  message.truncated = flags & 0x0200;
  message.recursion_desired = flags & 0x0100;
  message.rcode = flags & 0xf;
  message.answer_count = counts[0];
  // RFC 9619: exactly one question. Opcodes: RFC 6895, 2.2; one bit is still zero (2.1).
  if (questions != 1 || flags & 0x0040 || message.opcode > 6 || message.opcode == 3) return {};
  unsigned klass = 0;
  if (!read.name(message.question_name) || !read.word(message.question_type) || !read.word(klass)) {
    return {};
  }
  unsigned looked_at = 0;
  for (unsigned section = 0; section < 3; ++section) {
    for (unsigned i = 0; i < counts[section]; ++i) {
      if (++looked_at > max_records || !take_record(read, message, section == 0)) return message;
    }
  }
  return message;
}

bool same_dns_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string dns_type(unsigned type) {
  const auto found =
      std::ranges::find(type_names, type, &std::pair<unsigned, std::string_view>::first);
  // RFC 3597, 5.
  return found == type_names.end() ? "TYPE" + std::to_string(type) : std::string(found->second);
}

std::string dns_rcode(unsigned rcode) {
  if (rcode == 16) return "BADVERS";
  return rcode < rcode_names.size() ? std::string(rcode_names[rcode])
                                    : "RCODE" + std::to_string(rcode);
}

std::string dns_opcode(unsigned opcode) {
  constexpr std::array<std::string_view, 7> names = {"QUERY",  "IQUERY", "STATUS", "OPCODE3",
                                                     "NOTIFY", "UPDATE", "DSO"};
  return opcode < names.size() ? std::string(names[opcode]) : "OPCODE" + std::to_string(opcode);
}

}  // namespace trivet::tracing
