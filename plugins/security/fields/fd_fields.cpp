// SPDX-License-Identifier: Apache-2.0
// fd.*: the file that was opened or the socket that was connected.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "security/fields/field.h"

namespace trivet::security {
namespace {

bool is_ip(const RuleEvent& event) {
  return is_connect(event.type) && (event.family == AF_INET || event.family == AF_INET6);
}

std::string endpoint(const IpAddress& address, std::uint16_t port) {
  return address.to_string() + ":" + std::to_string(port);
}

FieldValue name(const RuleEvent& event, const FieldArgument&) {
  if (is_open(event.type) && !event.path.empty()) return std::string_view(event.path);
  if (!is_connect(event.type)) return {};
  if (is_ip(event)) {
    return event.keep(endpoint(event.local, event.local_port) + "->" +
                      endpoint(event.remote, event.remote_port));
  }
  if (!event.socket_path.empty()) return event.socket_path;
  return {};
}

// Of files only; text up to and after the last slash.
FieldValue directory(const RuleEvent& event, const FieldArgument&) {
  if (!is_open(event.type) || event.path.empty()) return {};
  std::string_view path = event.path;
  auto slash = path.rfind('/');
  if (slash == path.npos) return "/";
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}
FieldValue filename(const RuleEvent& event, const FieldArgument&) {
  if (!is_open(event.type) || event.path.empty()) return {};
  std::string_view path = event.path;
  auto slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

FieldValue number(const RuleEvent& event, const FieldArgument&) {
  if (is_open(event.type)) return event.failed() ? std::int64_t{-1} : event.result;
  if (is_connect(event.type)) return std::int64_t{event.descriptor};
  return {};
}

// A failed open has no file to ask: it counts as one of a plain file.
FieldValue type(const RuleEvent& event, const FieldArgument&) {
  if (is_open(event.type)) return S_ISDIR(event.file_mode) ? "directory" : "file";
  if (!is_connect(event.type)) return {};
  if (event.family == AF_INET) return "ipv4";
  if (event.family == AF_INET6) return "ipv6";
  if (event.family == AF_UNIX) return "unix";
  return {};
}
FieldValue type_char(const RuleEvent& event, const FieldArgument&) {
  if (is_open(event.type)) return S_ISDIR(event.file_mode) ? "d" : "f";
  if (!is_connect(event.type)) return {};
  if (event.family == AF_INET) return "4";
  if (event.family == AF_INET6) return "6";
  if (event.family == AF_UNIX) return "u";
  return {};
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

FieldValue address(const RuleEvent& event, const IpAddress& which) {
  if (!is_ip(event) || which.family == 0) return {};
  return which;
}
FieldValue port(const RuleEvent& event, std::uint16_t which) {
  if (!is_ip(event)) return {};
  return std::int64_t{which};
}
FieldValue both_addresses(const RuleEvent& event, const FieldArgument&) {
  if (!is_ip(event)) return {};
  return std::vector<IpAddress>{event.local, event.remote};
}
FieldValue both_ports(const RuleEvent& event, const FieldArgument&) {
  if (!is_ip(event)) return {};
  return std::vector<std::int64_t>{event.local_port, event.remote_port};
}

#define GET(expression) \
  [](const RuleEvent& event, const FieldArgument&) -> FieldValue { return expression; }

// Whoever connects is the client: the remote end is the server.
constexpr Field kFields[] = {
    {"fd.num", FieldType::number, ArgumentUse::none, "Descriptor; -1 for a failed open", number},
    {"fd.type", FieldType::text, ArgumentUse::none, "file, directory, ipv4, ipv6, unix", type},
    {"fd.typechar", FieldType::text, ArgumentUse::none, "f, d, 4, 6, u", type_char},
    {"fd.name", FieldType::text, ArgumentUse::none,
     "Path of the file as the kernel opened it; local->remote of a connection", name},
    {"fd.nameraw", FieldType::text, ArgumentUse::none, "The path as the program gave it",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (!is_open(event.type) || event.raw_path.empty()) return {};
       return event.raw_path;
     }},
    {"fd.directory", FieldType::text, ArgumentUse::none, "Folder of the file", directory},
    {"fd.filename", FieldType::text, ArgumentUse::none, "Last part of the path", filename},
    {"fd.ino", FieldType::number, ArgumentUse::none, "Inode of the file",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (!is_open(event.type) || event.inode == 0) return {};
       return static_cast<std::int64_t>(event.inode);
     }},
    {"fd.dev", FieldType::number, ArgumentUse::none, "Device of the file, as the kernel encodes it",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (!is_open(event.type) || event.inode == 0) return {};
       return std::int64_t{event.device};
     }},
    {"fd.l4proto", FieldType::text, ArgumentUse::none, "tcp, udp, icmp, raw", protocol},
    {"fd.sockfamily", FieldType::text, ArgumentUse::none, "ip or unix",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (is_ip(event)) return "ip";
       if (is_connect(event.type) && event.family == AF_UNIX) return "unix";
       return {};
     }},
    {"fd.ip", FieldType::address, ArgumentUse::none, "Either address", both_addresses,
     Plurality::any},
    {"fd.net", FieldType::address, ArgumentUse::none, "Either address, for networks",
     both_addresses, Plurality::any},
    {"fd.port", FieldType::number, ArgumentUse::none, "Either port", both_ports, Plurality::any},
    {"fd.sip", FieldType::address, ArgumentUse::none, "Address of the server",
     GET(address(event, event.remote))},
    {"fd.snet", FieldType::address, ArgumentUse::none, "Address of the server, for networks",
     GET(address(event, event.remote))},
    {"fd.sport", FieldType::number, ArgumentUse::none, "Port of the server",
     GET(port(event, event.remote_port))},
    {"fd.cip", FieldType::address, ArgumentUse::none, "Address of the client",
     GET(address(event, event.local))},
    {"fd.cnet", FieldType::address, ArgumentUse::none, "Address of the client, for networks",
     GET(address(event, event.local))},
    {"fd.cport", FieldType::number, ArgumentUse::none, "Port of the client",
     GET(port(event, event.local_port))},
    {"fd.lip", FieldType::address, ArgumentUse::none, "Local address",
     GET(address(event, event.local))},
    {"fd.lnet", FieldType::address, ArgumentUse::none, "Local address, for networks",
     GET(address(event, event.local))},
    {"fd.lport", FieldType::number, ArgumentUse::none, "Local port",
     GET(port(event, event.local_port))},
    {"fd.rip", FieldType::address, ArgumentUse::none, "Remote address",
     GET(address(event, event.remote))},
    {"fd.rnet", FieldType::address, ArgumentUse::none, "Remote address, for networks",
     GET(address(event, event.remote))},
    {"fd.rport", FieldType::number, ArgumentUse::none, "Remote port",
     GET(port(event, event.remote_port))},
    {"fd.is_server", FieldType::boolean, ArgumentUse::none, "false: this end connects",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (!is_ip(event)) return {};
       return false;
     }},
    {"fd.connected", FieldType::boolean, ArgumentUse::none, "Whether the connection stands",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (!is_connect(event.type)) return {};
       return !event.failed();
     }},
    {"fd.name_changed", FieldType::boolean, ArgumentUse::none, "The call gave it its name",
     [](const RuleEvent& event, const FieldArgument&) -> FieldValue {
       if (!is_connect(event.type)) return {};
       return true;
     }},
};

}  // namespace

std::span<const Field> fd_fields() {
  return kFields;
}

}  // namespace trivet::security
