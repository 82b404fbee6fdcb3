// SPDX-License-Identifier: Apache-2.0
// How a run of the broker begins, changes and ends.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "broker/broker.h"
#include "stage.h"

namespace trivet {

TEST_CASE("a tier that the kernel refuses is named with its reason, and the next one serves") {
  Findings findings;
  auto trying = options();
  trying.probing = true;
  auto status = broker::launch(trying, [&](broker::Client& client) {
    // Two programs that exist stand for two tiers; the first cannot load without its own config.
    ObjectSpec spec = lifecycle();
    auto probed = client.probe("core", spec);
    findings.expect(probed.has_value(), probed ? "" : probed.error().message);
    if (!probed) return 1;
    for (const HookState& hook : *probed) {
      findings.expect(!hook.tier.empty(),
                      hook.hook + ": " + (hook.tried.empty() ? "" : hook.tried[0].refusal));
    }
    spec.hooks.push_back({"missing", {{"none", {"no_such_program"}}}, true});
    auto loaded = client.load("core", spec);
    findings.expect(!loaded && loaded.error().message.find("no_such_program") != std::string::npos,
                    "a program that is not there");
    ObjectSpec with_config = lifecycle();
    with_config.config.resize(8);
    findings.expect(!client.load("core", with_config), "a config that is not there");
    return 0;
  });
  REQUIRE(status.has_value());
  CHECK(findings.text() == "");
}

TEST_CASE("a reload lends the new files on trial, and main's word decides which stay") {
  TemporaryFolder folder;
  std::string old_file = folder.write("old.yaml", "");
  std::string new_file = folder.write("new.yaml", "");
  auto reloading = options();
  reloading.offer.files = {old_file};
  reloading.reload = [&] { return broker::Offer{{new_file}, {}, {}, {}}; };
  Findings findings;
  auto status = broker::launch(reloading, [&](broker::Client& client) {
    auto lends = [&](bool old_one, bool new_one, const std::string& when) {
      findings.expect(client.open_configured(old_file).has_value() == old_one, "old " + when);
      findings.expect(client.open_configured(new_file).has_value() == new_one, "new " + when);
    };
    lends(true, false, "before");
    findings.expect(client.commit_reload(true).has_value(), "commit of nothing");
    lends(true, false, "after a commit of nothing");
    findings.expect(client.reload().has_value(), "reload");
    lends(true, true, "on trial");
    findings.expect(client.commit_reload(false).has_value(), "rollback");
    lends(true, false, "after rollback");
    findings.expect(client.reload().has_value() && client.commit_reload(true).has_value(),
                    "commit");
    lends(false, true, "after commit");
    return 0;
  });
  REQUIRE(status.has_value());
  CHECK(findings.text() == "");
}

TEST_CASE("a program of an output runs once at a time, and not longer than the broker") {
  // Nobody else sleeps that long; it never reads that its input has ended.
  const std::string argument = "1234567.25";
  const auto running = [&] {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "cmdline");
      std::string line;
      std::getline(file, line);
      if (line.starts_with("/usr/bin/sleep") && line.find(argument) != std::string::npos)
        found.push_back(entry.path().filename());
    }
    return found;
  };
  const auto other_than = [&](const std::string& before) {
    for (int i = 0; i < 500; ++i, ::usleep(10000))
      if (auto now = running(); now.size() == 1 && now[0] != before) return now[0];
    return std::string();
  };
  auto with_program = options();
  with_program.programs = true;
  with_program.program_uid = 1;
  with_program.program_gid = 1;
  with_program.offer.programs = {{"one", {"/usr/bin/sleep", argument}}};
  Findings findings;
  auto status = broker::launch(with_program, [&](broker::Client& client) {
    findings.expect(client.start_program("one").has_value(), "the first start");
    const std::string first = other_than("");
    findings.expect(!first.empty(), "the first does not run");
    struct stat process {};
    findings.expect(::stat(("/proc/" + first).c_str(), &process) == 0 && process.st_uid == 1 &&
                        process.st_gid == 1,
                    "the program has another user than its own");
    findings.expect(client.start_program("one").has_value(), "the second start");
    findings.expect(!other_than(first).empty(), "the second does not run in its place");
    findings.expect(!client.start_program("two"), "what is not configured");
    return 0;
  });
  REQUIRE(status.has_value());
  CHECK(findings.text() == "");
  // Killed, which a busy host may take a moment to do.
  for (int i = 0; i < 500 && !running().empty(); ++i) ::usleep(10000);
  CHECK(running().empty());
}

TEST_CASE(
    "main has a session of its own, an empty standard input and nothing to read a terminal by") {
  int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(terminal >= 0);
  REQUIRE(::grantpt(terminal) == 0);
  REQUIRE(::unlockpt(terminal) == 0);
  char name[64];
  REQUIRE(::ptsname_r(terminal, name, sizeof(name)) == 0);
  Findings findings;
  pid_t shell = ::fork();
  if (shell == 0) {
    // As a login: this session's terminal is all three.
    ::setsid();
    int side = ::open(name, O_RDWR);
    for (int fd : {0, 1, 2}) ::dup2(side, fd);
    pid_t session = ::getsid(0);
    auto status = broker::launch(options(), [&](broker::Client&) {
      findings.expect(::getsid(0) == ::getpid() && ::getsid(0) != session, "the session is root's");
      findings.expect(::open("/dev/tty", O_RDWR) < 0, "there is a controlling terminal");
      char byte = 0;
      findings.expect(::read(0, &byte, 1) == 0, "standard input is not empty");
      for (int fd : {1, 2}) {
        findings.expect(::isatty(fd) == 1, "no terminal to write to");
        findings.expect((::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY, "can read the terminal");
      }
      findings.expect(::signal(SIGPIPE, SIG_IGN) == SIG_IGN, "SIGPIPE ends main");
      return 3;
    });
    ::_exit(status ? *status : 1);
  }
  int ended = 0;
  ::waitpid(shell, &ended, 0);
  ::close(terminal);
  CHECK(WEXITSTATUS(ended) == 3);
  CHECK(findings.text() == "");
}

TEST_CASE("standard descriptors that were closed at the start are /dev/null, not another file") {
  Findings findings;
  pid_t daemon = ::fork();
  if (daemon == 0) {
    for (int fd : {0, 1, 2}) ::close(fd);
    auto status = broker::launch(options(), [&](broker::Client& client) {
      findings.expect(client.load("core", lifecycle()).has_value(), "load");
      for (int fd : {0, 1, 2}) {
        auto path = "/proc/self/fd/" + std::to_string(fd);
        findings.expect(real_path(path.c_str()) == "/dev/null", path);
      }
      return 3;
    });
    ::_exit(status ? *status : 1);
  }
  int ended = 0;
  ::waitpid(daemon, &ended, 0);
  CHECK(WEXITSTATUS(ended) == 3);
  CHECK(findings.text() == "");
}

TEST_CASE("nothing of a run remains in the kernel, also when main is killed") {
  TemporaryFolder folder;
  auto with_socket = options();
  with_socket.control_socket = folder.path + "/run/trivet.sock";
  auto before = kernel_objects();
  SUBCASE("main returns") {
    auto status = broker::launch(with_socket, [&](broker::Client& client) {
      auto object = client.load("core", lifecycle());
      auto listener = client.control_listener();
      bool again = client.control_listener().has_value();
      return object && listener && !again && ::access(with_socket.control_socket.c_str(), F_OK) == 0
                 ? 5
                 : 6;
    });
    REQUIRE(status.has_value());
    CHECK(*status == 5);
  }
  SUBCASE("main crashes") {
    auto status = broker::launch(with_socket, [](broker::Client& client) {
      auto object = client.load("core", lifecycle());
      ::signal(SIGSEGV, SIG_DFL);  // the test framework's own would report it
      ::raise(SIGSEGV);
      return 0;
    });
    REQUIRE(!status.has_value());
    CHECK(status.error().message.find("signal 11") != std::string::npos);
  }
  SUBCASE("the broker is asked to stop") {
    pid_t daemon = ::fork();
    if (daemon == 0) {
      auto status = broker::launch(with_socket, [](broker::Client& client) {
        auto object = client.load("core", lifecycle());
        sigset_t wanted;
        sigemptyset(&wanted);
        sigaddset(&wanted, SIGTERM);
        int number = 0;
        ::sigwait(&wanted, &number);
        return 42;
      });
      ::_exit(status ? *status : 1);
    }
    while (::access(with_socket.control_socket.c_str(), F_OK) != 0) ::usleep(10000);
    ::usleep(300000);
    ::kill(daemon, SIGTERM);
    int ended = 0;
    ::waitpid(daemon, &ended, 0);
    CHECK(WIFEXITED(ended));
    CHECK(WEXITSTATUS(ended) == 42);
  }
  CHECK(gone_within(before, std::chrono::seconds(5)));
  // The socket's folder was made for it, and is gone with it.
  CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("a control socket in use is refused, a stale one replaced") {
  TemporaryFolder folder;
  auto with_socket = options();
  with_socket.control_socket = folder.path + "/trivet.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, with_socket.control_socket.c_str());
  int other = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(::bind(other, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(::listen(other, 1) == 0);
  auto quiet = [](broker::Client&) { return 0; };
  auto refused = broker::launch(with_socket, quiet);
  REQUIRE(!refused);
  CHECK(refused.error().code == EADDRINUSE);
  ::close(other);
  CHECK(broker::launch(with_socket, quiet).has_value());
  CHECK(std::filesystem::is_empty(folder.path));
  with_socket.write_group = "no-such-group";
  CHECK(!broker::launch(with_socket, quiet));
}

}  // namespace trivet
