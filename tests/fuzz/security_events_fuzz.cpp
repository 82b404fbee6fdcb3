// SPDX-License-Identifier: Apache-2.0
// Records of any bytes behind a header, taken for each of the security plugin's events, and the
// same bytes as a table of mounts.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "quiet_facts.h"
#include "security/fields/field.h"
#include "security/file_names.h"
#include "security/rule_event.h"

namespace {

using namespace trivet;
using namespace trivet::security;

template <class E>
void judge(const std::uint8_t* data, std::size_t size) {
  if (size < sizeof(E)) return;
  E event;
  std::memcpy(&event, data, sizeof(E));
  QuietFacts facts;
  ProcessRef process = facts.only;
  auto tail = std::as_bytes(std::span(data, size)).subspan(sizeof(E));
  auto seen = RuleEvent::from(Event<E>{event, tail, process, process}, facts);
  if (!seen) return;
  static FileNames names({"/etc/passwd"}, true);
  names.readings(*seen);
  for (const auto& name : field_names()) show(find_field(name)->get(*seen, {"1", 1}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  judge<syscall_event>(data, size);
  judge<process_exec_event>(data, size);
  MountTable mounts;
  mounts.parse({reinterpret_cast<const char*>(data), size});
  mounts.name_in_whole("/a/b");
  return 0;
}
