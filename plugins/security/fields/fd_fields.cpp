// SPDX-License-Identifier: Apache-2.0
// fd.*: what the descriptor of a call refers to, a file or a socket.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "security/fields/field.h"

namespace trivet::security {
namespace {

bool is_ip(const RuleEvent& event) {
  return event.family == AF_INET || event.family == AF_INET6;
}
bool is_socket(const RuleEvent& event) {
  return event.family != 0;
}

FieldValue name(const RuleEvent& event, const FieldArgument&) {
  if (!is_socket(event)) return event.path.empty() ? FieldValue() : std::string_view(event.path);
  auto name = event.socket_name();
  if (name.empty()) return {};
  return event.keep(std::move(name));
}

// Of files only; text up to and after the last slash.
FieldValue directory(const RuleEvent& event, const FieldArgument&) {
  if (event.path.empty()) return {};
  std::string_view path = event.path;
  auto slash = path.rfind('/');
  if (slash == path.npos) return "/";
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}
FieldValue filename(const RuleEvent& event, const FieldArgument&) {
  if (event.path.empty()) return {};
  std::string_view path = event.path;
  auto slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

FieldValue number(const RuleEvent& event, const FieldArgument&) {
  if (!has_descriptor(event.type)) return {};
  if (!(shape_of(event.type) & CALL_RETURNS_DESCRIPTOR)) return std::int64_t{event.descriptor};
  return event.failed() ? std::int64_t{-1} : event.result;
}

// What descriptors can be, under Falco's names.
struct Kind {
  std::string_view type;
  std::string_view letter;
};
struct AnonymousKind {
  std::string_view path;  // as the kernel names it
  Kind kind;
};
constexpr AnonymousKind kAnonymousKinds[] = {{"anon_inode:[eventfd]", {"event", "e"}},
                                             {"anon_inode:[eventpoll]", {"eventpoll", "l"}},
                                             {"anon_inode:inotify", {"inotify", "i"}},
                                             {"anon_inode:[signalfd]", {"signalfd", "s"}},
                                             {"anon_inode:[timerfd]", {"timerfd", "t"}},
                                             {"anon_inode:[userfaultfd]", {"userfaultfd", "u"}},
                                             {"anon_inode:[io_uring]", {"iouring", "r"}},
                                             {"anon_inode:[pidfd]", {"pidfd", "P"}},
                                             {"anon_inode:bpf", {"bpf", "b"}},
                                             {"memfd:", {"memfd", "m"}}};

std::optional<Kind> kind_of(const RuleEvent& event) {
  // What was opened is a file or a directory; one that could not be counts as a plain file.
  if (is_open(event.type)) {
    return S_ISDIR(event.file_mode) ? Kind{"directory", "d"} : Kind{"file", "f"};
  }
  switch (event.family) {
    case 0:
      break;
    case AF_INET:
      return Kind{"ipv4", "4"};
    case AF_INET6:
      return Kind{"ipv6", "6"};
    case AF_UNIX:
      return Kind{"unix", "u"};
    case AF_NETLINK:
      return Kind{"netlink", "n"};
    default:
      return std::nullopt;
  }
  if (event.file_mode == 0 && event.path.empty()) return std::nullopt;
  for (const auto& anonymous : kAnonymousKinds) {
    if (event.path.starts_with(anonymous.path)) return anonymous.kind;
  }
  if (S_ISDIR(event.file_mode)) return Kind{"directory", "d"};
  if (S_ISFIFO(event.file_mode)) return Kind{"pipe", "p"};
  return Kind{"file", "f"};
}
FieldValue type(const RuleEvent& event, const FieldArgument&) {
  auto kind = kind_of(event);
  if (!kind) return {};
  return kind->type;
}
FieldValue type_char(const RuleEvent& event, const FieldArgument&) {
  auto kind = kind_of(event);
  if (!kind) return {};
  return kind->letter;
}

FieldValue protocol(const RuleEvent& event, const FieldArgument&) {
  if (!is_ip(event)) return {};
  switch (event.protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return "icmp";
    case IPPROTO_RAW:
      return "raw";
    default:
      return {};
  }
}

// An end of the socket; a peer that is not there has none.
enum class End { local, remote, client, server };
bool is_local(const RuleEvent& event, End end) {
  return end == End::local || end == (event.is_server() ? End::server : End::client);
}
FieldValue address(const RuleEvent& event, End end) {
  const IpAddress& which = is_local(event, end) ? event.local : event.remote;
  if (!is_ip(event) || which.family == 0) return {};
  return which;
}
// The names that rules ask for, of which the address has some.
FieldValue names_of(const RuleEvent& event, End end) {
  auto which = address(event, end);
  if (!event.names || !std::holds_alternative<IpAddress>(which)) return {};
  std::vector<std::string_view> names;
  for (auto& name : event.names->of(std::get<IpAddress>(which)))
    names.push_back(event.keep(std::move(name)));
  if (names.empty()) return {};
  return names;
}
FieldValue port(const RuleEvent& event, End end) {
  bool local = is_local(event, end);
  if (!is_ip(event) || (local ? event.local : event.remote).family == 0) return {};
  return std::int64_t{local ? event.local_port : event.remote_port};
}
FieldValue both_addresses(const RuleEvent& event, const FieldArgument&) {
  if (!is_ip(event)) return {};
  std::vector<IpAddress> both = {event.local};
  if (event.remote.family != 0) both.push_back(event.remote);
  return both;
}
FieldValue both_ports(const RuleEvent& event, const FieldArgument&) {
  if (!is_ip(event)) return {};
  std::vector<std::int64_t> both = {event.local_port};
  if (event.remote.family != 0) both.push_back(event.remote_port);
  return both;
}

#define GET(expression) \
  [](const RuleEvent& event, const FieldArgument&) -> FieldValue { return expression; }

// Whoever connects is the client, whoever listens or accepts the server.
constexpr Field kFields[] = {
    {"fd.num", FieldType::number, ArgumentUse::none,
     "Descriptor; -1 if the call that would have made it failed", number},
    {"fd.type", FieldType::text, ArgumentUse::none,
     "file, directory, ipv4, ipv6, unix, netlink, pipe, event, eventpoll, inotify,"
     " signalfd, timerfd, memfd, userfaultfd, iouring, pidfd, bpf",
     type},
    {"fd.typechar", FieldType::text, ArgumentUse::none,
     "The same as one letter: f, d, 4, 6, u, n, p, e, l, i, s, t, m, u, r, P, b", type_char},
    {"fd.name", FieldType::text, ArgumentUse::none,
     "Path of the file as the kernel opened it; client->server of a connection", name},
    {"fd.nameraw", FieldType::text, ArgumentUse::none, "The path as the program gave it",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (!is_open(event.type) || event.given_raw[0].empty()) return {};
       return event.given_raw[0];
     }},
    {"fd.directory", FieldType::text, ArgumentUse::none, "Folder of the file", directory},
    {"fd.filename", FieldType::text, ArgumentUse::none, "Last part of the path", filename},
    {"fd.ino", FieldType::number, ArgumentUse::none, "Inode of the file",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (event.inode == 0) return {};
       return static_cast<std::int64_t>(event.inode);
     }},
    {"fd.dev", FieldType::number, ArgumentUse::none, "Device of the file, as the kernel encodes it",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (event.inode == 0) return {};
       return std::int64_t{event.device};
     }},
    {"fd.l4proto", FieldType::text, ArgumentUse::none, "tcp, udp, icmp, raw", protocol},
    {"fd.sockfamily", FieldType::text, ArgumentUse::none, "ip or unix",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (is_ip(event)) return "ip";
       if (event.family == AF_UNIX) return "unix";
       return {};
     }},
    {"fd.ip", FieldType::address, ArgumentUse::none, "Either address", both_addresses,
     Plurality::any},
    {"fd.net", FieldType::address, ArgumentUse::none, "Either address, for networks",
     both_addresses, Plurality::any},
    {"fd.port", FieldType::number, ArgumentUse::none, "Either port", both_ports, Plurality::any},
    {"fd.sip", FieldType::address, ArgumentUse::none, "Address of the server",
     GET(address(event, End::server))},
    {"fd.snet", FieldType::address, ArgumentUse::none, "Address of the server, for networks",
     GET(address(event, End::server))},
    {"fd.sport", FieldType::number, ArgumentUse::none, "Port of the server",
     GET(port(event, End::server))},
    {"fd.cip", FieldType::address, ArgumentUse::none, "Address of the client",
     GET(address(event, End::client))},
    {"fd.cnet", FieldType::address, ArgumentUse::none, "Address of the client, for networks",
     GET(address(event, End::client))},
    {"fd.cport", FieldType::number, ArgumentUse::none, "Port of the client",
     GET(port(event, End::client))},
    {"fd.lip", FieldType::address, ArgumentUse::none, "Local address",
     GET(address(event, End::local))},
    {"fd.lnet", FieldType::address, ArgumentUse::none, "Local address, for networks",
     GET(address(event, End::local))},
    {"fd.lport", FieldType::number, ArgumentUse::none, "Local port", GET(port(event, End::local))},
    {"fd.rip", FieldType::address, ArgumentUse::none, "Remote address",
     GET(address(event, End::remote))},
    {"fd.rnet", FieldType::address, ArgumentUse::none, "Remote address, for networks",
     GET(address(event, End::remote))},
    {"fd.rport", FieldType::number, ArgumentUse::none, "Remote port",
     GET(port(event, End::remote))},
    {"fd.sip.name", FieldType::text, ArgumentUse::none,
     "Of the names that rules compare with, the server's", GET(names_of(event, End::server)),
     Plurality::any},
    {"fd.cip.name", FieldType::text, ArgumentUse::none,
     "Of the names that rules compare with, the client's", GET(names_of(event, End::client)),
     Plurality::any},
    {"fd.lip.name", FieldType::text, ArgumentUse::none,
     "Of the names that rules compare with, that of the local address",
     GET(names_of(event, End::local)), Plurality::any},
    {"fd.rip.name", FieldType::text, ArgumentUse::none,
     "Of the names that rules compare with, that of the remote address",
     GET(names_of(event, End::remote)), Plurality::any},
    {"fd.is_server", FieldType::boolean, ArgumentUse::none, "Whether this end listens or accepted",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (!is_ip(event)) return {};
       return event.is_server();
     }},
    {"fd.connected", FieldType::boolean, ArgumentUse::none, "Whether the connection stands",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (is_connect(event.type)) return !event.failed();
       if (!is_socket(event)) return {};
       return event.connected;
     }},
    {"fd.name_changed", FieldType::boolean, ArgumentUse::none, "The call gave it its name",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (is_connect(event.type)) return true;
       if (!is_send(event.type)) return {};
       return event.addressed;
     }},
};

}  // namespace

std::span<const Field> fd_fields() {
  return kFields;
}

}  // namespace trivet::security
