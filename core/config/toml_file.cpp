// SPDX-License-Identifier: Apache-2.0
#include "config/toml_file.h"

// toml++ 3.3 asserts, or with NDEBUG assumes, that a table header starts with a key: "[!]" would be
// undefined behaviour. Its assertions throw here instead.
#undef NDEBUG
struct BrokenAssumption {};
static constexpr void assume(bool holds) {
  if (!holds) throw BrokenAssumption();
}
#define TOML_ASSERT(expression) assume(static_cast<bool>(expression))
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>

namespace trivet {
namespace {

std::string_view type_name(toml::node_type type) {
  switch (type) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

// A table of a parsed file. Shares ownership of the file's tree.
class TomlTable final : public Config {
 public:
  TomlTable(std::shared_ptr<const toml::table> file, const toml::table& table, std::string path,
            std::string name, FileSource& files)
      : file_(std::move(file)),
        table_(table),
        path_(std::move(path)),
        name_(std::move(name)),
        files_(files) {}

  std::vector<std::string> keys() const override {
    std::vector<std::string> keys;
    for (const auto& [key, value] : table_) keys.emplace_back(key.str());
    return keys;
  }

  Place place(std::string_view key) const override {
    const toml::node* node = key.empty() ? &table_ : table_.get(key);
    return place_of(node ? *node : table_);
  }

  Result<std::optional<bool>> boolean(std::string_view key) const override {
    return value<bool>(key, toml::node_type::boolean, "true or false");
  }
  Result<std::optional<std::int64_t>> integer(std::string_view key) const override {
    return value<std::int64_t>(key, toml::node_type::integer, "an integer");
  }
  Result<std::optional<double>> number(std::string_view key) const override {
    const toml::node* node = table_.get(key);
    if (node && node->is_integer()) return std::optional(node->value<double>());
    return value<double>(key, toml::node_type::floating_point, "a number");
  }
  Result<std::optional<std::string>> text(std::string_view key) const override {
    return value<std::string>(key, toml::node_type::string, "a string in quotes");
  }

  Result<std::optional<std::vector<std::string>>> texts(std::string_view key) const override {
    const toml::node* node = table_.get(key);
    if (!node) return std::optional<std::vector<std::string>>();
    std::vector<std::string> texts;
    if (auto one = node->value_exact<std::string>()) {
      texts.push_back(*one);
      return std::optional(std::move(texts));
    }
    if (!node->is_array()) return wrong_type(key, *node, "a string or a list of strings");
    for (const auto& element : *node->as_array()) {
      auto one = element.value_exact<std::string>();
      if (!one) return wrong_type(key, element, "a list of strings");
      texts.push_back(*one);
    }
    return std::optional(std::move(texts));
  }

  Result<std::unique_ptr<Config>> table(std::string_view key) const override {
    const toml::node* node = table_.get(key);
    if (!node) return std::unique_ptr<Config>();
    if (!node->is_table()) return wrong_type(key, *node, "a table");
    return subtable(*node->as_table(), full_name(key));
  }

  Result<std::vector<std::unique_ptr<Config>>> tables(std::string_view key) const override {
    const toml::node* node = table_.get(key);
    std::vector<std::unique_ptr<Config>> tables;
    if (!node) return tables;
    std::string expected = "tables, each written as [[" + full_name(key) + "]]";
    if (!node->is_array()) return wrong_type(key, *node, expected);
    for (const auto& element : *node->as_array()) {
      if (!element.is_table()) return wrong_type(key, element, expected);
      tables.push_back(subtable(*element.as_table(), full_name(key)));
    }
    return tables;
  }

  Result<std::vector<TextFile>> files(std::string_view key) const override {
    if (!names_files(key)) {
      return Error{full_name(key) + " may not name files: such keys end in _file or _files", 0,
                   place(key)};
    }
    auto paths = texts(key);
    if (!paths) return std::move(paths).error();
    std::vector<TextFile> read;
    if (!*paths) return read;
    for (const auto& named : **paths) {
      auto expanded = files_.expand(beside(path_, named));
      if (!expanded) return placed(std::move(expanded).error(), key);
      for (auto& file : *expanded) {
        auto text = files_.read(file);
        if (!text) return placed(std::move(text).error(), key);
        read.push_back({std::move(file), std::move(*text)});
      }
    }
    return read;
  }

  Result<std::vector<std::unique_ptr<Config>>> toml_files(std::string_view key) const override {
    auto texts = files(key);
    if (!texts) return std::move(texts).error();
    std::vector<std::unique_ptr<Config>> parsed;
    for (const auto& file : *texts) {
      auto config = parse_toml(file.path, file.text, files_);
      if (!config) return std::move(config).error();
      parsed.push_back(std::move(*config));
    }
    return parsed;
  }

 private:
  template <class T>
  Result<std::optional<T>> value(std::string_view key, toml::node_type type,
                                 std::string_view expected) const {
    const toml::node* node = table_.get(key);
    if (!node) return std::optional<T>();
    if (node->type() != type) return wrong_type(key, *node, expected);
    return node->value_exact<T>();
  }

  Error wrong_type(std::string_view key, const toml::node& found, std::string_view expected) const {
    return Error{full_name(key) + ": expected " + std::string(expected) + ", found " +
                     std::string(type_name(found.type())),
                 0, place_of(found)};
  }

  Error placed(Error error, std::string_view key) const {
    error.message = full_name(key) + ": " + error.message;
    error.place = place(key);
    return error;
  }

  std::string full_name(std::string_view key) const {
    return name_.empty() ? std::string(key) : name_ + '.' + std::string(key);
  }

  Place place_of(const toml::node& node) const {
    auto begin = node.source().begin;
    return {path_, begin.line, begin.column};
  }

  std::unique_ptr<Config> subtable(const toml::table& table, std::string name) const {
    return std::make_unique<TomlTable>(file_, table, path_, std::move(name), files_);
  }

  std::shared_ptr<const toml::table> file_;
  const toml::table& table_;
  std::string path_;
  std::string name_;  // dotted, empty for the root
  FileSource& files_;
};

Result<void> collect(const Config& config, std::vector<NamedFile>& found) {
  for (const auto& key : config.keys()) {
    if (names_files(key)) {
      auto paths = config.texts(key);
      if (!paths) return std::move(paths).error();
      Place place = config.place(key);
      for (const auto& path : **paths) found.push_back({beside(place.file, path), place});
      continue;
    }
    if (auto table = config.table(key); table) {
      if (auto result = collect(**table, found); !result) return result;
    } else if (auto tables = config.tables(key); tables) {
      for (const auto& one : *tables) {
        if (auto result = collect(*one, found); !result) return result;
      }
    }
  }
  return {};
}

}  // namespace

namespace {

bool breaks_parser(std::string_view text) {
  try {
    (void)toml::parse(text);
  } catch (const BrokenAssumption&) {
    return true;
  } catch (const toml::parse_error&) {
  }
  return false;
}

// The line whose header broke the parser: the last of the shortest beginning of the text that does.
std::uint32_t broken_line(std::string_view text) {
  std::vector<std::size_t> ends;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') ends.push_back(i);
  }
  auto first = std::partition_point(ends.begin(), ends.end(), [&](std::size_t end) {
    return !breaks_parser(text.substr(0, end));
  });
  return static_cast<std::uint32_t>(first - ends.begin()) + 1;
}

}  // namespace

Result<std::unique_ptr<Config>> parse_toml(const std::string& path, const std::string& text,
                                           FileSource& files) {
  std::shared_ptr<const toml::table> table;
  try {
    table = std::make_shared<const toml::table>(toml::parse(text, path));
  } catch (const toml::parse_error& error) {
    auto begin = error.source().begin;
    return Error{std::string(error.description()), 0, Place{path, begin.line, begin.column}};
  } catch (const BrokenAssumption&) {
    return Error{"a table header must hold a name: write [name] or [[name]]", 0,
                 Place{path, broken_line(text), 0}};
  }
  const toml::table& root = *table;
  return std::unique_ptr<Config>(
      std::make_unique<TomlTable>(std::move(table), root, path, "", files));
}

Result<std::vector<NamedFile>> named_files(const Config& config) {
  std::vector<NamedFile> found;
  if (auto result = collect(config, found); !result) return std::move(result).error();
  return found;
}

bool names_files(std::string_view key) {
  return key.ends_with("_file") || key.ends_with("_files");
}

std::string beside(const std::string& configuration_file, const std::string& path) {
  std::filesystem::path relative(path);
  if (relative.is_absolute()) return path;
  return (std::filesystem::path(configuration_file).parent_path() / relative).string();
}

}  // namespace trivet
