// SPDX-License-Identifier: Apache-2.0
// What main may ask of the broker, and how both are sent: one message for each request and one for
// its answer over a SOCK_SEQPACKET socketpair, descriptors beside the answer. Main is not trusted:
// a request that does not decode is refused and changes nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "broker/unique_fd.h"
#include "trivet/bpf.h"
#include "trivet/result.h"

namespace trivet::broker {

// The bytes of one message. Settings of an object are some kilobytes; a list of refusals, each with
// the verifier's last line, some tens.
inline constexpr std::size_t max_message_bytes = 160 * 1024;
// The kernel's own limit for one message (SCM_MAX_FD) is 253.
inline constexpr std::size_t max_message_fds = 128;

struct LoadRequest {
  std::string plugin;
  ObjectSpec spec;
  bool probe = false;  // try everything, keep nothing
};
struct UnloadRequest {
  std::uint32_t handle = 0;
};
struct RetargetRequest {
  std::uint32_t handle = 0;
  std::string hook;
  std::vector<std::string> tracepoints;
};
struct LanesRequest {};
struct IterateRequest {
  std::uint32_t handle = 0;
  std::string program;
};
struct OpenConfiguredRequest {
  std::string path;
};
struct ListConfiguredRequest {
  std::string path;
};
struct ReloadRequest {};
struct CommitReloadRequest {
  bool keep = false;
};
struct PluginNamesRequest {};
struct OpenPluginRequest {
  std::string name;
};
// The sockets that main serves.
enum class ListenSocket : std::uint8_t { control, api };
struct ListenerRequest {
  ListenSocket socket = ListenSocket::control;
};
struct ReadyRequest {};
struct ContainerStateRequest {
  std::string id;
};
struct ProcessFileRequest {
  std::uint32_t pid = 0;
  std::uint64_t start_ns = 0;
  bool executable = false;  // else its environment
};
struct OwnedFolderRequest {
  std::string path;
};
struct StartProgramRequest {
  std::string name;
};
struct FindSilentRequest {};
// The file whose code a process runs at that address; the answer's handle is the file's.
struct CodeFileRequest {
  std::uint32_t object = 0;
  std::uint32_t pid = 0;
  std::uint64_t start_ns = 0;
  std::uint64_t address = 0;
};
struct ProbeRequest {
  std::uint32_t file = 0;
  std::string hook;
  std::vector<ProbePlace> places;
};
struct ReleaseFileRequest {
  std::uint32_t file = 0;
};

// The place in this list is the request's number on the wire.
using Request =
    std::variant<LoadRequest, UnloadRequest, LanesRequest, IterateRequest, OpenConfiguredRequest,
                 ListConfiguredRequest, ReloadRequest, PluginNamesRequest, OpenPluginRequest,
                 ListenerRequest, ReadyRequest, CommitReloadRequest, ContainerStateRequest,
                 ProcessFileRequest, OwnedFolderRequest, StartProgramRequest, RetargetRequest,
                 FindSilentRequest, CodeFileRequest, ProbeRequest, ReleaseFileRequest>;

// A map as an answer describes it; its descriptor has the same place in Answer::fds.
struct MapDescription {
  std::string name;
  std::uint32_t type = 0;
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::uint32_t max_entries = 0;
  bool writable = false;
};

// A hook of a loaded object of which a program does not run when it should.
struct SilentHook {
  std::string plugin;
  std::string hook;
  std::string reason;
};

// One shape for all answers: a request uses the parts that it needs.
struct Answer {
  std::uint32_t handle = 0;
  std::vector<HookState> hooks;
  std::vector<MapDescription> maps;
  std::vector<std::string> names;
  std::vector<SilentHook> silent;
  std::vector<UniqueFd> fds;
};

std::vector<std::byte> encode(const Request& request);
// EBADMSG as the error's code where the bytes are no request.
Result<Request> decode_request(std::span<const std::byte> message);

// Descriptors are not part of the bytes.
std::vector<std::byte> encode(const Result<Answer>& answer);
// The answer, or the error that it carries.
Result<Answer> decode_answer(std::span<const std::byte> message, std::vector<UniqueFd> fds);

struct Message {
  std::vector<std::byte> bytes;  // empty: the other end is gone
  std::vector<UniqueFd> fds;
};
Result<void> send_message(int socket, std::span<const std::byte> bytes,
                          std::span<const UniqueFd> fds);
// Blocks. EMSGSIZE as the error's code for a message that was cut; it is consumed.
Result<Message> receive_message(int socket);

}  // namespace trivet::broker
