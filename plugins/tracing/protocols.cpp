// SPDX-License-Identifier: Apache-2.0
#include "tracing/protocols.h"

#include <array>

#include "tracing/dns.h"
#include "tracing/http.h"
#include "tracing/http2.h"
#include "tracing/mysql.h"
#include "tracing/options.h"
#include "tracing/postgresql.h"
#include "tracing/redis.h"
#include "tracing/tls.h"

namespace trivet::tracing {

std::span<const Protocol> protocols() {
  static constexpr std::array table = {
      Protocol{.name = "http",
               .pipelined = false,
               .enabled = [](const Options& o) { return o.http.enabled; },
               .infer = infer_http,
               .open = open_http},
      http2_protocol,
      Protocol{.name = "redis",
               .pipelined = true,
               .enabled = [](const Options& o) { return o.redis.enabled; },
               .infer = infer_redis,
               .open = open_redis},
      Protocol{.name = "postgresql",
               .pipelined = true,
               .enabled = [](const Options& o) { return o.postgresql.enabled; },
               .infer = infer_postgresql,
               .open = open_postgresql},
      // MariaDB's drivers send a statement behind its preparation.
      Protocol{.name = "mysql",
               .pipelined = true,
               .enabled = [](const Options& o) { return o.mysql.enabled; },
               .infer = infer_mysql,
               .open = open_mysql},
      Protocol{.name = "dns",
               .pipelined = false,
               .enabled = [](const Options& o) { return o.dns.enabled; },
               .infer = infer_dns,
               .open = open_dns},
      Protocol{.name = "tls",
               .pipelined = false,
               .enabled = [](const Options& o) { return o.tls.enabled; },
               .infer = infer_tls,
               .open = open_tls},
  };
  return table;
}

}  // namespace trivet::tracing
