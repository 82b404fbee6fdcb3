// SPDX-License-Identifier: Apache-2.0
// All conditions of a load as one graph: what two rules share is one node, judged once for each
// event. Filled while rules are loaded, on that thread, then immutable; all state of judging is in
// an Evaluation, owned by the worker.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "security/rules/comparison.h"

namespace trivet::security {

// What comparisons and outputs read from an event: a field, a transformer of other sources, a text,
// or a list of texts.
struct Source {
  std::string name;  // as people write it; equal names are one source
  ValueType type;
  const Field* field = nullptr;
  const Transformer* transformer = nullptr;
  FieldArgument argument;
  std::vector<std::size_t> operands;  // of a transformer: sources
  std::vector<std::string> texts;     // where there is neither field nor transformer
};

using NodeId = std::uint32_t;

struct Node {
  enum class Kind : std::uint8_t { never, always, comparison, negation, all, any };
  Kind kind = Kind::never;
  std::uint32_t depth = 1;  // levels below and with this one: bounds the recursion
  std::uint32_t first = 0;  // of the children; of a comparison: its index
  std::uint32_t count = 0;  // children
  double cost = 0;
  double chance = 0;
};

class FilterGraph {
 public:
  static constexpr NodeId kNever = 0;
  static constexpr NodeId kAlways = 1;
  // Conditions beyond this are refused. A node takes about 150 bytes until the graph is sealed.
  static constexpr std::size_t kMaxNodes = 1'000'000;

  FilterGraph();

  // The source of that name, added if it is new.
  std::size_t source(Source source);
  // `key` says all that the comparison says: equal keys are one node.
  NodeId comparison(const std::string& key, Comparison comparison);
  NodeId negation(NodeId of);
  // The cheapest and most telling parts come first: the order of judging changes no answer.
  NodeId all(std::vector<NodeId> parts) { return group(Node::Kind::all, std::move(parts)); }
  NodeId any(std::vector<NodeId> parts) { return group(Node::Kind::any, std::move(parts)); }

  // Nothing is added any more: gives back what only building takes.
  void seal();
  bool full() const { return nodes_.size() >= kMaxNodes; }
  std::size_t size() const { return nodes_.size(); }
  const Node& node(NodeId id) const { return nodes_[id]; }
  std::span<const NodeId> children(const Node& node) const {
    return std::span(children_).subspan(node.first, node.count);
  }
  const Comparison& comparison(const Node& node) const { return comparisons_[node.first]; }
  const std::vector<Source>& sources() const { return sources_; }
  // The comparison that has this key; nullptr if there is none.
  const NodeId* find_comparison(const std::string& key) const;

 private:
  NodeId group(Node::Kind kind, std::vector<NodeId> parts);
  NodeId add(Node node);
  double read_cost(std::size_t source) const;

  std::vector<Source> sources_;
  std::unordered_map<std::string, std::size_t> source_names_;
  std::vector<Node> nodes_;
  std::vector<NodeId> children_;
  std::vector<Comparison> comparisons_;
  std::unordered_map<std::string, NodeId> comparison_keys_;
  std::map<std::pair<Node::Kind, std::vector<NodeId>>, NodeId> groups_;
};

// Judges nodes on one event at a time; sources and nodes are worked out once for each. The
// worker's.
class Evaluation {
 public:
  // Forgets what was attached before. The graph must outlive this.
  void attach(const FilterGraph& graph);
  // Starts on an event, which must outlive the calls that follow.
  void begin(const RuleEvent& event);
  bool matches(NodeId id);
  const FieldValue& value(std::size_t source);

 private:
  FieldValue read(const Source& source);

  const FilterGraph* graph_ = nullptr;
  const RuleEvent* event_ = nullptr;
  std::uint64_t round_ = 0;
  struct Slot {
    std::uint64_t round = 0;
    FieldValue value;
  };
  std::vector<Slot> slots_;             // by source
  std::vector<std::uint64_t> answers_;  // by node: the round, twice, and the answer
};

}  // namespace trivet::security
