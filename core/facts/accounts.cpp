// SPDX-License-Identifier: Apache-2.0
#include "facts/accounts.h"

#include <sys/stat.h>

#include <charconv>
#include <fstream>
#include <mutex>
#include <string_view>

namespace trivet {

namespace {

// The third field of a passwd(5) or group(5) line is the id, the first the name.
std::optional<std::pair<std::uint32_t, std::string>> parse_line(std::string_view line) {
  const auto name_end = line.find(':');
  if (name_end == std::string_view::npos || name_end == 0) return std::nullopt;
  const auto id_start = line.find(':', name_end + 1);
  if (id_start == std::string_view::npos) return std::nullopt;
  std::uint32_t id = 0;
  const char* begin = line.data() + id_start + 1;
  const auto [end, error] = std::from_chars(begin, line.data() + line.size(), id);
  if (error != std::errc() || end == begin) return std::nullopt;
  return std::pair{id, std::string(line.substr(0, name_end))};
}

}  // namespace

Accounts::Accounts(std::string folder)
    : users_{folder + "/passwd", -1, {}}, groups_{folder + "/group", -1, {}} {
  refresh();
}

bool Accounts::refresh() {
  const bool users = refresh(users_);
  return refresh(groups_) || users;
}

void Accounts::tell(FactsWitness& witness) const {
  AccountNames users, groups;
  {
    const std::shared_lock lock(mutex_);
    users = users_.names;
    groups = groups_.names;
  }
  witness.accounts(users, groups);
}

bool Accounts::refresh(Source& source) {
  struct stat info {};
  if (stat(source.path.c_str(), &info) != 0) return false;
  const std::int64_t modified_ns = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;
  {
    const std::shared_lock lock(mutex_);
    if (modified_ns == source.modified_ns) return false;
  }
  std::ifstream file(source.path);
  if (!file) return false;
  AccountNames names;
  for (std::string line; std::getline(file, line);)
    if (auto entry = parse_line(line)) names.insert(std::move(*entry));
  const std::unique_lock lock(mutex_);
  source.names = std::move(names);
  source.modified_ns = modified_ns;
  return true;
}

std::optional<std::string> Accounts::find(const Source& source, std::uint32_t id) const {
  const std::shared_lock lock(mutex_);
  const auto found = source.names.find(id);
  if (found == source.names.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string> Accounts::user_name(std::uint32_t uid) const {
  return find(users_, uid);
}
std::optional<std::string> Accounts::group_name(std::uint32_t gid) const {
  return find(groups_, gid);
}

}  // namespace trivet
