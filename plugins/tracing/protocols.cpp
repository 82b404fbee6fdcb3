// SPDX-License-Identifier: Apache-2.0
#include "tracing/protocols.h"

#include <array>

#include "tracing/http.h"
#include "tracing/options.h"

namespace trivet::tracing {

std::span<const Protocol> protocols() {
  static constexpr std::array table = {
      Protocol{"http", false, [](const Options& o) { return o.http.enabled; }, infer_http,
               open_http},
  };
  return table;
}

}  // namespace trivet::tracing
