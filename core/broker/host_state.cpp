// SPDX-License-Identifier: Apache-2.0
#include "broker/host_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

namespace trivet::broker {
namespace {

constexpr std::size_t container_id_digits = 64;

// Where each runtime keeps one folder for each container, by its documentation.
constexpr std::string_view docker_containers = "/var/lib/docker/containers/";
constexpr std::array<std::string_view, 3> containerd_tasks = {
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/docker/containerd/daemon/io.containerd.runtime.v2.task",
    "/run/k3s/containerd/io.containerd.runtime.v2.task"};
constexpr std::array<std::string_view, 2> storage_containers = {
    "/var/lib/containers/storage/overlay-containers/",
    "/run/containers/storage/overlay-containers/"};

bool is_container_id(const std::string& id) {
  return id.size() == container_id_digits && std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// The 22nd field of /proc/PID/stat, in clock ticks since boot; the second may hold anything, a
// parenthesis included. -1 where there is none.
long long start_ticks(int folder) {
  UniqueFd file(::openat(folder, "stat", O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};
  ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (size <= 0) return -1;
  std::string_view fields(text.data(), static_cast<std::size_t>(size));
  std::size_t end = fields.rfind(')');
  if (end == std::string_view::npos) return -1;
  fields.remove_prefix(end + 1);
  for (int field = 2; field < 22; field++) {
    std::size_t space = fields.find(' ');
    if (space == std::string_view::npos) return -1;
    fields.remove_prefix(space + 1);
    if (field + 1 < 22) continue;
    long long ticks = -1;
    std::from_chars(fields.data(), fields.data() + fields.size(), ticks);
    return ticks;
  }
  return -1;
}

}  // namespace

Result<Answer> open_container_state(TrustedFiles& files, const std::string& id) {
  if (!is_container_id(id)) return Error{"a container's id is 64 hex digits", EINVAL};
  Answer answer;
  auto add = [&](std::string name, const std::string& path) {
    auto file = files.open_file(path);
    if (!file || answer.fds.size() == max_message_fds) return;
    answer.names.push_back(std::move(name));
    answer.fds.push_back(std::move(*file));
  };
  std::string docker = std::string(docker_containers) + id;
  add("docker config", docker + "/config.v2.json");
  add("docker hostconfig", docker + "/hostconfig.json");
  for (std::string_view tasks : containerd_tasks) {
    auto namespaces = files.list_folder(std::string(tasks));
    if (!namespaces) continue;
    for (const std::string& name : *namespaces) {
      add("containerd " + name, std::string(tasks) + "/" + name + "/" + id + "/config.json");
    }
  }
  std::size_t before = answer.fds.size();
  for (std::string_view storage : storage_containers) {
    add("storage config", std::string(storage) + id + "/userdata/config.json");
  }
  if (answer.fds.size() > before) {
    for (std::string_view storage : storage_containers) {
      add("storage list", std::string(storage) + "containers.json");
      add("storage list", std::string(storage) + "volatile-containers.json");
    }
  }
  if (answer.fds.empty()) return Error{"no runtime knows container " + id, ENOENT};
  return answer;
}

Result<UniqueFd> open_process_file(std::uint32_t pid, std::uint64_t start_ns, ProcessFile which) {
  std::string what = "process " + std::to_string(pid);
  // A descriptor of the folder is bound to this process, whoever gets its number next.
  UniqueFd folder(
      ::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return system_error(errno == ENOENT ? ESRCH : errno, "cannot open " + what);
  const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const auto wanted = static_cast<long long>(start_ns / (1'000'000'000 / ticks_per_second));
  if (start_ticks(folder.get()) != wanted) {
    return Error{what + " is not the one that was asked for: that one has ended", ESRCH};
  }
  const char* name = which == ProcessFile::environment ? "environ" : "exe";
  UniqueFd file(::openat(folder.get(), name, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return system_error(errno, "cannot open " + std::string(name) + " of " + what);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Error{std::string(name) + " of " + what + " is not a regular file", EINVAL};
  }
  return file;
}

}  // namespace trivet::broker
