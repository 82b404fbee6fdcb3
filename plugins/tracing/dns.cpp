// SPDX-License-Identifier: Apache-2.0
#include "tracing/dns.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tracing/conversation.h"

namespace trivet::tracing {
namespace {

// Queries under way on one connection; a resolver that forwards has some hundreds.
constexpr std::size_t max_outstanding = 4096;
constexpr std::size_t prefix_bytes = 2;  // RFC 1035, 4.2.2
constexpr std::size_t header_bytes = 12;

std::size_t length_of(std::string_view bytes) {
  return static_cast<std::size_t>(static_cast<unsigned char>(bytes[0])) << 8 |
         static_cast<unsigned char>(bytes[1]);
}

class DnsDialogue final : public Dialogue {
 public:
  explicit DnsDialogue(Conversation& link) : link_(link) {}

  void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) override {
    std::string& held = held_[static_cast<unsigned>(from)];
    std::uint64_t& first_ns = first_ns_[static_cast<unsigned>(from)];
    while (!bytes.empty() && link_.in_step(from)) {
      if (held.empty()) first_ns = stamp.time_ns;
      const std::size_t wanted = prefix_bytes + (held.size() < prefix_bytes ? 0 : length_of(held));
      const std::size_t taken = std::min(wanted - held.size(), bytes.size());
      if (held.empty() && from == Party::client) link_.request_begins(stamp);
      held.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      if (held.size() < prefix_bytes || held.size() < prefix_bytes + length_of(held)) continue;
      take(from, std::string_view(held).substr(prefix_bytes), first_ns, stamp.time_ns);
      held.clear();
    }
  }

  bool skip(Party, std::uint64_t, const Stamp&) override { return false; }

  // Queries that were seen are answered under their ids, whatever else was asked.
  void on_lost(Party from, std::uint64_t) override {
    held_[static_cast<unsigned>(from)].clear();
    if (from == Party::server) give_up("gap");
  }
  void restart(Party from) override { held_[static_cast<unsigned>(from)].clear(); }
  void abandon() override { give_up("gap"); }
  void on_end(std::uint64_t) override { give_up(link_.ending("closed")); }
  void close(const char* error) override { give_up(link_.ending(error)); }
  void expire() override { give_up("timeout"); }
  bool outstanding() const override { return !queries_.empty(); }
  std::size_t memory() const override {
    return queries_.size() * sizeof(DnsQuery) + held_[0].capacity() + held_[1].capacity();
  }

 private:
  void take(Party from, std::string_view bytes, std::uint64_t first_ns, std::uint64_t last_ns) {
    auto message = read_dns(bytes);
    if (!message || message->response != (from == Party::server)) {
      ++link_.shared().parse_errors;
      give_up("malformed");
      link_.finish();
      return;
    }
    if (from == Party::client) {
      if (queries_.size() == max_outstanding) {
        give_up("capacity");
        link_.finish();
        return;
      }
      queries_.push_back(DnsQuery::of(*message, bytes.size(), first_ns, last_ns));
      queries_.back().record.role = link_.role();
      queries_.back().record.transport = "tcp";
      if (!link_.in_step(Party::server)) give_up("gap");
      return;
    }
    const auto query =
        std::ranges::find_if(queries_, [&](const DnsQuery& each) { return each.asks(*message); });
    // None: one more message of a zone transfer, or a second response.
    if (query == queries_.end()) return;
    query->answer(*message, bytes.size(), first_ns, last_ns);
    link_.publish(std::move(query->record));
    queries_.erase(query);
  }

  void give_up(const char* error) {
    for (DnsQuery& query : std::exchange(queries_, {})) {
      query.give_up(error, link_.last_activity_ns());
      link_.publish(std::move(query.record));
    }
  }

  Conversation& link_;
  std::string held_[2];  // by party: a message that came in pieces
  std::uint64_t first_ns_[2] = {0, 0};
  std::vector<DnsQuery> queries_;
};

Duration between(std::uint64_t from_ns, std::uint64_t to_ns) {
  return {static_cast<std::int64_t>(to_ns - from_ns)};
}

}  // namespace

DnsQuery DnsQuery::of(const DnsMessage& message, std::size_t size, std::uint64_t first_ns,
                      std::uint64_t last_ns) {
  DnsQuery query;
  DnsRequest& r = query.record;
  r.time = Time{first_ns};
  r.id = message.id;
  r.operation = dns_opcode(message.opcode);
  r.question_name = message.question_name;
  r.question_type = dns_type(message.question_type);
  r.recursion_desired = message.recursion_desired;
  r.dnssec_ok = message.dnssec_ok;
  r.request_bytes = size;
  r.request_transfer = between(first_ns, last_ns);
  query.type = message.question_type;
  query.last_ns = last_ns;
  return query;
}

bool DnsQuery::asks(const DnsMessage& response) const {
  return record.id == response.id && type == response.question_type &&
         same_dns_name(record.question_name, response.question_name);
}

void DnsQuery::answer(const DnsMessage& response, std::size_t size, std::uint64_t first_ns,
                      std::uint64_t response_last_ns) {
  record.response_code = dns_rcode(response.rcode);
  record.answers = response.answers;
  record.answer_count = response.answer_count;
  record.authoritative = response.authoritative;
  record.truncated = response.truncated;
  record.response_bytes = size;
  record.first_byte = between(last_ns, first_ns);
  record.latency = between(record.time.boot_ns, response_last_ns);
}

void DnsQuery::give_up(const char* error, std::uint64_t now_ns) {
  record.error = error;
  record.latency = between(record.time.boot_ns, std::max(now_ns, last_ns));
}

Inference infer_dns(const Opening& opening) {
  constexpr unsigned perhaps = 20;
  const std::string_view bytes = opening.bytes;
  if (bytes.size() < prefix_bytes) return {opening.first ? perhaps : 0u};
  const std::size_t length = length_of(bytes);
  // A header, the shortest question; queries of some hundred bytes are long.
  if (length < header_bytes + 5 || length > (opening.first ? 4096u : 16384u)) return {};
  const std::string_view message = bytes.substr(prefix_bytes, length);
  if (message.size() >= header_bytes) {
    // Opcode, the bit that is zero, and the one question.
    const auto flags = length_of(message.substr(2));
    if ((flags >> 11 & 0xf) > 6 || flags & 0x0040 || length_of(message.substr(4)) != 1) return {};
  }
  if (message.size() < length)
    return {message.size() < header_bytes && !opening.first ? 0u : perhaps};
  const auto read = read_dns(message);
  if (!read) return {};
  return {Inference::certain, read->response ? Party::server : Party::client, !read->response};
}

std::unique_ptr<Dialogue> open_dns(const Options&, Conversation& link) {
  return std::make_unique<DnsDialogue>(link);
}

}  // namespace trivet::tracing
