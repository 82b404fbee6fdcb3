// SPDX-License-Identifier: Apache-2.0
// Any bytes as a condition and as an output, judged on an event of each kind. What remains of a
// condition for the events of a kind must answer as the whole of it.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "quiet_facts.h"
#include "security/rules/compiler.h"
#include "security/rules/reach.h"

namespace {

using namespace trivet;
using namespace trivet::security;

SourceText source(const std::string& text) {
  return SourceText(text, std::make_shared<const TextFile>(TextFile{"fuzz.yaml", text}), 1, 1);
}

Definitions known() {
  Definitions out;
  out.lists["names"] = {{}, {{"cat", 0, false}, {"more", 0, false}}};
  out.lists["more"] = {{}, {{"a b", 0, true}, {"names", 0, false}}};
  out.macros["opened"] = {{}, source("evt.type in (open, openat) and evt.is_open_read = true")};
  out.macros["named"] = {{}, source("(proc.name in (names) or not opened)")};
  return out;
}

RuleEvent event_of(std::size_t type, unsigned profile, const event_header& header,
                   const QuietFacts& facts) {
  RuleEvent event;
  event.type = type;
  event.number = 1;
  event.header = &header;
  event.facts = &facts;
  event.process = facts.only;
  event.result = profile & PROFILE_FAILED ? -2 : 0;
  bool reads = profile & PROFILE_READ, writes = profile & PROFILE_WRITE;
  event.open_flags = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
  event.addressed = is_send(type) && profile & PROFILE_ADDRESSED;
  if (has_descriptor(type))
    event.descriptor = shape_of(type) & CALL_RETURNS_DESCRIPTOR && event.failed() ? -1 : 3;
  event.path = "/etc/shadow\xff";
  if (picks(type) && profile & PROFILE_PICKED) {
    event.file_mode = S_IFSOCK;
    event.arguments[0] = CALL_PICKED_COMMAND;
  }
  if (is_open(type)) {
    event.file_mode = profile & PROFILE_DIRECTORY ? S_IFDIR : S_IFREG;
    return event;
  }
  if (!has_descriptor(type)) return event;
  if (picks(type) && !(profile & PROFILE_PICKED)) return event;
  event.family = 2;
  event.remote = *IpAddress::parse("203.0.113.7");
  event.local = *IpAddress::parse("10.0.0.1");
  return event;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16 * 1024) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  static const Definitions definitions = known();
  FilterGraph graph;
  Compiler compiler(definitions, graph);
  auto condition = compiler.condition(source(text));
  auto output = compiler.output(source(text));
  const NodeId* whole = std::get_if<NodeId>(&condition);
  if (whole) unbuilt_event_types(graph, *whole);

  struct Kind {
    std::size_t type;
    unsigned profile;
    NodeId rest;
  };
  std::vector<Kind> kinds;
  for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
    for (unsigned profile : profiles_of(type)) {
      NodeId rest = whole ? Specializer(graph, type, profile).of(*whole) : FilterGraph::kNever;
      kinds.push_back({type, profile, rest});
    }
  }
  Evaluation evaluation;
  evaluation.attach(graph);
  QuietFacts facts;
  event_header header{};
  header.time_ns = 5;
  for (const auto& kind : kinds) {
    RuleEvent event = event_of(kind.type, kind.profile, header, facts);
    evaluation.begin(event);
    if (whole && evaluation.matches(*whole) != evaluation.matches(kind.rest)) std::abort();
    Fields fields;
    if (auto* shown = std::get_if<OutputTemplate>(&output)) shown->fill(evaluation, fields);
  }
  return 0;
}
