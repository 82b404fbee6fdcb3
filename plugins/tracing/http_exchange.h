// SPDX-License-Identifier: Apache-2.0
// What a record of HTTP keeps of headers and bodies, whatever version carries them and however its
// answers find their requests. Worker thread of the plugin.
#pragma once

#include <string_view>
#include <vector>

#include "tracing/http_record.h"
#include "tracing/options.h"

namespace trivet::tracing {

// `Order` is an ExchangeDialogue of HttpRequest whose Extra has `BodyForm bodies[2]`, by the party
// that sends it.
template <class Order>
class HttpExchanges : public Order {
 protected:
  using typename Order::Exchange;

  HttpExchanges(const HttpOptions& options, Conversation& link) : Order(link), options_(options) {}

  void keep_headers(const std::vector<HttpField>& fields, Fields& into, Exchange& e) {
    if (e.told || e.keep == Keep::sizes) return;
    this->charge(e, keep_fields(fields, options_, into));
  }

  void keep_body(std::string_view bytes, Party sender, Exchange& e) {
    HttpRequest& r = e.record;
    const bool request = sender == Party::client;
    (request ? r.request_body_bytes : r.response_body_bytes) += bytes.size();
    bool& truncated = request ? r.request_body_truncated : r.response_body_truncated;
    // What follows a hole is not kept: the text would read as if nothing were missing.
    const std::size_t limit = truncated || e.keep != Keep::whole ? 0 : options_.body_limit;
    if (!this->keep_text(e, request ? r.request_body : r.response_body, bytes, limit)) {
      truncated = true;
    }
  }

  // Bytes of a body that were not seen: its size stays exact.
  void skip_body(std::uint64_t bytes, Party sender, Exchange& e) {
    HttpRequest& r = e.record;
    (sender == Party::client ? r.request_body_bytes : r.response_body_bytes) += bytes;
    mark_truncated(e, sender);
  }

  void mark_truncated(Exchange& e, Party party) override {
    (party == Party::client ? e.record.request_body_truncated : e.record.response_body_truncated) =
        true;
  }

  void complete(Exchange& e) override {
    HttpRequest& r = e.record;
    finish_body(r.request_body, r.request_body_truncated, r.request_body_decoded, e.extra.bodies[0],
                options_);
    finish_body(r.response_body, r.response_body_truncated, r.response_body_decoded,
                e.extra.bodies[1], options_);
  }

  const HttpOptions& options_;
};

}  // namespace trivet::tracing
