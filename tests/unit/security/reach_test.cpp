// SPDX-License-Identifier: Apache-2.0
// What the kernel may leave out: never an event that a rule could match.
#include "security/rules/reach.h"

#include <doctest/doctest.h>

#include "security/rules/compiler.h"

namespace trivet::security {
namespace {

std::shared_ptr<const Filter> compiled(const std::string& condition) {
  static Definitions none;
  Compiler compiler(none);
  auto file = std::make_shared<const TextFile>(TextFile{"f", condition});
  auto result = compiler.condition(SourceText(condition, file, 1, 1));
  REQUIRE(std::holds_alternative<std::shared_ptr<const Filter>>(result));
  return std::get<std::shared_ptr<const Filter>>(result);
}

// The types and profiles as text: "openat:read,openat:read|failed".
std::string reach(const std::string& condition) {
  std::string out;
  auto reached = reach_of(*compiled(condition));
  for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
    if (!reached.profiles[type]) continue;
    out.append(out.empty() ? "" : " ").append(kEventTypes[type]).append(":");
    for (unsigned p = 0; p < PROFILE_COUNT; ++p) {
      if (!(reached.profiles[type] >> p & 1)) continue;
      out += '.';
      if (p & PROFILE_READ) out += 'r';
      if (p & PROFILE_WRITE) out += 'w';
      if (p & PROFILE_DIRECTORY) out += 'd';
      if (p & PROFILE_FAILED) out += '!';
    }
  }
  return out;
}

TEST_CASE("a condition's reach follows from type, direction, kind of file and failure") {
  struct Row {
    const char* condition;
    const char* reach;
  };
  const Row rows[] = {
      {"evt.type = connect", "connect:..!"},
      {"evt.type = execve and proc.name = sh", "execve:."},
      {"evt.type = execveat", "execve:."},
      {"evt.type = openat and evt.is_open_read = true and fd.typechar='f' and fd.num>=0",
       "openat:.r.rw"},
      {"evt.type = openat and evt.is_open_write = true and fd.num = -1", "openat:.w!.rw!"},
      {"evt.type = openat and fd.typechar = d", "openat:.rd.wd.rwd"},
      {"evt.type = openat and evt.res startswith E", "openat:.r!.w!.rw!"},
      {"evt.type = connect and (evt.rawres >= 0 or evt.res = EINPROGRESS)", "connect:..!"},
      {"evt.type = connect and evt.rawres >= 0", "connect:."},
      {"evt.type = connect and evt.failed = true", "connect:.!"},
      {"evt.type = symlink and fd.name = x", ""},
      {"evt.type = ptrace", ""},
      {"evt.num = 0", ""},
      {"evt.dir = >", ""},
      {"evt.type = connect and evt.dir = <", "connect:..!"},
      {"evt.source = k8s_audit", ""},
      {"evt.count > 1", ""},
      {"evt.type = connect and evt.is_open_exec = true", ""},
      {"evt.type = connect and fd.connected = true", "connect:."},
      {"evt.type = openat and fd.name_changed = true", ""},
      {"evt.type in (link, linkat) and not evt.num = 0 and evt.failed = false", "link:. linkat:."},
      {"not evt.type in (open,openat,openat2,creat,open_by_handle_at,link,linkat,symlink,symlinkat,"
       "connect)",
       "execve:."},
      {"evt.type = execve and evt.rawres < 0", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.condition);
    CHECK(reach(row.condition) == row.reach);
  }
}

TEST_CASE("event types that are asked for but not seen are named") {
  using Names = std::vector<std::string>;
  CHECK(unbuilt_event_types(*compiled("evt.type in (connect, sendto, sendmsg)")) ==
        Names{"sendmsg", "sendto"});
  CHECK(unbuilt_event_types(*compiled("evt.type = connect and not evt.type in (close, dup)")) ==
        Names{});
  CHECK(unbuilt_event_types(*compiled("proc.name = x")) == Names{});
}

}  // namespace
}  // namespace trivet::security
