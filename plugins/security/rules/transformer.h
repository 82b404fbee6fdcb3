// SPDX-License-Identifier: Apache-2.0
// What can be done to a field's value before it is compared or shown: one table with name, types,
// meaning and function. Static data; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "security/fields/field.h"

namespace trivet::security {

struct ValueType {
  FieldType type = FieldType::text;
  Plurality plurality = Plurality::one;
};

struct Transformer {
  std::string_view name;
  std::string_view usage;  // as people write it: "join(separator, list)"
  std::string_view meaning;
  // The type of the answer to operands of these types, or what is wrong with them.
  std::variant<ValueType, std::string> (*type)(std::span<const ValueType> operands,
                                               const FieldArgument& argument);
  // None of the operands is without a value. The answer lives as long as the event.
  FieldValue (*apply)(const RuleEvent& event, std::span<const FieldValue> operands,
                      const FieldArgument& argument);
};

std::span<const Transformer> transformers();
// nullptr if there is none of that name. val() is none: it only says that a field follows.
const Transformer* find_transformer(std::string_view name);

}  // namespace trivet::security
