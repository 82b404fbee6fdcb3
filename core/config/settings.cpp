// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"

#include <algorithm>
#include <string_view>

#include "config/bearer_token.h"
#include "config/toml_file.h"

namespace trivet {
namespace {

constexpr std::int64_t kSchema = 1;

// A plugin's table as the plugin sees it: the keys `enabled`, `required` and `queue` are the
// core's.
class PluginTable final : public Config {
 public:
  explicit PluginTable(std::unique_ptr<Config> table) : table_(std::move(table)) {}

  std::vector<std::string> keys() const override {
    auto keys = table_->keys();
    std::erase(keys, "enabled");
    std::erase(keys, "required");
    std::erase(keys, "queue");
    return keys;
  }
  Place place(std::string_view key) const override { return table_->place(key); }
  Result<std::optional<bool>> boolean(std::string_view key) const override {
    return table_->boolean(key);
  }
  Result<std::optional<std::int64_t>> integer(std::string_view key) const override {
    return table_->integer(key);
  }
  Result<std::optional<double>> number(std::string_view key) const override {
    return table_->number(key);
  }
  Result<std::optional<std::string>> text(std::string_view key) const override {
    return table_->text(key);
  }
  Result<std::optional<std::vector<std::string>>> texts(std::string_view key) const override {
    return table_->texts(key);
  }
  Result<std::unique_ptr<Config>> table(std::string_view key) const override {
    return table_->table(key);
  }
  Result<std::vector<std::unique_ptr<Config>>> tables(std::string_view key) const override {
    return table_->tables(key);
  }
  Result<std::vector<TextFile>> files(std::string_view key) const override {
    return table_->files(key);
  }
  Result<std::vector<std::unique_ptr<Config>>> toml_files(std::string_view key) const override {
    return table_->toml_files(key);
  }

 private:
  std::unique_ptr<Config> table_;
};

Result<void> check_schema(const Config& file) {
  auto schema = file.integer("schema");
  if (!schema) return std::move(schema).error();
  std::string known = "this trivet knows schema " + std::to_string(kSchema);
  if (!*schema) {
    return Error{"schema is missing: " + known + "; write \"schema = " + std::to_string(kSchema) +
                     "\" at the top",
                 0, file.place("")};
  }
  if (**schema != kSchema) {
    return Error{"schema = " + std::to_string(**schema) + ": " + known, 0, file.place("schema")};
  }
  return {};
}

template <class Read>
Result<void> section(ConfigReader& file, std::string_view name, Read read) {
  auto table = file.table(name);
  if (!table) return {};  // absent; an error is the file's reader's to keep
  ConfigReader reader(*table);
  read(reader);
  return reader.finish();
}

constexpr const char* kApiSocket = "api.sock";

void read_api(ConfigReader& table, const std::string& control_socket, Settings& settings) {
  std::string socket = kApiSocket;
  table("socket", socket);
  // A name stands for a socket beside the control socket; beside() leaves an absolute path.
  settings.api_socket = socket.empty() ? socket : beside(control_socket, socket);
  std::string listen;
  table("listen", listen);
  const auto files = table.files("token_file");
  if (listen.empty() || table.failed()) return;
  const auto address = ListenAddress::parse(listen);
  if (!address) return table.fail("listen", Error(address.error()).within("api.listen"));
  if (files.size() != 1) {
    return table.fail("listen", Error{"api.listen needs api.token_file: the file with the token "
                                      "that clients must send"});
  }
  auto token = bearer_token(files.front());
  if (!token) return table.fail("token_file", std::move(token).error().within("api.token_file"));
  settings.api_listen = *address;
  settings.api_token = std::move(*token);
}

LogLevel level_of(const std::string& name) {
  if (name == "debug") return LogLevel::debug;
  if (name == "warning") return LogLevel::warning;
  if (name == "error") return LogLevel::error;
  return LogLevel::info;
}

QueuePolicy policy_of(const std::string& name) {
  if (name == "drop-oldest") return QueuePolicy::drop_oldest;
  if (name == "sample") return QueuePolicy::sample;
  if (name == "wait") return QueuePolicy::wait;
  return QueuePolicy::drop_newest;
}

// A plugin that is off is not asked which keys it knows, so a slip of the pen must not switch it
// off.
Error without_enabled(const Config& table, const std::string& name) {
  const auto keys = table.keys();
  const auto meant = nearest("enabled", keys);
  if (meant.empty())
    return Error{
        "[" + name + "] does not say whether the plugin is on: add enabled = true or false", 0,
        table.place("")};
  return Error{"unknown key \"" + name + "." + meant + "\": did you mean \"enabled\"?", 0,
               table.place(meant)};
}

Result<PluginSettings> read_plugin(ConfigReader& file, const std::string& name) {
  PluginSettings settings{.name = name};
  auto table = file.table(name);
  if (!table) return settings;
  auto enabled = table->boolean("enabled");
  if (!enabled) return std::move(enabled).error();
  settings.enabled = enabled->value_or(false);
  ConfigReader read(*table);
  read("required", settings.required);
  std::string queue = "drop-newest";
  read.choice("queue", queue, {"drop-newest", "drop-oldest", "sample", "wait"});
  for (const auto& key : table->keys()) read.known(key);
  if (auto result = read.finish(); !result) return std::move(result).error();
  if (!*enabled) return without_enabled(*table, name);
  settings.queue = policy_of(queue);
  settings.table = std::make_unique<PluginTable>(std::move(table));
  return settings;
}

}  // namespace

Result<Settings> read_settings(const Config& file, const std::vector<std::string>& plugins) {
  if (auto schema = check_schema(file); !schema) return std::move(schema).error();
  Settings settings;
  ConfigReader read(file);
  read.known("schema");

  std::string level = "info", format = "text";
  auto daemon = section(read, "daemon", [&](ConfigReader& table) {
    table("user", settings.user);
    table("program_user", settings.program_user);
    table.choice("log_level", level, {"debug", "info", "warning", "error"});
    table.choice("log_format", format, {"text", "json"});
  });
  if (!daemon) return std::move(daemon).error();
  settings.log_level = level_of(level);
  settings.log_json = format == "json";

  auto control = section(read, "control", [&](ConfigReader& table) {
    table("socket", settings.control_socket);
    table("read_group", settings.control_read_group);
    table("write_group", settings.control_write_group);
  });
  if (!control) return std::move(control).error();

  settings.api_socket = beside(settings.control_socket, kApiSocket);
  auto api = section(read, "api", [&](ConfigReader& table) {
    read_api(table, settings.control_socket, settings);
  });
  if (!api) return std::move(api).error();

  std::int64_t series = static_cast<std::int64_t>(settings.metrics_max_series);
  auto metrics = section(read, "metrics", [&](ConfigReader& table) {
    std::string listen = settings.metrics_listen.to_string();
    table("listen", listen);
    if (auto parsed = ListenAddress::parse(listen))
      settings.metrics_listen = *parsed;
    else
      table.fail("listen", std::move(parsed).error().within("metrics.listen"));
    table.range("max_series", series, 1, 1'000'000);
  });
  if (!metrics) return std::move(metrics).error();
  settings.metrics_max_series = static_cast<std::size_t>(series);

  std::int64_t rows = static_cast<std::int64_t>(settings.records_max_rows);
  std::int64_t bytes = static_cast<std::int64_t>(settings.records_max_bytes);
  std::int64_t age_s = static_cast<std::int64_t>(settings.records_max_age_s);
  std::int64_t spill_bytes = static_cast<std::int64_t>(settings.records_spill_max_bytes);
  std::int64_t spill_age_s = static_cast<std::int64_t>(settings.records_spill_max_age_s);
  auto records = section(read, "records", [&](ConfigReader& table) {
    table.range("max_rows", rows, 1, 1'000'000'000);
    table.range("max_bytes", bytes, 64 << 10, std::int64_t{1} << 40);
    table.range("max_age_s", age_s, 0, std::int64_t{1} << 32);
    table("spill", settings.records_spill);
    if (!settings.records_spill.empty() && settings.records_spill.front() != '/')
      table.fail("spill", Error{"records.spill must be an absolute path, such as "
                                "\"/var/lib/trivet/records\""});
    table.range("spill_max_bytes", spill_bytes, 1 << 20, std::int64_t{1} << 50);
    table.range("spill_max_age_s", spill_age_s, 60, std::int64_t{1} << 32);
  });
  if (!records) return std::move(records).error();
  settings.records_max_rows = static_cast<std::size_t>(rows);
  settings.records_max_bytes = static_cast<std::size_t>(bytes);
  settings.records_max_age_s = static_cast<std::uint64_t>(age_s);
  settings.records_spill_max_bytes = static_cast<std::uint64_t>(spill_bytes);
  settings.records_spill_max_age_s = static_cast<std::uint64_t>(spill_age_s);

  std::int64_t memory = static_cast<std::int64_t>(settings.query_max_memory_bytes);
  std::int64_t time_s = static_cast<std::int64_t>(settings.query_max_time_s);
  auto query = section(read, "query", [&](ConfigReader& table) {
    table.range("max_memory_bytes", memory, 1 << 20, std::int64_t{1} << 40);
    table.range("max_time_s", time_s, 1, 86400);
  });
  if (!query) return std::move(query).error();
  settings.query_max_memory_bytes = static_cast<std::size_t>(memory);
  settings.query_max_time_s = static_cast<std::uint64_t>(time_s);

  auto outputs = read_outputs(read.tables("outputs"));
  if (!outputs) return std::move(outputs).error();
  settings.outputs = std::move(*outputs);

  for (const auto& name : plugins) {
    auto plugin = read_plugin(read, name);
    if (!plugin) return std::move(plugin).error();
    settings.plugins.push_back(std::move(*plugin));
  }
  if (auto result = read.finish(); !result) return std::move(result).error();
  return settings;
}

}  // namespace trivet
