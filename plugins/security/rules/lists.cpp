// SPDX-License-Identifier: Apache-2.0
#include "security/rules/lists.h"

namespace trivet::security {
namespace {

constexpr std::size_t kMaxListDepth = 50;
// Of all lists together, expanded: far more than any real rule file, little enough to hold.
constexpr std::size_t kMaxListWords = 1'000'000;

}  // namespace

const std::vector<Word>* Lists::find(const std::string& name, std::size_t depth) {
  if (auto done = expanded_.find(name); done != expanded_.end()) return &done->second;
  auto defined = definitions_.find(name);
  if (defined == definitions_.end() || depth > kMaxListDepth) return nullptr;
  // Present, and empty, while it is expanded.
  expanded_[name] = {};
  std::vector<Word> items;
  for (const auto& item : defined->second.items) {
    const auto* inner = item.quoted ? nullptr : find(item.text, depth + 1);
    if (inner) {
      items.insert(items.end(), inner->begin(), inner->end());
    } else {
      items.push_back(item);
    }
    if (words_ + items.size() > kMaxListWords) break;
  }
  words_ += items.size();
  return &(expanded_[name] = std::move(items));
}

std::variant<std::vector<Word>, ConditionProblem> Lists::expand(const std::vector<Word>& words) {
  std::vector<Word> out;
  for (const auto& word : words) {
    const auto* items = word.quoted ? nullptr : find(word.text);
    if (!items) {
      out.push_back(word);
      continue;
    }
    for (Word item : *items) {
      item.offset = word.offset;
      out.push_back(std::move(item));
    }
    if (words_ + out.size() > kMaxListWords) {
      return ConditionProblem{word.offset, "the lists here hold more than " +
                                               std::to_string(kMaxListWords) + " words in all"};
    }
  }
  return out;
}

}  // namespace trivet::security
