// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/help.h"

using namespace trivet;

namespace {

struct Outcome {
  int status;
  std::string out;
  std::string error;
};

std::string read_all(int descriptor) {
  std::string text;
  char bytes[4096];
  for (ssize_t got; (got = read(descriptor, bytes, sizeof(bytes))) > 0;) {
    text.append(bytes, static_cast<std::size_t>(got));
  }
  close(descriptor);
  return text;
}

// Prints what it was called with, so that a test sees the parsed options.
const Commands kPrinting = {
    [](const RunOptions& o) {
      std::printf("run %s|%s|%d", o.config.c_str(), o.plugins.c_str(), o.quiet);
      return 0;
    },
    [](const CheckOptions& o) {
      std::printf("check %s", o.config ? o.config->c_str() : "none");
      for (const auto& file : o.rules) std::printf(" r:%s", file.c_str());
      for (const auto& file : o.policies) std::printf(" p:%s", file.c_str());
      return 0;
    },
    [](const DoctorOptions& o) {
      std::printf("doctor %s|%d", o.config.c_str(), o.json);
      return 1;
    },
    {},
    [](const ReplayOptions& o) {
      std::printf("replay %s|%s|%s", o.file.c_str(), o.config ? o.config->c_str() : "its own",
                  o.format.c_str());
      for (const auto& table : o.tables) std::printf(" t:%s", table.c_str());
      for (const auto& file : o.rules) std::printf(" r:%s", file.c_str());
      for (const auto& name : o.plugins) std::printf(" p:%s", name.c_str());
      return 0;
    }};

// The command line in a process of its own, as a shell would start it.
Outcome trivet_with(std::vector<std::string> words) {
  words.insert(words.begin(), "trivet");
  int out[2], error[2];
  REQUIRE(pipe(out) == 0);
  REQUIRE(pipe(error) == 0);
  std::fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(error[1], STDERR_FILENO);
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    int status = run_command_line(static_cast<int>(arguments.size()), arguments.data(), kPrinting);
    std::fflush(stdout);
    _exit(status);
  }
  close(out[1]);
  close(error[1]);
  Outcome outcome{0, read_all(out[0]), read_all(error[0])};
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  outcome.status = WEXITSTATUS(status);
  return outcome;
}

}  // namespace

TEST_CASE("options reach their command") {
  struct Row {
    std::vector<std::string> words;
    const char* out;
    int status;
  };
  const Row rows[] = {
      {{"run"}, "run /etc/trivet/trivet.toml||0", 0},
      {{"run", "-c", "x.toml", "--plugins=lib", "-q"}, "run x.toml|lib|1", 0},
      {{"check"}, "check /etc/trivet/trivet.toml", 0},
      {{"check", "-c", "x.toml"}, "check x.toml", 0},
      {{"check", "--rules", "a", "b", "--policy", "c"}, "check none r:a r:b p:c", 0},
      {{"check", "-c", "x", "--rules", "a"}, "check x r:a", 0},
      {{"capture", "replay", "f"}, "replay f|its own|compact", 0},
      {{"capture", "replay", "f", "alerts", "flows", "-o", "json", "-c", "x", "--rules", "a",
        "--rules", "b", "--plugins", "security,network"},
       "replay f|x|json t:alerts t:flows r:a r:b p:security p:network",
       0},
      {{"doctor", "-o", "json"}, "doctor /etc/trivet/trivet.toml|1", 1},
  };
  for (const auto& row : rows) {
    auto outcome = trivet_with(row.words);
    CAPTURE(outcome.error);
    CHECK(outcome.out == row.out);
    CHECK(outcome.status == row.status);
  }
}

TEST_CASE("wrong usage is status 2, with what is wrong and where help is") {
  struct Row {
    std::vector<std::string> words;
    const char* error;
  };
  const Row rows[] = {
      {{"rnu"}, "trivet: unknown command \"rnu\": did you mean \"run\"?\nTry \"trivet --help\".\n"},
      {{"zebra"}, "trivet: unknown command \"zebra\"\nTry \"trivet --help\".\n"},
      {{"obsrve", "alerts"},
       "trivet: unknown command \"obsrve\": did you mean \"observe\"?\nTry \"trivet --help\".\n"},
      {{"run", "--confg", "x"},
       "trivet: unrecognised option '--confg'\nTry \"trivet run --help\".\n"},
      {{"run", "-c"},
       "trivet: the required argument for option '--config' is missing\n"
       "Try \"trivet run --help\".\n"},
      {{"run", "extra"},
       "trivet: too many positional options have been specified on the command line\n"
       "Try \"trivet run --help\".\n"},
      {{"observe"},
       "trivet: name one table: alerts, requests or flows\nTry \"trivet observe --help\".\n"},
      {{"observe", "alerts", "-o", "xml"},
       "trivet: -o must be compact, json, falco, text or hubble\nTry \"trivet observe --help\".\n"},
      {{"observe", "flows", "--not"},
       "trivet: --not must stand before the test that it reverses\nTry \"trivet observe "
       "--help\".\n"},
      {{"observe", "flows", "-w", "port"},
       "trivet: --where must be COLUMN=VALUE[,VALUE...] or COLUMN!=VALUE, not \"port\"\n"
       "Try \"trivet observe --help\".\n"},
      {{"observe", "flows", "--since", "yesterday"},
       "trivet: --since must be a time ago such as 30s, 5m or 2h, or a moment such as "
       "2026-03-01T12:00:00Z\nTry \"trivet observe --help\".\n"},
      {{"observe", "flows", "-f", "--first", "3"},
       "trivet: -f goes on with new records: leave out --first and --until\n"
       "Try \"trivet observe --help\".\n"},
      {{"observe", "alerts", "-n", "x"},
       "trivet: the argument ('x') for option '--number' is invalid\n"
       "Try \"trivet observe --help\".\n"},
      {{"observe", "alerts", "-n", "100001"},
       "trivet: -n must be 0 to 100000\nTry \"trivet observe --help\".\n"},
      {{"capture", "record"},
       "trivet: write \"capture record FILE\" or \"capture replay FILE\"\n"
       "Try \"trivet capture --help\".\n"},
      {{"capture", "record", "f", "--for", "30"},
       "trivet: --for must be such as 30s, 5m or 1h\nTry \"trivet capture --help\".\n"},
      {{"capture", "record", "f", "--for", "0s"},
       "trivet: --for must be such as 30s, 5m or 1h\nTry \"trivet capture --help\".\n"},
      {{"capture", "record", "f", "--size", "18446744073709551615G"},
       "trivet: --size must be from 1M to 1024G\nTry \"trivet capture --help\".\n"},
      {{"status", "-o", "xml"}, "trivet: -o must be text or json\nTry \"trivet status --help\".\n"},
  };
  for (const auto& row : rows) {
    auto outcome = trivet_with(row.words);
    CHECK(outcome.error == row.error);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
  }
  CHECK(trivet_with({}).status == 2);
}

TEST_CASE("each command explains itself in the sections of a manual page") {
  for (const char* verb : {"run", "check", "doctor", "status", "observe", "reload", "version"}) {
    CAPTURE(verb);
    auto outcome = trivet_with({verb, "--help"});
    CHECK(outcome.status == 0);
    for (const char* section : {"NAME\n", "\nSYNOPSIS\n", "\nDESCRIPTION\n", "\nOPTIONS\n",
                                "\nEXIT STATUS\n", "\nEXAMPLES\n"}) {
      CAPTURE(section);
      CHECK(outcome.out.find(section) != outcome.out.npos);
    }
    CHECK(outcome.out.find("    -h, --help\n") != outcome.out.npos);
    CHECK(outcome.out == trivet_with({"help", verb}).out);
  }
  CHECK(trivet_with({"--help"}).out == trivet_with({"help"}).out);
  CHECK(trivet_with({"help"}).status == 0);
}

TEST_CASE("a verb for the daemon fails with a sentence where none runs") {
  const std::vector<std::vector<std::string>> lines = {
      {"status", "-s", "/nonexistent/socket"},
      {"reload", "--socket", "/nonexistent/socket"},
      {"observe", "flows", "-f", "-s", "/nonexistent/socket"},
      {"network", "policy", "-s", "/nonexistent/socket"}};
  for (const auto& words : lines) {
    auto outcome = trivet_with(words);
    CHECK(outcome.status == 1);
    CHECK(outcome.error ==
          "trivet: no trivet answers at /nonexistent/socket: is it running? start it with "
          "\"trivet run\", or name its socket with --socket\n");
  }
}
