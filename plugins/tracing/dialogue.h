// SPDX-License-Identifier: Apache-2.0
// What a protocol is to the rest of the plugin: how it is recognised, and a dialogue that reads
// both directions of one connection in step and pairs them. Everything that protocols share (order,
// gaps, where to begin again) is the conversation's. Worker thread of the plugin.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <variant>

#include "tracing/stream.h"
#include "trivet/records/dns_request.h"
#include "trivet/records/grpc_request.h"
#include "trivet/records/http_message.h"
#include "trivet/records/http_request.h"
#include "trivet/records/mysql_request.h"
#include "trivet/records/postgresql_request.h"
#include "trivet/records/redis_request.h"
#include "trivet/records/tls_handshake.h"

namespace trivet::tracing {

struct Options;
class Conversation;

// The record types of all protocols.
using AnyRequest = std::variant<HttpRequest, HttpMessage, GrpcRequest, RedisRequest,
                                PostgresqlRequest, MysqlRequest, DnsRequest, TlsHandshake>;

enum class Party : unsigned { client, server };

// How much of what follows on a connection needs to come up.
enum class Need {
  unknown,     // between messages
  beginning,   // a bulky message has begun whose end is known without seeing it
  every_byte,  // messages carry their framing within
};

// What is kept of an exchange that begins now; less as memory runs out. Counts and sizes always
// are.
enum class Keep { whole, heads, sizes };

// The memory of all connections, and how often less than all was kept for its sake: without bodies
// past half of it, sizes only past three quarters; past all of it the connection that was silent
// longest is forgotten.
struct Budget {
  std::size_t limit_bytes = 128 << 20;
  std::size_t used_bytes = 0;
  std::uint64_t without_bodies = 0;  // exchanges begun under Keep::heads
  std::uint64_t sizes_only = 0;      // exchanges begun under Keep::sizes

  Keep keep() const {
    if (used_bytes <= limit_bytes / 2) return Keep::whole;
    return used_bytes <= limit_bytes / 4 * 3 ? Keep::heads : Keep::sizes;
  }
  // What one direction may hold of segments that came before earlier ones: more than the largest
  // receive window of a kernel as it comes (6 MiB), while there is room for that.
  std::size_t early() const {
    return keep() == Keep::whole ? limit_bytes / 8
                                 : std::min<std::size_t>(limit_bytes / 8, 1 << 20);
  }
};

// The bytes by which a connection is recognised: a run of one direction from a segment's start.
struct Opening {
  std::string_view bytes;
  std::string_view answer;  // what the other direction has said meanwhile
  bool first = false;       // the connection's first bytes: neither end has said anything before
  bool known = false;       // it is this protocol's, and a client's bytes that may begin a request
};

// What a protocol says of an opening.
struct Inference {
  static constexpr unsigned certain = 100;
  unsigned confidence = 0;  // 0: not mine; below certain: mine perhaps, with more bytes
  Party sender = Party::client;
  bool begins = true;  // both directions can be followed from here
};

// Where in a run of one direction's bytes the first message may begin; the run's length if nowhere.
struct Place {
  std::size_t offset = 0;
  bool certain = false;  // else more bytes tell
};

// One protocol on one connection. Bytes of a direction come in order and without holes; after a
// hole, only once it is certain again that they begin a message whose pair is known.
class Dialogue {
 public:
  virtual ~Dialogue() = default;
  virtual void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) = 0;
  // Bytes that were not seen. True if they lie within a message whose end is known all the same.
  virtual bool skip(Party from, std::uint64_t bytes, const Stamp& stamp) = 0;
  // The place in a direction is lost; requests are told without the answers that cannot be theirs.
  virtual void on_lost(Party from, std::uint64_t time_ns) = 0;
  // That direction goes on with the beginning of a message.
  virtual void restart(Party from) = 0;
  // Both directions begin anew: what is outstanding has been told, or is told as a gap.
  virtual void abandon() = 0;
  // The server has said all that it will say (FIN).
  virtual void on_end(std::uint64_t time_ns) = 0;
  virtual void close(const char* error) = 0;
  // Nothing has moved for the request timeout.
  virtual void expire() = 0;
  virtual bool outstanding() const = 0;
  virtual std::size_t memory() const = 0;
};

// A row of the table in protocols.cpp. Static data.
struct Protocol {
  std::string_view name;  // as in [tracing.NAME]
  // Requests are commonly sent before the answers to earlier ones: a connection found half-way is
  // joined only where one turn has visibly ended.
  bool pipelined;
  bool (*enabled)(const Options&);
  Inference (*infer)(const Opening&);
  std::unique_ptr<Dialogue> (*open)(const Options&, Conversation&);
  // Of protocols whose messages name the exchange they belong to, so that each direction is
  // followed by itself and joined wherever a message begins. `aligned`: a segment began where the
  // bytes do.
  Place (*find)(std::string_view bytes, bool aligned) = nullptr;
};

}  // namespace trivet::tracing
