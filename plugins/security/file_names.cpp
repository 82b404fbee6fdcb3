// SPDX-License-Identifier: Apache-2.0
#include "security/file_names.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <set>
#include <utility>

#include "security/rules/filter.h"

namespace trivet::security {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

struct Descriptor {
  int fd = -1;
  explicit Descriptor(int opened) : fd(opened) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

// Opens nothing of the file itself.
int open_place(const std::string& path, bool follows, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(O_PATH | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW));
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how)));
}

std::string path_of(int fd) {
  char text[PATH_MAX];
  auto size = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), text, sizeof(text));
  return size > 0 && text[0] == '/' ? std::string(text, static_cast<std::size_t>(size)) : "";
}

// Takes the first part of a path without its slash.
std::string_view take_part(std::string_view& path) {
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  auto part = path.substr(0, path.find('/'));
  path.remove_prefix(part.size());
  return part;
}

std::optional<std::uint32_t> process_id(std::string_view text) {
  std::uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Whether the call follows a link that its path ends in.
bool follows(const RuleEvent& event, std::size_t i) {
  std::uint32_t shape = shape_of(event.type);
  if (is_open(event.type)) return !(event.open_flags & O_NOFOLLOW);
  if (i == 1) return shape & CALL_SECOND_FOLLOWS;
  for (const auto& argument : kCalls[event.type].arguments) {
    if (argument.get != show_at_flags) continue;
    if (event.arguments[argument.n] & AT_SYMLINK_NOFOLLOW) return false;
    if (event.arguments[argument.n] & AT_SYMLINK_FOLLOW) return true;
  }
  return shape & CALL_FOLLOWS;
}

bool is_path_field(const Source& source) {
  return source.field &&
         (source.field->name == "fd.name" || source.field->name.starts_with("fs.path.") ||
          source.field->name == "evt.arg");
}

}  // namespace

std::vector<std::string> paths_named(const FilterGraph& graph) {
  std::set<std::string> paths;
  auto add = [&](const std::string& text) {
    if (text.size() > 1 && text.front() == '/' && text.size() < PATH_MAX) paths.insert(text);
  };
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    if (node.kind != Node::Kind::comparison) continue;
    const Comparison& comparison = graph.comparison(node);
    if (!is_path_field(graph.sources()[comparison.left])) continue;
    std::ranges::for_each(comparison.texts, add);
    std::ranges::for_each(comparison.text_set, add);
  }
  return {paths.begin(), paths.end()};
}

FileNames::FileNames(std::vector<std::string> paths, bool here)
    : paths_(std::move(paths)), here_(here) {
  struct stat own {};
  if (stat("/proc/self/ns/mnt", &own) == 0) own_namespace_ = static_cast<std::uint32_t>(own.st_ino);
  refresh();
}

void FileNames::refresh() {
  if (!here_) return;
  mounts_.refresh();
  std::map<File, std::string> files;
  for (const auto& path : paths_) {
    auto place = look(path, true, true);
    if (place && place->file) files.try_emplace(*place->file, path);
  }
  files_ = std::move(files);
}

std::optional<FileNames::Place> FileNames::look(const std::string& path, bool follows,
                                                bool identify) {
  if (!here_) return std::nullopt;
  // Most paths have no link on the way: then the text says it all.
  Descriptor place(open_place(path, follows, RESOLVE_CACHED | RESOLVE_NO_SYMLINKS));
  Place out;
  if (place.fd >= 0) {
    out.path = absolute_path("/", path);
  } else {
    place.fd = open_place(path, follows, RESOLVE_CACHED);
    if (place.fd < 0 && errno == EAGAIN) {
      mounts_.refresh();
      if (mounts_.all_local()) place.fd = open_place(path, follows, 0);
    }
    if (place.fd < 0) return std::nullopt;
    out.path = path_of(place.fd);
    if (out.path.empty()) return std::nullopt;
  }
  out.whole = mounts_.name_in_whole(out.path);
  struct statx seen {};
  if (!identify || statx(place.fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
                         STATX_TYPE | STATX_INO | STATX_MNT_ID, &seen) != 0) {
    return out;
  }
  const auto* mount = mounts_.mount(seen.stx_mnt_id);
  if (mount && S_ISREG(seen.stx_mode)) out.file = File{mount->device, seen.stx_ino};
  return out;
}

bool FileNames::in_our_mounts(const RuleEvent& event) const {
  if (event.process->mount_namespace == own_namespace_) return true;
  // A service manager may have given trivet mounts of its own over those of the host.
  auto first = event.facts->process(1);
  return first && first->mount_namespace == event.process->mount_namespace;
}

// Takes away what leads through /proc to where it started: our own /proc/self is another.
std::optional<std::string> FileNames::without_proc(const RuleEvent& event, std::string path) const {
  for (int links = 0; links < 40; ++links) {
    std::string_view rest = path;
    if (take_part(rest) != "proc") return path;
    auto who = take_part(rest);
    bool own = who == "self" || who == "thread-self";
    auto pid = own ? event.header->task.tgid : process_id(who);
    if (!pid) return path;
    auto what = take_part(rest);
    if (what == "task") {
      take_part(rest);
      what = take_part(rest);
    }
    auto process = own ? event.process : event.facts->process(*pid);
    bool here = process && process->mount_namespace == event.process->mount_namespace;
    if (what == "root" && here) {
      path = joined("/", rest);
    } else if (what == "cwd" && here && !process->cwd.empty()) {
      path = joined(process->cwd, rest);
    } else if (what == "root" || what == "cwd" || what == "fd" || what == "map_files") {
      return std::nullopt;
    } else {
      return path;
    }
  }
  return std::nullopt;
}

std::optional<FileNames::Place> FileNames::place_of_argument(const RuleEvent& event,
                                                             std::size_t i) {
  if (auto led_to = event.resolved[i]; led_to.starts_with('/')) {
    if (led_to.ends_with(kDeleted)) led_to.remove_suffix(kDeleted.size());
    Place place{std::string(led_to), std::nullopt, mounts_.name_in_whole(led_to)};
    if (i == 0 && event.resolved_inode != 0) {
      place.file = File{event.resolved_device, event.resolved_inode};
    }
    return place;
  }
  // In a container the same path is another file.
  if (!event.process || event.root_elsewhere || !event.process->container_id.empty()) {
    return std::nullopt;
  }
  auto raw = event.given_raw[i];
  auto whole = raw.starts_with('/') ? std::string(raw) : joined(event.base[i], raw);
  if (whole.front() != '/') return std::nullopt;
  auto path = without_proc(event, std::move(whole));
  if (!path) return std::nullopt;
  if (follows(event, i)) return look(*path, true, true);
  // What the name itself was may be gone or moved; the folder is where it was.
  while (path->size() > 1 && path->back() == '/') path->pop_back();
  auto slash = path->rfind('/');
  std::string name = path->substr(slash + 1);
  if (name == "." || name == "..") return look(*path, true, true);
  auto folder = slash == 0 ? "/" : path->substr(0, slash);
  // Both ends of a rename are mostly in one.
  if (!folder_ || folder_->first != folder) folder_.emplace(folder, look(folder, true, false));
  auto place = folder_->second;
  if (!place || name.empty()) return place;
  place->path = joined(place->path, name);
  if (place->whole) place->whole = joined(*place->whole, name);
  return place;
}

std::optional<std::string> FileNames::name_in_whole(const RuleEvent& event) const {
  const auto* whole = event.inode != 0 ? mounts_.whole(event.device) : nullptr;
  if (!whole || event.below > event.path.size() || !event.path.starts_with('/')) {
    return std::nullopt;
  }
  auto below = std::string_view(event.path).substr(event.path.size() - event.below);
  std::string_view point = whole->point == "/" ? "" : std::string_view(whole->point);
  // Nearly every file is on the mount that shows all of its file system.
  if (event.origin.empty() && event.path.size() == point.size() + below.size() &&
      event.path.starts_with(point)) {
    return std::nullopt;
  }
  return absolute_path("/", joined(whole->point, joined(event.origin, below)));
}

std::optional<std::string> FileNames::rule_path(const File& file, std::string_view known) {
  auto found = files_.find(file);
  if (found == files_.end() || found->second == known) return std::nullopt;
  // The inode may have been given to another file since.
  auto now = look(found->second, true, true);
  if (!now || !now->file || *now->file != file) return std::nullopt;
  return found->second;
}

std::vector<FileNames::Reading> FileNames::readings(RuleEvent& event) {
  std::optional<Reading> moved, same;
  // Puts another name into a reading that is as told but for what it got before.
  auto use = [&](std::optional<Reading>& reading, std::optional<std::string> other) {
    if (!other || *other == event.path) return;
    if (!reading) reading = Reading{event.path, event.given};
    reading->path = std::move(*other);
  };
  auto use_given = [&](std::optional<Reading>& reading, std::size_t i,
                       std::optional<std::string> other) {
    if (!other || *other == event.given[i]) return;
    if (!reading) reading = Reading{event.path, event.given};
    reading->given[i] = std::move(*other);
  };
  if (event.inode != 0 && !event.path.empty()) {
    use(moved, name_in_whole(event));
    use(same, rule_path({event.device, event.inode}, event.path));
  }
  if (event.type >= kExecve) return {};
  if (event.file_unknown) {
    event.uncertain = true;
    if (auto place = place_of_argument(event, 0)) {
      use(same, place->whole ? place->whole : place->path);
      if (place->file) use(same, rule_path(*place->file, event.path));
    }
  }
  // Led nowhere.
  if (event.result == -ENOENT || event.result == -ENOTDIR) return {};
  std::uint32_t shape = shape_of(event.type);
  folder_.reset();
  for (std::size_t i = 0; i < 2 && !is_open(event.type); ++i) {
    if (event.given_raw[i].empty() || (i == 0 && shape & CALL_FIRST_IS_TEXT)) continue;
    auto place = place_of_argument(event, i);
    if (!place) {
      event.uncertain = true;
      continue;
    }
    // Looked up after the call, and not by who called.
    event.uncertain |=
        event.resolved[i].empty() && (place->path != event.given[i] || !in_our_mounts(event));
    use_given(moved, i, place->whole ? place->whole : place->path);
    if (place->file) use_given(same, i, rule_path(*place->file, event.given[i]));
  }
  if (moved && moved == same) same.reset();
  std::vector<Reading> out;
  if (moved) out.push_back(std::move(*moved));
  if (same) out.push_back(std::move(*same));
  return out;
}

}  // namespace trivet::security
