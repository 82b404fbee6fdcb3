// SPDX-License-Identifier: Apache-2.0
#include "security/rules/rule_item.h"

#include <algorithm>

#include "security/rules/source_resolver.h"

namespace trivet::security {
namespace {

using Keys = std::vector<std::string>;

const Keys kAppendable = {"condition", "output", "desc", "tags", "exceptions"};
const Keys kReplaceable = {"condition", "output",          "desc",
                           "tags",      "exceptions",      "priority",
                           "enabled",   "warn_evttypes",   "skip-if-unknown-filter",
                           "capture",   "capture_duration"};

bool has(const Keys& keys, std::string_view key) {
  return std::ranges::find(keys, key) != keys.end();
}

void add_tags(const Keys& tags, RuleDefinition& rule) {
  for (const auto& tag : tags) {
    if (!has(rule.tags, tag)) rule.tags.push_back(tag);
  }
}

// Takes the keys of an item into a rule.
class RuleFiller {
 public:
  RuleFiller(const Item& item, const std::shared_ptr<const TextFile>& file, Findings& findings,
             RuleDefinition& rule)
      : item_(item), file_(file), findings_(findings), rule_(rule) {}

  void append(std::string_view key) {
    if (key == "condition") return append_to(key, rule_.condition);
    if (key == "output") return append_to(key, rule_.output);
    if (key == "desc") {
      if (auto text = item_.scalar(key)) rule_.description += " " + *text;
    } else if (key == "tags") {
      if (auto tags = item_.texts(key)) add_tags(*tags, rule_);
    } else if (key == "exceptions") {
      exceptions(ExceptionChange::append);
    }
  }

  void take(std::string_view key, ExceptionChange change) {
    if (key == "condition") {
      if (auto text = item_.source(key)) rule_.condition = std::move(*text);
    } else if (key == "output") {
      if (auto text = item_.source(key)) rule_.output = std::move(*text);
    } else if (key == "desc") {
      if (auto text = item_.scalar(key)) rule_.description = *text;
    } else if (key == "source") {
      if (auto text = item_.scalar(key)) rule_.source = *text;
    } else if (key == "priority") {
      priority();
    } else if (key == "enabled") {
      rule_.enabled = item_.boolean(key).value_or(rule_.enabled);
    } else if (key == "warn_evttypes") {
      rule_.warn_event_types = item_.boolean(key).value_or(rule_.warn_event_types);
    } else if (key == "skip-if-unknown-filter") {
      rule_.skip_if_unknown = item_.boolean(key).value_or(rule_.skip_if_unknown);
    } else if (key == "tags") {
      if (auto tags = item_.texts(key)) {
        rule_.tags.clear();
        add_tags(*tags, rule_);
      }
    } else if (key == "exceptions") {
      exceptions(change);
    }
  }

 private:
  void append_to(std::string_view key, SourceText& into) {
    if (auto text = item_.source(key)) into.append(*text);
  }
  void exceptions(ExceptionChange change) {
    if (const auto* node = item_.find("exceptions")) {
      read_exceptions(*node, file_, change, rule_.exceptions, findings_);
    }
  }
  void priority() {
    auto text = item_.scalar("priority");
    if (!text) return;
    if (auto known = parse_priority(*text)) {
      rule_.priority = *known;
      return;
    }
    auto near = suggestion(*text, priority_names());
    item_.fail_at("priority", "unknown priority \"" + *text + "\"" +
                                  (near.empty() ? ": write emergency, alert, critical, error, "
                                                  "warning, notice, informational or debug"
                                                : near));
  }

  const Item& item_;
  const std::shared_ptr<const TextFile>& file_;
  Findings& findings_;
  RuleDefinition& rule_;
};

}  // namespace

const std::vector<std::string>& rule_keys() {
  static const Keys keys = [] {
    Keys all = {"rule", "source", "append", "override", "capture_events", "capture_filesize"};
    all.insert(all.end(), kReplaceable.begin(), kReplaceable.end());
    return all;
  }();
  return keys;
}

std::optional<Overrides> Overrides::read(const Item& item, const Keys& appendable,
                                         const Keys& replaceable, Findings& findings) {
  Overrides out;
  out.append = item.boolean("append").value_or(false);
  const YamlNode* node = item.find("override");
  if (!node) return out;
  if (out.append) {
    item.fail_at("append", "append and override cannot go together: remove append");
    return std::nullopt;
  }
  if (!node->is_map()) {
    item.fail_at("override", "override must name keys: {condition: append}");
    return std::nullopt;
  }
  auto fail = [&](const Place& place, std::string message) {
    findings.fail(place, std::move(message));
    return std::nullopt;
  };
  for (std::size_t i = 0; i < node->keys.size(); ++i) {
    const YamlNode& key = node->keys[i];
    const YamlNode& how = node->items[i];
    const auto& name = key.text;
    if (!has(replaceable, name)) {
      return fail(key.place, "\"" + name + "\" cannot be changed" + suggestion(name, replaceable));
    }
    if (how.text != "append" && how.text != "replace") {
      return fail(how.place, "override knows append and replace only");
    }
    if (how.text == "append" && !has(appendable, name)) {
      return fail(how.place, name + " cannot be appended to: write replace");
    }
    if (!item.has(name)) {
      return fail(key.place,
                  "override says to " + how.text + " " + name + ", but the item has no " + name);
    }
    out.keys[name] = how.text == "append" ? Change::append : Change::replace;
  }
  for (const auto& key : replaceable) {
    if (item.has(key) && !out.keys.contains(key)) {
      return fail(item.find(key)->place,
                  "override does not say what to do with " + key + ": add " + key +
                      (has(appendable, key) ? ": append or replace" : ": replace"));
    }
  }
  return out;
}

std::optional<Overrides> read_rule_overrides(const Item& item, Findings& findings) {
  return Overrides::read(item, kAppendable, kReplaceable, findings);
}

std::optional<RuleDefinition> define_rule(const Item& item, std::string name,
                                          const std::shared_ptr<const TextFile>& file,
                                          Findings& findings) {
  RuleDefinition rule;
  rule.name = std::move(name);
  rule.place = item.place();
  auto before = findings.errors.size();
  RuleFiller filler(item, file, findings, rule);
  for (const auto& key : rule_keys()) {
    if (item.has(key)) filler.take(key, ExceptionChange::define);
  }
  for (const char* key : {"condition", "output", "desc", "priority"}) {
    if (!item.has(key)) item.fail("the rule \"" + rule.name + "\" needs the key " + key);
  }
  if (findings.errors.size() != before || findings.full()) return std::nullopt;
  return rule;
}

void change_rule(const Item& item, const Overrides& overrides, RuleDefinition& rule,
                 const std::shared_ptr<const TextFile>& file, Findings& findings) {
  RuleFiller filler(item, file, findings, rule);
  for (const auto& [key, change] : overrides.keys) {
    if (change == Change::append) {
      filler.append(key);
    } else {
      filler.take(key, ExceptionChange::replace);
    }
  }
  if (!overrides.append) return;
  if (!item.has("condition") && !item.has("exceptions")) {
    item.fail("append: true takes condition or exceptions, and the item has neither");
  }
  for (const auto& key : kReplaceable) {
    if (!item.has(key)) continue;
    if (key == "condition" || key == "exceptions") {
      filler.append(key);
    } else {
      findings.warn(item.find(key)->place,
                    "append: true takes condition and exceptions only: " + key +
                        " is left as it was; write override: {" + key + ": replace}");
    }
  }
}

}  // namespace trivet::security
