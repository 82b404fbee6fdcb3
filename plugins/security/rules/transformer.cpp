// SPDX-License-Identifier: Apache-2.0
#include "security/rules/transformer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace trivet::security {
namespace {

using Typed = std::variant<ValueType, std::string>;
using Types = std::span<const ValueType>;
using Values = std::span<const FieldValue>;
using Texts = std::vector<std::string_view>;

bool is_text(const ValueType& type) {
  return type.type == FieldType::text;
}

// Of one text, or of each text of several.
Typed of_text(Types operands, const FieldArgument&) {
  if (operands.size() != 1) return "takes one field";
  if (!is_text(operands[0])) return "takes a field of text";
  return operands[0];
}

Typed of_length(Types operands, const FieldArgument&) {
  if (operands.size() != 1) return "takes one field";
  if (!is_text(operands[0]) && operands[0].plurality == Plurality::one) {
    return "takes a field of text, or one with several values";
  }
  return ValueType{FieldType::number, Plurality::one};
}

Typed of_join(Types operands, const FieldArgument&) {
  if (operands.size() != 2 || !is_text(operands[0]) || operands[0].plurality != Plurality::one ||
      operands[1].plurality == Plurality::one) {
    return "takes a separator and a field with several values: join(\", \", proc.aname)";
  }
  return ValueType{};
}

Typed of_concat(Types operands, const FieldArgument&) {
  bool fit = operands.size() >= 2 && std::ranges::all_of(operands, [](const ValueType& type) {
               return is_text(type) && type.plurality == Plurality::one;
             });
  if (!fit) return "takes two texts or more, each with one value";
  return ValueType{};
}

Typed of_getopt(Types operands, const FieldArgument& argument) {
  if (operands.size() != 2 || !is_text(operands[0]) || !is_text(operands[1]) ||
      operands[1].plurality != Plurality::one) {
    return "takes arguments and the options to look for: getopt(proc.args, \"lp:e:\")";
  }
  if (argument.text.size() > 1) return "takes one letter in brackets: getopt(...)[e]";
  return ValueType{FieldType::text, argument.text.empty() ? Plurality::list : Plurality::one};
}

std::string_view text_of(const FieldValue& value) {
  auto text = std::get_if<std::string_view>(&value);
  return text ? *text : std::string_view();
}

// `change` of a text, or of each of several; no value where it answers none.
template <class Change>
FieldValue each_text(const FieldValue& value, Change change) {
  if (auto texts = std::get_if<Texts>(&value)) {
    Texts out;
    for (auto text : *texts) {
      std::optional<std::string_view> changed = change(text);
      if (!changed) return {};
      out.push_back(*changed);
    }
    return out;
  }
  std::optional<std::string_view> changed = change(text_of(value));
  return changed ? FieldValue(*changed) : FieldValue();
}

template <int (*change)(int)>
FieldValue letters(const RuleEvent& event, Values operands, const FieldArgument&) {
  return each_text(operands[0], [&](std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(),
                           [](unsigned char c) { return static_cast<char>(change(c)); });
    return std::optional(event.keep(std::move(out)));
  });
}

// RFC 4648 without regard to padding; nothing if another letter is in it.
std::optional<std::string> decoded(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    auto value = kAlphabet.find(c);
    if (value == kAlphabet.npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>(bits >> held & 0xff);
  }
  return out;
}

FieldValue b64(const RuleEvent& event, Values operands, const FieldArgument&) {
  return each_text(operands[0], [&](std::string_view text) -> std::optional<std::string_view> {
    auto out = decoded(text);
    if (!out) return std::nullopt;
    return event.keep(std::move(*out));
  });
}

FieldValue basename(const RuleEvent&, Values operands, const FieldArgument&) {
  return each_text(operands[0], [](std::string_view text) {
    auto slash = text.rfind('/');
    return std::optional(slash == text.npos ? text : text.substr(slash + 1));
  });
}

FieldValue length(const RuleEvent&, Values operands, const FieldArgument&) {
  return std::visit(
      [](const auto& value) -> FieldValue {
        if constexpr (requires { value.size(); }) return static_cast<std::int64_t>(value.size());
        return std::int64_t{1};
      },
      operands[0]);
}

FieldValue join(const RuleEvent& event, Values operands, const FieldArgument&) {
  auto separator = text_of(operands[0]);
  std::string out;
  auto add = [&](const FieldValue& value, bool first) {
    if (!first) out += separator;
    out += show(value);
  };
  std::visit(
      [&](const auto& value) {
        if constexpr (requires { value.begin(); } &&
                      !std::is_same_v<std::decay_t<decltype(value)>, std::string_view>) {
          for (const auto& item : value) add(FieldValue(item), &item == &value.front());
        } else {
          add(FieldValue(value), true);
        }
      },
      operands[1]);
  return event.keep(std::move(out));
}

FieldValue concat(const RuleEvent& event, Values operands, const FieldArgument&) {
  std::string out;
  for (const auto& operand : operands) out += text_of(operand);
  return event.keep(std::move(out));
}

// The arguments, or the words of a text that holds them.
Texts arguments_of(const FieldValue& value) {
  if (auto texts = std::get_if<Texts>(&value)) return *texts;
  Texts out;
  auto text = text_of(value);
  while (!text.empty()) {
    auto end = std::min(text.find(' '), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// What getopt(3) would find in arguments without the program's name, up to the first that is no
// option; long options are passed over. An option whose argument is missing is an empty text.
class Options {
 public:
  explicit Options(std::string_view wanted) {
    if (wanted.starts_with(':')) wanted.remove_prefix(1);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] == ':') continue;
      bool takes = i + 1 < wanted.size() && wanted[i + 1] == ':';
      kinds_[static_cast<unsigned char>(wanted[i])] = takes ? Kind::with_value : Kind::alone;
    }
  }

  struct Found {
    std::string_view option;  // "?": one that was not wanted
    std::optional<std::string_view> value;
    bool missing = false;  // it wants a value, and the arguments end
  };
  std::vector<Found> in(const Texts& arguments) const {
    std::vector<Found> out;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      auto argument = arguments[i];
      if (argument == "--" || argument.size() < 2 || argument[0] != '-') break;
      if (argument[1] == '-') continue;
      for (std::size_t at = 1; at < argument.size(); ++at) {
        auto option = argument.substr(at, 1);
        Kind kind = kinds_[static_cast<unsigned char>(option[0])];
        if (kind != Kind::with_value) {
          out.push_back({kind == Kind::unknown ? "?" : option, {}, false});
          continue;
        }
        bool behind = at + 1 < argument.size();
        if (behind) {
          out.push_back({option, argument.substr(at + 1), false});
        } else if (i + 1 < arguments.size()) {
          out.push_back({option, arguments[++i], false});
        } else {
          out.push_back({option, {}, true});
        }
        break;
      }
    }
    return out;
  }

 private:
  enum class Kind : std::uint8_t { unknown, alone, with_value };
  std::array<Kind, 256> kinds_{};
};

FieldValue options_among(const RuleEvent&, Values operands, const FieldArgument& argument) {
  auto all = Options(text_of(operands[1])).in(arguments_of(operands[0]));
  if (argument.text.empty()) {
    Texts out;
    for (const auto& found : all) {
      out.push_back(found.missing ? std::string_view() : found.option);
      if (found.value) out.push_back(*found.value);
    }
    return out;
  }
  FieldValue last;
  for (const auto& found : all) {
    if (found.option == argument.text) {
      last = found.missing ? std::string_view() : found.value.value_or(found.option);
    }
  }
  return last;
}

constexpr Transformer kTransformers[] = {
    {"tolower", "tolower(field)", "the text in small letters", of_text, letters<std::tolower>},
    {"toupper", "toupper(field)", "the text in capital letters", of_text, letters<std::toupper>},
    {"b64", "b64(field)", "the text that this Base64 stands for; no value if it is none", of_text,
     b64},
    {"basename", "basename(field)", "what follows the last slash", of_text, basename},
    {"len", "len(field)", "how many bytes the text has, or how many values there are", of_length,
     length},
    {"join", "join(separator, field)", "several values as one text", of_join, join},
    {"concat", "concat(field, \"text\", ...)", "these texts, one behind the other", of_concat,
     concat},
    {"getopt", "getopt(field, \"lp:e:\")",
     "the options among arguments and what is given with them, as getopt(3) reads them; with an "
     "option in brackets behind it, what is given with that one",
     of_getopt, options_among},
};

}  // namespace

std::span<const Transformer> transformers() {
  return kTransformers;
}

const Transformer* find_transformer(std::string_view name) {
  auto found = std::ranges::find(kTransformers, name, &Transformer::name);
  return found == std::end(kTransformers) ? nullptr : found;
}

}  // namespace trivet::security
