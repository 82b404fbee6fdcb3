// SPDX-License-Identifier: Apache-2.0
#include "security/rules/filter.h"

#include <algorithm>

namespace trivet::security {
namespace {

// Parts of a part join their group up to this many, so that all of them are ordered together.
constexpr std::size_t kMaxJoined = 256;

// What reading a field takes, in nanoseconds, about; a field of the table's first prefix that fits.
struct ReadCost {
  std::string_view prefix;
  double cost;
};
constexpr ReadCost kReadCosts[] = {
    // Read from the process itself while the event waits: never before anything else can decide.
    {"proc.exe_sha256", 1e8},
    {"proc.env", 1e7},
    // Put together from several parts.
    {"proc.args", 150},
    {"proc.cmdline", 150},
    {"proc.cmd", 150},
    {"proc.exeline", 150},
    {"evt.arg", 150},
    {"evt.info", 150},
    {"evt.time", 300},
    {"evt.datetime", 300},
    // Looked up: ancestors one by one, users by name, what a runtime says of a container.
    {"proc.pid", 4},
    {"proc.ppid", 4},
    {"proc.p", 250},
    {"proc.a", 250},
    {"proc.sid", 250},
    {"proc.sname", 250},
    {"user.", 60},
    {"group.", 60},
    {"container.id", 4},
    {"container.", 150},
    {"k8s.", 150},
    {"", 4},
};
constexpr double kTransformCost = 60;
const FieldValue kNone;

}  // namespace

FilterGraph::FilterGraph() {
  nodes_.push_back({.kind = Node::Kind::never});
  nodes_.push_back({.kind = Node::Kind::always, .chance = 1});
}

std::size_t FilterGraph::source(Source source) {
  auto [known, added] = source_names_.try_emplace(source.name, sources_.size());
  if (added) sources_.push_back(std::move(source));
  return known->second;
}

void FilterGraph::seal() {
  source_names_ = {};
  comparison_keys_ = {};
  groups_ = {};
}

double FilterGraph::read_cost(std::size_t index) const {
  const Source& source = sources_[index];
  double cost = source.transformer ? kTransformCost : 0;
  for (auto operand : source.operands) cost += read_cost(operand);
  if (!source.field) return cost;
  auto fits = [&](const ReadCost& entry) { return source.field->name.starts_with(entry.prefix); };
  return std::ranges::find_if(kReadCosts, fits)->cost;
}

NodeId FilterGraph::add(Node node) {
  nodes_.push_back(node);
  return static_cast<NodeId>(nodes_.size() - 1);
}

const NodeId* FilterGraph::find_comparison(const std::string& key) const {
  auto known = comparison_keys_.find(key);
  return known == comparison_keys_.end() ? nullptr : &known->second;
}

NodeId FilterGraph::comparison(const std::string& key, Comparison comparison) {
  auto [known, added] = comparison_keys_.try_emplace(key, 0);
  if (!added) return known->second;
  Node node{.kind = Node::Kind::comparison,
            .first = static_cast<std::uint32_t>(comparisons_.size())};
  node.cost = comparison.cost() + read_cost(comparison.left);
  if (comparison.right) node.cost += read_cost(*comparison.right);
  node.chance = comparison.chance();
  comparisons_.push_back(std::move(comparison));
  return known->second = add(node);
}

NodeId FilterGraph::negation(NodeId of) {
  if (of == kNever) return kAlways;
  if (of == kAlways) return kNever;
  const Node inner = nodes_[of];
  if (inner.kind == Node::Kind::negation) return children_[inner.first];
  auto [known, added] = groups_.try_emplace({Node::Kind::negation, {of}}, 0);
  if (!added) return known->second;
  Node node{.kind = Node::Kind::negation, .depth = inner.depth + 1};
  node.first = static_cast<std::uint32_t>(children_.size());
  node.count = 1;
  node.cost = inner.cost;
  node.chance = 1 - inner.chance;
  children_.push_back(of);
  return known->second = add(node);
}

NodeId FilterGraph::group(Node::Kind kind, std::vector<NodeId> parts) {
  bool conjunction = kind == Node::Kind::all;
  NodeId neutral = conjunction ? kAlways : kNever, decisive = conjunction ? kNever : kAlways;
  std::vector<NodeId> members;
  for (NodeId part : parts) {
    const Node& node = nodes_[part];
    if (node.kind == kind && members.size() + node.count <= kMaxJoined) {
      auto inner = children(node);
      members.insert(members.end(), inner.begin(), inner.end());
    } else {
      members.push_back(part);
    }
  }
  std::ranges::sort(members);
  members.erase(std::unique(members.begin(), members.end()), members.end());
  std::erase(members, neutral);
  if (std::ranges::find(members, decisive) != members.end()) return decisive;
  if (members.empty()) return neutral;
  if (members.size() == 1) return members.front();

  auto [known, added] = groups_.try_emplace({kind, members}, 0);
  if (!added) return known->second;
  // The order that costs least if the parts are independent: by cost for each decision.
  auto rank = [&](NodeId id) {
    const Node& node = nodes_[id];
    double decides = conjunction ? 1 - node.chance : node.chance;
    return node.cost / std::max(decides, 1e-6);
  };
  std::ranges::stable_sort(members, {}, rank);
  Node node{.kind = kind};
  node.first = static_cast<std::uint32_t>(children_.size());
  node.count = static_cast<std::uint32_t>(members.size());
  double reached = 1;
  for (NodeId id : members) {
    const Node& member = nodes_[id];
    node.depth = std::max(node.depth, member.depth + 1);
    node.cost += reached * member.cost;
    reached *= conjunction ? member.chance : 1 - member.chance;
  }
  node.chance = conjunction ? reached : 1 - reached;
  children_.insert(children_.end(), members.begin(), members.end());
  return known->second = add(node);
}

void Evaluation::attach(const FilterGraph& graph) {
  graph_ = &graph;
  event_ = nullptr;
  round_ = 0;
  slots_.assign(graph.sources().size(), {});
  answers_.assign(graph.size(), 0);
}

void Evaluation::begin(const RuleEvent& event) {
  event_ = &event;
  ++round_;
}

const FieldValue& Evaluation::value(std::size_t source) {
  Slot& slot = slots_[source];
  if (slot.round != round_) {
    slot.round = round_;
    slot.value = read(graph_->sources()[source]);
  }
  return slot.value;
}

FieldValue Evaluation::read(const Source& source) {
  if (source.field) return source.field->get(*event_, source.argument);
  if (source.transformer) {
    std::vector<FieldValue> operands;
    for (auto operand : source.operands) {
      operands.push_back(value(operand));
      if (std::holds_alternative<std::monostate>(operands.back())) return {};
    }
    return source.transformer->apply(*event_, operands, source.argument);
  }
  if (source.type.plurality == Plurality::one) return std::string_view(source.texts.front());
  return std::vector<std::string_view>(source.texts.begin(), source.texts.end());
}

bool Evaluation::matches(NodeId id) {
  std::uint64_t& known = answers_[id];
  if (known >> 1 == round_) return known & 1;
  const Node& node = graph_->node(id);
  bool answer = false;
  auto part = [&](NodeId child) { return matches(child); };
  switch (node.kind) {
    case Node::Kind::never:
      break;
    case Node::Kind::always:
      answer = true;
      break;
    case Node::Kind::comparison: {
      const Comparison& comparison = graph_->comparison(node);
      const FieldValue& left = value(comparison.left);
      answer = comparison.matches(left, comparison.right ? value(*comparison.right) : kNone);
      break;
    }
    case Node::Kind::negation:
      answer = !matches(graph_->children(node).front());
      break;
    case Node::Kind::all:
      answer = std::ranges::all_of(graph_->children(node), part);
      break;
    case Node::Kind::any:
      answer = std::ranges::any_of(graph_->children(node), part);
      break;
  }
  known = round_ << 1 | answer;
  return answer;
}

}  // namespace trivet::security
