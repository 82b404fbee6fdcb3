// SPDX-License-Identifier: Apache-2.0
#include "security/rules/compiler.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace trivet::security {
namespace {

// Macros within macros: bounds the recursion when a filter is judged.
constexpr std::size_t kMaxFilterDepth = 400;
constexpr std::size_t kMaxListDepth = 50;
// Of all lists together, expanded: far more than any real rule file, little enough to hold.
constexpr std::size_t kMaxListWords = 1'000'000;

template <class T>
bool is_problem(const T& result) {
  return std::holds_alternative<ConditionProblem>(result);
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  auto near = nearest(word, known);
  return near.empty() ? std::string() : ": did you mean \"" + near + "\"?";
}

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t number = 0;
  int base = 10;
  if (text.starts_with("+")) text.remove_prefix(1);
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

std::optional<AddressRange> parse_range(std::string_view text) {
  auto slash = text.find('/');
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  unsigned longest = address->family == 4 ? 32 : 128;
  if (slash == text.npos) return AddressRange{*address, longest};
  auto bits = parse_number(text.substr(slash + 1));
  if (!bits || *bits < 0 || *bits > longest) return std::nullopt;
  return AddressRange{*address, static_cast<unsigned>(*bits)};
}

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
      return type == FieldType::number;
    default:
      return type == FieldType::text;
  }
}

CompileProblem at_place(const SourceText& source, const ConditionProblem& problem) {
  return {{problem.message, 0, source.at(problem.offset)}, problem.unbuilt};
}

}  // namespace

std::variant<std::shared_ptr<const Filter>, CompileProblem> Compiler::condition(
    const SourceText& source) {
  auto parsed = parse_condition(source.text());
  if (auto problem = std::get_if<ConditionProblem>(&parsed)) return at_place(source, *problem);
  return compile(source, *std::get<std::unique_ptr<Expression>>(parsed));
}

std::variant<OutputTemplate, CompileProblem> Compiler::output(const SourceText& source) {
  auto parsed = OutputTemplate::parse(
      source.text(), [this](std::string_view name, std::string_view argument, std::size_t offset) {
        return field(name, argument, offset);
      });
  if (auto problem = std::get_if<ConditionProblem>(&parsed)) return at_place(source, *problem);
  return std::get<OutputTemplate>(std::move(parsed));
}

std::vector<CompileProblem> Compiler::check_macros() {
  std::vector<CompileProblem> problems;
  for (const auto& [name, definition] : definitions_.macros) {
    auto compiled = macro(definition.condition, {name, 0, false});
    auto problem = std::get_if<CompileProblem>(&compiled);
    // What is wrong in a macro is found again in each that uses it.
    if (problem && std::ranges::none_of(problems, [&](const CompileProblem& other) {
          return other.error.to_string() == problem->error.to_string();
        })) {
      problems.push_back(*problem);
    }
  }
  return problems;
}

Compiler::Compiled Compiler::compile(const SourceText& source, const Expression& expression) {
  switch (expression.kind) {
    case Expression::Kind::comparison:
      return comparison(source, expression);
    case Expression::Kind::macro:
      return macro(source, expression.name);
    default:
      return group(source, expression);
  }
}

Compiler::Compiled Compiler::group(const SourceText& source, const Expression& expression) {
  auto filter = std::make_shared<Filter>();
  filter->kind = expression.kind == Expression::Kind::all   ? Filter::Kind::all
                 : expression.kind == Expression::Kind::any ? Filter::Kind::any
                                                            : Filter::Kind::negation;
  for (const auto& child : expression.children) {
    auto compiled = compile(source, *child);
    if (std::holds_alternative<CompileProblem>(compiled)) return compiled;
    auto& part = std::get<std::shared_ptr<const Filter>>(compiled);
    filter->depth = std::max(filter->depth, part->depth + 1);
    filter->children.push_back(std::move(part));
  }
  if (filter->depth > kMaxFilterDepth) {
    return at_place(source, {0, "macros nest too deep here: simplify them"});
  }
  return filter;
}

Compiler::Compiled Compiler::macro(const SourceText& source, const Word& name) {
  if (auto done = macros_.find(name.text); done != macros_.end()) return done->second;
  auto defined = definitions_.macros.find(name.text);
  if (defined == definitions_.macros.end()) {
    std::vector<std::string> known;
    for (const auto& [macro, definition] : definitions_.macros) known.push_back(macro);
    auto near = suggestion(name.text, known);
    return at_place(source,
                    {name.offset, "unknown macro \"" + name.text + "\"" +
                                      (near.empty() ? ": define it, or compare a field" : near)});
  }
  if (std::ranges::find(open_macros_, name.text) != open_macros_.end()) {
    return at_place(source, {name.offset, "the macro \"" + name.text + "\" uses itself"});
  }
  if (open_macros_.size() >= kMaxConditionDepth) {
    return at_place(source, {name.offset, "macros nest too deep here: simplify them"});
  }
  open_macros_.push_back(name.text);
  auto compiled = condition(defined->second.condition);
  open_macros_.pop_back();
  if (auto filter = std::get_if<std::shared_ptr<const Filter>>(&compiled)) {
    // A macro that only names another keeps that one's memo.
    if ((*filter)->memo == 0) {
      auto shared = std::make_shared<Filter>(**filter);
      shared->memo = ++memos_;
      *filter = std::move(shared);
    }
  }
  return macros_.emplace(name.text, std::move(compiled)).first->second;
}

std::variant<FieldUse, ConditionProblem> Compiler::field(std::string_view name,
                                                         std::string_view argument,
                                                         std::size_t offset) {
  FieldUse use;
  std::string text(argument);
  // evt.arg.flags is another way to write evt.arg[flags].
  constexpr std::string_view kArgumentPrefix = "evt.arg.";
  if (name.starts_with(kArgumentPrefix) && argument.empty()) {
    text = std::string(name.substr(kArgumentPrefix.size()));
    name = "evt.arg";
  }
  use.field = find_field(name);
  if (!use.field) {
    auto prefix = name.substr(0, name.find('.'));
    if (is_unbuilt_field(name) || name.starts_with("evt.rawarg.") || prefix == "fdlist") {
      return ConditionProblem{offset, "the field " + std::string(name) + " is not built yet", true};
    }
    auto near = suggestion(name, field_names());
    return ConditionProblem{offset, "unknown field \"" + std::string(name) + "\"" +
                                        (near.empty() ? ": `trivet fields ls` lists all" : near)};
  }
  use.argument.text = text;
  if (auto number = parse_number(text); number && *number >= 0 && *number < 1'000'000) {
    use.argument.index = static_cast<std::uint32_t>(*number);
  }
  switch (use.field->argument) {
    case ArgumentUse::optional_name:
      break;
    case ArgumentUse::none:
      if (!text.empty()) {
        return ConditionProblem{
            offset, std::string(name) + " takes nothing in brackets: write " + std::string(name)};
      }
      break;
    case ArgumentUse::optional_index:
      if (!text.empty() && !use.argument.index) {
        return ConditionProblem{offset, std::string(name) + " takes a number in brackets: write " +
                                            std::string(name) + "[1]"};
      }
      break;
    case ArgumentUse::index:
      if (!use.argument.index) {
        return ConditionProblem{offset, std::string(name) + " needs a number in brackets: write " +
                                            std::string(name) + "[1]"};
      }
      break;
    case ArgumentUse::name:
      if (text.empty()) {
        return ConditionProblem{offset, std::string(name) + " needs a name in brackets"};
      }
      // Falco's order has arguments that are not built: a number would name another one here.
      if (name == "evt.arg" && use.argument.index) {
        return ConditionProblem{offset, "evt.arg by number is not built: write the argument's name",
                                true};
      }
      if (name == "evt.arg" && !use.argument.index && !is_event_argument(text)) {
        return ConditionProblem{offset, "no event built so far has an argument \"" + text + "\"",
                                true};
      }
      break;
  }
  auto [slot, added] = slots_.emplace(std::pair(use.field, text), slots_.size());
  use.slot = slot->second;
  return use;
}

Compiler::Compiled Compiler::comparison(const SourceText& source, const Expression& expression) {
  auto use = field(expression.name.text, expression.argument, expression.name.offset);
  if (auto problem = std::get_if<ConditionProblem>(&use)) return at_place(source, *problem);
  auto filter = std::make_shared<Filter>();
  filter->kind = Filter::Kind::test;
  filter->test.use = std::get<FieldUse>(use);
  filter->test.op = expression.op;
  if (auto problem = constants(expression, filter->test)) return at_place(source, *problem);
  return filter;
}

const std::vector<Word>* Compiler::list(const std::string& name, std::size_t depth) {
  if (auto done = lists_.find(name); done != lists_.end()) return &done->second;
  auto defined = definitions_.lists.find(name);
  if (defined == definitions_.lists.end() || depth > kMaxListDepth) return nullptr;
  // Present, and empty, while it is expanded: a list within itself adds nothing.
  lists_[name] = {};
  std::vector<Word> items;
  for (const auto& item : defined->second.items) {
    const auto* inner = item.quoted ? nullptr : list(item.text, depth + 1);
    if (inner) {
      items.insert(items.end(), inner->begin(), inner->end());
    } else {
      items.push_back(item);
    }
    if (list_words_ + items.size() > kMaxListWords) break;
  }
  list_words_ += items.size();
  return &(lists_[name] = std::move(items));
}

std::variant<std::vector<Word>, ConditionProblem> Compiler::expand(const Expression& expression) {
  std::vector<Word> words;
  for (const auto& value : expression.values) {
    const auto* items = value.quoted ? nullptr : list(value.text, 0);
    if (!items) {
      words.push_back(value);
      continue;
    }
    for (Word item : *items) {
      item.offset = value.offset;
      words.push_back(std::move(item));
    }
    if (list_words_ + words.size() > kMaxListWords) {
      return ConditionProblem{value.offset, "the lists here hold more than " +
                                                std::to_string(kMaxListWords) + " words in all"};
    }
  }
  return words;
}

std::optional<ConditionProblem> Compiler::constants(const Expression& expression, Test& test) {
  const Field& field = *test.use.field;
  if (!suits(test.op, field.type)) {
    return ConditionProblem{expression.op_word.offset,
                            std::string(field.name) + " is " + type_name(field.type) +
                                ": it cannot be compared with " + expression.op_word.text};
  }
  if (test.op == Operator::exists) return std::nullopt;
  bool set =
      test.op == Operator::in || test.op == Operator::intersects || test.op == Operator::pmatch;
  std::vector<Word> words = expression.values;
  if (set) {
    auto expanded = expand(expression);
    if (is_problem(expanded)) return std::get<ConditionProblem>(expanded);
    words = std::get<std::vector<Word>>(std::move(expanded));
  }
  for (auto& word : words) {
    auto wrong = [&] {
      return ConditionProblem{word.offset, "\"" + word.text + "\" is not " + type_name(field.type) +
                                               ", as " + std::string(field.name) + " is"};
    };
    switch (field.type) {
      case FieldType::number: {
        auto number = parse_number(word.text);
        if (!number) return wrong();
        test.numbers.push_back(*number);
        break;
      }
      case FieldType::boolean: {
        if (word.text != "true" && word.text != "false") return wrong();
        test.truths.push_back(word.text == "true");
        break;
      }
      case FieldType::address: {
        auto range = parse_range(word.text);
        if (!range) return wrong();
        test.ranges.push_back(*range);
        break;
      }
      case FieldType::text:
        if (field.name == "evt.type" && !is_event_type(word.text) &&
            test.op != Operator::contains && test.op != Operator::starts_with &&
            test.op != Operator::ends_with && test.op != Operator::glob) {
          return ConditionProblem{word.offset, "unknown event type \"" + word.text + "\"" +
                                                   suggestion(word.text, event_type_names())};
        }
        // The kernel tells an execveat as the exec that it is.
        if (field.name == "evt.type" && word.text == "execveat") word.text = "execve";
        if (test.op == Operator::icontains || test.op == Operator::iglob) {
          std::ranges::transform(word.text, word.text.begin(), [](unsigned char c) {
            return static_cast<char>(std::tolower(c));
          });
        }
        if (set && test.op != Operator::pmatch) {
          test.set.insert(word.text);
        } else if (set) {
          test.texts.push_back(word.text);
        } else {
          test.text = word.text;
        }
        break;
    }
  }
  return std::nullopt;
}

}  // namespace trivet::security
