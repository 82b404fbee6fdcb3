// SPDX-License-Identifier: Apache-2.0
// Packets from standard input through the plugin's protocols, records to standard output as JSON
// lines. One packet a line: stream, "tcp" or "udp", 1 if the client sent it, sequence number, ack,
// 1 with FIN, time in nanoseconds, payload in hexadecimal. All as the server sees it.
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include "records/format.h"
#include "tracing/conversation.h"
#include "tracing/datagrams.h"

namespace {

using namespace trivet::tracing;

void print(unsigned stream, AnyRequest any) {
  std::visit(
      [stream](auto& record) {
        record.socket_cookie = stream;
        const std::string json = to_json(record.schema(), &record, trivet::Origin{"replay", 0});
        std::printf("%s\n", json.c_str());
      },
      any);
}

struct Replayed final : Conversation::Listener {
  explicit Replayed(unsigned stream_number) : number(stream_number) {}
  void on_exchange(AnyRequest record) override { print(number, std::move(record)); }
  void on_need(Need) override {}

  unsigned number;
  Options options;
  Shared shared;
  Conversation conversation{options, shared, *this};
  bool said[2] = {false, false};
  std::uint32_t next[2] = {0, 0};
};

std::string from_hex(const std::string& text) {
  std::string bytes;
  for (std::size_t at = 0; at + 1 < text.size(); at += 2) {
    bytes += static_cast<char>(std::stoi(text.substr(at, 2), nullptr, 16));
  }
  return bytes;
}

}  // namespace

int main() {
  std::map<unsigned, std::unique_ptr<Replayed>> streams;
  std::map<unsigned, std::unique_ptr<Datagrams>> sockets;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    unsigned stream = 0;
    std::string transport, hex;
    bool from_client = false, fin = false;
    std::uint32_t sequence = 0, ack = 0;
    std::uint64_t time_ns = 0;
    words >> stream >> transport >> from_client >> sequence >> ack >> fin >> time_ns >> hex;
    const std::string bytes = from_hex(hex);
    if (transport == "udp") {
      auto& socket = sockets[stream];
      if (!socket) {
        socket = std::make_unique<Datagrams>(10'000'000'000, [stream](trivet::DnsRequest record) {
          print(stream, std::move(record));
        });
      }
      socket_payload_event event{};
      event.header.time_ns = time_ns;
      event.header.socket_cookie = stream;
      event.payload_bytes = event.captured_bytes = static_cast<__u32>(bytes.size());
      event.direction = from_client ? PAYLOAD_RECEIVED : PAYLOAD_SENT;
      socket->on_datagram(event, bytes);
      continue;
    }
    auto& found = streams[stream];
    if (!found) found = std::make_unique<Replayed>(stream);
    Segment segment{.sequence = sequence,
                    .ack = ack,
                    .time_ns = time_ns,
                    .bytes = bytes,
                    .first = !bytes.empty() && !found->said[from_client],
                    .opening = !found->said[0] && !found->said[1],
                    .followed = true,
                    .fin = fin};
    segment.in_order = found->said[from_client] && sequence == found->next[from_client];
    found->said[from_client] |= !bytes.empty();
    found->next[from_client] = segment.end();
    found->conversation.on_segment(from_client ? Conversation::received : Conversation::sent,
                                   segment);
  }
  for (auto& [number, stream] : streams) stream->conversation.close("closed");
  for (auto& [number, socket] : sockets) socket->tick(~std::uint64_t{0});
}
