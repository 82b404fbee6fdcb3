// SPDX-License-Identifier: Apache-2.0
// Hostile bytes on both directions of a connection, in pieces, with losses, disorder and silence;
// TRIVET_PROTOCOL is the one protocol that reads them. Each input is a list of pieces: what happens
// (one byte), a length (one byte), the bytes. Beside the sanitizers it holds that memory is
// bounded, and that what is told of a connection does not depend on how its bytes were cut.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tracing/conversation.h"

namespace {

using namespace trivet::tracing;

struct Sum final : Conversation::Listener {
  std::size_t records = 0;
  std::string told;
  void on_exchange(AnyRequest any) override {
    ++records;
    std::visit(
        [this](const auto& record) {
          for (const trivet::Column& column : record.schema().columns) {
            const trivet::Value value = column.get(&record);
            if (const auto* text = std::get_if<std::string_view>(&value)) told.append(*text) += '|';
          }
          told += '\n';
        },
        any);
  }
  void on_need(Need) override {}
};

void require(bool holds) {
  if (!holds) std::abort();
}

Options only_this() {
  Options options;
  const std::string_view name = TRIVET_PROTOCOL;
  options.http.enabled = name.starts_with("http");
  options.http.body_limit = options.http.message_limit = 64;
  options.redis = {.enabled = name == "redis", .text_limit = 64};
  options.postgresql = {.enabled = name == "postgresql", .text_limit = 64};
  options.mysql = {.enabled = name == "mysql", .text_limit = 64};
  options.dns.enabled = name == "dns";
  options.tls.enabled = name == "tls";
  return options;
}

// Whether how bytes are cut may matter for what is told of them: half-way and after what is
// malformed, HTTP/2 is looked for where segments begin.
bool cuts_matter(const std::string (&all)[2]) {
  const std::string_view name = TRIVET_PROTOCOL;
  if (name == "http2") return !all[0].starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  // A typed line is believed or not by the segment that answers it.
  if (name == "redis") return !all[0].starts_with('*');
  return name == "http" && (all[0] + all[1]).find("h2c") != std::string::npos;
}

// What is told of a connection whose two directions come whole, in segments of `step` bytes;
// nothing of HTTP/2 that is malformed.
std::string reading(const Options& options, const std::string (&all)[2], std::size_t step) {
  Shared shared;
  Sum sum;
  Conversation conversation(options, shared, sum);
  std::uint32_t next[2] = {1000, 10};
  for (unsigned from : {0u, 1u}) {
    for (std::size_t at = 0; at < all[from].size(); at += step) {
      const std::string bytes = all[from].substr(at, step);
      conversation.on_segment(static_cast<Conversation::Direction>(from),
                              {.sequence = next[from],
                               .ack = next[from ^ 1],
                               .time_ns = 1'000'000,
                               .bytes = bytes,
                               .in_order = true,
                               .first = at == 0,
                               .opening = at == 0 && (from == 0 || all[0].empty()),
                               .followed = true});
      next[from] += static_cast<std::uint32_t>(bytes.size());
    }
  }
  conversation.close("closed");
  if (TRIVET_PROTOCOL == std::string_view("http2") && shared.parse_errors > 0) return {};
  return sum.told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Options options = only_this();
  Shared shared;
  Sum sum;
  Conversation conversation(options, shared, sum);
  std::uint32_t next[2] = {0xffffffc0u, 10};
  std::uint64_t now_ns = 1;
  std::string all[2];

  std::string_view input(reinterpret_cast<const char*>(data), size);
  while (input.size() >= 2) {
    const auto what = static_cast<std::uint8_t>(input[0]);
    const std::size_t length = static_cast<std::uint8_t>(input[1]);
    const std::string bytes(input.substr(2, length));
    input.remove_prefix(std::min(input.size(), 2 + length));
    const unsigned from = what & 1;
    now_ns += (what & 2) ? 70'000'000'000u : 1'000'000u;
    if ((what & 0xc0) == 0xc0) conversation.on_idle(now_ns);
    Segment segment;
    segment.sequence = next[from] + ((what & 4) ? 5 : 0) - ((what & 8) ? 7 : 0);
    segment.ack = next[from ^ 1];
    segment.time_ns = now_ns;
    segment.bytes = bytes;
    segment.unseen = (what & 0x40) ? static_cast<std::uint32_t>(length) * 3 : 0;
    segment.in_order = (what & 0x10) == 0;
    segment.first = all[from].empty();
    segment.opening = all[0].empty() && all[1].empty();
    segment.followed = (what & 0x80) == 0;
    segment.fin = (what & 0x60) == 0x60;
    next[from] += static_cast<std::uint32_t>(bytes.size());
    all[from] += bytes;
    if ((what & 0x20) == 0 || segment.fin) {
      conversation.on_segment(from ? Conversation::sent : Conversation::received, segment);
    }
    require(conversation.memory() < (4u << 20));
  }
  conversation.close("closed");
  require(conversation.memory() < (1u << 20));

  if (all[0].size() + all[1].size() < 16384 && !cuts_matter(all)) {
    const std::string whole = reading(options, all, 8192);
    for (std::size_t step : {1, 3}) {
      const std::string cut = reading(options, all, step);
      // Where the end that spoke second is the client, the connection was found half-way: segments
      // tell where a message may begin.
      if ((whole + cut).find("|client|") == std::string::npos) require(cut == whole);
    }
  }
  return 0;
}
