// SPDX-License-Identifier: Apache-2.0
// Reads Falco's rule files into definitions.
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "security/rules/rule_item.h"
#include "security/rules/source_resolver.h"

namespace trivet::security {
namespace {

using Version = std::array<std::uint32_t, 3>;

// "1.2.3", "1.2", or a number alone, which stands for 0.N.0.
std::optional<Version> parse_version(std::string_view text) {
  Version version{};
  std::size_t parts = 0;
  const char* at = text.data();
  const char* end = at + text.size();
  while (parts < version.size()) {
    auto [next, error] = std::from_chars(at, end, version[parts]);
    if (error != std::errc()) return std::nullopt;
    ++parts;
    at = next;
    if (at == end || *at != '.') break;
    ++at;
  }
  // Falco takes what follows for a note on the build.
  if (at != end && *at != '-' && *at != '+') return std::nullopt;
  if (parts == 1) return Version{0, version[0], 0};
  return version;
}

// What Falco needs a plugin for and trivet knows itself.
constexpr std::array<std::string_view, 2> kServedPlugins = {"container", "k8smeta"};

bool is_macro_name(std::string_view name) {
  return !name.empty() && std::isalpha(static_cast<unsigned char>(name.front())) &&
         std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}
bool is_list_name(std::string_view name) {
  return !name.empty() && name.find_first_of("()\"' \t\r\n=,") == name.npos;
}

class FileReader {
 public:
  FileReader(const TextFile& file, Definitions& definitions, Findings& findings)
      : file_(std::make_shared<const TextFile>(file)), out_(definitions), findings_(findings) {}

  void read() {
    auto parsed = parse_yaml(*file_);
    if (auto error = std::get_if<Error>(&parsed))
      return findings_.fail(error->place, error->message);
    for (const auto& document : std::get<std::vector<YamlNode>>(parsed)) {
      if (document.is_null()) continue;
      if (!document.is_list()) {
        findings_.fail(document.place,
                       "a rule file is a list of items: start each with \"- rule:\", \"- macro:\" "
                       "or \"- list:\"");
        continue;
      }
      for (const auto& item : document.items) read_item(item);
    }
  }

 private:
  void read_item(const YamlNode& node) {
    if (node.is_null()) return;
    if (!node.is_map()) {
      return findings_.fail(node.place, "expected an item such as \"- rule: NAME\"");
    }
    Item item(node, file_, findings_);
    if (!item.unique_keys()) return;
    if (item.has("rule")) return read_rule(item);
    if (item.has("macro")) return read_macro(item);
    if (item.has("list")) return read_list(item);
    if (item.has("required_engine_version")) return check_engine(item);
    if (item.has("required_plugin_versions")) return check_plugins(item);
    // Falco passes over it, too.
    static const std::vector<std::string> kinds = {
        "rule", "macro", "list", "required_engine_version", "required_plugin_versions"};
    std::string first = node.keys.empty() ? "" : node.keys.front().text;
    findings_.warn(node.place,
                   "an item \"" + first + "\" is passed over" + suggestion(first, kinds));
  }

  // Falco lets a later definition replace an earlier one anywhere; within a file that is likely a
  // mistake.
  template <class Definition>
  void note_replaced(const Item& item, const std::string& what, const Definition& earlier) {
    if (earlier.place.file != file_->path) return;
    findings_.warn(item.place(), what + " replaces that of line " +
                                     std::to_string(earlier.place.line) +
                                     ": to add to it, write override: {...: append}");
  }
  void fail_unknown(const Item& item, const std::string& kind, const std::string& name,
                    const std::vector<std::string>& known) {
    auto near = suggestion(name, known);
    item.fail("there is no " + kind + " \"" + name + "\" to change" +
              (near.empty() ? ": define it earlier" : near));
  }
  template <class Named>
  static std::vector<std::string> names_of(const Named& named) {
    std::vector<std::string> names;
    for (const auto& [name, value] : named) names.push_back(name);
    return names;
  }
  // Whether the item adds to the definition of that name; nothing after saying what is wrong.
  template <class Named>
  std::optional<bool> adds(const Item& item, const std::string& kind, const std::string& name,
                           const std::string& key, const Named& earlier) {
    auto overrides = Overrides::read(item, {key}, {key}, findings_);
    if (!overrides) return std::nullopt;
    auto found = earlier.find(name);
    if (overrides->any() && found == earlier.end()) {
      fail_unknown(item, kind, name, names_of(earlier));
      return std::nullopt;
    }
    if (!overrides->any() && found != earlier.end()) {
      note_replaced(item, "the " + kind + " \"" + name + "\"", found->second);
    }
    auto change = overrides->keys.find(key);
    return overrides->append ||
           (change != overrides->keys.end() && change->second == Change::append);
  }

  void read_list(const Item& item) {
    if (!item.known_keys({"list", "items", "append", "override"})) return;
    auto name = item.scalar("list");
    if (!name) return;
    if (!is_list_name(*name)) return item.fail("a list's name is one word without ()\"'=,");
    if (!item.has("items")) return item.fail("the list \"" + *name + "\" needs the key items");
    auto items = item.texts("items");
    auto add = adds(item, "list", *name, "items", out_.lists);
    if (!items || !add) return;
    ListDefinition list{item.place(), {}};
    for (auto& text : *items) {
      auto word = list_item(item, std::move(text));
      if (!word) return;
      list.items.push_back(std::move(*word));
    }
    auto& into = out_.lists[*name];
    if (*add) {
      into.items.insert(into.items.end(), list.items.begin(), list.items.end());
    } else {
      into = std::move(list);
    }
  }

  // Falco's own way to protect an item: quotes within the quotes.
  std::optional<Word> list_item(const Item& item, std::string text) {
    bool quoted = text.size() >= 2 && text.front() == text.back() &&
                  (text.front() == '"' || text.front() == '\'');
    if (!quoted) return Word{std::move(text), 0, false};
    Lexer lexer(text);
    auto word = lexer.value();
    if (!word || !lexer.done()) {
      item.fail_at("items",
                   "the item " + text + ": " +
                       (word ? "a quote within quotes is written \\\"" : lexer.problem()->message));
      return std::nullopt;
    }
    return word;
  }

  void read_macro(const Item& item) {
    if (!item.known_keys({"macro", "condition", "append", "override"})) return;
    auto name = item.scalar("macro");
    if (!name) return;
    if (!is_macro_name(*name)) {
      return item.fail("a macro's name is letters, digits and underscores, a letter first");
    }
    if (!item.has("condition")) {
      return item.fail("the macro \"" + *name + "\" needs the key condition");
    }
    auto condition = item.source("condition");
    auto add = adds(item, "macro", *name, "condition", out_.macros);
    if (!condition || !add) return;
    auto& into = out_.macros[*name];
    if (*add) {
      into.condition.append(*condition);
    } else {
      into = {item.place(), std::move(*condition)};
    }
  }

  void read_rule(const Item& item) {
    if (!item.known_keys(rule_keys())) return;
    auto name = item.scalar("rule");
    if (!name) return;
    auto overrides = read_rule_overrides(item, findings_);
    if (!overrides) return;
    RuleDefinition* earlier = out_.rule(*name);
    bool defines =
        item.has("condition") || item.has("output") || item.has("desc") || item.has("priority");
    bool switches = !overrides->any() && !defines && item.has("enabled");
    if (overrides->any() || switches) {
      if (!earlier) {
        std::vector<std::string> names;
        for (const auto& rule : out_.rules) names.push_back(rule.name);
        return fail_unknown(item, "rule", *name, names);
      }
      if (switches) {
        earlier->enabled = item.boolean("enabled").value_or(earlier->enabled);
      } else {
        change_rule(item, *overrides, *earlier, file_, findings_);
      }
      return;
    }
    auto rule = define_rule(item, *name, file_, findings_);
    if (!rule) return;
    if (!earlier) {
      out_.rules.push_back(std::move(*rule));
    } else if (earlier->source != rule->source) {
      item.fail_at("source", "the rule \"" + *name + "\" had the source " + earlier->source +
                                 ": give the new one another name");
    } else {
      note_replaced(item, "the rule \"" + *name + "\"", *earlier);
      *earlier = std::move(*rule);
    }
  }

  void check_engine(const Item& item) {
    auto text = item.scalar("required_engine_version");
    if (!text) return;
    auto wanted = parse_version(*text);
    if (!wanted) {
      return item.fail_at("required_engine_version",
                          "\"" + *text + "\" is no version: write it as " +
                              std::string(kEngineVersion) + ", or as one number");
    }
    auto ours = *parse_version(kEngineVersion);
    if ((*wanted)[0] != ours[0] || *wanted > ours) {
      item.fail_at("required_engine_version", "this file asks for Falco's engine " + *text +
                                                  "; trivet speaks the language of " +
                                                  std::string(kEngineVersion) +
                                                  ": use an older version of the file");
    }
  }

  void check_plugins(const Item& item) {
    const auto* plugins = item.find("required_plugin_versions");
    if (!plugins->is_list()) {
      return item.fail_at("required_plugin_versions",
                          "required_plugin_versions must be a list of {name: ..., version: ...}");
    }
    for (const auto& plugin : plugins->items) {
      std::vector<std::string> names;
      if (!check_plugin(plugin, names)) return;
      if (const auto* others = plugin.find("alternatives")) {
        for (const auto& other : others->items) {
          if (!check_plugin(other, names)) return;
        }
      }
      bool served = std::ranges::any_of(names, [](const std::string& name) {
        return std::ranges::find(kServedPlugins, name) != kServedPlugins.end();
      });
      if (!served) {
        findings_.warn(plugin.place, "the plugin \"" + names.front() +
                                         "\" is not there: rules of its source are skipped");
      }
    }
  }

  bool check_plugin(const YamlNode& node, std::vector<std::string>& names) {
    const auto* name = node.find("name");
    const auto* version = node.find("version");
    if (!name || !version || !name->is_scalar() || !version->is_scalar()) {
      findings_.fail(node.place, "a plugin that is required has the keys name and version");
      return false;
    }
    if (!parse_version(version->text)) {
      findings_.fail(version->place, "\"" + version->text + "\" is no version: write it as 0.4.0");
      return false;
    }
    names.push_back(name->text);
    return true;
  }

  std::shared_ptr<const TextFile> file_;
  Definitions& out_;
  Findings& findings_;
};

}  // namespace

void read_rule_file(const TextFile& file, Definitions& definitions, Findings& findings) {
  FileReader(file, definitions, findings).read();
}

}  // namespace trivet::security
