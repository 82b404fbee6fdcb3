// SPDX-License-Identifier: Apache-2.0
// A capture that the tests keep: what the daemon told live is expected here.
#include "replayed.h"
#include "security/security.h"
#include "trivet/records/alert.h"

namespace trivet::security {
namespace {

TEST_CASE("a capture of an older trivet raises the alert that was raised live") {
  const auto alerts = replayed_deeds<Alert>("security", std::make_unique<SecurityPlugin>());
  REQUIRE(alerts.size() == 1);
  CHECK(alerts[0].rule == "Read of a secret");
  CHECK(alerts[0].pid == 12997);
  CHECK(alerts[0].exe == "/usr/bin/dash");
  CHECK(alerts[0].output ==
        "sh of sh opened /etc/gshadow as root (sh -c exec 3</etc/gshadow; sleep 2; :; "
        "f5adb8bf0100ed0f8c7782ca5f92814e9229525a4b4e0d401cf3bea09ac960a6)");
}

}  // namespace
}  // namespace trivet::security
