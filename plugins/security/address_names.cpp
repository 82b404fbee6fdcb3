// SPDX-License-Identifier: Apache-2.0
#include "security/address_names.h"

#include <set>

#include "security/rules/filter.h"

namespace trivet::security {
namespace {

bool is_name_of_address(const Field& field) {
  return field.name == "fd.sip.name" || field.name == "fd.cip.name" ||
         field.name == "fd.lip.name" || field.name == "fd.rip.name";
}

}  // namespace

std::vector<std::string> host_names(const FilterGraph& graph) {
  std::set<std::string> names;
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    if (node.kind != Node::Kind::comparison) continue;
    const Comparison& comparison = graph.comparison(node);
    const Field* field = graph.sources()[comparison.left].field;
    if (!field || !is_name_of_address(*field)) continue;
    names.insert(comparison.texts.begin(), comparison.texts.end());
    for (const auto& text : comparison.text_set) names.emplace(text);
  }
  return {names.begin(), names.end()};
}

}  // namespace trivet::security
