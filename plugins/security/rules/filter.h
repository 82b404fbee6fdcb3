// SPDX-License-Identifier: Apache-2.0
// A condition ready to be judged: names resolved, sets hashed, macros shared. Immutable once
// compiled; all state of judging is in an Evaluation, owned by the worker.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "security/fields/field.h"
#include "security/rules/condition.h"

namespace trivet::security {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

// Addresses that share their first `bits` bits with `base`.
struct AddressRange {
  IpAddress base;
  unsigned bits = 0;
  bool contains(const IpAddress& address) const;
};

// A field with its argument. Equal ones share a slot, so that each is read once for an event.
struct FieldUse {
  const Field* field = nullptr;
  FieldArgument argument;
  std::size_t slot = 0;
};

// One comparison. Of the constants, those that fit the field's type and the operator are filled.
struct Test {
  FieldUse use;
  Operator op = Operator::exists;
  std::string text;
  std::vector<std::string> texts;  // pmatch
  std::unordered_set<std::string, TextHash, std::equal_to<>> set;
  std::vector<std::int64_t> numbers;  // one, or the members of a set
  std::vector<AddressRange> ranges;
  std::vector<bool> truths;
};

struct Filter {
  enum class Kind { all, any, negation, test };
  Kind kind = Kind::test;
  std::vector<std::shared_ptr<const Filter>> children;
  Test test;
  std::size_t memo = 0;   // from 1: the slot of a macro's answer; 0 for none
  std::size_t depth = 1;  // levels below and with this one: bounds the recursion
};

// One comparison of a value. False where there is none.
bool matches(const Test& test, const FieldValue& value);

// Judges filters on one event at a time; fields and macros are worked out once for each event. The
// worker's.
class Evaluation {
 public:
  // Room for so many slots and memos (from the compiler).
  void resize(std::size_t slots, std::size_t memos);
  // Starts on an event, which must outlive the calls that follow.
  void begin(const RuleEvent& event);
  bool matches(const Filter& filter);
  const FieldValue& value(const FieldUse& use);

 private:
  const RuleEvent* event_ = nullptr;
  std::uint64_t round_ = 0;
  struct Slot {
    std::uint64_t round = 0;
    FieldValue value;
  };
  struct Memo {
    std::uint64_t round = 0;
    bool answer = false;
  };
  std::vector<Slot> slots_;
  std::vector<Memo> memos_;
};

// Shell wildcards ? * [a-z], * and ? matching slashes too. Time bounded by the product of the
// lengths.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace trivet::security
