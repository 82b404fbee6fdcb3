// SPDX-License-Identifier: Apache-2.0
#include "broker/client.h"

#include <cerrno>

namespace trivet::broker {
namespace {

std::vector<LoadedMap> take_maps(Answer& answer) {
  std::vector<LoadedMap> maps;
  for (std::size_t i = 0; i < answer.maps.size(); i++) {
    MapDescription& map = answer.maps[i];
    maps.push_back({std::move(map.name), std::move(answer.fds[i]), map.type, map.key_size,
                    map.value_size, map.max_entries, map.writable});
  }
  return maps;
}

Result<UniqueFd> take_fd(Result<Answer> answer) {
  if (!answer) return std::move(answer).error();
  if (answer->fds.empty()) return Error{"the broker's answer cannot be read", EBADMSG};
  return std::move(answer->fds.front());
}

Result<void> only_error(Result<Answer> answer) {
  if (!answer) return std::move(answer).error();
  return {};
}

Result<Answer> ask(int socket, std::mutex& mutex, const Request& request) {
  std::lock_guard lock(mutex);
  if (auto sent = send_message(socket, encode(request), {}); !sent) return std::move(sent).error();
  auto message = receive_message(socket);
  if (!message) return std::move(message).error();
  if (message->bytes.empty()) return Error{"the broker process is gone", EPIPE};
  return decode_answer(message->bytes, std::move(message->fds));
}

}  // namespace

Result<LoadedObject> Client::load(const std::string& plugin, const ObjectSpec& spec) {
  auto answer = ask(socket_.get(), mutex_, LoadRequest{plugin, spec, false});
  if (!answer) return std::move(answer).error();
  LoadedObject object;
  object.handle = answer->handle;
  object.hooks = std::move(answer->hooks);
  object.maps = take_maps(*answer);
  return object;
}

Result<void> Client::unload(std::uint32_t handle) {
  return only_error(ask(socket_.get(), mutex_, UnloadRequest{handle}));
}

Result<void> Client::retarget(std::uint32_t handle, const std::string& hook,
                              const std::vector<std::string>& tracepoints) {
  return only_error(ask(socket_.get(), mutex_, RetargetRequest{handle, hook, tracepoints}));
}

Result<std::vector<HookState>> Client::probe(const std::string& plugin, const ObjectSpec& spec) {
  auto answer = ask(socket_.get(), mutex_, LoadRequest{plugin, spec, true});
  if (!answer) return std::move(answer).error();
  return std::move(answer->hooks);
}

Result<std::vector<SilentHook>> Client::find_silent() {
  auto answer = ask(socket_.get(), mutex_, FindSilentRequest{});
  if (!answer) return std::move(answer).error();
  return std::move(answer->silent);
}

Result<std::vector<LoadedMap>> Client::lanes() {
  auto answer = ask(socket_.get(), mutex_, LanesRequest{});
  if (!answer) return std::move(answer).error();
  return take_maps(*answer);
}

Result<UniqueFd> Client::iterate(std::uint32_t handle, const std::string& program) {
  return take_fd(ask(socket_.get(), mutex_, IterateRequest{handle, program}));
}

Result<LentFile> Client::code_file(std::uint32_t object, std::uint32_t pid, std::uint64_t start_ns,
                                   std::uint64_t address) {
  auto answer = ask(socket_.get(), mutex_, CodeFileRequest{object, pid, start_ns, address});
  if (!answer) return std::move(answer).error();
  if (answer->fds.empty()) return Error{"the broker's answer cannot be read", EBADMSG};
  return LentFile{answer->handle, std::move(answer->fds.front())};
}

Result<void> Client::probe(std::uint32_t file, const std::string& hook,
                           const std::vector<ProbePlace>& places) {
  return only_error(ask(socket_.get(), mutex_, ProbeRequest{file, hook, places}));
}

Result<void> Client::release(std::uint32_t file) {
  return only_error(ask(socket_.get(), mutex_, ReleaseFileRequest{file}));
}

Result<UniqueFd> Client::open_configured(const std::string& path) {
  return take_fd(ask(socket_.get(), mutex_, OpenConfiguredRequest{path}));
}

Result<std::vector<std::string>> Client::list_configured(const std::string& path) {
  auto answer = ask(socket_.get(), mutex_, ListConfiguredRequest{path});
  if (!answer) return std::move(answer).error();
  return std::move(answer->names);
}

Result<void> Client::reload() {
  return only_error(ask(socket_.get(), mutex_, ReloadRequest{}));
}

Result<void> Client::commit_reload(bool keep) {
  return only_error(ask(socket_.get(), mutex_, CommitReloadRequest{keep}));
}

Result<std::vector<std::string>> Client::plugin_names() {
  auto answer = ask(socket_.get(), mutex_, PluginNamesRequest{});
  if (!answer) return std::move(answer).error();
  return std::move(answer->names);
}

Result<UniqueFd> Client::open_plugin(const std::string& name) {
  return take_fd(ask(socket_.get(), mutex_, OpenPluginRequest{name}));
}

Result<UniqueFd> Client::control_listener() {
  return take_fd(ask(socket_.get(), mutex_, ListenerRequest{ListenSocket::control}));
}

Result<UniqueFd> Client::api_listener() {
  return take_fd(ask(socket_.get(), mutex_, ListenerRequest{ListenSocket::api}));
}

Result<UniqueFd> Client::owned_folder(const std::string& path) {
  return take_fd(ask(socket_.get(), mutex_, OwnedFolderRequest{path}));
}

Result<UniqueFd> Client::start_program(const std::string& output) {
  return take_fd(ask(socket_.get(), mutex_, StartProgramRequest{output}));
}

Result<void> Client::ready() {
  return only_error(ask(socket_.get(), mutex_, ReadyRequest{}));
}

Result<std::vector<StateDescriptor>> Client::container_state(const std::string& id) {
  auto answer = ask(socket_.get(), mutex_, ContainerStateRequest{id});
  if (!answer) return std::move(answer).error();
  if (answer->names.size() != answer->fds.size()) {
    return Error{"the broker's answer cannot be read", EBADMSG};
  }
  std::vector<StateDescriptor> files;
  for (std::size_t i = 0; i < answer->fds.size(); i++) {
    files.push_back({std::move(answer->names[i]), std::move(answer->fds[i])});
  }
  return files;
}

Result<UniqueFd> Client::process_environment(std::uint32_t pid, std::uint64_t start_ns) {
  return take_fd(ask(socket_.get(), mutex_, ProcessFileRequest{pid, start_ns, false}));
}

Result<UniqueFd> Client::process_executable(std::uint32_t pid, std::uint64_t start_ns) {
  return take_fd(ask(socket_.get(), mutex_, ProcessFileRequest{pid, start_ns, true}));
}

}  // namespace trivet::broker
