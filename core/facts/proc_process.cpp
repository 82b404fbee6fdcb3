// SPDX-License-Identifier: Apache-2.0
#include "facts/proc_process.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include "facts/cgroup_names.h"

namespace trivet {
namespace {

// As PROCESS_ARGS_MAX: longer ones are cut there too.
constexpr std::size_t kMaxArguments = 4096;
constexpr std::uint32_t kNoLoginUid = 0xffffffff;

template <class Number>
std::optional<Number> number(std::string_view text, int base = 10) {
  Number value{};
  const auto end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || stop == text.data()) return std::nullopt;
  return value;
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The rest of the line that begins with `name`, without white space in front; empty if none does.
std::string_view line_of(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (line.starts_with(name)) {
      line.remove_prefix(name.size());
      const auto start = line.find_first_not_of(" \t");
      return start == line.npos ? std::string_view() : line.substr(start);
    }
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
  return {};
}

// Fields 3 and on of /proc/PID/stat, those after the name, which may hold anything.
bool read_stat(const std::string& stat, Process& process) {
  const auto open = stat.find('('), close = stat.rfind(')');
  if (open == stat.npos || close == stat.npos || close < open) return false;
  process.name = stat.substr(open + 1, close - open - 1);
  std::istringstream fields(stat.substr(close + 1));
  char state = 0;
  std::int64_t skipped = 0;
  std::int32_t tty = 0;
  fields >> state >> process.parent.tgid >> process.pgid >> process.sid >> tty;
  for (int field = 8; field <= 21; ++field) fields >> skipped;
  std::uint64_t start_ticks = 0;
  fields >> start_ticks;
  process.tty = static_cast<std::uint32_t>(tty);
  process.key.start_ns = start_ticks * proc_start_precision_ns();
  return fields && state != 'Z' && state != 'X';
}

void read_status(std::string_view status, Process& process) {
  std::istringstream uids{std::string(line_of(status, "Uid:"))};
  uids >> process.real_uid >> process.uid;
  std::istringstream gids{std::string(line_of(status, "Gid:"))};
  std::uint32_t real_gid = 0;
  gids >> real_gid >> process.gid;
  process.cap_effective = number<std::uint64_t>(line_of(status, "CapEff:"), 16).value_or(0);
  process.cap_permitted = number<std::uint64_t>(line_of(status, "CapPrm:"), 16).value_or(0);
  // One number for each pid namespace that it is seen in, the outermost first.
  std::istringstream ids{std::string(line_of(status, "NSpid:"))};
  int levels = 0;
  while (ids >> process.vpid) ++levels;
  process.host_namespaces = levels == 1;
}

void read_arguments(std::string text, Process& process) {
  process.args_truncated = text.size() > kMaxArguments;
  if (process.args_truncated) text.resize(kMaxArguments);
  std::vector<std::string> list;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = rest.find('\0');
    list.emplace_back(rest.substr(0, end));
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  }
  process.args = std::move(list);
}

std::uint64_t ns_of(const timespec& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

void read_executable(const UniqueFd& file, Process& process) {
  char path[PATH_MAX];
  const auto link = "/proc/self/fd/" + std::to_string(file.get());
  const auto length = ::readlink(link.c_str(), path, sizeof(path));
  if (length > 0) process.exe.assign(path, static_cast<std::size_t>(length));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return;
  process.exe_inode = status.st_ino;
  process.exe_ctime_ns = ns_of(status.st_ctim);
  process.exe_mtime_ns = ns_of(status.st_mtim);
}

}  // namespace

std::uint64_t proc_start_precision_ns() {
  static const auto ns = 1'000'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return ns;
}

std::vector<std::uint32_t> proc_processes() {
  std::vector<std::uint32_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
  if (!proc) return pids;
  while (const dirent* entry = ::readdir(proc.get()))
    if (const auto pid = number<std::uint32_t>(entry->d_name)) pids.push_back(*pid);
  return pids;
}

std::optional<Process> proc_process(
    std::uint32_t pid, const std::function<Result<UniqueFd>(const TaskKey&)>& executable) {
  const std::string folder = "/proc/" + std::to_string(pid);
  Process process;
  process.key.tgid = pid;
  if (!read_stat(content(folder + "/stat"), process)) return std::nullopt;
  read_status(content(folder + "/status"), process);
  read_arguments(content(folder + "/cmdline"), process);
  const auto login = number<std::uint32_t>(content(folder + "/loginuid"));
  if (login && *login != kNoLoginUid) process.login_uid = login;
  process.cgroup = line_of(content(folder + "/cgroup"), "0::");
  process.unit = unit_of_cgroup(process.cgroup);
  process.container_id = short_container_id(container_of_cgroup(process.cgroup));
  process.exec_ns = process.key.start_ns;
  // Kernel threads have none.
  if (auto file = executable(process.key)) read_executable(*file, process);
  return process;
}

}  // namespace trivet
