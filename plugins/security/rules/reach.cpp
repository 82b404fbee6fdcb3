// SPDX-License-Identifier: Apache-2.0
#include "security/rules/reach.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

namespace trivet::security {
namespace {

Truth certain(bool answer) {
  return answer ? Truth::yes : Truth::no;
}

struct Range {
  std::int64_t low = std::numeric_limits<std::int64_t>::min();
  std::int64_t high = std::numeric_limits<std::int64_t>::max();
};

Truth range_matches(const Comparison& comparison, const Range& range) {
  auto one = [&](std::int64_t n) {
    switch (comparison.op) {
      case Operator::less:
        return range.high < n ? Truth::yes : range.low >= n ? Truth::no : Truth::maybe;
      case Operator::less_equal:
        return range.high <= n ? Truth::yes : range.low > n ? Truth::no : Truth::maybe;
      case Operator::greater:
        return range.low > n ? Truth::yes : range.high <= n ? Truth::no : Truth::maybe;
      case Operator::greater_equal:
        return range.low >= n ? Truth::yes : range.high < n ? Truth::no : Truth::maybe;
      default:  // equality, here of one number
        if (n < range.low || n > range.high) return Truth::no;
        return range.low == range.high ? Truth::yes : Truth::maybe;
    }
  };
  if (comparison.op == Operator::exists) return Truth::yes;
  Truth best = Truth::no;
  for (std::int64_t n : comparison.numbers) best = std::max(best, one(n));
  if (comparison.op != Operator::not_equal) return best;
  return best == Truth::yes ? Truth::no : best == Truth::no ? Truth::yes : Truth::maybe;
}

// Whether an event is of the kind that CALL_PICKS names.
bool is_picked(const RuleEvent& event) {
  if (shape_of(event.type) & CALL_RETURNS_DESCRIPTOR) return S_ISSOCK(event.file_mode);
  return static_cast<std::uint32_t>(event.arguments[0]) == CALL_PICKED_COMMAND;
}

// An event of which only the type and the profile are real.
RuleEvent sample(std::size_t type, unsigned profile) {
  RuleEvent event;
  event.type = type;
  event.result = profile & PROFILE_FAILED ? -1 : 0;
  bool reads = profile & PROFILE_READ, writes = profile & PROFILE_WRITE;
  event.open_flags = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
  event.file_mode = is_open(type) && profile & PROFILE_DIRECTORY ? S_IFDIR : 0;
  event.addressed = is_send(type) && profile & PROFILE_ADDRESSED;
  if (picks(type) && profile & PROFILE_PICKED) {
    event.file_mode = S_IFSOCK;
    event.arguments[0] = CALL_PICKED_COMMAND;
  }
  return event;
}

// Fields whose value follows from the type and the profile alone.
constexpr std::array<std::string_view, 9> kDecided = {
    "evt.type", "evt.failed", "evt.is_open_read", "evt.is_open_write", "evt.category",
    "evt.dir",  "evt.source", "evt.count",        "fd.name_changed"};

std::optional<Range> range_of(std::string_view field, const RuleEvent& event) {
  if (field == "evt.num") return Range{.low = 1};
  if (field == "evt.rawres") return event.failed() ? Range{.high = -1} : Range{.low = 0};
  if (field == "fd.num" && shape_of(event.type) & CALL_RETURNS_DESCRIPTOR) {
    return event.failed() ? Range{-1, -1} : Range{.low = 0};
  }
  return std::nullopt;
}

// Whether the comparison is true of sockets only.
bool asks_for_socket(const Comparison& comparison) {
  constexpr std::array<std::string_view, 8> kSockets = {"4",    "6",    "u",    "n",
                                                        "ipv4", "ipv6", "unix", "netlink"};
  if (comparison.op != Operator::equal && comparison.op != Operator::in) return false;
  auto is_socket = [&](std::string_view kind) {
    return std::ranges::find(kSockets, kind) != kSockets.end();
  };
  return comparison.modifier == Modifier::none &&
         std::ranges::all_of(comparison.texts, is_socket) &&
         std::all_of(comparison.text_set.begin(), comparison.text_set.end(), is_socket);
}

// Of what is not picked a little is certain, too: a file is no socket, and other commands of bpf
// than the one have other names.
Truth judge_rest(const Comparison& comparison, const Source& source, const RuleEvent& event) {
  std::string_view field = source.field->name;
  if (field == "fd.type" || field == "fd.typechar") {
    return asks_for_socket(comparison) ? Truth::no : Truth::maybe;
  }
  if (field != "evt.arg" || has_descriptor(event.type)) return Truth::maybe;
  constexpr std::uint32_t kCommands = 256;  // more than there are
  RuleEvent one = event;
  for (one.arguments[0] = 0; one.arguments[0] < kCommands; ++one.arguments[0]) {
    if (is_picked(one)) continue;
    if (comparison.matches(source.field->get(one, source.argument), {})) return Truth::maybe;
  }
  return Truth::no;
}

// What a comparison with constants answers for the events of one kind.
Truth judge_field(const Comparison& comparison, const Source& source, const RuleEvent& event) {
  std::string_view field = source.field->name;
  bool is_fd = field.starts_with("fd.");
  if (is_fd && !has_descriptor(event.type)) return Truth::no;  // no value
  if (auto range = range_of(field, event); range && comparison.modifier == Modifier::none) {
    return range_matches(comparison, *range);
  }
  bool decided = std::ranges::find(kDecided, field) != kDecided.end() ||
                 ((field == "fd.type" || field == "fd.typechar") && is_open(event.type)) ||
                 // Of a file it has no value.
                 (field == "fd.connected" && (is_connect(event.type) || is_open(event.type))) ||
                 (field == "evt.is_open_exec" && !is_open(event.type)) ||
                 (field == "evt.res" && !event.failed());
  if (decided) return certain(comparison.matches(source.field->get(event, source.argument), {}));
  return picks(event.type) && !is_picked(event) ? judge_rest(comparison, source, event)
                                                : Truth::maybe;
}

}  // namespace

unsigned profile_of(const RuleEvent& event) {
  unsigned profile = event.failed() ? PROFILE_FAILED : 0;
  if (is_send(event.type) && event.addressed) profile |= PROFILE_ADDRESSED;
  if (picks(event.type) && is_picked(event)) profile |= PROFILE_PICKED;
  if (!is_open(event.type)) return profile;
  if ((event.open_flags & O_ACCMODE) != O_WRONLY) profile |= PROFILE_READ;
  if (event.open_flags & O_ACCMODE) profile |= PROFILE_WRITE;
  if (S_ISDIR(event.file_mode)) profile |= PROFILE_DIRECTORY;
  return profile;
}

std::vector<unsigned> profiles_of(std::size_t type) {
  if (type == kExecve) return {0};
  if (is_send(type)) {
    return {0, PROFILE_FAILED, PROFILE_ADDRESSED, PROFILE_ADDRESSED | PROFILE_FAILED};
  }
  if (picks(type)) return {0, PROFILE_FAILED, PROFILE_PICKED, PROFILE_PICKED | PROFILE_FAILED};
  if (!is_open(type)) return {0, PROFILE_FAILED};
  std::vector<unsigned> profiles;
  for (unsigned access :
       std::initializer_list<unsigned>{PROFILE_READ, PROFILE_WRITE, PROFILE_READ | PROFILE_WRITE}) {
    for (unsigned rest : std::initializer_list<unsigned>{0, PROFILE_FAILED, PROFILE_DIRECTORY}) {
      profiles.push_back(access | rest);
    }
  }
  return profiles;
}

bool Reach::none() const {
  return std::ranges::all_of(profiles, [](std::uint16_t p) { return p == 0; });
}

Reach& Reach::operator|=(const Reach& other) {
  for (std::size_t i = 0; i < profiles.size(); ++i) profiles[i] |= other.profiles[i];
  return *this;
}

Specializer::Specializer(FilterGraph& graph, std::size_t type, unsigned profile)
    : Specializer(graph, [&graph, event = std::make_shared<const RuleEvent>(sample(type, profile))](
                             const Comparison& comparison) {
        const Source& source = graph.sources()[comparison.left];
        // What a transformer makes of a value, or another field holds, is not known.
        if (!source.field || comparison.right) return Truth::maybe;
        return judge_field(comparison, source, *event);
      }) {}

NodeId Specializer::of(NodeId id) {
  if (auto known = done_.find(id); known != done_.end()) return known->second;
  const Node node = graph_.node(id);
  NodeId result = id;
  switch (node.kind) {
    case Node::Kind::never:
    case Node::Kind::always:
      break;
    case Node::Kind::comparison: {
      Truth truth = judge_(graph_.comparison(node));
      if (truth != Truth::maybe) {
        result = truth == Truth::yes ? FilterGraph::kAlways : FilterGraph::kNever;
      }
      break;
    }
    case Node::Kind::negation:
      result = graph_.negation(of(graph_.children(node).front()));
      break;
    case Node::Kind::all:
    case Node::Kind::any: {
      // Copied: the graph grows.
      auto children = graph_.children(node);
      std::vector<NodeId> parts(children.begin(), children.end());
      for (NodeId& part : parts) part = of(part);
      result = node.kind == Node::Kind::all ? graph_.all(std::move(parts))
                                            : graph_.any(std::move(parts));
      break;
    }
  }
  done_.emplace(id, result);
  return result;
}

std::vector<std::string> unbuilt_event_types(FilterGraph& graph, NodeId condition) {
  std::set<NodeId> seen;
  std::set<std::string> mentioned;
  std::vector<NodeId> open = {condition};
  while (!open.empty()) {
    NodeId id = open.back();
    open.pop_back();
    if (!seen.insert(id).second) continue;
    const Node& node = graph.node(id);
    if (node.kind != Node::Kind::comparison) {
      for (NodeId child : graph.children(node)) open.push_back(child);
      continue;
    }
    const Comparison& comparison = graph.comparison(node);
    const Field* field = graph.sources()[comparison.left].field;
    if (!field || field->name != "evt.type") continue;
    auto add = [&](const std::string& name) {
      if (is_event_type(name) && !is_built_event_type(name)) mentioned.insert(name);
    };
    for (const auto& name : comparison.texts) add(name);
    for (const auto& name : comparison.text_set) add(name);
  }
  std::vector<std::string> wanted;
  for (const auto& name : mentioned) {
    Specializer specializer(graph, [&](const Comparison& comparison) {
      const Field* field = graph.sources()[comparison.left].field;
      if (!field || field->name != "evt.type" || comparison.right) return Truth::maybe;
      return certain(comparison.matches(std::string_view(name), {}));
    });
    if (specializer.of(condition) != FilterGraph::kNever) wanted.push_back(name);
  }
  return wanted;
}

}  // namespace trivet::security
