// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "cli/amounts.h"
#include "cli/client_verbs.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/record.h"
#include "cli/record_wish.h"
#include "trivet/config.h"

namespace po = boost::program_options;

namespace trivet {
namespace {

using Words = std::vector<std::string>;

int usage_error(const std::string& verb, const std::string& message) {
  std::fprintf(stderr, "trivet: %s\nTry \"trivet %s--help\".\n", message.c_str(),
               verb.empty() ? "" : (verb + ' ').c_str());
  return kExitUsage;
}

// The body of the section OPTIONS.
std::string options_text(const po::options_description& options) {
  std::string text;
  for (const auto& option : options.options()) {
    std::string shorter =
        option->canonical_display_name(po::command_line_style::allow_dash_for_short);
    // A flag's name would be "arg" all the same.
    std::string value = option->semantic()->max_tokens() == 0 ? "" : option->semantic()->name();
    if (shorter.starts_with('-') && shorter.size() == 2) text += shorter + ", ";
    text += "--" + option->long_name() + (value.empty() ? "" : ' ' + value) + '\n';
    text += "        " + option->description() + '\n';
  }
  return text;
}

// One verb: its options, and what it does with them. Parses, prints help, reports wrong usage.
class VerbLine {
 public:
  // `verb` must have a help page.
  explicit VerbLine(std::string verb) : verb_(std::move(verb)) {
    options_.add_options()("help,h", "Print this page.");
  }

  po::options_description_easy_init option() { return options_.add_options(); }
  // Words without a dash, at most `most`; -1 for any number.
  void words(Words& out, int most) {
    hidden_.add_options()("words", po::value(&out));
    positions_.add("words", most);
  }

  // The exit status if there is nothing more to do.
  std::optional<int> parse(const Words& line) {
    po::options_description all;
    all.add(options_).add(hidden_);
    try {
      auto parsed = po::command_line_parser(line).options(all).positional(positions_).run();
      po::store(parsed, values_);
      for (const auto& option : parsed.options)
        if (option.position_key < 0) in_order_.push_back({option.string_key, option.value});
      if (values_.count("help") != 0) {
        std::fputs(render(*help_page(verb_), options_text(options_)).c_str(), stdout);
        return kExitSuccess;
      }
      po::notify(values_);
    } catch (const std::exception& error) {
      return usage_error(verb_, error.what());
    }
    return std::nullopt;
  }
  // The options as they stand on the line.
  const std::vector<GivenOption>& in_order() const { return in_order_; }
  bool given(const std::string& name) const {
    auto found = values_.find(name);
    return found != values_.end() && !found->second.defaulted();
  }

 private:
  std::string verb_;
  po::options_description options_;
  po::options_description hidden_;
  po::positional_options_description positions_;
  po::variables_map values_;
  std::vector<GivenOption> in_order_;
};

auto text_value(std::string& out, const char* name) {
  return po::value(&out)->value_name(name)->default_value(out);
}

void add_socket(VerbLine& line, std::string& socket) {
  line.option()("socket,s", text_value(socket, "SOCKET"), "The daemon's control socket.");
}

void add_plugins(VerbLine& line, std::string& plugins) {
  line.option()("plugins", po::value(&plugins)->value_name("FOLDER"),
                "Where the plugin libraries are, instead of beside the program.");
}

// "text" or "json" as a flag; false if it is neither.
bool parse_output(const std::string& format, bool& json) {
  json = format == "json";
  return json || format == "text";
}

constexpr const char* kOutputWrong = "-o must be text or json";
constexpr const char* kOutputHelp = "text or json.";

int run_verb(const Words& words, const Commands& commands) {
  RunOptions options;
  VerbLine line("run");
  line.option()("config,c", text_value(options.config, "FILE"), "The configuration.");
  add_plugins(line, options.plugins);
  line.option()("quiet,q", po::bool_switch(&options.quiet),
                "Print no records, even on a terminal.");
  if (auto status = line.parse(words)) return *status;
  return commands.run(options);
}

int check_verb(const Words& words, const Commands& commands) {
  CheckOptions options;
  std::string config = kDefaultConfig;
  VerbLine line("check");
  line.option()("config,c", text_value(config, "FILE"), "The configuration.");
  line.option()("rules", po::value(&options.rules)->multitoken()->value_name("FILE..."),
                "Rule files or folders, instead of those that the configuration names.");
  line.option()("policy", po::value(&options.policies)->multitoken()->value_name("FILE..."),
                "Policy files or folders, instead of those that the configuration names.");
  add_plugins(line, options.plugins);
  if (auto status = line.parse(words)) return *status;
  bool only_files = !options.rules.empty() || !options.policies.empty();
  if (line.given("config") || !only_files) options.config = config;
  return commands.check(options);
}

int doctor_verb(const Words& words, const Commands& commands) {
  DoctorOptions options;
  std::string format = "text";
  VerbLine line("doctor");
  line.option()("config,c", text_value(options.config, "FILE"), "The configuration.");
  add_plugins(line, options.plugins);
  line.option()("output,o", text_value(format, "FORMAT"), kOutputHelp);
  if (auto status = line.parse(words)) return *status;
  if (!parse_output(format, options.json)) return usage_error("doctor", kOutputWrong);
  return commands.doctor(options);
}

int rules_verb(const Words& words, const Commands& commands) {
  RulesOptions options;
  std::string format = "text";
  Words rest;
  VerbLine line("rules");
  line.words(rest, -1);
  line.option()("config,c", text_value(options.config, "FILE"), "The configuration.");
  line.option()("rules", po::value(&options.rules)->value_name("FILE"),
                "A rule file or folder, instead of those that the configuration names; can be "
                "given again.");
  add_plugins(line, options.plugins);
  line.option()("output,o", text_value(format, "FORMAT"), kOutputHelp);
  if (auto status = line.parse(words)) return *status;
  if (!parse_output(format, options.json)) return usage_error("rules", kOutputWrong);
  if (rest.empty()) return usage_error("rules", "name what to show: ls, show, fields or events");
  options.verb = rest.front();
  options.arguments.assign(rest.begin() + 1, rest.end());
  return commands.rules(options);
}

int status_verb(const Words& words, const Commands&) {
  std::string socket = kDefaultSocket, format = "text";
  bool json = false;
  VerbLine line("status");
  add_socket(line, socket);
  line.option()("output,o", text_value(format, "FORMAT"), kOutputHelp);
  if (auto status = line.parse(words)) return *status;
  if (!parse_output(format, json)) return usage_error("status", kOutputWrong);
  return ask_daemon(socket, "status", {}, json);
}

int plugin_verb(const Words& words, const Commands&) {
  std::string socket = kDefaultSocket, format = "text";
  bool json = false;
  Words rest;
  VerbLine line("plugin");
  line.words(rest, -1);
  add_socket(line, socket);
  line.option()("output,o", text_value(format, "FORMAT"), kOutputHelp);
  if (auto status = line.parse(words)) return *status;
  if (!parse_output(format, json)) return usage_error("plugin", kOutputWrong);
  if (rest != Words{"ls"}) return usage_error("plugin", "write \"trivet plugin ls\"");
  return ask_daemon(socket, "plugin ls", {}, json);
}

// The policy's file is read here: the daemon opens none that its configuration does not name.
int policy_verb(const Words& words, const Commands&) {
  std::string socket = kDefaultSocket, format = "text", confirm = "60s";
  bool json = false;
  Words rest;
  VerbLine line("policy");
  line.words(rest, -1);
  add_socket(line, socket);
  line.option()("confirm", text_value(confirm, "TIME"),
                "with apply: the time to confirm in, such as 60s; 0s: no need to");
  line.option()("output,o", text_value(format, "FORMAT"), kOutputHelp);
  if (auto status = line.parse(words)) return *status;
  if (!parse_output(format, json)) return usage_error("policy", kOutputWrong);
  if (rest.empty()) {
    return usage_error("policy", "name what to do: show, apply, confirm, rollback or history");
  }
  Words arguments(rest.begin() + 1, rest.end());
  if (rest[0] == "apply") {
    const auto within =
        confirm == "0s" ? std::optional(std::chrono::seconds(0)) : parse_duration(confirm);
    if (!within) return usage_error("policy", "write a time such as 60s or 5m after --confirm");
    if (arguments.size() != 1) return usage_error("policy", "write \"trivet policy apply FILE\"");
    return apply_policy(socket, arguments[0], *within, json);
  }
  return ask_daemon(socket, "policy " + rest[0], arguments, json);
}

int reload_verb(const Words& words, const Commands&) {
  std::string socket = kDefaultSocket;
  VerbLine line("reload");
  add_socket(line, socket);
  if (auto status = line.parse(words)) return *status;
  return ask_daemon(socket, "reload", {}, false);
}

// What --colour stands for on this standard output; nothing for another word.
std::optional<bool> wants_colour(const std::string& when) {
  if (when == "always" || when == "never") return when == "always";
  if (when != "auto") return std::nullopt;
  return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
}

int observe_verb(const Words& words, const Commands&) {
  ObserveRequest request;
  std::string socket = kDefaultSocket, format = "compact", colour = "auto";
  Words tables;
  std::string since, until;
  std::size_t first = 0, last = 0;
  VerbLine line("observe");
  line.words(tables, -1);
  line.option()("follow,f", po::bool_switch(&request.follow), "Go on with new records.");
  line.option()("number,n",
                po::value(&request.limit)->value_name("N")->default_value(request.limit),
                "Begin with the N newest records.");
  line.option()("last", po::value(&last)->value_name("N"), "The same as -n.");
  line.option()("first", po::value(&first)->value_name("N"), "The N oldest records instead.");
  line.option()("since", po::value(&since)->value_name("TIME"),
                "Records from then on: a time ago such as 5m, or 2026-03-01T12:00:00Z.");
  line.option()("until", po::value(&until)->value_name("TIME"), "Records until then.");
  line.option()("where,w", po::value<Words>()->value_name("TEST"),
                "Records whose column holds one of these: COLUMN=VALUE[,VALUE...]; COLUMN!=VALUE "
                "for the others.");
  for (const auto& option : filter_options())
    line.option()(option.name.c_str(), po::value<Words>()->value_name(option.value),
                  option.help.c_str());
  line.option()("not", po::value<Words>()->zero_tokens(), "Reverses the test that follows.");
  line.option()("output,o", text_value(format, "FORMAT"), "compact, json, falco, text or hubble.");
  line.option()("colour", text_value(colour, "WHEN"),
                "auto (on a terminal, unless NO_COLOR is set), always or never.");
  add_socket(line, socket);
  if (auto status = line.parse(words)) return *status;

  if (tables.size() != 1) {
    return usage_error("observe", "name one table: alerts, requests or flows");
  }
  request.table = tables.front();
  auto known = record_format(format);
  if (!known) return usage_error("observe", "-o must be compact, json, falco, text or hubble");
  request.format = *known;
  request.first = line.given("first");
  if (request.first) request.limit = first;
  if (line.given("last")) request.limit = last;
  if (request.follow && (request.first || !until.empty()))
    return usage_error("observe", "-f goes on with new records: leave out --first and --until");
  if (request.limit > kMaxObserveLimit) {
    return usage_error("observe", "-n must be 0 to " + std::to_string(kMaxObserveLimit));
  }
  std::timespec now{};
  std::timespec_get(&now, TIME_UTC);
  auto wish = record_wish(line.in_order(), std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec);
  if (!wish) return usage_error("observe", wish.error().message);
  request.wish = std::move(*wish);
  const auto coloured = wants_colour(colour);
  if (!coloured) return usage_error("observe", "--colour must be auto, always or never");
  request.colour = *coloured;
  return observe_daemon(socket, request);
}

int query_verb(const Words& words, const Commands&) {
  std::string socket = kDefaultSocket, format = "table";
  Words statement;
  VerbLine line("query");
  line.words(statement, -1);
  line.option()("output,o", text_value(format, "FORMAT"), "table, json or csv.");
  add_socket(line, socket);
  if (auto status = line.parse(words)) return *status;

  if (statement.size() != 1) {
    return usage_error("query", "give one statement, in quotes: trivet query \"SELECT ...\"");
  }
  auto known = query_format(format);
  if (!known) return usage_error("query", "-o must be table, json or csv");
  return query_daemon(socket, statement.front(), *known);
}

// Names between commas, each time the option is given.
Words split_names(const Words& given) {
  Words names;
  for (const auto& list : given)
    for (std::size_t at = 0; at <= list.size();) {
      const std::size_t end = std::min(list.find(',', at), list.size());
      if (end > at) names.push_back(list.substr(at, end - at));
      at = end + 1;
    }
  return names;
}

int capture_verb(const Words& words, const Commands& commands) {
  RecordOptions record;
  ReplayOptions replay;
  record.socket = kDefaultSocket;
  std::string duration, size = "1G", config, colour = "auto";
  replay.format = "compact";
  Words rest, plugins;
  VerbLine line("capture");
  line.words(rest, -1);
  line.option()("for", po::value(&duration)->value_name("TIME"),
                "record: for so long, such as 30s, 5m or 1h; without it, until interrupted.");
  line.option()("size", text_value(size, "BYTES"),
                "record: at most so much, such as 64M; it ends there.");
  line.option()(
      "plugins", po::value(&plugins)->value_name("NAMES"),
      "The plugins whose events are recorded, or that are replayed, with commas between.");
  line.option()("config,c", po::value(&config)->value_name("FILE"),
                "replay: the configuration, instead of the one that was in force.");
  line.option()(
      "rules", po::value(&replay.rules)->value_name("FILE"),
      "replay: a rule file or folder, instead of the configuration's; can be given again.");
  line.option()("output,o", text_value(replay.format, "FORMAT"),
                "compact, json, falco, text or hubble.");
  line.option()("colour", text_value(colour, "WHEN"),
                "auto (on a terminal, unless NO_COLOR is set), always or never.");
  add_socket(line, record.socket);
  if (auto status = line.parse(words)) return *status;
  if (rest.size() < 2 || (rest[0] != "record" && rest[0] != "replay"))
    return usage_error("capture", "write \"capture record FILE\" or \"capture replay FILE\"");

  if (rest[0] == "record") {
    if (rest.size() > 2) return usage_error("capture", "record takes one file");
    record.file = rest[1];
    record.request.plugins = split_names(plugins);
    const auto bytes = parse_size(size);
    if (!bytes || *bytes < kMinCaptureBytes || *bytes > kMaxCaptureBytes)
      return usage_error("capture", "--size must be from 1M to 1024G");
    record.request.size = *bytes;
    if (line.given("for")) {
      record.duration = parse_duration(duration);
      if (!record.duration) return usage_error("capture", "--for must be such as 30s, 5m or 1h");
    }
    return record_capture(record);
  }
  replay.file = rest[1];
  replay.tables.assign(rest.begin() + 2, rest.end());
  replay.plugins = split_names(plugins);
  if (line.given("config")) replay.config = config;
  if (!record_format(replay.format))
    return usage_error("capture", "-o must be compact, json, falco or text");
  const auto coloured = wants_colour(colour);
  if (!coloured) return usage_error("capture", "--colour must be auto, always or never");
  replay.colour = *coloured;
  return commands.replay(replay);
}

int version_verb(const Words& words, const Commands&) {
  VerbLine line("version");
  if (auto status = line.parse(words)) return *status;
  std::printf("trivet %s (plugin fingerprint %s)\n", TRIVET_VERSION, TRIVET_FINGERPRINT);
  return kExitSuccess;
}

struct Verb {
  std::string_view name;
  int (*run)(const Words&, const Commands&);
};
constexpr Verb kVerbs[] = {
    {"run", run_verb},       {"check", check_verb},     {"doctor", doctor_verb},
    {"status", status_verb}, {"observe", observe_verb}, {"query", query_verb},
    {"rules", rules_verb},   {"capture", capture_verb}, {"plugin", plugin_verb},
    {"policy", policy_verb}, {"reload", reload_verb},   {"version", version_verb}};

const Verb* find_verb(std::string_view name) {
  auto found = std::ranges::find(kVerbs, name, &Verb::name);
  return found == std::end(kVerbs) ? nullptr : found;
}

// The verb that a mistyped word was meant to be, or empty.
std::string meant_verb(const std::string& word) {
  Words names = {"help"};
  for (const auto& verb : kVerbs) names.emplace_back(verb.name);
  return nearest(word, names);
}

int unknown_verb(const std::string& word) {
  std::string meant = meant_verb(word);
  return usage_error("", "unknown command \"" + word + "\"" +
                             (meant.empty() ? "" : ": did you mean \"" + meant + "\"?"));
}

int print_main_page(FILE* to) {
  std::fputs(render(*help_page(""), "-h, --help\n        Print this page.\n").c_str(), to);
  return kExitSuccess;
}

int help_verb(const Words& words, const Commands& commands) {
  if (words.empty() || words.front() == "--help" || words.front() == "-h") {
    return print_main_page(stdout);
  }
  const Verb* verb = find_verb(words.front());
  if (verb == nullptr) return unknown_verb(words.front());
  return verb->run({"--help"}, commands);
}

// `trivet NOUN VERB`: the daemon knows which there are.
int daemon_verb(const Words& words) {
  std::string socket = kDefaultSocket, format = "text";
  bool json = false;
  Words rest;
  VerbLine line("NOUN VERB");
  line.words(rest, -1);
  add_socket(line, socket);
  line.option()("output,o", text_value(format, "FORMAT"), kOutputHelp);
  if (auto status = line.parse(words)) return *status;
  if (!parse_output(format, json)) return usage_error("", kOutputWrong);
  // A lone word, or one that is nearly a command, was a command mistyped.
  if (rest.size() < 2 || !meant_verb(rest[0]).empty()) {
    return unknown_verb(rest.empty() ? "" : rest[0]);
  }
  return ask_daemon(socket, rest[0] + ' ' + rest[1], {rest.begin() + 2, rest.end()}, json);
}

}  // namespace

int run_command_line(int argc, char** argv, const Commands& commands) {
  Words words(argv + std::min(argc, 1), argv + argc);
  if (words.empty()) {
    print_main_page(stderr);
    return kExitUsage;
  }
  std::string first = words.front();
  if (first == "--help" || first == "-h") return print_main_page(stdout);
  if (first == "--version") first = "version";
  Words rest(words.begin() + 1, words.end());
  if (first == "help") return help_verb(rest, commands);
  if (const Verb* verb = find_verb(first)) return verb->run(rest, commands);
  return daemon_verb(words);
}

}  // namespace trivet
