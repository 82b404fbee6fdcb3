// SPDX-License-Identifier: Apache-2.0
#include "fake_host.h"

#include <doctest/doctest.h>

#include "core/lifecycle.h"
#include "trivet/records/alert.h"

using namespace trivet;

TEST_CASE("the fake host links a tree of processes and finds an event's process in it") {
  FakeHost host;
  host.facts().add(tree({.name = "sshd"}, {tree({.name = "bash"}, {tree({.name = "cat"})})}));
  auto cat = host.facts().named("cat");
  CHECK(cat->parent == host.facts().named("bash")->key);

  ProcessRef seen;
  std::string tail;
  host.on<process_exec_event>([&](const Event<process_exec_event>& event) {
    seen = event.process;
    tail.assign(reinterpret_cast<const char*>(event.tail.data()), event.tail.size());
  });
  process_exec_event event{};
  event.header.task = {cat->key.start_ns, cat->key.tgid, 0};
  host.deliver(event, "/bin/cat");
  CHECK(seen == cat);
  CHECK(tail == "/bin/cat");
}

TEST_CASE("the fake host gives records to their subscribers and keeps them") {
  FakeHost host;
  std::string heard;
  host.on_record<Alert>([&](const Alert& alert) { heard = alert.rule; });
  Alert alert;
  alert.rule = "a rule";
  host.publish(alert);
  CHECK(heard == "a rule");
  CHECK(host.records<Alert>().at(0).rule == "a rule");
}

TEST_CASE("a fake map refuses an entry of another size") {
  FakeHost host;
  auto object = host.attach({.name = "x"});
  REQUIRE(object);
  TypedMap<std::uint32_t, std::uint64_t> map(**(*object)->map("counts"));
  REQUIRE(map.update(1, 7));
  std::uint64_t value = 0;
  CHECK(*map.lookup(1, value));
  CHECK(value == 7);
  TypedMap<std::uint32_t, std::uint32_t> narrow(**(*object)->map("counts"));
  CHECK_FALSE(narrow.update(1, 7));
}
