// SPDX-License-Identifier: Apache-2.0
#include "broker/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "broker/host_state.h"
#include "broker/owned_folder.h"
#include "plugins/elf.h"
#include "plugins/manifest.h"

namespace trivet::broker {
namespace {

constexpr std::string_view library_suffix = ".so";
// A main that was taken over cannot have the kernel switch its counting on and off all the time.
constexpr std::chrono::seconds check_pause{1};
// Each holds a descriptor and two links, or one link for each place where the kernel has none for
// several.
constexpr std::size_t max_code_files = 256;

Answer with_fd(UniqueFd fd) {
  Answer answer;
  answer.fds.push_back(std::move(fd));
  return answer;
}

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// sd_notify(3): a datagram to the socket that the service manager named.
void notify_ready() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!path || std::strlen(path) >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, std::strlen(path));
  // An abstract address is written with an at sign.
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  constexpr std::string_view state = "READY=1";
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  // Nobody is left to tell if this fails: the manager times out and says so.
  (void)::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                 reinterpret_cast<const sockaddr*>(&address), size);
}

}  // namespace

Server::Server(const BrokerOptions& options, Programs& programs)
    : options_(options),
      in_force_(options.offer),
      trusted_(trusted_owners(options.build_tree), options.warn),
      programs_(programs) {}

void Server::begin(std::map<ListenSocket, int> listeners) {
  listeners_ = std::move(listeners);
  on_trial_.reset();
  // It reads the configuration as it is now, not as it was when the one before began.
  if (last_handle_ != 0 && options_.reload) {
    if (auto reloaded = options_.reload()) in_force_ = std::move(*reloaded);
  }
  for (auto& [handle, instance] : objects_) {
    std::string name = instance.name;
    if (instance.enforces) bereaved_.insert_or_assign(std::move(name), std::move(instance));
  }
  files_.clear();
  objects_.clear();
}

Result<Answer> Server::answer(std::span<const std::byte> message) {
  auto request = decode_request(message);
  if (!request) return std::move(request).error();
  return std::visit([this](const auto& content) { return handle(content); }, *request);
}

Result<UniqueFd> Server::open_library(const std::string& plugin) {
  if (!plugins::valid_name(plugin)) return Error{"\"" + plugin + "\" is no plugin's name", EINVAL};
  std::string path = options_.plugin_directory + "/" + plugin + std::string(library_suffix);
  auto file = trusted_.open_file(path);
  if (!file) return std::move(file).error().within("plugin " + plugin);
  if (auto manifest = plugins::read_manifest(file->get(), path, plugin); !manifest) {
    return std::move(manifest).error();
  }
  return file;
}

Result<std::vector<std::byte>> Server::read_object(const std::string& plugin,
                                                   const std::string& object) {
  if (!plugins::valid_name(object)) return Error{"\"" + object + "\" is no object's name", EINVAL};
  std::string section = std::string(plugins::object_section_prefix) + object;
  UniqueFd file;
  if (plugin == "core") {
    // The program that runs here, whatever has its name by now.
    file.reset(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    if (!file) return system_error(errno, "cannot open trivet's own program");
  } else {
    auto library = open_library(plugin);
    if (!library) return std::move(library).error();
    file = std::move(*library);
  }
  auto elf = plugins::ElfFile::open(file.get(), "plugin " + plugin);
  if (!elf) return std::move(elf).error();
  return elf->read(section);
}

Result<Answer> Server::handle(const LoadRequest& request) {
  if (!loading_) return Error{"trivet is stopping", ECANCELED};
  std::string name = request.plugin + "/" + request.spec.name;
  const auto& plugins = in_force_.plugins;
  if (request.probe && !options_.probing) {
    return Error{"tiers are tried by `trivet doctor` alone", EACCES};
  }
  if (!request.probe) {
    if (request.plugin != "core" &&
        std::find(plugins.begin(), plugins.end(), request.plugin) == plugins.end()) {
      return Error{"the configuration does not enable plugin " + request.plugin, EACCES};
    }
    // So a main that was taken over cannot fill the kernel with copies.
    if (std::any_of(objects_.begin(), objects_.end(),
                    [&](const auto& entry) { return entry.second.name == name; })) {
      return Error{"object " + name + " is loaded already: unload it first", EEXIST};
    }
  }
  auto elf = read_object(request.plugin, request.spec.name);
  if (!elf) return std::move(elf).error();
  Answer answer;
  if (request.probe) {
    auto hooks = loader_.probe(*elf, request.spec);
    if (!hooks) return std::move(hooks).error().within("plugin " + request.plugin);
    answer.hooks = std::move(*hooks);
    return answer;
  }
  auto object = loader_.load(*elf, request.spec);
  if (!object) return std::move(object).error().within("plugin " + request.plugin);
  if (auto lent = loader_.lend_maps(*object, answer); !lent) return std::move(lent).error();
  answer.hooks = object->hooks;
  answer.handle = ++last_handle_;
  objects_.emplace(answer.handle,
                   Instance{std::move(name), std::move(*object), request.spec.enforces});
  return answer;
}

Result<Answer> Server::handle(const UnloadRequest& request) {
  std::erase_if(files_, [&](const auto& file) { return file.second.object == request.handle; });
  const auto object = objects_.find(request.handle);
  if (object == objects_.end()) return Error{"no such object is loaded", ENOENT};
  if (object->second.enforces) tell_removed(object->second.name);
  objects_.erase(object);
  return Answer{};
}

// Main decides what is enforced, and its word may be that of whoever took it over: root hears of it
// from the broker.
void Server::tell_removed(const std::string& name) const {
  if (loading_ && options_.warn)
    options_.warn(name + " enforces nothing any more: the main process had it removed");
}

Result<Answer> Server::handle(const RetargetRequest& request) {
  if (!loading_) return Error{"trivet is stopping", ECANCELED};
  auto object = objects_.find(request.handle);
  if (object == objects_.end()) return Error{"no such object is loaded", ENOENT};
  auto done = loader_.retarget(object->second.object, request.hook, request.tracepoints);
  if (!done) return std::move(done).error();
  return Answer{};
}

Result<Answer> Server::handle(const LanesRequest&) {
  Answer answer;
  if (auto lent = loader_.lend_lanes(answer); !lent) return std::move(lent).error();
  return answer;
}

Result<Answer> Server::handle(const FindSilentRequest&) {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ >= check_pause) {
    std::vector<AttachedProgram> programs;
    for (const auto& [handle, instance] : objects_) {
      const std::string plugin = instance.name.substr(0, instance.name.find('/') + 1);
      for (AttachedProgram& program : instance.object.programs()) {
        program.hook = plugin + program.hook;
        programs.push_back(std::move(program));
      }
    }
    auto found = loader_.find_silent(programs, Reach::quiet);
    if (!found) return std::move(found).error();
    looked_ = now;
    silent_.clear();
    for (SilentProgram& program : *found) {
      const auto slash = program.hook.find('/');
      silent_.push_back({program.hook.substr(0, slash), program.hook.substr(slash + 1),
                         std::move(program.reason)});
    }
  }
  Answer answer;
  answer.silent = silent_;
  return answer;
}

Result<Answer> Server::handle(const IterateRequest& request) {
  if (!loading_) return Error{"trivet is stopping", ECANCELED};
  auto object = objects_.find(request.handle);
  if (object == objects_.end()) return Error{"no such object is loaded", ENOENT};
  auto pass = loader_.iterate(object->second.object, request.program);
  if (!pass) return std::move(pass).error();
  return with_fd(std::move(*pass));
}

bool Server::configured(const std::string& path) const {
  auto names = [&](const std::vector<std::string>& files) {
    return std::any_of(files.begin(), files.end(), [&](const std::string& file) {
      return without_slash(file) == without_slash(path);
    });
  };
  return names(in_force_.files) || (on_trial_ && names(on_trial_->files));
}

bool Server::in_configured_folder(const std::string& path) const {
  std::size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == path.size()) return false;
  return path[slash + 1] != '.' && configured(path.substr(0, slash));
}

Result<Answer> Server::handle(const OpenConfiguredRequest& request) {
  if (!configured(request.path) && !in_configured_folder(request.path)) {
    return Error{"the configuration does not name " + request.path, EACCES};
  }
  auto file = trusted_.open_file(request.path);
  if (!file) return std::move(file).error();
  return with_fd(std::move(*file));
}

Result<Answer> Server::handle(const ListConfiguredRequest& request) {
  if (!configured(request.path)) {
    return Error{"the configuration does not name " + request.path, EACCES};
  }
  auto names = trusted_.list_folder(request.path);
  if (!names) return std::move(names).error();
  Answer answer;
  answer.names = std::move(*names);
  return answer;
}

Result<Answer> Server::handle(const ReloadRequest&) {
  on_trial_.reset();
  if (!options_.reload) return Answer{};
  auto reloaded = options_.reload();
  if (!reloaded) return std::move(reloaded).error();
  on_trial_ = std::move(*reloaded);
  return Answer{};
}

Result<Answer> Server::handle(const CommitReloadRequest& request) {
  if (request.keep && on_trial_) in_force_ = std::move(*on_trial_);
  on_trial_.reset();
  return Answer{};
}

Result<Answer> Server::handle(const PluginNamesRequest&) {
  auto names = trusted_.list_folder(options_.plugin_directory);
  if (!names) return std::move(names).error().within("plugin folder");
  Answer answer;
  for (const std::string& file : *names) {
    if (!file.ends_with(library_suffix)) continue;
    std::string name = file.substr(0, file.size() - library_suffix.size());
    if (plugins::valid_name(name)) answer.names.push_back(std::move(name));
  }
  return answer;
}

Result<Answer> Server::handle(const OpenPluginRequest& request) {
  auto library = open_library(request.name);
  if (!library) return std::move(library).error();
  return with_fd(std::move(*library));
}

Result<Answer> Server::handle(const ListenerRequest& request) {
  const auto listener = listeners_.find(request.socket);
  if (listener == listeners_.end()) {
    return Error{"there is no such socket, or it was handed out", ENOENT};
  }
  UniqueFd copy(::fcntl(listener->second, F_DUPFD_CLOEXEC, 0));
  if (!copy) return system_error(errno, "cannot hand out a listening socket");
  listeners_.erase(listener);
  return with_fd(std::move(copy));
}

Result<Answer> Server::handle(const OwnedFolderRequest& request) {
  for (const Offer* offer : {&in_force_, on_trial_ ? &*on_trial_ : nullptr}) {
    if (!offer) continue;
    for (const auto& folder : offer->folders) {
      if (folder.path != request.path) continue;
      // Opened for main alone: its lock on the folder ends with main.
      auto opened =
          open_owned_folder(folder.path, options_.uid, options_.gid, trusted_, folder.setting);
      if (!opened) return std::move(opened).error();
      return with_fd(std::move(*opened));
    }
  }
  return Error{"the configuration lets nobody write " + request.path, EACCES};
}

Result<Answer> Server::handle(const StartProgramRequest& request) {
  if (!loading_) return Error{"trivet is stopping", ECANCELED};
  for (const auto& program : in_force_.programs) {
    if (program.name != request.name) continue;
    auto input = programs_.start(program, trusted_);
    if (!input) return std::move(input).error();
    return with_fd(std::move(*input));
  }
  return Error{"the configuration has no program for output " + request.name, EACCES};
}

Result<Answer> Server::handle(const CodeFileRequest& request) {
  if (!loading_) return Error{"trivet is stopping", ECANCELED};
  if (!objects_.contains(request.object)) return Error{"no such object is loaded", ENOENT};
  if (files_.size() >= max_code_files) return Error{"too many files are in use", EMFILE};
  auto file = open_code_file(request.pid, request.start_ns, request.address);
  if (!file) return std::move(file).error();
  UniqueFd copy(::fcntl(file->get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return system_error(errno, "cannot lend a file of code");
  Answer answer = with_fd(std::move(copy));
  answer.handle = ++last_handle_;
  files_.emplace(answer.handle, CodeFile{request.object, std::move(*file), {}});
  return answer;
}

Result<Answer> Server::handle(const ProbeRequest& request) {
  if (!loading_) return Error{"trivet is stopping", ECANCELED};
  const auto file = files_.find(request.file);
  if (file == files_.end()) return Error{"no such file is in use", ENOENT};
  if (!file->second.probes.empty()) return Error{"the file is probed already", EEXIST};
  const auto object = objects_.find(file->second.object);
  if (object == objects_.end()) return Error{"no such object is loaded", ENOENT};
  auto probes = loader_.probe_file(object->second.object, request.hook, file->second.fd.get(),
                                   request.places);
  if (!probes) return std::move(probes).error();
  file->second.probes = std::move(*probes);
  return Answer{};
}

Result<Answer> Server::handle(const ReleaseFileRequest& request) {
  if (files_.erase(request.file) == 0) return Error{"no such file is in use", ENOENT};
  return Answer{};
}

Result<Answer> Server::handle(const ReadyRequest&) {
  for (const auto& [name, instance] : bereaved_) {
    if (std::ranges::none_of(objects_,
                             [&](const auto& entry) { return entry.second.name == name; }))
      tell_removed(name);
  }
  bereaved_.clear();
  notify_ready();
  return Answer{};
}

Result<Answer> Server::handle(const ContainerStateRequest& request) {
  return open_container_state(trusted_, request.id);
}

Result<Answer> Server::handle(const ProcessFileRequest& request) {
  auto file =
      open_process_file(request.pid, request.start_ns,
                        request.executable ? ProcessFile::executable : ProcessFile::environment);
  if (!file) return std::move(file).error();
  return with_fd(std::move(*file));
}

}  // namespace trivet::broker
