// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "trivet/config.h"

namespace trivet {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  // Longer words are nobody's typing mistake, and the distance takes quadratic time.
  constexpr std::size_t kLongest = 100;
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  if (word.size() > kLongest) return best;
  for (const auto& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

template <class T>
void ConfigReader::store(Result<std::optional<T>> value, std::string_view key, T& out) {
  if (!value) {
    fail(key, std::move(value).error());
  } else if (*value) {
    out = std::move(**value);
  }
}

void ConfigReader::operator()(std::string_view key, bool& out) {
  known(key);
  if (!error_) store(table_.boolean(key), key, out);
}

void ConfigReader::operator()(std::string_view key, std::int64_t& out) {
  known(key);
  if (!error_) store(table_.integer(key), key, out);
}

void ConfigReader::operator()(std::string_view key, double& out) {
  known(key);
  if (!error_) store(table_.number(key), key, out);
}

void ConfigReader::operator()(std::string_view key, std::string& out) {
  known(key);
  if (!error_) store(table_.text(key), key, out);
}

void ConfigReader::operator()(std::string_view key, std::vector<std::string>& out) {
  known(key);
  if (!error_) store(table_.texts(key), key, out);
}

void ConfigReader::range(std::string_view key, std::int64_t& out, std::int64_t low,
                         std::int64_t high) {
  std::int64_t value = out;
  (*this)(key, value);
  if (error_) return;
  if (value < low || value > high) {
    fail(key, Error{std::string(key) + " = " + std::to_string(value) + " is out of range: write " +
                    std::to_string(low) + " to " + std::to_string(high)});
    return;
  }
  out = value;
}

void ConfigReader::choice(std::string_view key, std::string& out,
                          const std::vector<std::string>& allowed) {
  std::string value = out;
  (*this)(key, value);
  if (error_) return;
  // A key that is absent keeps the caller's default, which need not be one of `allowed`.
  if (value != out && std::ranges::find(allowed, value) == allowed.end()) {
    fail(key, Error{std::string(key) + " = \"" + value + "\" is unknown: write one of " +
                    listed(allowed)});
    return;
  }
  out = value;
}

std::unique_ptr<Config> ConfigReader::table(std::string_view key) {
  known(key);
  if (error_) return nullptr;
  auto table = table_.table(key);
  if (table) return std::move(*table);
  fail(key, std::move(table).error());
  return nullptr;
}

std::vector<std::unique_ptr<Config>> ConfigReader::tables(std::string_view key) {
  known(key);
  if (error_) return {};
  auto tables = table_.tables(key);
  if (tables) return std::move(*tables);
  fail(key, std::move(tables).error());
  return {};
}

std::vector<TextFile> ConfigReader::files(std::string_view key) {
  known(key);
  if (error_) return {};
  auto files = table_.files(key);
  if (files) return std::move(*files);
  fail(key, std::move(files).error());
  return {};
}

std::vector<std::unique_ptr<Config>> ConfigReader::toml_files(std::string_view key) {
  known(key);
  if (error_) return {};
  auto files = table_.toml_files(key);
  if (files) return std::move(*files);
  fail(key, std::move(files).error());
  return {};
}

void ConfigReader::known(std::string_view key) {
  if (std::ranges::find(known_, key) == known_.end()) known_.emplace_back(key);
}

void ConfigReader::fail(std::string_view key, Error error) {
  if (error_) return;
  if (error.place.file.empty()) error.place = table_.place(key);
  error_ = std::move(error);
}

Result<void> ConfigReader::finish() {
  if (error_) return *error_;
  for (const auto& key : table_.keys()) {
    if (std::ranges::find(known_, key) != known_.end()) continue;
    std::string meant = nearest(key, known_);
    std::string advice = !meant.empty()   ? "did you mean \"" + meant + "\"?"
                         : known_.empty() ? "no key is known here"
                                          : "known here: " + listed(known_);
    return Error{"unknown key \"" + key + "\": " + advice, 0, table_.place(key)};
  }
  return {};
}

}  // namespace trivet
