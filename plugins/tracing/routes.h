// SPDX-License-Identifier: Apache-2.0
// Paths as routes: what a path has in common with others of its kind, so that requests can be
// counted by it. The operator's patterns come first; else segments that look like identifiers
// become {id}. Pure functions of the path; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "trivet/result.h"

namespace trivet::tracing {

class Routes {
 public:
  static constexpr std::size_t max_patterns = 1024;
  static constexpr std::size_t max_segments = 16;  // what follows becomes {path...}

  Routes() = default;
  // Patterns such as /users/{id} and /files/{path...}; the first that matches is the route. What is
  // wrong with one and what to write instead, if anything is.
  static Result<Routes> read(const std::vector<std::string>& patterns);

  // Empty for what is no path, as the target of CONNECT.
  std::string route(std::string_view path) const;

 private:
  struct Pattern {
    std::string text;
    std::vector<std::string> segments;  // empty: any one segment
    bool open = false;                  // ends in {...}: anything may follow
  };
  std::vector<Pattern> patterns_;
};

}  // namespace trivet::tracing
