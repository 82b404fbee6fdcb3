// SPDX-License-Identifier: Apache-2.0
// The tracing plugin: requests and answers between any processes of this host, from the payload
// that the kernel programs of bpf/tracing/payload.bpf.c send up. protocols.cpp lists what it reads.
#pragma once

#include <memory>
#include <vector>

#include "tracing/connection_records.h"
#include "tracing/connections.h"
#include "tracing/datagrams.h"
#include "tracing/request_metrics.h"
#include "tracing/tls_text.h"
#include "trivet/plugin.h"

namespace trivet::tracing {

class Tracing final : public Plugin, public Connections::Outlet {
 public:
  Result<void> configure(const Config& config) override;
  std::vector<ObjectSpec> objects() const override;
  Result<void> start(Host& host) override;
  void stop() noexcept override;

 private:
  void publish(AnyRequest record) override;
  void decide(std::uint64_t cookie, payload_verdict verdict) override;
  void forget(std::uint64_t cookie) override;
  void start_tls_text(const ObjectSpec& spec);
  // `verdicts`: the object's map of what is decided of its sockets.
  Result<void> attach(const ObjectSpec& spec, const char* verdicts);
  // From now on processes that begin are seen with all of their Unix sockets.
  Result<void> tell_attached();
  void tick();
  void refused(const char* action, const Error& error);

  Options options_;
  std::size_t memory_limit_ = 0;
  Host* host_ = nullptr;  // while started
  struct Attached {
    std::unique_ptr<Object> object;
    Map* verdicts;  // the object's
  };
  std::vector<Attached> attached_;
  Shared shared_;
  std::unique_ptr<Connections> connections_;
  std::unique_ptr<TlsText> tls_text_;  // where it is wanted and the kernel has what it takes
  std::unique_ptr<Datagrams> datagrams_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<RequestMetrics> request_metrics_;
  std::unique_ptr<ConnectionRecords> connection_records_;
  std::uint64_t verdict_errors_ = 0;
};

}  // namespace trivet::tracing
