// SPDX-License-Identifier: Apache-2.0
// What the kernel may leave out: never an event that a rule could match.
#include "security/rules/reach.h"

#include <doctest/doctest.h>

#include "security/rules/compiler.h"

namespace trivet::security {
namespace {

// A graph of one condition.
struct Compiled {
  Definitions none;
  FilterGraph graph;
  NodeId root = FilterGraph::kNever;

  explicit Compiled(const std::string& condition) {
    Compiler compiler(none, graph);
    auto file = std::make_shared<const TextFile>(TextFile{"f", condition});
    auto result = compiler.condition(SourceText(condition, file, 1, 1));
    REQUIRE(std::holds_alternative<NodeId>(result));
    root = std::get<NodeId>(result);
  }
};

// The types and profiles as text: "openat:.r.r!".
std::string reach(const std::string& condition) {
  Compiled compiled(condition);
  std::string out;
  for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
    std::string profiles;
    for (unsigned p : profiles_of(type)) {
      if (Specializer(compiled.graph, type, p).of(compiled.root) == FilterGraph::kNever) continue;
      profiles += '.';
      if (p & PROFILE_READ) profiles += picks(type) ? 'p' : 'r';
      if (p & PROFILE_WRITE) profiles += 'w';
      if (p & PROFILE_DIRECTORY) profiles += 'd';
      if (p & PROFILE_FAILED) profiles += '!';
    }
    if (profiles.empty()) continue;
    out.append(out.empty() ? "" : " ").append(kEventTypes[type]).append(":").append(profiles);
  }
  return out;
}

TEST_CASE("a condition's reach follows from type, direction, kind of file and failure") {
  struct Row {
    const char* condition;
    const char* reach;
  };
  const Row rows[] = {
      {"evt.type = connect", "connect:..!"},
      {"evt.type = execve and proc.name = sh", "execve:."},
      {"evt.type = execveat", "execve:."},
      {"evt.type = openat and evt.is_open_read = true and fd.typechar='f' and fd.num>=0",
       "openat:.r.rw"},
      {"evt.type = openat and evt.is_open_write = true and fd.num = -1", "openat:.w!.rw!"},
      {"evt.type = openat and fd.typechar = d", "openat:.rd.wd.rwd"},
      {"evt.type = openat and evt.res startswith E", "openat:.r!.w!.rw!"},
      {"evt.type = connect and (evt.rawres >= 0 or evt.res = EINPROGRESS)", "connect:..!"},
      {"evt.type = connect and evt.rawres >= 0", "connect:."},
      {"evt.type = connect and evt.failed = true", "connect:.!"},
      {"evt.type = symlink and fd.name = x", ""},
      {"evt.type = close", ""},
      {"evt.type = ptrace", "ptrace:..!"},
      {"evt.type = dup and evt.failed = false", "dup:..p"},
      {"evt.type = dup and evt.failed = false and fd.typechar in (4, 6)", "dup:.p"},
      {"evt.type = dup and evt.failed = false and fd.type = ipv4", "dup:.p"},
      {"evt.type = dup and evt.failed = false and fd.type != ipv4", "dup:..p"},
      {"evt.type = dup and evt.failed = false and fd.typechar in (4, f)", "dup:..p"},
      {"evt.type = bpf and evt.arg.cmd in (5, BPF_PROG_LOAD)", "bpf:.p.p!"},
      {"evt.type = bpf and not evt.arg.cmd = BPF_PROG_LOAD", "bpf:..!.p.p!"},
      {"evt.type = bpf and evt.arg.cmd in (BPF_MAP_CREATE, BPF_PROG_LOAD)", "bpf:..!.p.p!"},
      {"evt.type in (dup, dup2) and fd.num = -1", "dup:.!.p! dup2:.!.p!"},
      {"evt.type = accept and fd.num >= 0", "accept:."},
      {"evt.type = listen and fd.num >= 0", "listen:..!"},
      {"evt.type = unlink and fd.name = x", ""},
      {"evt.type = sendto and fd.name_changed = true", "sendto:.r.r!"},
      {"evt.type = sendto and fd.name_changed = false", "sendto:..!"},
      {"evt.type = sendto and fd.connected = false and evt.failed = true", "sendto:.!.r!"},
      {"evt.type = accept and fd.name_changed = true", ""},
      {"evt.type in (mount, setuid) and evt.category = user", "setuid:..!"},
      {"evt.num = 0", ""},
      {"evt.dir = >", ""},
      {"evt.type = connect and evt.dir = <", "connect:..!"},
      {"evt.source = k8s_audit", ""},
      {"evt.count > 1", ""},
      {"evt.type = connect and evt.is_open_exec = true", ""},
      {"evt.type = connect and fd.connected = true", "connect:."},
      {"evt.type = openat and fd.name_changed = true", ""},
      {"evt.type in (link, linkat) and not evt.num = 0 and evt.failed = false", "link:. linkat:."},
      {"not evt.category in (file, net, user, memory, signal, other, system) and not evt.type in "
       "(clone, clone3, fork, vfork, ptrace, prctl, capset, process_vm_readv, process_vm_writev, "
       "unshare, setns, chroot)",
       "execve:."},
      {"evt.type = execve and evt.rawres < 0", ""},
      {"tolower(evt.type) = connect and evt.type in (connect, execve)", "connect:..! execve:."},
      {"evt.type startswith anyof (conn, exec)", "connect:..! execve:."},
      {"evt.type = allof (connect, execve)", ""},
      {"evt.type = connect and fd.num = anyof (1, 2)", "connect:..!"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.condition);
    CHECK(reach(row.condition) == row.reach);
  }
}

TEST_CASE("event types that are asked for but not seen are named") {
  using Names = std::vector<std::string>;
  auto unbuilt = [](const std::string& condition) {
    Compiled compiled(condition);
    return unbuilt_event_types(compiled.graph, compiled.root);
  };
  CHECK(unbuilt("evt.type in (connect, write, read)") == Names{"read", "write"});
  CHECK(unbuilt("evt.type = anyof (connect, read)") == Names{"read"});
  CHECK(unbuilt("evt.type = connect and not evt.type in (close, read)") == Names{});
  CHECK(unbuilt("proc.name = x") == Names{});
}

TEST_CASE("what remains of a condition for a kind of event asks only what is not known") {
  Compiled compiled(
      "evt.type in (openat, connect) and evt.is_open_read = true and fd.typechar = f and fd.num >= "
      "0 "
      "and proc.name = cat");
  Compiled cat("proc.name = cat");
  auto remains = Specializer(compiled.graph, call_named("openat"), PROFILE_READ).of(compiled.root);
  const Node& node = compiled.graph.node(remains);
  REQUIRE(node.kind == Node::Kind::comparison);
  CHECK(compiled.graph.sources()[compiled.graph.comparison(node).left].name == "proc.name");
}

}  // namespace
}  // namespace trivet::security
