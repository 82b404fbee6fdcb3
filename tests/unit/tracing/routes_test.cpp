// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "tracing/routes.h"

namespace trivet::tracing {

TEST_CASE("segments that look like identifiers become placeholders, words stay") {
  const Routes routes;
  const std::pair<const char*, const char*> table[] = {
      {"/", "/"},
      {"/index.html", "/index.html"},
      {"/users/42", "/users/{id}"},
      {"/users/42/", "/users/{id}/"},
      {"/api/v2/orders", "/api/v2/orders"},
      {"/reports/2026-11-22/-17", "/reports/{id}/{id}"},
      {"/o/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/o/{id}"},
      {"/blobs/deadbeef01", "/blobs/{id}"},
      {"/cafe/feedback", "/cafe/feedback"},
      {"/t/AbC123dEf456GhI7", "/t/{id}"},
      {"/static/jquery-3.6.0.min.js", "/static/jquery-3.6.0.min.js"},
      {"/u/joe@example.org", "/u/{id}"},
      {"/x/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "/x/{id}"},
      {"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/{path...}"},
      {"*", ""},
      {"example.org:443", ""},
      {"", ""},
  };
  for (const auto& [path, route] : table) {
    CAPTURE(path);
    CHECK(routes.route(path) == route);
  }
}

TEST_CASE("the operator's patterns come first, in their order") {
  const auto routes =
      Routes::read({"/users/me", "/users/{name}", "/files/{path...}", "/shop/{a}/{b}/"});
  REQUIRE(routes);
  const std::pair<const char*, const char*> table[] = {
      {"/users/me", "/users/me"},
      {"/users/joe", "/users/{name}"},
      {"/users/", "/users/"},
      {"/users/joe/7", "/users/joe/{id}"},
      {"/files/", "/files/{path...}"},
      {"/files/a/b/c", "/files/{path...}"},
      {"/files", "/files"},
      {"/shop/x/y/", "/shop/{a}/{b}/"},
      {"/shop/x/y", "/shop/x/y"},
  };
  for (const auto& [path, route] : table) {
    CAPTURE(path);
    CHECK(routes->route(path) == route);
  }
}

TEST_CASE("a pattern says what is wrong with it and what to write instead") {
  const std::pair<const char*, const char*> table[] = {
      {"users/{id}", "write \"/users/{id}\""},
      {"/users/*", "a placeholder is a whole segment in braces"},
      {"/users/u-{id}", "a placeholder is a whole segment in braces"},
      {"/{path...}/end", "write it last"},
  };
  for (const auto& [pattern, message] : table) {
    auto read = Routes::read({pattern});
    REQUIRE_FALSE(read);
    CHECK(read.error().message.find(message) != std::string::npos);
  }
}

}  // namespace trivet::tracing
