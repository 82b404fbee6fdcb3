// SPDX-License-Identifier: Apache-2.0
#include "broker/protocol.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <random>

using namespace trivet;
using namespace trivet::broker;

namespace {

LoadRequest a_load() {
  LoadRequest load;
  load.plugin = "security";
  load.spec.name = "files";
  load.spec.hooks = {
      {"open", {{"fentry", {"a", "b"}}, {"tracepoint", {"c"}, {"syscalls/sys_exit_open"}}}, true},
      {"link", {{"tracepoint", {"d"}}}, false}};
  load.spec.config = {std::byte{1}, std::byte{2}, std::byte{0}};
  load.spec.map_sizes = {{"prefixes", 4096}};
  load.probe = true;
  return load;
}

std::vector<Request> one_of_each() {
  return {a_load(),
          UnloadRequest{7},
          LanesRequest{},
          IterateRequest{7, "snapshot"},
          OpenConfiguredRequest{"/etc/trivet/rules.yaml"},
          ListConfiguredRequest{"/etc/trivet/rules.d"},
          ReloadRequest{},
          PluginNamesRequest{},
          OpenPluginRequest{"network"},
          ListenerRequest{ListenSocket::control},
          ListenerRequest{ListenSocket::api},
          ReadyRequest{},
          CommitReloadRequest{true},
          OwnedFolderRequest{"/var/log/trivet"},
          StartProgramRequest{"alerts"},
          RetargetRequest{7, "calls", {"syscalls/sys_exit_open", "syscalls/sys_exit_dup"}},
          FindSilentRequest{}};
}

struct Pair {
  Pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    a.reset(ends[0]);
    b.reset(ends[1]);
  }
  UniqueFd a, b;
};

}  // namespace

TEST_CASE("a request arrives as it was sent") {
  for (const Request& request : one_of_each()) {
    CAPTURE(request.index());
    auto bytes = encode(request);
    auto decoded = decode_request(bytes);
    REQUIRE(decoded.has_value());
    CHECK(decoded->index() == request.index());
    CHECK(encode(*decoded) == bytes);
  }
  auto load = decode_request(encode(Request(a_load())));
  REQUIRE(load.has_value());
  const auto& spec = std::get<LoadRequest>(*load).spec;
  CHECK(spec.hooks[0].tiers[1].programs == std::vector<std::string>{"c"});
  CHECK(!spec.hooks[1].required);
  CHECK(spec.config == a_load().spec.config);
  CHECK(spec.map_sizes == a_load().spec.map_sizes);
}

TEST_CASE("a request that was cut, extended or made up is refused") {
  for (const Request& request : one_of_each()) {
    auto bytes = encode(request);
    for (std::size_t size = 0; size < bytes.size(); size++) {
      CAPTURE(request.index());
      CAPTURE(size);
      CHECK(!decode_request(std::span(bytes).first(size)));
    }
    bytes.push_back(std::byte{0});
    CHECK(!decode_request(bytes));
  }
  std::vector<std::byte> unknown{std::byte{200}};
  CHECK(!decode_request(unknown));
  // A text that claims four billion bytes, and a list that claims as many items.
  std::vector<std::byte> claims{std::byte{8}, std::byte{0xff}, std::byte{0xff}, std::byte{0xff},
                                std::byte{0xff}};
  CHECK(!decode_request(claims));
}

TEST_CASE("random bytes neither crash nor pass") {
  std::mt19937 random(1);
  auto load = encode(Request(a_load()));
  for (int i = 0; i < 20000; i++) {
    auto bytes = load;
    for (int change = 0; change < 3; change++) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    auto decoded = decode_request(bytes);
    // What passes is a request: it encodes to what it was read from, but for flags other than 0
    // and 1.
    if (decoded) CHECK(encode(*decoded).size() == bytes.size());
  }
}

TEST_CASE("an error arrives with its code and place, an answer with its descriptors") {
  Error error{"no", EPERM, {"/etc/trivet/trivet.toml", 3, 7}};
  auto refused = decode_answer(encode(Result<Answer>(error)), {});
  REQUIRE(!refused);
  CHECK(refused.error().message == "no");
  CHECK(refused.error().code == EPERM);
  CHECK(refused.error().place.line == 3);

  Answer answer;
  answer.handle = 9;
  answer.hooks = {
      {"open", "tracepoint", {{"fentry", "Operation not permitted"}, {"tracepoint", ""}}}};
  answer.maps = {{"prefixes", 1, 4, 8, 16, true}};
  answer.names = {"a", "b"};
  auto bytes = encode(Result<Answer>(std::move(answer)));
  CHECK(!decode_answer(bytes, {}));  // a map without its descriptor
  std::vector<UniqueFd> fds;
  fds.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  auto decoded = decode_answer(bytes, std::move(fds));
  REQUIRE(decoded.has_value());
  CHECK(decoded->hooks[0].tried[0].refusal == "Operation not permitted");
  CHECK(decoded->maps[0].writable);
  CHECK(decoded->names.size() == 2);
}

TEST_CASE("messages carry descriptors, and one that is too large is refused and gone") {
  Pair pair;
  std::vector<UniqueFd> fds;
  fds.emplace_back(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  std::vector<std::byte> bytes(100, std::byte{5});
  REQUIRE(send_message(pair.a.get(), bytes, fds));
  auto received = receive_message(pair.b.get());
  REQUIRE(received.has_value());
  CHECK(received->bytes == bytes);
  REQUIRE(received->fds.size() == 1);
  char zero = 1;
  CHECK(::read(received->fds[0].get(), &zero, 1) == 1);
  CHECK(zero == 0);

  std::vector<std::byte> huge(max_message_bytes + 1);
  CHECK(!send_message(pair.a.get(), huge, {}));
  REQUIRE(::send(pair.a.get(), huge.data(), huge.size(), 0) > 0);
  auto cut = receive_message(pair.b.get());
  REQUIRE(!cut);
  CHECK(cut.error().code == EMSGSIZE);
  REQUIRE(send_message(pair.a.get(), bytes, {}));
  CHECK(receive_message(pair.b.get())->bytes == bytes);

  pair.a.reset();
  auto end = receive_message(pair.b.get());
  CHECK((end && end->bytes.empty()));
}
