// SPDX-License-Identifier: Apache-2.0
// Text above TLS, as programs hand it to their library and get it from there: connections of their
// own beside those of the ciphered bytes, told apart by the same cookies. Owned by the plugin; its
// worker thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tracing/connections.h"
#include "tracing/tls_files.h"
#include "trivet/host.h"

namespace trivet::tracing {

class TlsText final : public Connections::Outlet {
 public:
  // All outlive it; `publish` takes the records.
  TlsText(const Options& options, Shared& shared, Host& host,
          std::function<void(AnyRequest)> publish);

  static ObjectSpec object(const Options& options);
  Result<void> start(const ObjectSpec& spec);

  void on_file(const tls_file_event& event) { files_->on_file(event); }
  void on_text(const Event<socket_payload_event>& event, std::string_view tail);
  void on_close(const socket_close_event& event);
  // What its hellos say belongs to the text of the same socket.
  void on_handshake(const TlsHandshake& handshake);
  void tick(std::uint64_t now_ns);

 private:
  struct Hello {
    std::string version;
    std::string cipher;
  };

  void publish(AnyRequest record) override;
  void decide(std::uint64_t cookie, payload_verdict verdict) override;
  void forget(std::uint64_t cookie) override;
  std::uint64_t losses(tls_loss what) const;

  const Options& options_;
  Host& host_;
  std::function<void(AnyRequest)> publish_;
  std::unique_ptr<Object> object_;
  std::unique_ptr<TlsFiles> files_;
  Connections connections_;
  Map* verdicts_ = nullptr;
  Map* losses_ = nullptr;
  std::unordered_map<std::uint64_t, Hello> hellos_;  // by cookie
  std::deque<std::uint64_t> oldest_hellos_;
  std::uint64_t verdict_errors_ = 0;
};

}  // namespace trivet::tracing
