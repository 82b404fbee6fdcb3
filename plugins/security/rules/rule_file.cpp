// SPDX-License-Identifier: Apache-2.0
// Reads Falco's YAML into definitions. The YAML library is included here only, and its exceptions
// end here.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <initializer_list>
#include <sstream>

#include "security/rules/definitions.h"

namespace trivet::security {
namespace {

// How an item changes what an earlier one defined.
enum class Change { none, append, replace };

// yaml-cpp 0.7 takes some texts, such as a lone ",", for documents without end: it does not move
// past what it cannot read. Counting them first is the way to notice.
class DocumentCounter final : public YAML::EventHandler {
 public:
  static constexpr int kMost = 1000;

  static bool too_many(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    DocumentCounter counter;
    while (counter.documents_ <= kMost && parser.HandleNextDocument(counter)) {
    }
    return counter.documents_ > kMost;
  }

  void OnDocumentStart(const YAML::Mark&) override { ++documents_; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int documents_ = 0;
};

class FileReader {
 public:
  FileReader(const TextFile& file, Definitions& definitions, std::vector<Error>& errors)
      : file_(std::make_shared<const TextFile>(file)), out_(definitions), errors_(errors) {}

  void read() {
    try {
      if (DocumentCounter::too_many(file_->text)) {
        return add({"this is not YAML: start each item with \"- \"", 0, {file_->path, 1, 1}});
      }
      for (const auto& document : YAML::LoadAll(file_->text)) {
        if (document.IsNull()) continue;
        if (!document.IsSequence()) {
          fail(document,
               "a rule file is a list of items: start each with \"- rule:\", \"- macro:\" "
               "or \"- list:\"");
          continue;
        }
        for (const auto& item : document) read_item(item);
      }
    } catch (const YAML::Exception& e) {
      // "yaml-cpp: error at line 3, column 1: <reason>" without the part that the place tells.
      add({"this is not YAML: " + e.msg, 0, place(e.mark)});
    }
  }

 private:
  Place place(const YAML::Mark& mark) const {
    if (mark.is_null()) return {file_->path, 0, 0};
    return {file_->path, static_cast<std::uint32_t>(mark.line + 1),
            static_cast<std::uint32_t>(mark.column + 1)};
  }
  void add(Error error) {
    if (errors_.size() < kMaxRuleErrors) errors_.push_back(std::move(error));
  }
  void fail(const YAML::Node& node, std::string message) {
    add({std::move(message), 0, place(node.Mark())});
  }

  void read_item(const YAML::Node& item) {
    if (!item.IsMap()) return fail(item, "expected an item such as \"- rule: NAME\"");
    if (!unique_keys(item)) return;
    if (item["rule"]) return read_rule(item);
    if (item["macro"]) return read_macro(item);
    if (item["list"]) return read_list(item);
    // Versions of another engine and its plugins: no promise of ours depends on them.
    if (item["required_engine_version"] || item["required_plugin_versions"]) return;
    fail(item,
         "expected one of the keys rule, macro, list, required_engine_version or "
         "required_plugin_versions");
  }

  bool unique_keys(const YAML::Node& map) {
    std::vector<std::string> seen;
    for (const auto& entry : map) {
      if (!entry.first.IsScalar()) {
        fail(entry.first, "a key must be a word");
        return false;
      }
      if (std::ranges::find(seen, entry.first.Scalar()) != seen.end()) {
        fail(entry.first, "the key " + entry.first.Scalar() + " is written twice: remove one");
        return false;
      }
      seen.push_back(entry.first.Scalar());
    }
    return true;
  }

  bool known_keys(const YAML::Node& map, const std::vector<std::string>& known) {
    bool good = true;
    for (const auto& entry : map) {
      const auto& key = entry.first.Scalar();
      if (std::ranges::find(known, key) != known.end()) continue;
      auto near = nearest(key, known);
      fail(entry.first, "unknown key \"" + key + "\"" +
                            (near.empty() ? std::string() : ": did you mean \"" + near + "\"?"));
      good = false;
    }
    return good;
  }

  // The text of a scalar, or nothing after saying what is wrong.
  std::optional<std::string> scalar(const YAML::Node& map, const char* key) {
    const YAML::Node node = map[key];
    if (!node) return std::nullopt;
    if (!node.IsScalar()) {
      fail(node, std::string(key) + " must be text");
      return std::nullopt;
    }
    return node.Scalar();
  }
  std::optional<bool> boolean(const YAML::Node& map, const char* key) {
    const YAML::Node node = map[key];
    if (!node) return std::nullopt;
    bool value = false;
    if (!node.IsScalar() || !YAML::convert<bool>::decode(node, value)) {
      fail(node, std::string(key) + " must be true or false");
      return std::nullopt;
    }
    return value;
  }
  std::optional<SourceText> source(const YAML::Node& map, const char* key) {
    auto text = scalar(map, key);
    if (!text) return std::nullopt;
    auto at = place(map[key].Mark());
    return SourceText(std::move(*text), file_, at.line, at.column);
  }
  std::optional<std::vector<std::string>> texts(const YAML::Node& map, const char* key) {
    const YAML::Node node = map[key];
    if (!node) return std::nullopt;
    if (!node.IsSequence()) {
      fail(node, std::string(key) + " must be a list: write [one, another]");
      return std::nullopt;
    }
    std::vector<std::string> out;
    for (const auto& item : node) {
      if (!item.IsScalar()) {
        fail(item, "an item of " + std::string(key) + " must be a word");
        return std::nullopt;
      }
      out.push_back(item.Scalar());
    }
    return out;
  }

  // `append: true` or override: {key: append|replace}, for one key.
  Change change(const YAML::Node& item, const char* key) {
    const YAML::Node override_keys = item["override"];
    if (override_keys) {
      if (!override_keys.IsMap()) {
        fail(override_keys, "override must name keys: {condition: append}");
        return Change::none;
      }
      const YAML::Node how = override_keys[key];
      if (!how) return Change::none;
      if (how.IsScalar() && how.Scalar() == "append") return Change::append;
      if (how.IsScalar() && how.Scalar() == "replace") return Change::replace;
      fail(how, "override knows append and replace only");
      return Change::none;
    }
    bool append = false;
    const YAML::Node old = item["append"];
    if (old && old.IsScalar()) YAML::convert<bool>::decode(old, append);
    return append ? Change::append : Change::none;
  }
  // Whether the item changes an earlier definition instead of being one.
  bool is_change(const YAML::Node& item) {
    bool append = false;
    const YAML::Node old = item["append"];
    if (old && old.IsScalar()) YAML::convert<bool>::decode(old, append);
    return append || item["override"];
  }

  template <class Definition>
  bool duplicate(const YAML::Node& item, const std::string& kind, const std::string& name,
                 const Definition& earlier) {
    if (earlier.place.file != file_->path) return false;
    fail(item,
         "the " + kind + " \"" + name + "\" was defined at line " +
             std::to_string(earlier.place.line) +
             " of this file: remove one, or add to the first with \"override: {...: append}\"");
    return true;
  }

  void read_list(const YAML::Node& item) {
    if (!known_keys(item, {"list", "items", "append", "override"})) return;
    auto name = scalar(item, "list");
    auto items = texts(item, "items");
    if (!name) return;
    if (!items) {
      if (!item["items"]) fail(item, "the list \"" + *name + "\" needs the key items");
      return;
    }
    ListDefinition list{place(item.Mark()), {}};
    for (auto& text : *items) {
      // Falco's own way to protect an item: quotes within the quotes.
      Word word{std::move(text), 0, false};
      if (word.text.size() >= 2 && word.text.front() == '"' && word.text.back() == '"') {
        word = {unescaped(word.text.substr(1, word.text.size() - 2)), 0, true};
      }
      list.items.push_back(std::move(word));
    }
    auto earlier = out_.lists.find(*name);
    if (is_change(item)) {
      if (earlier == out_.lists.end()) return unknown(item, "list", *name, keys_of(out_.lists));
      if (change(item, "items") == Change::append) {
        auto& into = earlier->second.items;
        into.insert(into.end(), list.items.begin(), list.items.end());
        return;
      }
    } else if (earlier != out_.lists.end() && duplicate(item, "list", *name, earlier->second)) {
      return;
    }
    out_.lists[*name] = std::move(list);
  }

  static std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\'))
        ++i;
      out += text[i];
    }
    return out;
  }

  template <class Named>
  static std::vector<std::string> keys_of(const Named& named) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : named) keys.push_back(key);
    return keys;
  }
  void unknown(const YAML::Node& item, const std::string& kind, const std::string& name,
               const std::vector<std::string>& known) {
    auto near = nearest(name, known);
    fail(item, "there is no " + kind + " \"" + name + "\" to change" +
                   (near.empty() ? ": define it in an earlier file"
                                 : ": did you mean \"" + near + "\"?"));
  }

  void read_macro(const YAML::Node& item) {
    if (!known_keys(item, {"macro", "condition", "append", "override"})) return;
    auto name = scalar(item, "macro");
    auto condition = source(item, "condition");
    if (!name) return;
    if (!condition) {
      if (!item["condition"]) fail(item, "the macro \"" + *name + "\" needs the key condition");
      return;
    }
    auto earlier = out_.macros.find(*name);
    if (is_change(item)) {
      if (earlier == out_.macros.end()) return unknown(item, "macro", *name, keys_of(out_.macros));
      if (change(item, "condition") == Change::append) {
        earlier->second.condition.append(*condition);
        return;
      }
    } else if (earlier != out_.macros.end() && duplicate(item, "macro", *name, earlier->second)) {
      return;
    }
    out_.macros[*name] = {place(item.Mark()), std::move(*condition)};
  }

  void read_rule(const YAML::Node& item) {
    if (!known_keys(item, {"rule", "desc", "condition", "output", "priority", "source", "enabled",
                           "tags", "exceptions", "warn_evttypes", "skip-if-unknown-filter",
                           "append", "override", "capture", "capture_duration"})) {
      return;
    }
    auto name = scalar(item, "rule");
    if (!name) return;
    RuleDefinition* earlier = out_.rule(*name);
    bool toggle = item.size() == 2 && item["enabled"];
    if (is_change(item) || (toggle && earlier)) {
      if (!earlier) {
        std::vector<std::string> names;
        for (const auto& rule : out_.rules) names.push_back(rule.name);
        return unknown(item, "rule", *name, names);
      }
      return fill(item, *earlier);
    }
    if (earlier && duplicate(item, "rule", *name, *earlier)) return;
    RuleDefinition rule;
    rule.name = *name;
    rule.place = place(item.Mark());
    auto before = errors_.size();
    fill(item, rule);
    for (const char* key : {"condition", "output", "desc", "priority"}) {
      if (!item[key]) fail(item, "the rule \"" + *name + "\" needs the key " + key);
    }
    if (errors_.size() != before) return;
    if (earlier) {
      *earlier = std::move(rule);
    } else {
      out_.rules.push_back(std::move(rule));
    }
  }

  // Takes what the item says into a rule, new or earlier.
  void fill(const YAML::Node& item, RuleDefinition& rule) {
    auto take = [&](const char* key, SourceText& into) {
      auto text = source(item, key);
      if (!text) return;
      if (change(item, key) == Change::append) {
        into.append(*text);
      } else {
        into = std::move(*text);
      }
    };
    take("condition", rule.condition);
    take("output", rule.output);
    if (auto text = scalar(item, "desc")) rule.description = *text;
    if (auto text = scalar(item, "source")) rule.source = *text;
    if (auto value = boolean(item, "enabled")) rule.enabled = *value;
    if (auto value = boolean(item, "skip-if-unknown-filter")) rule.skip_if_unknown = *value;
    if (auto text = scalar(item, "priority")) {
      if (auto priority = parse_priority(*text)) {
        rule.priority = *priority;
      } else {
        auto near = nearest(*text, priority_names());
        fail(item["priority"], "unknown priority \"" + *text + "\"" +
                                   (near.empty() ? ": write emergency, alert, critical, error, "
                                                   "warning, notice, informational or debug"
                                                 : ": did you mean \"" + near + "\"?"));
      }
    }
    if (auto tags = texts(item, "tags")) {
      if (change(item, "tags") != Change::append) rule.tags.clear();
      rule.tags.insert(rule.tags.end(), tags->begin(), tags->end());
    }
    if (item["exceptions"]) read_exceptions(item["exceptions"], rule);
  }

  void read_exceptions(const YAML::Node& exceptions, RuleDefinition& rule) {
    if (!exceptions.IsSequence()) return fail(exceptions, "exceptions must be a list");
    for (const auto& item : exceptions) {
      if (!item.IsMap()) return fail(item, "an exception has the keys name, fields, comps, values");
      if (!unique_keys(item) || !known_keys(item, {"name", "fields", "comps", "values"})) return;
      auto name = scalar(item, "name");
      if (!name) return fail(item, "an exception needs the key name");
      auto found = std::ranges::find(rule.exceptions, *name, &ExceptionDefinition::name);
      if (found == rule.exceptions.end()) {
        ExceptionDefinition exception;
        exception.name = *name;
        exception.place = place(item.Mark());
        if (!read_exception_fields(item, exception)) return;
        rule.exceptions.push_back(std::move(exception));
        found = std::prev(rule.exceptions.end());
      }
      if (item["values"] && !read_exception_values(item["values"], *found)) return;
    }
  }

  bool read_exception_fields(const YAML::Node& item, ExceptionDefinition& exception) {
    const YAML::Node fields = item["fields"], comps = item["comps"];
    if (!fields) {
      fail(item, "the exception \"" + exception.name + "\" needs the key fields");
      return false;
    }
    exception.single = fields.IsScalar();
    auto words = [&](const YAML::Node& node) {
      std::vector<std::string> out;
      if (node.IsScalar()) out.push_back(node.Scalar());
      if (node.IsSequence()) {
        for (const auto& word : node) {
          if (word.IsScalar()) out.push_back(word.Scalar());
        }
      }
      return out;
    };
    exception.fields = words(fields);
    if (comps) {
      exception.operators = words(comps);
    } else {
      exception.operators.assign(exception.fields.size(), exception.single ? "in" : "=");
    }
    if (exception.fields.empty() || exception.operators.size() != exception.fields.size()) {
      fail(comps ? comps : fields, "fields and comps must be as many");
      return false;
    }
    return true;
  }

  bool read_exception_values(const YAML::Node& values, ExceptionDefinition& exception) {
    if (!values.IsSequence()) {
      fail(values, "values must be a list");
      return false;
    }
    if (exception.single) {
      std::vector<std::string> words;
      for (const auto& value : values) {
        if (!value.IsScalar()) {
          fail(value, "a value for the one field of this exception must be a word");
          return false;
        }
        words.push_back(value.Scalar());
      }
      if (exception.operators[0] == "in" || exception.operators[0] == "intersects" ||
          exception.operators[0] == "pmatch") {
        if (!words.empty()) exception.values.push_back({words});
      } else {
        for (auto& word : words) exception.values.push_back({{std::move(word)}});
      }
      return true;
    }
    for (const auto& value : values) {
      if (!value.IsSequence() || value.size() != exception.fields.size()) {
        fail(value, "expected a list of " + std::to_string(exception.fields.size()) +
                        " values, one for each field of the exception");
        return false;
      }
      std::vector<std::vector<std::string>> row;
      for (const auto& part : value) {
        std::vector<std::string> words;
        if (part.IsScalar()) words.push_back(part.Scalar());
        if (part.IsSequence()) {
          for (const auto& word : part) {
            if (word.IsScalar()) words.push_back(word.Scalar());
          }
        }
        row.push_back(std::move(words));
      }
      exception.values.push_back(std::move(row));
    }
    return true;
  }

  std::shared_ptr<const TextFile> file_;
  Definitions& out_;
  std::vector<Error>& errors_;
};

}  // namespace

void read_rule_file(const TextFile& file, Definitions& definitions, std::vector<Error>& errors) {
  FileReader(file, definitions, errors).read();
}

}  // namespace trivet::security
