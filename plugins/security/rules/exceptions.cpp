// SPDX-License-Identifier: Apache-2.0
#include "security/rules/exceptions.h"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "security/rules/operators.h"

namespace trivet::security {
namespace {

// A word as a condition can hold it. What looks like a list's name stays bare, so that it is one.
std::string as_condition_word(const std::string& word) {
  bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-' || c == '.' || c == '/' || c == ':';
  });
  bool quoted = word.size() >= 2 && word.front() == word.back() &&
                (word.front() == '"' || word.front() == '\'');
  if (plain || quoted) return word;
  std::string out = "\"";
  for (char c : word) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// The words of "startswith anyof".
std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// A modifier is the second word.
bool takes_list(const std::string& comparison) {
  auto words = words_of(comparison);
  const auto* op = words.empty() ? nullptr : find_operator(words[0]);
  return words.size() > 1 || (op && op->right == RightSide::list);
}

bool is_comparison(const std::string& text) {
  auto words = words_of(text);
  if (words.empty() || words.size() > 2) return false;
  const auto* op = find_operator(words[0]);
  if (!op || op->right == RightSide::nothing) return false;
  return words.size() == 1 || (op->right == RightSide::value && find_modifier(words[1]));
}

// Reads one exception; answers false after saying what is wrong.
class ExceptionReader {
 public:
  ExceptionReader(const Item& item, Findings& findings) : item_(item), findings_(findings) {}

  bool read_fields(ExceptionDefinition& exception) {
    const YamlNode* fields = item_.find("fields");
    const YamlNode* operators = item_.find("comps");
    if (!fields) return fail("the exception \"" + exception.name + "\" needs the key fields");
    exception.single = fields->is_scalar();
    if (!words(*fields, exception.fields)) return false;
    if (operators) {
      if (operators->is_scalar() != exception.single) {
        findings_.fail(operators->place, "fields and comps must both be lists, or both be words");
        return false;
      }
      if (!words(*operators, exception.operators)) return false;
    } else {
      exception.operators.assign(exception.fields.size(),
                                 {exception.single ? "in" : "=", exception.place});
    }
    if (exception.fields.empty() || exception.operators.size() != exception.fields.size()) {
      findings_.fail((operators ? operators : fields)->place, "fields and comps must be as many");
      return false;
    }
    for (const auto& op : exception.operators) {
      if (is_comparison(op.text)) continue;
      findings_.fail(op.place, "\"" + op.text + "\" compares nothing: write one of " +
                                   operator_names() + ", alone or with oneof, anyof or allof");
      return false;
    }
    return true;
  }

  bool read_values(const YamlNode& values, ExceptionDefinition& exception) {
    if (!values.is_list()) {
      findings_.fail(values.place, "values must be a list");
      return false;
    }
    return exception.single ? read_single(values, exception) : read_rows(values, exception);
  }

 private:
  bool fail(std::string message) {
    item_.fail(std::move(message));
    return false;
  }

  bool words(const YamlNode& node, std::vector<PlacedText>& out) {
    if (!node.is_scalar() && !node.is_list()) {
      findings_.fail(node.place, "expected a word or a list of words here");
      return false;
    }
    if (node.is_scalar()) out.push_back({node.text, node.place});
    for (const auto& item : node.items) {
      if (!item.is_scalar()) {
        findings_.fail(item.place, "expected a word here");
        return false;
      }
      out.push_back({item.text, item.place});
    }
    return true;
  }

  bool read_single(const YamlNode& values, ExceptionDefinition& exception) {
    std::vector<PlacedText> all;
    for (const auto& value : values.items) {
      if (!value.is_scalar()) {
        findings_.fail(value.place, "a value for the one field of this exception must be a word");
        return false;
      }
      all.push_back({value.text, value.place});
    }
    if (!takes_list(exception.operators.front().text)) {
      for (auto& word : all) exception.values.push_back({ExceptionValue{{std::move(word)}, false}});
    } else if (!all.empty()) {
      exception.values.push_back({ExceptionValue{std::move(all), true}});
    }
    return true;
  }

  bool read_rows(const YamlNode& values, ExceptionDefinition& exception) {
    for (const auto& value : values.items) {
      if (!value.is_list() || value.items.size() != exception.fields.size()) {
        findings_.fail(value.place, "expected a list of " +
                                        std::to_string(exception.fields.size()) +
                                        " values, one for each field of the exception");
        return false;
      }
      std::vector<ExceptionValue> row;
      for (std::size_t i = 0; i < value.items.size(); ++i) {
        const auto& part = value.items[i];
        if (part.is_list() && !takes_list(exception.operators[i].text)) {
          findings_.fail(part.place, exception.operators[i].text + " takes one value: write " +
                                         exception.operators[i].text +
                                         " anyof in comps for a list");
          return false;
        }
        auto& cell = row.emplace_back();
        cell.list = part.is_list();
        if (!words(part, cell.words)) return false;
      }
      exception.values.push_back(std::move(row));
    }
    return true;
  }

  const Item& item_;
  Findings& findings_;
};

}  // namespace

void ExceptionDefinition::append_to(SourceText& condition) const {
  if (values.empty()) return;
  auto add = [&](std::string text, const Place& at) {
    condition.append(SourceText::made(std::move(text), at));
  };
  add("and not (", place);
  for (std::size_t row = 0; row < values.size(); ++row) {
    add(row > 0 ? "or (" : "(", place);
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const auto& value = values[row][i];
      if (i > 0) add("and", place);
      add(fields[i].text, fields[i].place);
      add(operators[i].text, operators[i].place);
      bool list = takes_list(operators[i].text);
      // Falco takes a list written as one text, too: "(a, b)".
      if (list && !value.list && value.words.front().text.starts_with('(')) {
        add(value.words.front().text, value.words.front().place);
        continue;
      }
      if (list) add("(", place);
      for (const auto& word : value.words) {
        if (&word != &value.words.front()) add(",", word.place);
        add(as_condition_word(word.text), word.place);
      }
      if (list) add(")", place);
    }
    add(")", place);
  }
  add(")", place);
}

void read_exceptions(const YamlNode& node, const std::shared_ptr<const TextFile>& file,
                     ExceptionChange change, std::vector<ExceptionDefinition>& exceptions,
                     Findings& findings) {
  if (node.is_null()) return;
  if (!node.is_list()) return findings.fail(node.place, "exceptions must be a list");
  if (change == ExceptionChange::replace) exceptions.clear();
  std::vector<std::string> seen;
  for (const auto& entry : node.items) {
    if (!entry.is_map()) {
      return findings.fail(entry.place, "an exception has the keys name, fields, comps, values");
    }
    Item item(entry, file, findings);
    if (!item.unique_keys() || !item.known_keys({"name", "fields", "comps", "values"})) return;
    auto name = item.scalar("name");
    if (!name) return item.fail("an exception needs the key name");
    if (std::ranges::find(seen, *name) != seen.end()) {
      return item.fail("there are two exceptions \"" + *name + "\" here: give each its own name");
    }
    seen.push_back(*name);
    ExceptionReader reader(item, findings);
    auto found = std::ranges::find(exceptions, *name, &ExceptionDefinition::name);
    if (found == exceptions.end()) {
      ExceptionDefinition exception;
      exception.name = *name;
      exception.place = entry.place;
      if (!reader.read_fields(exception)) return;
      exceptions.push_back(std::move(exception));
      found = std::prev(exceptions.end());
    } else if (item.has("fields") || item.has("comps")) {
      return item.fail("the exception \"" + *name +
                       "\" has its fields and comps already: append values only");
    }
    const YamlNode* values = item.find("values");
    if (values && !values->is_null() && !reader.read_values(*values, *found)) return;
    if (!values && change == ExceptionChange::append) {
      findings.warn(entry.place, "the exception \"" + *name + "\" is appended without values");
    }
  }
}

}  // namespace trivet::security
