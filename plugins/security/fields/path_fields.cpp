// SPDX-License-Identifier: Apache-2.0
// fs.path.*: the paths that a call works on, whether it opens them or not.
#include "security/fields/field.h"

namespace trivet::security {
namespace {

bool names_one(const RuleEvent& event) {
  const auto shape = shape_of(event.type);
  return CALL_INDEX(shape, CALL_PATH(0)) != 0 && CALL_INDEX(shape, CALL_SECOND_PATH(0)) == 0 &&
         !(shape & CALL_FIRST_IS_TEXT);
}
bool names_two(const RuleEvent& event) {
  return CALL_INDEX(shape_of(event.type), CALL_SECOND_PATH(0)) != 0;
}

FieldValue text(std::string_view path) {
  if (path.empty()) return {};
  return path;
}

FieldValue name(const RuleEvent& event, const FieldArgument&) {
  if (is_open(event.type)) return text(event.path);
  if (names_one(event)) return text(event.given[0]);
  // Of a file that a descriptor refers to.
  if (event.type == kExecve || names_two(event) || kCalls[event.type].category != Category::file)
    return {};
  return text(event.path);
}

#define GET(applies, path)                                         \
  [](const RuleEvent& event, const FieldArgument&) -> FieldValue { \
    if (!applies(event)) return {};                                \
    return text(path);                                             \
  }

constexpr Field kFields[] = {
    {"fs.path.name", FieldType::text, ArgumentUse::none, "Path that the call works on, absolute",
     name},
    {"fs.path.nameraw", FieldType::text, ArgumentUse::none, "The same as the program gave it",
     GET(names_one, event.given_raw[0])},
    {"fs.path.source", FieldType::text, ArgumentUse::none,
     "Of a rename, link or mount: where it comes from, absolute", GET(names_two, event.given[0])},
    {"fs.path.sourceraw", FieldType::text, ArgumentUse::none, "The same as the program gave it",
     GET(names_two, event.given_raw[0])},
    {"fs.path.target", FieldType::text, ArgumentUse::none,
     "Of a rename, link or mount: where it goes, absolute", GET(names_two, event.given[1])},
    {"fs.path.targetraw", FieldType::text, ArgumentUse::none, "The same as the program gave it",
     GET(names_two, event.given_raw[1])},
};

}  // namespace

std::span<const Field> path_fields() {
  return kFields;
}

}  // namespace trivet::security
