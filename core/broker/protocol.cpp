// SPDX-License-Identifier: Apache-2.0
#include "broker/protocol.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "broker/wire.h"

namespace trivet::broker {
namespace {

constexpr std::size_t max_name = 128;
constexpr std::size_t max_places = 64;
constexpr std::size_t max_path = 4096;
constexpr std::size_t max_sentence = 16 * 1024;
constexpr std::size_t max_hooks = 64;
constexpr std::size_t max_tiers = 16;
constexpr std::size_t max_programs = 64;
constexpr std::size_t max_tracepoints = 512;
constexpr std::size_t max_config = 64 * 1024;
constexpr std::size_t max_names = 1024;

// One pair of functions for each request with content, and two for those without.
void write(Writer& out, const LoadRequest& request) {
  out.text(request.plugin);
  out.number(static_cast<std::uint8_t>(request.probe));
  out.text(request.spec.name);
  out.list(request.spec.hooks, [&](const Hook& hook) {
    out.text(hook.name);
    out.number(static_cast<std::uint8_t>(hook.required));
    out.list(hook.tiers, [&](const Tier& tier) {
      out.text(tier.name);
      out.list(tier.programs, [&](const std::string& program) { out.text(program); });
      out.list(tier.tracepoints, [&](const std::string& tracepoint) { out.text(tracepoint); });
    });
  });
  out.bytes(request.spec.config);
  out.list(request.spec.map_sizes, [&](const auto& size) {
    out.text(size.first);
    out.number(size.second);
  });
  out.number(static_cast<std::uint8_t>(request.spec.enforces));
}

void read(Reader& in, LoadRequest& request) {
  request.plugin = in.text(max_name);
  request.probe = in.flag();
  request.spec.name = in.text(max_name);
  in.list(max_hooks, [&] {
    Hook& hook = request.spec.hooks.emplace_back();
    hook.name = in.text(max_name);
    hook.required = in.flag();
    in.list(max_tiers, [&] {
      Tier& tier = hook.tiers.emplace_back();
      tier.name = in.text(max_name);
      in.list(max_programs, [&] { tier.programs.push_back(in.text(max_name)); });
      in.list(max_tracepoints, [&] { tier.tracepoints.push_back(in.text(max_name)); });
    });
  });
  request.spec.config = in.bytes(max_config);
  in.list(max_names, [&] {
    std::string map = in.text(max_name);
    request.spec.map_sizes.emplace_back(std::move(map), in.number<std::uint32_t>());
  });
  request.spec.enforces = in.flag();
}

void write(Writer& out, const UnloadRequest& request) {
  out.number(request.handle);
}
void read(Reader& in, UnloadRequest& request) {
  request.handle = in.number<std::uint32_t>();
}

void write(Writer& out, const RetargetRequest& request) {
  out.number(request.handle);
  out.text(request.hook);
  out.list(request.tracepoints, [&](const std::string& place) { out.text(place); });
}
void read(Reader& in, RetargetRequest& request) {
  request.handle = in.number<std::uint32_t>();
  request.hook = in.text(max_name);
  in.list(max_tracepoints, [&] { request.tracepoints.push_back(in.text(max_name)); });
}

void write(Writer& out, const IterateRequest& request) {
  out.number(request.handle);
  out.text(request.program);
}
void read(Reader& in, IterateRequest& request) {
  request.handle = in.number<std::uint32_t>();
  request.program = in.text(max_name);
}

void write(Writer& out, const OpenConfiguredRequest& request) {
  out.text(request.path);
}
void read(Reader& in, OpenConfiguredRequest& request) {
  request.path = in.text(max_path);
}
void write(Writer& out, const ListConfiguredRequest& request) {
  out.text(request.path);
}
void read(Reader& in, ListConfiguredRequest& request) {
  request.path = in.text(max_path);
}
void write(Writer& out, const CommitReloadRequest& request) {
  out.number(static_cast<std::uint8_t>(request.keep));
}
void read(Reader& in, CommitReloadRequest& request) {
  request.keep = in.flag();
}
void write(Writer& out, const OpenPluginRequest& request) {
  out.text(request.name);
}
void read(Reader& in, OpenPluginRequest& request) {
  request.name = in.text(max_name);
}

void write(Writer& out, const ContainerStateRequest& request) {
  out.text(request.id);
}
void read(Reader& in, ContainerStateRequest& request) {
  request.id = in.text(max_name);
}
void write(Writer& out, const ProcessFileRequest& request) {
  out.number(request.pid);
  out.number(request.start_ns);
  out.number(static_cast<std::uint8_t>(request.executable));
}
void read(Reader& in, ProcessFileRequest& request) {
  request.pid = in.number<std::uint32_t>();
  request.start_ns = in.number<std::uint64_t>();
  request.executable = in.flag();
}

void write(Writer& out, const OwnedFolderRequest& request) {
  out.text(request.path);
}
void read(Reader& in, OwnedFolderRequest& request) {
  request.path = in.text(max_path);
}
void write(Writer& out, const StartProgramRequest& request) {
  out.text(request.name);
}
void read(Reader& in, StartProgramRequest& request) {
  request.name = in.text(max_name);
}

void write(Writer& out, const ListenerRequest& request) {
  out.number(static_cast<std::uint8_t>(request.socket));
}
void read(Reader& in, ListenerRequest& request) {
  request.socket = in.flag() ? ListenSocket::api : ListenSocket::control;
}

void write(Writer& out, const CodeFileRequest& request) {
  out.number(request.object);
  out.number(request.pid);
  out.number(request.start_ns);
  out.number(request.address);
}
void read(Reader& in, CodeFileRequest& request) {
  request.object = in.number<std::uint32_t>();
  request.pid = in.number<std::uint32_t>();
  request.start_ns = in.number<std::uint64_t>();
  request.address = in.number<std::uint64_t>();
}

void write(Writer& out, const ProbeRequest& request) {
  out.number(request.file);
  out.text(request.hook);
  out.list(request.places, [&](const ProbePlace& place) {
    out.number(place.offset);
    out.number(place.cookie);
    out.number(static_cast<std::uint8_t>(place.at_return));
  });
}
void read(Reader& in, ProbeRequest& request) {
  request.file = in.number<std::uint32_t>();
  request.hook = in.text(max_name);
  in.list(max_places, [&] {
    ProbePlace& place = request.places.emplace_back();
    place.offset = in.number<std::uint64_t>();
    place.cookie = in.number<std::uint64_t>();
    place.at_return = in.flag();
  });
}

void write(Writer& out, const ReleaseFileRequest& request) {
  out.number(request.file);
}
void read(Reader& in, ReleaseFileRequest& request) {
  request.file = in.number<std::uint32_t>();
}

template <class Empty>
requires std::is_empty_v<Empty>
void write(Writer&, const Empty&) {}
template <class Empty>
requires std::is_empty_v<Empty>
void read(Reader&, Empty&) {}

template <std::size_t... I>
bool emplace_by_number(Request& request, std::size_t number, std::index_sequence<I...>) {
  return ((number == I && (request.emplace<I>(), true)) || ...);
}

void write(Writer& out, const Answer& answer) {
  out.number(answer.handle);
  out.list(answer.hooks, [&](const HookState& hook) {
    out.text(hook.hook);
    out.text(hook.tier);
    out.list(hook.tried, [&](const TierState& state) {
      out.text(state.tier);
      out.text(state.refusal);
    });
  });
  out.list(answer.maps, [&](const MapDescription& map) {
    out.text(map.name);
    out.number(map.type);
    out.number(map.key_size);
    out.number(map.value_size);
    out.number(map.max_entries);
    out.number(static_cast<std::uint8_t>(map.writable));
  });
  out.list(answer.names, [&](const std::string& name) { out.text(name); });
  out.list(answer.silent, [&](const SilentHook& silent) {
    out.text(silent.plugin);
    out.text(silent.hook);
    out.text(silent.reason);
  });
}

void read(Reader& in, Answer& answer) {
  answer.handle = in.number<std::uint32_t>();
  in.list(max_hooks * 2, [&] {
    HookState& hook = answer.hooks.emplace_back();
    hook.hook = in.text(max_name);
    hook.tier = in.text(max_name);
    in.list(max_tiers, [&] {
      TierState& state = hook.tried.emplace_back();
      state.tier = in.text(max_name);
      state.refusal = in.text(max_sentence);
    });
  });
  in.list(max_message_fds, [&] {
    MapDescription& map = answer.maps.emplace_back();
    map.name = in.text(max_name);
    map.type = in.number<std::uint32_t>();
    map.key_size = in.number<std::uint32_t>();
    map.value_size = in.number<std::uint32_t>();
    map.max_entries = in.number<std::uint32_t>();
    map.writable = in.flag();
  });
  in.list(max_names, [&] { answer.names.push_back(in.text(max_path)); });
  in.list(max_names, [&] {
    SilentHook& silent = answer.silent.emplace_back();
    silent.plugin = in.text(max_name);
    silent.hook = in.text(max_name);
    silent.reason = in.text(max_sentence);
  });
}

}  // namespace

std::vector<std::byte> encode(const Request& request) {
  Writer out;
  out.number(static_cast<std::uint8_t>(request.index()));
  std::visit([&](const auto& content) { write(out, content); }, request);
  return out.message();
}

Result<Request> decode_request(std::span<const std::byte> message) {
  Reader in(message);
  Request request;
  auto number = in.number<std::uint8_t>();
  bool known =
      emplace_by_number(request, number, std::make_index_sequence<std::variant_size_v<Request>>{});
  if (known) std::visit([&](auto& content) { read(in, content); }, request);
  if (!known || !in.complete())
    return Error{"the broker got a request that it cannot read", EBADMSG};
  return request;
}

std::vector<std::byte> encode(const Result<Answer>& answer) {
  Writer out;
  out.number(static_cast<std::uint8_t>(answer.has_value()));
  if (answer) {
    write(out, *answer);
  } else {
    const Error& error = answer.error();
    out.text(std::string_view(error.message).substr(0, max_sentence));
    out.number(error.code);
    out.text(error.place.file);
    out.number(error.place.line);
    out.number(error.place.column);
  }
  return out.message();
}

Result<Answer> decode_answer(std::span<const std::byte> message, std::vector<UniqueFd> fds) {
  Reader in(message);
  Answer answer;
  Error error;
  bool success = in.flag();
  if (success) {
    read(in, answer);
  } else {
    error.message = in.text(max_sentence);
    error.code = in.number<int>();
    error.place.file = in.text(max_path);
    error.place.line = in.number<std::uint32_t>();
    error.place.column = in.number<std::uint32_t>();
  }
  if (!in.complete() || answer.maps.size() > fds.size()) {
    return Error{"the broker's answer cannot be read", EBADMSG};
  }
  if (!success) return error;
  answer.fds = std::move(fds);
  return answer;
}

Result<void> send_message(int socket, std::span<const std::byte> bytes,
                          std::span<const UniqueFd> fds) {
  if (bytes.size() > max_message_bytes || fds.size() > max_message_fds) {
    return Error{"a message between trivet's processes is too large", EMSGSIZE};
  }
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(max_message_fds * sizeof(int))> control{};
  iovec data{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    for (std::size_t i = 0; i < fds.size(); i++) {
      int fd = fds[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof(int));
    }
  }
  while (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return system_error(errno, "trivet's other process cannot be reached");
  }
  return {};
}

Result<Message> receive_message(int socket) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(max_message_fds * sizeof(int))> control{};
  Message message;
  message.bytes.resize(max_message_bytes);
  iovec data{message.bytes.data(), message.bytes.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t size = 0;
  while ((size = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno != EINTR) return system_error(errno, "trivet's other process cannot be reached");
  }
  // Taken before anything is judged, so that unwanted ones are closed on every path.
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      message.fds.emplace_back(fd);
    }
  }
  if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    return Error{"a message between trivet's processes is too large", EMSGSIZE};
  }
  message.bytes.resize(static_cast<std::size_t>(size));
  return message;
}

}  // namespace trivet::broker
