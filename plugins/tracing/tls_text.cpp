// SPDX-License-Identifier: Apache-2.0
#include "tracing/tls_text.h"

#include <fnmatch.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace trivet::tracing {
namespace {

// Of connections whose end is not told too, since no text of theirs was seen.
constexpr std::size_t max_hellos = 16384;
// The same until user space has said that a body has no chunks, which takes some 50 ms.
constexpr std::uint32_t open_allowance_bytes = 1 << 20;
constexpr std::size_t max_patterns = 256;

void read_patterns(ConfigReader& read, const char* key, std::vector<std::string>& patterns) {
  read(key, patterns);
  if (patterns.size() > max_patterns) {
    read.fail(key,
              Error{std::string(key) + " has more than 256 patterns: * stands for any letters"});
  }
  for (const std::string& pattern : patterns) {
    if (pattern.starts_with('/') || pattern.starts_with('*')) continue;
    read.fail(key, Error{"\"" + pattern + "\" is no path of an executable: write \"*/" + pattern +
                         "\" for any folder"});
  }
}

bool matches(const std::vector<std::string>& patterns, const std::string& exe) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), exe.c_str(), 0) == 0;
  });
}

}  // namespace

bool TlsTextOptions::wanted(const std::string& exe) const {
  return (only.empty() || matches(only, exe)) && !matches(except, exe);
}

Result<void> read_tls(ConfigReader& tracing, PlainOptions& handshakes, TlsTextOptions& text) {
  const auto table = tracing.table("tls");
  if (!table) return {};
  ConfigReader read(*table);
  read("enabled", handshakes.enabled);
  read("text", text.enabled);
  read_patterns(read, "text_only", text.only);
  read_patterns(read, "text_except", text.except);
  return read.finish();
}

TlsText::TlsText(const Options& options, Shared& shared, Host& host,
                 std::function<void(AnyRequest)> publish)
    : options_(options),
      host_(host),
      publish_(std::move(publish)),
      connections_(options, ConnectionLimits{}, shared, *this) {}

ObjectSpec TlsText::object(const Options& options) {
  const ObjectSpec calls{
      .name = "tls_calls",
      .hooks = {{.name = "calls",
                 .tiers = {{"uprobe.multi", {"call_entered_multi", "call_returned_multi"}},
                           {"uprobe", {"call_entered", "call_returned"}}}},
                {.name = "call_socket",
                 .tiers = {{"tp_btf", {"text_sent", "text_received"}},
                           {"fexit", {"text_sent_fexit", "text_received_fexit"}}}},
                {.name = "call_close", .tiers = {{"tp_btf", {"text_closed"}}}, .required = false},
                {.name = "code_file",
                 .tiers = {{"fentry", {"file_mapped"}}, {"tp_btf", {"file_faulted"}}}}},
      .config = {},
      .map_sizes = {}};
  return calls.with_config(
      tls_config{.run_bytes = static_cast<__u32>(options.http.body_limit) + run_allowance_bytes,
                 .open_bytes = static_cast<__u32>(options.http.body_limit) + open_allowance_bytes});
}

Result<void> TlsText::start(const ObjectSpec& spec) {
  auto object = host_.attach(spec);
  if (!object) return std::move(object).error();
  object_ = std::move(*object);
  for (auto [name, map] : {std::pair{"text_verdicts", &verdicts_}, {"tls_losses", &losses_}}) {
    auto found = object_->map(name);
    if (!found) return std::move(found).error();
    *map = *found;
  }
  files_ = std::make_unique<TlsFiles>(host_, *object_);
  return files_->start();
}

void TlsText::on_text(const Event<socket_payload_event>& event, std::string_view tail) {
  const socket_payload_event& text = event.data;
  if (event.process && !options_.tls_text.wanted(event.process->exe)) {
    connections_.refuse(text.header.socket_cookie);
    return;
  }
  connections_.on_text(text, tail, event.process);
}

void TlsText::on_close(const socket_close_event& event) {
  connections_.on_close(event);
  hellos_.erase(event.header.socket_cookie);
}

void TlsText::on_handshake(const TlsHandshake& handshake) {
  if (handshake.version.empty()) return;
  const std::uint64_t cookie = handshake.socket_cookie;
  if (!hellos_.insert_or_assign(cookie, Hello{handshake.version, handshake.cipher}).second) return;
  oldest_hellos_.push_back(cookie);
  if (oldest_hellos_.size() <= max_hellos) return;
  hellos_.erase(oldest_hellos_.front());
  oldest_hellos_.pop_front();
}

void TlsText::publish(AnyRequest request) {
  std::visit(
      [this](auto& record) {
        if constexpr (requires { record.tls_version; }) {
          record.tls = true;
          if (auto hello = hellos_.find(record.socket_cookie); hello != hellos_.end()) {
            record.tls_version = hello->second.version;
            record.tls_cipher = hello->second.cipher;
          }
        }
      },
      request);
  publish_(std::move(request));
}

void TlsText::decide(std::uint64_t cookie, payload_verdict verdict) {
  if (!verdicts_) return;
  if (!TypedMap<__u64, __u32>(*verdicts_).update(cookie, verdict)) ++verdict_errors_;
}

void TlsText::forget(std::uint64_t cookie) {
  if (!verdicts_) return;
  if (!TypedMap<__u64, __u32>(*verdicts_).erase(cookie)) ++verdict_errors_;
}

// One count for each CPU.
std::uint64_t TlsText::losses(tls_loss what) const {
  std::vector<std::uint64_t> counts(losses_->value_size() / sizeof(std::uint64_t));
  const __u32 key = what;
  auto found =
      losses_->lookup(std::as_bytes(std::span(&key, 1)), std::as_writable_bytes(std::span(counts)));
  std::uint64_t total = 0;
  if (found && *found) {
    for (std::uint64_t count : counts) total += count;
  }
  return total;
}

void TlsText::tick(std::uint64_t now_ns) {
  files_->tick(now_ns);
  connections_.tick(now_ns);

  Metrics& metrics = host_.metrics();
  const TlsFileCounts& files = files_->counts();
  metrics.gauge("trivet_tracing_tls_libraries", "Files with TLS functions that are probed")
      .set(static_cast<double>(files_->probed()));
  metrics
      .gauge("trivet_tracing_tls_connections", "TCP connections whose text above TLS is followed")
      .set(static_cast<double>(connections_.size()));
  const auto file = [&](const char* result, std::uint64_t total) {
    metrics
        .counter("trivet_tracing_tls_files_total",
                 "Files whose code runs here, by what became of them", {{"result", result}})
        .follow(static_cast<double>(total));
  };
  file("plain", files.plain);
  file("probed", files.probed);
  file("detached", files.detached);
  file("failed", files.failed);
  file("lost", files.lost);
  const auto lost = [&](const char* reason, tls_loss what) {
    metrics
        .counter("trivet_tracing_tls_calls_lost_total", "Calls whose text above TLS is not told",
                 {{"reason", reason}})
        .follow(static_cast<double>(losses(what)));
  };
  lost("socket unknown", TLS_LOSS_UNBOUND);
  lost("nested", TLS_LOSS_NESTED);
  metrics.counter("trivet_tracing_tls_text_bytes_total", "Text above TLS, as programs moved it")
      .follow(static_cast<double>(connections_.counts().bytes));
  metrics
      .counter("trivet_tracing_tls_verdict_errors_total",
               "Verdicts on text above TLS that the kernel refused")
      .follow(static_cast<double>(verdict_errors_));
}

}  // namespace trivet::tracing
