// SPDX-License-Identifier: Apache-2.0
#include "tracing/tracing.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tracing/protocols.h"

namespace trivet::tracing {
namespace {

// Far more than comes before a verdict does; half the lane, as a loopback connection is told by
// both ends.
constexpr std::uint32_t open_bytes = 16 << 20;
// Resolvers ask again after some seconds; no server answers later than this.
constexpr std::uint64_t datagram_timeout_ns = 10'000'000'000;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// [tracing.NAME] of a protocol that carries queries; in SQL there are literals.
Result<void> read_database(ConfigReader& read, const char* name, DatabaseOptions& options,
                           bool has_literals) {
  auto table = read.table(name);
  if (!table) return {};
  std::int64_t text_limit = static_cast<std::int64_t>(options.text_limit);
  ConfigReader read_table(*table);
  read_table("enabled", options.enabled);
  read_table.range("text_limit", text_limit, 0, 1 << 20);
  read_table("redact", options.redact);
  if (has_literals) read_table("redact_literals", options.redact_literals);
  options.text_limit = static_cast<std::size_t>(text_limit);
  return read_table.finish();
}

Result<void> read_plain(ConfigReader& read, const char* name, PlainOptions& options) {
  auto table = read.table(name);
  if (!table) return {};
  ConfigReader read_table(*table);
  read_table("enabled", options.enabled);
  return read_table.finish();
}

bool anything_enabled(const Options& options) {
  return std::ranges::any_of(protocols(),
                             [&](const Protocol& protocol) { return protocol.enabled(options); });
}

}  // namespace

Result<void> Tracing::configure(const Config& config) {
  Options options;
  std::int64_t memory_limit = 128 << 20;
  double request_timeout = 60;

  ConfigReader read(config);
  read.known("enabled");
  read.range("memory_limit", memory_limit, 1 << 20, std::int64_t{1} << 40);
  read("request_timeout", request_timeout);
  read("unix_sockets", options.unix_sockets);
  if (!read.failed() && !(request_timeout >= 1 && request_timeout <= 86400)) {
    read.fail("request_timeout", Error{"request_timeout must be from 1 to 86400 seconds"});
  }
  if (auto done = read_http(read, options.http); !done) return done;
  if (auto done = read_database(read, "redis", options.redis, false); !done) return done;
  if (auto done = read_database(read, "postgresql", options.postgresql, true); !done) return done;
  if (auto done = read_database(read, "mysql", options.mysql, true); !done) return done;
  if (auto done = read_plain(read, "dns", options.dns); !done) return done;
  if (auto done = read_tls(read, options.tls, options.tls_text); !done) return done;
  if (auto done = read.finish(); !done) return done;

  memory_limit_ = static_cast<std::size_t>(memory_limit);
  options.request_timeout_ns = static_cast<std::uint64_t>(std::llround(request_timeout * 1e9));
  options_ = std::move(options);
  return {};
}

std::vector<ObjectSpec> Tracing::objects() const {
  if (!anything_enabled(options_)) return {};
  ObjectSpec payload{
      .name = "payload",
      .hooks =
          {{.name = "payload", .tiers = {{"cgroup_skb", {"payload_received", "payload_sent"}}}},
           {.name = "owner",
            .tiers = {{"tp_btf", {"owner_sent", "owner_received"}},
                      {"fexit",
                       {"owner_sent_4", "owner_sent_6", "owner_received_4", "owner_received_6"}}},
            .required = false},
           {.name = "close", .tiers = {{"tp_btf", {"socket_closed"}}}, .required = false}},
      .config = {},
      .map_sizes = {}};
  ObjectSpec streams{.name = "unix_streams",
                     .hooks = {{.name = "unix_streams",
                                .tiers = {{"tp_btf", {"unix_sent", "unix_received"}},
                                          {"fexit", {"unix_sent_fexit", "unix_received_fexit"}}}}},
                     .config = {},
                     .map_sizes = {}};
  const payload_config limits{
      .run_bytes = static_cast<__u32>(options_.http.body_limit) + run_allowance_bytes,
      .open_bytes = std::max(
          open_bytes, static_cast<std::uint32_t>(options_.http.body_limit) + run_allowance_bytes),
      .datagrams = options_.dns.enabled};
  std::vector<ObjectSpec> specs = {payload.with_config(limits)};
  if (options_.unix_sockets) specs.push_back(streams.with_config(limits));
  if (options_.tls_text.enabled) specs.push_back(TlsText::object(options_));
  return specs;
}

Result<void> Tracing::start(Host& host) {
  if (!anything_enabled(options_)) return {};
  host_ = &host;
  shared_ = {};
  shared_.budget.limit_bytes = memory_limit_;
  connections_ = std::make_unique<Connections>(options_, ConnectionLimits{}, shared_, *this);
  datagrams_ =
      std::make_unique<Datagrams>(std::min(options_.request_timeout_ns, datagram_timeout_ns),
                                  [this](DnsRequest record) { publish(std::move(record)); });
  services_ = std::make_unique<Services>(host.facts());
  request_metrics_ =
      std::make_unique<RequestMetrics>(host.metrics(), *services_, options_.http.max_routes);
  connection_records_ = std::make_unique<ConnectionRecords>(host, *services_);
  host.on<socket_payload_event>([this](const Event<socket_payload_event>& event) {
    if (event.data.above_tls) {
      if (tls_text_) tls_text_->on_text(event, text_of(event.tail));
    } else if (event.data.flags & PAYLOAD_DATAGRAM) {
      const std::string_view bytes = text_of(event.tail).substr(0, event.data.captured_bytes);
      if (options_.dns.enabled) datagrams_->on_datagram(event.data, bytes);
    } else {
      connections_->on_payload(event.data, text_of(event.tail));
    }
  });
  host.on<socket_owner_event>([this](const Event<socket_owner_event>& event) {
    if (event.data.datagrams) {
      datagrams_->on_owner(event.data, event.process);
    } else {
      connections_->on_owner(event.data, event.process);
    }
  });
  host.on<socket_close_event>([this](const Event<socket_close_event>& event) {
    connections_->on_close(event.data);
    if (tls_text_) tls_text_->on_close(event.data);
  });
  host.on<tls_file_event>([this](const Event<tls_file_event>& event) {
    if (tls_text_) tls_text_->on_file(event.data);
  });
  host.on<socket_state_event>(
      [this](const Event<socket_state_event>& event) { connection_records_->on_socket(event); });
  host.every(std::chrono::milliseconds(100), [this] { tick(); });

  const std::vector<ObjectSpec> specs = objects();
  auto attached = attach(specs.front(), "verdicts");
  if (attached && options_.unix_sockets) {
    attached = attach(specs[1], "unix_verdicts");
    if (attached) attached = tell_attached();
  }
  if (!attached) {
    stop();
    return std::move(attached).error();
  }
  if (options_.tls_text.enabled) start_tls_text(specs.back());
  return {};
}

Result<void> Tracing::tell_attached() {
  auto attached = attached_.back().object->map("unix_attached");
  if (!attached) return std::move(attached).error();
  return TypedMap<__u32, __u64>(**attached).update(0, host_->now_ns());
}

Result<void> Tracing::attach(const ObjectSpec& spec, const char* verdicts) {
  auto object = host_->attach(spec);
  if (!object) return std::move(object).error();
  auto map = (*object)->map(verdicts);
  if (!map) return std::move(map).error();
  attached_.push_back({std::move(object).value(), *map});
  return {};
}

// Where it cannot be had, handshakes are told all the same.
void Tracing::start_tls_text(const ObjectSpec& spec) {
  tls_text_ = std::make_unique<TlsText>(
      options_, shared_, *host_, [this](AnyRequest request) { publish(std::move(request)); });
  auto started = tls_text_->start(spec);
  if (started) return;
  host_->log().warning("what is inside TLS is not seen", {{"error", started.error().to_string()}});
  tls_text_.reset();
}

void Tracing::stop() noexcept {
  tls_text_.reset();
  attached_.clear();
  connections_.reset();
  datagrams_.reset();
  connection_records_.reset();
  request_metrics_.reset();
  services_.reset();
  host_ = nullptr;
}

void Tracing::publish(AnyRequest request) {
  std::visit(
      [this](auto& record) {
        if constexpr (std::is_same_v<std::decay_t<decltype(record)>, TlsHandshake>) {
          if (tls_text_) tls_text_->on_handshake(record);
        }
        request_metrics_->observe(record);
        host_->publish(std::move(record));
      },
      request);
}

void Tracing::decide(std::uint64_t cookie, payload_verdict verdict) {
  // No two sockets have the same cookie: an entry for one of another kind is never looked up.
  for (const Attached& each : attached_) {
    auto done = TypedMap<__u64, __u32>(*each.verdicts).update(cookie, verdict);
    if (!done) refused("written", done.error());
  }
}

void Tracing::forget(std::uint64_t cookie) {
  for (const Attached& each : attached_) {
    auto done = TypedMap<__u64, __u32>(*each.verdicts).erase(cookie);
    if (!done) refused("erased", done.error());
  }
}

// Without its verdict a socket costs more than it should, no more: told once, counted always.
void Tracing::refused(const char* action, const Error& error) {
  if (verdict_errors_++ == 0) {
    host_->log().warning(std::string("a capture verdict could not be ") + action,
                         {{"error", error.to_string()}});
  }
}

void Tracing::tick() {
  connections_->tick(host_->now_ns());
  datagrams_->tick(host_->now_ns());
  if (tls_text_) tls_text_->tick(host_->now_ns());

  Metrics& metrics = host_->metrics();
  const ConnectionCounts& counts = connections_->counts();
  metrics.gauge("trivet_tracing_connections", "TCP connections that are followed")
      .set(static_cast<double>(connections_->size()));
  metrics.gauge("trivet_tracing_memory_bytes", "Memory held for connections, about")
      .set(static_cast<double>(shared_.budget.used_bytes));
  const auto follow = [&](const char* name, const char* help, std::uint64_t total) {
    metrics.counter(name, help).follow(static_cast<double>(total));
  };
  follow("trivet_tracing_connections_total", "TCP connections that were seen", counts.opened);
  follow("trivet_tracing_ignored_total", "Sockets found to carry nothing that is followed",
         counts.ignored);
  follow("trivet_tracing_evicted_total", "Connections forgotten for lack of room", counts.evicted);
  follow("trivet_tracing_payload_bytes_total", "Payload told by the kernel, as on the wire",
         counts.bytes);
  for (std::size_t i = 0; i < gap_kinds; ++i) {
    const Labels reason = {{"reason", std::string(gap_names[i])}};
    metrics
        .counter("trivet_tracing_gaps_total", "Holes in a direction that hide where messages begin",
                 reason)
        .follow(static_cast<double>(shared_.gaps[i]));
    metrics.counter("trivet_tracing_gap_bytes_total", "Bytes missing in those holes", reason)
        .follow(static_cast<double>(shared_.gap_bytes[i]));
  }
  follow("trivet_tracing_parse_errors_total", "Connections given up for malformed messages",
         shared_.parse_errors);
  const auto degraded = [&](const char* kept, std::uint64_t total) {
    metrics
        .counter("trivet_tracing_degraded_total", "Exchanges of which less was kept to save memory",
                 {{"kept", kept}})
        .follow(static_cast<double>(total));
  };
  degraded("heads", shared_.budget.without_bodies);
  degraded("sizes", shared_.budget.sizes_only);
  follow("trivet_tracing_unowned_total", "Records whose process did not become known",
         counts.unowned + datagrams_->counts().unowned);
  follow("trivet_tracing_deferred_lost_total", "Segments to listeners that no connection claimed",
         counts.deferred_lost);
  follow("trivet_tracing_datagrams_total", "Datagrams that look like DNS",
         datagrams_->counts().seen);
  follow("trivet_tracing_datagram_queries_evicted_total",
         "Queries in datagrams given up for lack of room", datagrams_->counts().evicted);
  follow("trivet_tracing_datagrams_unmatched_total",
         "Responses in datagrams to no query that was seen", datagrams_->counts().unmatched);
  follow("trivet_tracing_verdict_errors_total", "Capture verdicts that the kernel refused",
         verdict_errors_);
}

}  // namespace trivet::tracing

TRIVET_PLUGIN(trivet::tracing::Tracing)
