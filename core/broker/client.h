// SPDX-License-Identifier: Apache-2.0
// The main process's end of the broker: each call is one request and its answer over the
// socketpair. The broker decides; nothing that is asked for here can name a file, a program or a
// target that root's own configuration and plugin folder do not offer.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "broker/protocol.h"
#include "broker/unique_fd.h"
#include "trivet/bpf.h"
#include "trivet/result.h"

namespace trivet::broker {

// A map lent by descriptor: writable if programs cannot write it or it is a ring buffer, else
// read-only.
struct LoadedMap {
  std::string name;  // as in the object's source
  UniqueFd fd;
  std::uint32_t type = 0;  // enum bpf_map_type
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;  // as declared: of one CPU in a per-CPU map
  std::uint32_t max_entries = 0;
  bool writable = false;
};

// An object that the broker has loaded and attached, until unload().
struct LoadedObject {
  std::uint32_t handle = 0;
  std::vector<HookState> hooks;
  std::vector<LoadedMap> maps;  // the object's own; the lanes come from Client::lanes()
};

// A file of code that the broker keeps, until release().
struct LentFile {
  std::uint32_t handle = 0;
  UniqueFd fd;
};

// One file about a container; its name says what it is (facts/container_state.h).
struct StateDescriptor {
  std::string name;
  UniqueFd fd;
};

// Thread-safe: one request at a time. A broker that is gone is an error with code EPIPE.
class Client {
 public:
  explicit Client(UniqueFd socket, unsigned restarts = 0)
      : restarts_(restarts), socket_(std::move(socket)) {}

  // How often a main process was started in the place of one that died.
  unsigned restarts() const { return restarts_; }
  // For poll(2): hung up once the broker is gone. Not to be read or written.
  int descriptor() const { return socket_.get(); }

  // Loads and attaches an object of a plugin; plugin "core" is the trivet program itself. An error
  // names each refused tier where a required hook found none.
  Result<LoadedObject> load(const std::string& plugin, const ObjectSpec& spec);
  // Detaches and unloads.
  Result<void> unload(std::uint32_t handle);
  // Has a hook of a loaded object that tracepoints serve attached to these and no others, without a
  // gap where it stays.
  Result<void> retarget(std::uint32_t handle, const std::string& hook,
                        const std::vector<std::string>& tracepoints);
  // Tries every tier of every hook, attaching each for a moment, and keeps nothing. `tried` holds
  // all tiers, `tier` the first that works.
  Result<std::vector<HookState>> probe(const std::string& plugin, const ObjectSpec& spec);
  // Hooks of what is loaded that do not fire when they should (broker/firing.h). What was found is
  // answered again for a second.
  Result<std::vector<SilentHook>> find_silent();
  // The maps that all objects share: the lanes' rings, of which several may bear a lane's name,
  // lane_sequences and lane_accounts. They exist once an object has been loaded.
  Result<std::vector<LoadedMap>> lanes();
  // A new pass over an iterator program of a loaded object: read it to the end of file.
  Result<UniqueFd> iterate(std::uint32_t handle, const std::string& program);

  // The file whose code the living process of that pid and start runs at that address, until
  // release(): its handle, and a descriptor for reading. ESRCH, ENOENT and EMFILE as in
  // Object::code_file().
  Result<LentFile> code_file(std::uint32_t object, std::uint32_t pid, std::uint64_t start_ns,
                             std::uint64_t address);
  Result<void> probe(std::uint32_t file, const std::string& hook,
                     const std::vector<ProbePlace>& places);
  // Detaches what is attached to the file.
  Result<void> release(std::uint32_t file);

  // A file that the configuration names (itself included), or one directly in a folder that it
  // names, open for reading. Paths are absolute.
  Result<UniqueFd> open_configured(const std::string& path);
  // Names of the files in a folder that the configuration names, sorted, without those that start
  // with a dot. ENOTDIR as the error's code where the path is a file.
  Result<std::vector<std::string>> list_configured(const std::string& path);
  // Has the broker read the configuration again, so that its new files may be opened beside those
  // of the configuration in force. An error leaves only the latter.
  Result<void> reload();
  // Ends what reload() began: from now on the new configuration's files and plugins, or, if `keep`
  // is false, again only those in force before.
  Result<void> commit_reload(bool keep);

  // Names of the libraries in the plugin folder, sorted; and one of them, open for reading, after
  // the checks of its file.
  Result<std::vector<std::string>> plugin_names();
  Result<UniqueFd> open_plugin(const std::string& name);

  // A folder that the configuration lets main write, open for reading; made if it is missing.
  Result<UniqueFd> owned_folder(const std::string& path);
  // Starts the program of that output anew; the writing end of its standard input, which does not
  // block.
  Result<UniqueFd> start_program(const std::string& output);
  // The listening control socket, and that of the API; each once.
  Result<UniqueFd> control_listener();
  Result<UniqueFd> api_listener();
  // Tells the service manager that everything has started.
  Result<void> ready();

  // What container runtimes keep about the container with that id of 64 hex digits. ENOENT as the
  // error's code where none knows it.
  Result<std::vector<StateDescriptor>> container_state(const std::string& id);
  // The environment, or the executable, of the living process of that pid and start. ESRCH as the
  // error's code where there is none.
  Result<UniqueFd> process_environment(std::uint32_t pid, std::uint64_t start_ns);
  Result<UniqueFd> process_executable(std::uint32_t pid, std::uint64_t start_ns);

 private:
  const unsigned restarts_;
  std::mutex mutex_;
  UniqueFd socket_;
};

}  // namespace trivet::broker
