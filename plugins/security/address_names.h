// SPDX-License-Identifier: Apache-2.0
// The host names that rules compare addresses with: fd.sip.name and its kin.
#pragma once

#include <string>
#include <vector>

namespace trivet::security {

class FilterGraph;

// The names that the conditions of a graph compare fields such as fd.sip.name with, sorted.
std::vector<std::string> host_names(const FilterGraph& graph);

}  // namespace trivet::security
