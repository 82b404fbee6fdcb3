// SPDX-License-Identifier: Apache-2.0
// What people write on the right of an operator, made ready for the type of what is on the left.
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "security/rules/comparison.h"

namespace trivet::security {
namespace {

std::string type_name(FieldType type) {
  switch (type) {
    case FieldType::number:
      return "a number";
    case FieldType::boolean:
      return "true or false";
    case FieldType::address:
      return "an address";
    case FieldType::text:
      break;
  }
  return "text";
}

bool is_set(Operator op) {
  return op == Operator::in || op == Operator::intersects;
}

bool suits(Operator op, FieldType type) {
  switch (op) {
    case Operator::equal:
    case Operator::not_equal:
    case Operator::in:
    case Operator::intersects:
    case Operator::exists:
      return true;
    case Operator::less:
    case Operator::less_equal:
    case Operator::greater:
    case Operator::greater_equal:
      return type == FieldType::number || type == FieldType::text;
    default:
      return type == FieldType::text;
  }
}

// A port's number, or the name that /etc/services has for it.
std::optional<std::int64_t> parse_port(const std::string& text) {
  if (auto number = parse_number(text)) return number;
  servent entry{}, *found = nullptr;
  char buffer[1024];
  if (getservbyname_r(text.c_str(), nullptr, &entry, buffer, sizeof(buffer), &found) == 0 &&
      found) {
    return ntohs(static_cast<std::uint16_t>(found->s_port));
  }
  return std::nullopt;
}

std::optional<std::string> bytes_of(std::string_view hex) {
  std::string out;
  if (hex.empty() || hex.size() % 2 != 0) return std::nullopt;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    unsigned byte = 0;
    auto [end, error] = std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    if (error != std::errc() || end != hex.data() + i + 2) return std::nullopt;
    out += static_cast<char>(byte);
  }
  return out;
}

// What is wrong with a text for the operator; nothing once it is among the constants.
std::optional<std::string> add_text(Comparison& c, std::string text) {
  switch (c.op) {
    case Operator::in:
    case Operator::intersects:
      c.text_set.add(std::move(text));
      return std::nullopt;
    case Operator::pmatch:
      if (!c.paths.add(text)) {
        return "a path has at most " + std::to_string(PathTree::kMaxParts) + " parts";
      }
      return std::nullopt;
    case Operator::regex: {
      auto pattern = Pattern::compile(text);
      if (auto why = std::get_if<std::string>(&pattern)) {
        return "\"" + text + "\" is no regular expression: " + *why;
      }
      c.patterns.push_back(std::get<Pattern>(std::move(pattern)));
      return std::nullopt;
    }
    case Operator::bcontains:
    case Operator::bstarts_with: {
      auto bytes = bytes_of(text);
      if (!bytes) return "\"" + text + "\" is not bytes in hexadecimal, such as CAFE01";
      c.texts.push_back(std::move(*bytes));
      return std::nullopt;
    }
    default:
      c.texts.push_back(std::move(text));
      return std::nullopt;
  }
}

}  // namespace

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t number = 0;
  int base = 10;
  if (text.starts_with("+")) text.remove_prefix(1);
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
    base = 16;
  }
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

std::optional<std::string> unfit(Operator op, Modifier modifier, const ValueType& type) {
  std::string name(info_of(op).name);
  if (!suits(op, type.type)) {
    return "is " + type_name(type.type) + ": it cannot be compared with " + name;
  }
  if (type.plurality == Plurality::list && !is_set(op) && op != Operator::exists) {
    return "is a list: compare it with in, intersects or exists";
  }
  if (modifier != Modifier::none && type.plurality == Plurality::list) {
    return "is a list: it cannot be compared with anyof, oneof or allof";
  }
  return std::nullopt;
}

std::optional<ConditionProblem> set_constants(Comparison& c, std::vector<Word> words,
                                              std::string_view field) {
  for (auto& word : words) {
    auto wrong = [&] {
      return ConditionProblem{word.offset, "\"" + word.text + "\" is not " +
                                               type_name(c.type.type) + ", as " +
                                               std::string(field) + " is"};
    };
    switch (c.type.type) {
      case FieldType::number: {
        auto number = field.ends_with("port") ? parse_port(word.text) : parse_number(word.text);
        if (!number) return wrong();
        c.numbers.push_back(*number);
        break;
      }
      case FieldType::boolean:
        if (word.text != "true" && word.text != "false") return wrong();
        c.truths.push_back(word.text == "true");
        break;
      case FieldType::address: {
        auto range = AddressRange::parse(word.text);
        if (!range) return wrong();
        if (is_set(c.op)) {
          c.address_set.add(*range);
        } else {
          c.ranges.push_back(*range);
        }
        break;
      }
      case FieldType::text:
        if (auto why = add_text(c, std::move(word.text)))
          return ConditionProblem{word.offset, *why};
        break;
    }
  }
  if (is_set(c.op)) std::ranges::sort(c.numbers);
  return std::nullopt;
}

}  // namespace trivet::security
