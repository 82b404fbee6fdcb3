// SPDX-License-Identifier: Apache-2.0
#include "security/rule_event.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "trivet/capability.h"

namespace trivet::security {
namespace {

// Takes the variable parts of a record one after the other.
class Tail {
 public:
  explicit Tail(std::span<const std::byte> bytes)
      : rest_(reinterpret_cast<const char*>(bytes.data()), bytes.size()) {}
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) {
      intact_ = false;
      return {};
    }
    auto part = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return part;
  }
  std::string_view rest() const { return rest_; }
  bool intact() const { return intact_; }

 private:
  std::string_view rest_;
  bool intact_ = true;
};

template <class E>
RuleEvent begin(const Event<E>& event, const Facts& facts) {
  RuleEvent out;
  out.header = &event.data.header;
  out.process = event.process;
  out.parent = event.parent;
  out.facts = &facts;
  return out;
}

// ::ffff:0:0/96
constexpr std::uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct FlagName {
  std::uint32_t bits;
  const char* name;
};
// The kernel's numbers: libc's O_LARGEFILE is 0 on 64 bits.
constexpr FlagName kOpenFlags[] = {
    {O_TRUNC, "O_TRUNC"},         {O_APPEND, "O_APPEND"},     {O_EXCL, "O_EXCL"},
    {O_CREAT, "O_CREAT"},         {O_NONBLOCK, "O_NONBLOCK"}, {O_DIRECT, "O_DIRECT"},
    {O_DIRECTORY, "O_DIRECTORY"}, {O_NOFOLLOW, "O_NOFOLLOW"}, {O_CLOEXEC, "O_CLOEXEC"},
    {O_PATH, "O_PATH"},           {0100000, "O_LARGEFILE"}};

}  // namespace

std::optional<RuleEvent> RuleEvent::from(const Event<syscall_event>& event, const Facts& facts) {
  const auto& data = event.data;
  if (data.call >= kExecve) return std::nullopt;
  Tail tail(event.tail);
  auto socket = tail.take(data.flags & CALL_HAS_SOCKET ? sizeof(call_socket) : 0);
  RuleEvent out = begin(event, facts);
  for (std::size_t i = 0; i < 2; ++i) out.given_raw[i] = tail.take(data.text_size[i]);
  for (std::size_t i = 0; i < 2; ++i) out.base[i] = tail.take(data.base_size[i]);
  auto path = tail.take(data.path_size);
  out.origin = tail.take(data.origin_size);
  out.resolved[0] = tail.take(data.resolved_size);
  out.resolved[1] = tail.rest();
  if (!tail.intact()) return std::nullopt;

  out.type = data.call;
  out.result = data.result;
  std::ranges::copy(data.arguments, out.arguments.begin());
  bool text = shape_of(data.call) & CALL_FIRST_IS_TEXT;
  for (std::size_t i = 0; i < 2; ++i) {
    out.given[i] = text && i == 0 ? std::string(out.given_raw[i])
                                  : absolute_path(out.base[i], out.given_raw[i]);
  }
  out.root_elsewhere = data.flags & CALL_ROOT_ELSEWHERE;
  out.file_unknown = data.flags & CALL_FILE_UNKNOWN;
  out.below = data.below_size;
  out.descriptor = data.descriptor;
  out.file_mode = data.file_mode;
  bool of_path = data.resolved_size != 0;
  (of_path ? out.resolved_device : out.device) = data.device;
  (of_path ? out.resolved_inode : out.inode) = data.inode;
  out.open_flags = data.open_flags;
  out.open_mode = data.open_mode;
  out.connected = data.flags & CALL_SOCKET_CONNECTED;
  out.addressed = data.flags & CALL_PEER_FROM_CALLER;
  if (!socket.empty()) {
    call_socket ends;
    std::memcpy(&ends, socket.data(), sizeof(ends));
    out.read_socket(ends, path);
  } else {
    out.path = path;
    if (path.empty() && is_open(out.type)) out.path = out.given[0];
  }
  return out;
}

void RuleEvent::read_socket(const call_socket& ends, std::string_view name) {
  family = ends.family;
  protocol = ends.protocol;
  local_port = ends.local_port;
  remote_port = ends.remote_port;
  bool has_peer = connected || addressed;
  // An IPv4 peer of an IPv6 socket: IPv4 is what is on the wire, and what Falco says.
  auto mapped = [](const std::uint8_t* address) {
    return std::equal(kMappedPrefix, std::end(kMappedPrefix), address);
  };
  if (family == AF_INET) {
    local = IpAddress::v4(ends.local);
    if (has_peer) remote = IpAddress::v4(ends.remote);
  } else if (family == AF_INET6 && mapped(has_peer ? ends.remote : ends.local)) {
    family = AF_INET;
    local = IpAddress::v4(ends.local + 12);
    if (has_peer) remote = IpAddress::v4(ends.remote + 12);
  } else if (family == AF_INET6) {
    local = IpAddress::v6(ends.local);
    if (has_peer) remote = IpAddress::v6(ends.remote);
  }
  // An abstract name starts with NUL, a path may end with some.
  if (!name.empty() && name.front() == '\0') {
    std::string visible(name);
    std::ranges::replace(visible, '\0', '@');
    socket_path = keep(std::move(visible));
  } else {
    socket_path = name.substr(0, name.find('\0'));
  }
}

std::string RuleEvent::socket_name() const {
  if (family != AF_INET && family != AF_INET6) return std::string(socket_path);
  auto end = [](const IpAddress& address, std::uint16_t port) {
    return address.to_string() + ":" + std::to_string(port);
  };
  if (remote.family == 0) return local_port == 0 ? "" : end(local, local_port);
  return is_server() ? end(remote, remote_port) + "->" + end(local, local_port)
                     : end(local, local_port) + "->" + end(remote, remote_port);
}

bool RuleEvent::is_server() const {
  return shape_of(type) & CALL_SERVES;
}

std::optional<RuleEvent> RuleEvent::from(const Event<process_exec_event>& event,
                                         const Facts& facts) {
  RuleEvent out = begin(event, facts);
  out.type = kExecve;
  return out;
}

std::string absolute_path(std::string_view base, std::string_view path) {
  if (path.empty() || (base.empty() && path.front() != '/')) return std::string(path);
  std::vector<std::string_view> parts;
  auto walk = [&](std::string_view text) {
    while (!text.empty()) {
      auto slash = std::min(text.find('/'), text.size());
      auto part = text.substr(0, slash);
      text.remove_prefix(std::min(slash + 1, text.size()));
      if (part.empty() || part == ".") continue;
      if (part != "..") {
        parts.push_back(part);
      } else if (!parts.empty()) {
        parts.pop_back();
      }
    }
  };
  if (path.front() != '/') walk(base);
  walk(path);
  std::string out;
  for (auto part : parts) out.append("/").append(part);
  return out.empty() ? "/" : out;
}

std::string open_flag_names(std::uint32_t flags) {
  std::string out;
  for (const auto& flag : kOpenFlags) {
    if (flags & flag.bits && (flags & flag.bits) == flag.bits) out.append(flag.name).append("|");
  }
  if ((flags & O_TMPFILE) == O_TMPFILE) out.append("O_TMPFILE|");
  // O_SYNC contains O_DSYNC.
  if ((flags & O_SYNC) == O_SYNC) {
    out.append("O_SYNC|");
  } else if (flags & O_DSYNC) {
    out.append("O_DSYNC|");
  }
  const char* access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_RDWR"};
  return out.append(access[flags & O_ACCMODE]);
}

std::string error_name(std::int64_t result) {
  // The kernel's errors are -4095 to -1.
  const char* name =
      result < 0 && result > -4096 ? strerrorname_np(static_cast<int>(-result)) : nullptr;
  return name ? name : std::to_string(result);
}

std::string capability_names(std::uint64_t set) {
  std::string out;
  for (std::size_t bit = 0; bit < kCapabilityNames.size(); ++bit) {
    if (set >> bit & 1) out.append(out.empty() ? "" : " ").append(kCapabilityNames[bit]);
  }
  return out;
}

}  // namespace trivet::security
