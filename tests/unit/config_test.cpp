// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>

#include "config/settings.h"
#include "config/toml_file.h"
#include "temporary_folder.h"

using namespace trivet;

namespace {

const std::vector<std::string> kPlugins = {"security", "tracing", "network"};

Result<Settings> settings_of(const std::string& text) {
  static PlainFiles files;
  auto file = parse_toml("trivet.toml", text, files);
  if (!file) return std::move(file).error();
  return read_settings(**file, kPlugins);
}

}  // namespace

TEST_CASE("a wrong configuration is refused with its place and the remedy") {
  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {"schema = 1\n[daemon\n", "trivet.toml:2:8: "},
      {"schema = \n", "trivet.toml:1:10: "},
      {"a = 1\na = 2\n", "trivet.toml:2:"},
      {"schema = 1\n[!]\n[daemon]\n",
       "trivet.toml:2: a table header must hold a name: write [name] or [[name]]"},
      {"schema = 1\n[daemon]\n[[[x]]]",
       "trivet.toml:3: a table header must hold a name: write [name] or [[name]]"},
      {"schema = 1\n\xc3\xa2 = 2\n", "trivet.toml:2:1: "},
      {"schema = 1\n\xef\xba\xbf\n", "trivet.toml:2:1: "},
      {"[daemon]\n",
       "trivet.toml:1:1: schema is missing: this trivet knows schema 1; write \"schema = 1\" at "
       "the "
       "top"},
      {"schema = 2\n", "trivet.toml:1:10: schema = 2: this trivet knows schema 1"},
      {"schema = \"1\"\n", "trivet.toml:1:10: schema: expected an integer, found a string"},
      {"schema = 1\n[demon]\n", "trivet.toml:2:1: unknown key \"demon\": did you mean \"daemon\"?"},
      {"schema = 1\n[daemon]\nuzer = \"x\"\n",
       "trivet.toml:3:8: unknown key \"uzer\": did you mean \"user\"?"},
      {"schema = 1\ndaemon = 1\n", "trivet.toml:2:10: daemon: expected a table, found an integer"},
      {"schema = 1\n[daemon]\nuser = 5\n",
       "trivet.toml:3:8: daemon.user: expected a string in quotes, found an integer"},
      {"schema = 1\n[daemon]\nlog_level = \"loud\"\n",
       "trivet.toml:3:13: log_level = \"loud\" is unknown: write one of debug, info, warning, "
       "error"},
      {"schema = 1\n[metrics]\nmax_series = 0\n",
       "trivet.toml:3:14: max_series = 0 is out of range: write 1 to 1000000"},
      {"schema = 1\n[records]\nspill = \"records\"\n",
       "trivet.toml:3:9: records.spill must be an absolute path, such as "
       "\"/var/lib/trivet/records\""},
      {"schema = 1\n[metrics]\nlisten = \"localhost\"\n",
       "trivet.toml:3:10: metrics.listen: \"localhost\" is no address and port: write for example "
       "127.0.0.1:9435 or [::1]:9435"},
      {"schema = 1\n[api]\nlisten = \"127.0.0.1:9436\"\n",
       "trivet.toml:3:10: api.listen needs api.token_file: the file with the token that clients "
       "must send"},
      {"schema = 1\n[tracing]\nenabled = 1\n",
       "trivet.toml:3:11: tracing.enabled: expected true or false, found an integer"},
      {"schema = 1\n[tracing]\nqueue = \"drop\"\n",
       "trivet.toml:3:9: queue = \"drop\" is unknown: write one of drop-newest, drop-oldest, "
       "sample, "
       "wait"},
      {"schema = 1\n[tracing]\nenabeld = true\n",
       "trivet.toml:3:11: unknown key \"tracing.enabeld\": did you mean \"enabled\"?"},
      {"schema = 1\n[tracing]\nmemory_limit = 7\n",
       "trivet.toml:2:1: [tracing] does not say whether the plugin is on: add enabled = true or "
       "false"},
      {"schema = 1\n[traceing]\nenabled = true\n",
       "trivet.toml:2:1: unknown key \"traceing\": did you mean \"tracing\"?"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    auto settings = settings_of(row.text);
    REQUIRE_FALSE(settings);
    std::string error = settings.error().to_string();
    CAPTURE(error);
    // The parser's own sentences are not ours to fix: their place is.
    CHECK(error.starts_with(row.error));
  }
}

TEST_CASE("an address to listen at is numeric, with a port, and in brackets if it is IPv6") {
  for (const char* good : {"127.0.0.1:9435", "[::1]:0", "0.0.0.0:65535"}) {
    CAPTURE(good);
    const auto parsed = ListenAddress::parse(good);
    REQUIRE(parsed);
    CHECK(parsed->to_string() == good);
  }
  for (const char* bad : {"", "9435", "::1:9435", "[127.0.0.1]:80", "127.0.0.1:99999",
                          "127.0.0.1:9435,+80", "127.0.0.1:", "localhost:80"}) {
    CAPTURE(bad);
    CHECK_FALSE(ListenAddress::parse(bad));
  }
}

TEST_CASE("the shipped configuration is valid and writes the defaults out") {
  PlainFiles files;
  const std::string path = TRIVET_SOURCE_DIR "/config/trivet.toml";
  auto text = files.read(path);
  REQUIRE(text);
  auto file = parse_toml(path, text->text, files);
  REQUIRE(file);
  auto shipped = read_settings(**file, kPlugins);
  if (!shipped) FAIL(shipped.error().to_string());
  auto built_in = settings_of("schema = 1\n");
  REQUIRE(built_in);

  CHECK(shipped->user == built_in->user);
  CHECK(shipped->log_level == built_in->log_level);
  CHECK(shipped->log_json == built_in->log_json);
  CHECK(shipped->control_socket == built_in->control_socket);
  CHECK(shipped->control_read_group == built_in->control_read_group);
  CHECK(shipped->control_write_group == built_in->control_write_group);
  CHECK(shipped->api_socket == built_in->api_socket);
  CHECK(shipped->api_socket == "/run/trivet/api.sock");
  CHECK_FALSE(shipped->api_listen);
  CHECK(shipped->metrics_listen == built_in->metrics_listen);
  CHECK(shipped->metrics_max_series == built_in->metrics_max_series);
  CHECK(shipped->records_max_rows == built_in->records_max_rows);
  CHECK(shipped->records_max_bytes == built_in->records_max_bytes);
  CHECK(shipped->records_spill == built_in->records_spill);
  CHECK(shipped->records_spill_max_bytes == built_in->records_spill_max_bytes);
  CHECK(shipped->records_spill_max_age_s == built_in->records_spill_max_age_s);
  for (const auto& plugin : shipped->plugins) CHECK(plugin.enabled);
}

TEST_CASE("the API's socket stands beside the control socket unless it has a path of its own") {
  const std::string control = "schema = 1\n[control]\nsocket = \"/run/mine/control.sock\"\n";
  CHECK(settings_of(control)->api_socket == "/run/mine/api.sock");
  CHECK(settings_of(control + "[api]\nsocket = \"http.sock\"\n")->api_socket ==
        "/run/mine/http.sock");
  CHECK(settings_of(control + "[api]\nsocket = \"/run/http.sock\"\n")->api_socket ==
        "/run/http.sock");
  CHECK(settings_of(control + "[api]\nsocket = \"\"\n")->api_socket.empty());
}

TEST_CASE("a table reads the same from the TOML that it is written as") {
  PlainFiles files;
  const std::string text =
      "text = \"a \\\"b\\\" \\\\ \\n \\u0001 \u00e9\"\nflag = true\nnumber = -3\nreal = "
      "0.25\nlarge = 1e6\n"
      "none = []\nlist = [\"a\", \"b\"]\n\"a.key\" = 1\n[inner]\nx = {y = [{z = 1}, {z = 2}]}\n";
  const auto table = parse_toml("a.toml", text, files);
  REQUIRE(table);
  const std::string written = to_toml(**table);
  const auto again = parse_toml("b.toml", written, files);
  REQUIRE(again);
  CHECK(to_toml(**again) == written);
  CHECK(**(*again)->text("text") == **(*table)->text("text"));
  CHECK(**(*again)->number("large") == 1e6);
  CHECK(**(*again)->texts("list") == std::vector<std::string>{"a", "b"});
  CHECK(**(*again)->integer("a.key") == 1);
  const auto inner = (*again)->table("inner");
  const auto x = (*inner)->table("x");
  const auto y = (*x)->tables("y");
  REQUIRE(y->size() == 2);
  CHECK(**(*y)[1]->integer("z") == 2);
}

TEST_CASE("a token file holds one token that only its owner and group can read") {
  TemporaryFolder folder;
  struct Row {
    std::string text;
    mode_t mode;
    std::string error;  // a part of it; empty: none
  };
  const Row rows[] = {
      {"0123456789-abcdef._~+/=\n", 0600, ""},
      {"0123456789-abcdef._~+/=", 0640, ""},
      {"0123456789-abcdef._~+/=", 0644, "can be read by everybody: chmod o-r "},
      {"0123456789\n", 0600, "must hold a token of 20 to 4096 letters, digits and -._~+/="},
      {"0123456789 0123456789", 0600, "must hold a token"},
      {"0123456789\n0123456789", 0600, "must hold a token"},
      {std::string("0123456789\0000123456789", 21), 0600, "must hold a token"},
      {std::string(5000, 'x'), 0600, "must hold a token"},
      {"", 0600, "must hold a token"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text.substr(0, 30));
    folder.write("token", row.text);
    REQUIRE(chmod(folder.path("token").c_str(), row.mode) == 0);
    const auto settings =
        settings_of("schema = 1\n[api]\nlisten = \"127.0.0.1:9436\"\ntoken_file = \"" +
                    folder.path("token") + "\"\n");
    if (row.error.empty()) {
      REQUIRE(settings);
      CHECK(settings->api_token == "0123456789-abcdef._~+/=");
      CHECK(settings->api_listen->to_string() == "127.0.0.1:9436");
    } else {
      REQUIRE_FALSE(settings);
      const std::string error = settings.error().to_string();
      CAPTURE(error);
      CHECK(error.starts_with("trivet.toml:4:14: api.token_file: "));
      CHECK(error.find(row.error) != error.npos);
    }
  }
}

TEST_CASE("a plugin without a table is off, and sees its own table without the core's key") {
  auto settings = settings_of("schema = 1\n[tracing]\nenabled = true\nbody_limit = 7\n");
  REQUIRE(settings);
  REQUIRE(settings->plugins.size() == 3);
  CHECK_FALSE(settings->plugins[0].enabled);
  CHECK(settings->plugins[0].table == nullptr);
  CHECK(settings->plugins[1].enabled);
  CHECK(settings->plugins[1].table->keys() == std::vector<std::string>{"body_limit"});
  CHECK(**settings->plugins[1].table->integer("body_limit") == 7);
}

TEST_CASE("typed getters take what TOML means and refuse the rest") {
  PlainFiles files;
  auto table =
      parse_toml("x.toml",
                 "whole = 2\nratio = 0.5\nname = \"n\"\nlist = [\"a\", \"b\"]\n"
                 "mixed = [\"a\", 1]\nday = 2024-01-01\n[[rule]]\nid = 1\n[[rule]]\nid = 2\n",
                 files);
  REQUIRE(table);
  CHECK(**(*table)->number("whole") == 2.0);
  CHECK(**(*table)->number("ratio") == 0.5);
  CHECK_FALSE((*table)->integer("ratio"));
  CHECK(**(*table)->texts("name") == std::vector<std::string>{"n"});
  CHECK(**(*table)->texts("list") == std::vector<std::string>{"a", "b"});
  CHECK((*table)->texts("mixed").error().to_string() ==
        "x.toml:5:15: mixed: expected a list of strings, found an integer");
  CHECK((*table)->text("day").error().message ==
        "day: expected a string in quotes, found a date or time");
  CHECK_FALSE(*(*table)->text("absent"));
  auto rules = (*table)->tables("rule");
  REQUIRE(rules);
  REQUIRE(rules->size() == 2);
  CHECK(**(*rules)[1]->integer("id") == 2);
  CHECK((*rules)[1]->text("id").error().to_string() ==
        "x.toml:10:6: rule.id: expected a string in quotes, found an integer");
}

TEST_CASE("files are read beside the configuration, folders in order of name") {
  TemporaryFolder folder;
  folder.write("rules/20.yaml", "second");
  folder.write("rules/10.yaml", "first");
  folder.write("rules/.hidden", "no");
  folder.write("rules/below/30.yaml", "no");
  folder.write("one.yaml", "one");
  PlainFiles files;
  auto table = parse_toml(folder.path("trivet.toml"),
                          "rules_files = [\"one.yaml\", \"rules\"]\nname = \"one.yaml\"\n", files);
  REQUIRE(table);
  auto read = (*table)->files("rules_files");
  REQUIRE(read);
  REQUIRE(read->size() == 3);
  CHECK((*read)[0].text == "one");
  CHECK((*read)[1].text == "first");
  CHECK((*read)[1].path == folder.path("rules/10.yaml"));
  CHECK((*read)[2].text == "second");
  CHECK_FALSE((*table)->files("name"));
}

TEST_CASE("a file that cannot be read is an error at the key that names it") {
  TemporaryFolder folder;
  REQUIRE(mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  PlainFiles files;
  auto table = parse_toml(folder.path("trivet.toml"),
                          "a_file = \"absent.yaml\"\nb_file = \"fifo\"\n", files);
  REQUIRE(table);
  CHECK((*table)->files("a_file").error().to_string() ==
        folder.path("trivet.toml") + ":1:10: a_file: cannot read " + folder.path("absent.yaml") +
            ": No such file or directory");
  CHECK((*table)->files("b_file").error().message ==
        "b_file: cannot read " + folder.path("fifo") + ": it is not a regular file");
}

TEST_CASE("a TOML file that another names carries its own places") {
  TemporaryFolder folder;
  folder.write("policy.toml", "\nport = \"x\"\n");
  PlainFiles files;
  auto table = parse_toml(folder.path("trivet.toml"), "policy_files = \"policy.toml\"\n", files);
  REQUIRE(table);
  auto policies = (*table)->toml_files("policy_files");
  REQUIRE(policies);
  CHECK((*policies)[0]->integer("port").error().place.to_string() ==
        folder.path("policy.toml") + ":2:8");
}

TEST_CASE("all files that a configuration names are found, however deep") {
  PlainFiles files;
  auto table = parse_toml("/etc/trivet/trivet.toml",
                          "schema = 1\nname = \"x\"\nlog_file = \"/a\"\n[security]\n"
                          "rules_files = [\"r1\", \"r2\"]\n[[network.set]]\nlist_file = \"l\"\n",
                          files);
  REQUIRE(table);
  auto named = named_files(**table);
  REQUIRE(named);
  std::vector<std::string> paths;
  for (const auto& file : *named) paths.push_back(file.path);
  std::ranges::sort(paths);
  CHECK(paths ==
        std::vector<std::string>{"/a", "/etc/trivet/l", "/etc/trivet/r1", "/etc/trivet/r2"});
}

TEST_CASE("a wrong output is refused with its place and the remedy") {
  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {"name = \"a\"", "trivet.toml:2:1: outputs.type is missing: write type = "},
      {"name = \"a\"\ntype = \"fiel\"",
       "trivet.toml:4:8: type = \"fiel\" is unknown: write one of "},
      {"name = \"A\"\ntype = \"stdout\"", "trivet.toml:3:8: outputs.name must be"},
      {"name = \"a\"\ntype = \"stdout\"\npath = \"/x\"", "trivet.toml:5:8: unknown key \"path\""},
      {"name = \"a\"\ntype = \"file\"\npath = \"x\"",
       "trivet.toml:5:8: outputs.path must be an absolute path"},
      {"name = \"a\"\ntype = \"file\"\npath = \"/x/../y\"",
       "trivet.toml:5:8: outputs.path must be an absolute path"},
      {"name = \"a\"\ntype = \"stdout\"\ntables = [\"flow\"]",
       "trivet.toml:5:10: outputs.tables: there is no table \"flow\": did you mean \"flows\"?"},
      {"name = \"a\"\ntype = \"stdout\"\nformat = \"falco\"\ntables = [\"flows\"]",
       "trivet.toml:5:10: outputs.format: that form is of alerts only"},
      {"name = \"a\"\ntype = \"http\"\nurl = \"ftp://x\"", "trivet.toml:5:7: outputs.url must be"},
      {"name = \"a\"\ntype = \"program\"\ncommand = \"tee\"",
       "trivet.toml:5:11: outputs.command must be a program's absolute path"},
      {"name = \"a\"\ntype = \"stdout\"\nrate = -1", "trivet.toml:5:8: "},
      {"name = \"a\"\ntype = \"stdout\"\n[[outputs]]\nname = \"a\"\ntype = \"journal\"",
       "trivet.toml:6:8: outputs.name: two outputs are called \"a\""},
      {"name = \"a\"\ntype = \"stdout\"\n[[outputs]]\nname = \"b\"\ntype = \"stdout\"",
       "trivet.toml:5:1: outputs: two outputs write to standard output"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    auto settings = settings_of("schema = 1\n[[outputs]]\n" + std::string(row.text) + "\n");
    REQUIRE(!settings);
    CAPTURE(settings.error().to_string());
    CHECK(settings.error().to_string().starts_with(row.error));
  }
}

TEST_CASE("an output's settings are what was written, and defaults for the rest") {
  auto settings = settings_of(
      "schema = 1\n[[outputs]]\nname = \"a\"\ntype = \"file\"\npath = \"/var/log/a\"\n"
      "tables = [\"requests\", \"alerts\"]\nrate = 5\n");
  REQUIRE_MESSAGE(settings.has_value(), (settings ? "" : settings.error().to_string()));
  REQUIRE(settings->outputs.size() == 1);
  const auto& output = settings->outputs[0];
  CHECK(output.tables == std::vector<std::string>{"alerts", "dns_requests", "grpc_requests",
                                                  "http_requests", "mysql_requests",
                                                  "postgresql_requests", "redis_requests"});
  CHECK((output.rate == 5 && output.burst == 5));
  const auto& file = std::get<FileTarget>(output.target);
  CHECK((file.path == "/var/log/a" && file.max_bytes == 100 << 20 && file.keep == 5));
  CHECK(output_folder(output).path == "/var/log");
}

TEST_CASE("a token goes over TLS only, and from a file that is not everybody's") {
  TemporaryFolder folder;
  folder.write("token", "0123456789abcdef0123456789abcdef\n");
  const auto with = [&](const char* url) {
    return settings_of("schema = 1\n[[outputs]]\nname = \"a\"\ntype = \"http\"\nurl = \"" +
                       std::string(url) + "\"\ntoken_file = \"" + folder.path("token") + "\"\n");
  };
  chmod(folder.path("token").c_str(), 0644);
  CHECK(with("https://x/").error().message.find("can be read by everybody") != std::string::npos);
  chmod(folder.path("token").c_str(), 0600);
  CHECK(with("http://x/").error().message.find("in the clear") != std::string::npos);
  REQUIRE(with("https://x/"));
}
