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

std::optional<RuleEvent> RuleEvent::from(const Event<file_open_event>& event, const Facts& facts) {
  const auto& data = event.data;
  Tail tail(event.tail);
  auto raw = tail.take(data.raw_size);
  auto path = tail.take(data.path_size);
  auto base = tail.take(data.base_size);
  if (!tail.intact() || !is_open(data.call)) return std::nullopt;

  RuleEvent out = begin(event, facts);
  out.type = data.call;
  out.result = data.result;
  out.raw_path = raw;
  out.path = !path.empty() ? std::string(path) : absolute_path(base, raw);
  out.open_flags = data.flags;
  out.mode = data.mode;
  out.file_mode = data.file_mode;
  out.device = data.device;
  out.inode = data.inode;
  out.directory = data.directory;
  return out;
}

std::optional<RuleEvent> RuleEvent::from(const Event<file_link_event>& event, const Facts& facts) {
  const auto& data = event.data;
  Tail tail(event.tail);
  auto old_raw = tail.take(data.old_size);
  auto new_raw = tail.take(data.new_size);
  auto old_base = tail.take(data.old_base_size);
  auto new_base = tail.take(data.new_base_size);
  if (!tail.intact() || !is_link(data.call)) return std::nullopt;

  RuleEvent out = begin(event, facts);
  out.type = data.call;
  out.result = data.result;
  bool symbolic = data.call == CALL_SYMLINK || data.call == CALL_SYMLINKAT;
  out.old_path = symbolic ? std::string(old_raw) : absolute_path(old_base, old_raw);
  out.new_path = absolute_path(new_base, new_raw);
  out.directory = data.old_directory;
  out.new_directory = data.new_directory;
  return out;
}

std::optional<RuleEvent> RuleEvent::from(const Event<socket_connect_event>& event,
                                         const Facts& facts) {
  const auto& data = event.data;
  Tail tail(event.tail);
  auto path = tail.take(data.path_size);
  if (!tail.intact()) return std::nullopt;

  RuleEvent out = begin(event, facts);
  out.type = CALL_CONNECT;
  out.result = data.result;
  out.descriptor = data.descriptor;
  out.family = data.family;
  out.protocol = data.protocol;
  out.local_port = data.local_port;
  out.remote_port = data.remote_port;
  if (data.family == AF_INET) {
    out.local = IpAddress::v4(data.local);
    out.remote = IpAddress::v4(data.remote);
  } else if (data.family == AF_INET6) {
    out.local = IpAddress::v6(data.local);
    out.remote = IpAddress::v6(data.remote);
  }
  // An IPv4 peer of an IPv6 socket: IPv4 is what is on the wire, and what Falco says.
  if (data.family == AF_INET6 && std::ranges::equal(kMappedPrefix, std::span(data.remote, 12))) {
    out.family = AF_INET;
    out.local = IpAddress::v4(data.local + 12);
    out.remote = IpAddress::v4(data.remote + 12);
  }
  // An abstract name starts with NUL, a path may end with some.
  if (!path.empty() && path.front() == '\0') {
    std::string name(path);
    for (char& c : name) {
      if (c == '\0') c = '@';
    }
    out.socket_path = out.keep(std::move(name));
  } else {
    out.socket_path = path.substr(0, path.find('\0'));
  }
  return out;
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
