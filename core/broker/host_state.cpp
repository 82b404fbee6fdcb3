// SPDX-License-Identifier: Apache-2.0
#include "broker/host_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

namespace trivet::broker {
namespace {

constexpr std::size_t container_id_digits = 64;
// Of 65530 mappings, as many as a process has by default, with paths of usual length.
constexpr std::size_t max_maps_bytes = 8 << 20;

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

std::string name_of(std::uint32_t pid) {
  return "process " + std::to_string(pid);
}

// A descriptor of the process's folder, which is bound to it, whoever gets its number next.
Result<UniqueFd> open_process(std::uint32_t pid, std::uint64_t start_ns) {
  UniqueFd folder(
      ::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return system_error(errno == ENOENT ? ESRCH : errno, "cannot open " + name_of(pid));
  const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const auto wanted = static_cast<long long>(start_ns / (1'000'000'000 / ticks_per_second));
  if (start_ticks(folder.get()) != wanted) {
    return Error{name_of(pid) + " is not the one that was asked for: that one has ended", ESRCH};
  }
  return folder;
}

Result<UniqueFd> open_regular(int folder, const std::string& name, std::uint32_t pid) {
  UniqueFd file(::openat(folder, name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return system_error(errno, "cannot open " + name + " of " + name_of(pid));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return Error{name + " of " + name_of(pid) + " is not a regular file", EINVAL};
  }
  return file;
}

// A line of /proc/PID/maps begins with "start-end rwxp ", the bounds in hex: of the mapping that
// holds the address and may run, its name in map_files, which has no leading zeros.
std::optional<std::string> code_mapping_in(std::string_view line, std::uint64_t address) {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  const char* last = line.data() + line.size();
  auto first = std::from_chars(line.data(), last, start, 16);
  if (first.ec != std::errc() || first.ptr == last || *first.ptr != '-') return std::nullopt;
  auto second = std::from_chars(first.ptr + 1, last, end, 16);
  if (second.ec != std::errc() || last - second.ptr < 5 || second.ptr[3] != 'x' ||
      address < start || address >= end) {
    return std::nullopt;
  }
  std::array<char, 40> name{};
  auto dash = std::to_chars(name.data(), name.data() + name.size(), start, 16);
  *dash.ptr = '-';
  auto done = std::to_chars(dash.ptr + 1, name.data() + name.size(), end, 16);
  return std::string(name.data(), done.ptr);
}

Result<std::string> code_mapping(int folder, std::uint64_t address) {
  UniqueFd file(::openat(folder, "maps", O_RDONLY | O_CLOEXEC));
  if (!file) return system_error(errno, "cannot read its mappings");
  std::string text;
  std::array<char, 16384> piece{};
  for (std::size_t total = 0; total < max_maps_bytes;) {
    const ssize_t size = ::read(file.get(), piece.data(), piece.size());
    if (size <= 0) break;
    total += static_cast<std::size_t>(size);
    text.append(piece.data(), static_cast<std::size_t>(size));
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = text.find('\n', begin)) != text.npos; begin = end + 1) {
      auto found = code_mapping_in(std::string_view(text).substr(begin, end - begin), address);
      if (found) return *std::move(found);
    }
    text.erase(0, begin);
  }
  return Error{"runs no file's code there", ENOENT};
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
  auto folder = open_process(pid, start_ns);
  if (!folder) return folder;
  return open_regular(folder->get(), which == ProcessFile::environment ? "environ" : "exe", pid);
}

Result<UniqueFd> open_code_file(std::uint32_t pid, std::uint64_t start_ns, std::uint64_t address) {
  auto folder = open_process(pid, start_ns);
  if (!folder) return folder;
  auto mapping = code_mapping(folder->get(), address);
  if (!mapping) return std::move(mapping).error().within(name_of(pid));
  return open_regular(folder->get(), "map_files/" + *mapping, pid);
}

}  // namespace trivet::broker
