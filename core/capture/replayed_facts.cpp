// SPDX-License-Identifier: Apache-2.0
#include "capture/replayed_facts.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "facts/cgroup_names.h"

namespace trivet {
namespace {

// Of environments, hashes and containers together: a hostile file must not take all memory.
constexpr std::size_t kMaxKeptBytes = 256 << 20;

Error malformed(const char* what) {
  return Error{std::string("it is damaged: ") + what + " is malformed", EBADMSG, {}};
}

std::optional<std::string> name_of(const AccountNames& names, std::uint32_t id) {
  const auto found = names.find(id);
  return found == names.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

ReplayedFacts::ReplayedFacts(CapturedHost host)
    : host_(std::move(host)), processes_(host_.cgroup_root) {}

Result<void> ReplayedFacts::charge(const Block& block) {
  kept_bytes_ += block.payload.size();
  if (kept_bytes_ <= kMaxKeptBytes) return {};
  return Error{"it holds more containers, environments and hashes than any capture", EFBIG, {}};
}

Result<bool> ReplayedFacts::foresee(const Block& block) {
  if (block.kind == BlockKind::environment) {
    auto found = decode<CapturedEnvironment>(block.payload);
    if (!found) return malformed("an environment");
    environments_.try_emplace(
        found->task, std::make_shared<const std::vector<std::string>>(std::move(found->variables)));
  } else if (block.kind == BlockKind::exe_hash) {
    auto found = decode<CapturedHash>(block.payload);
    if (!found) return malformed("a hash");
    hashes_.insert_or_assign(found->exe, std::move(found->hash));
  } else {
    return false;
  }
  if (auto charged = charge(block); !charged) return std::move(charged).error();
  return true;
}

Result<bool> ReplayedFacts::learn(const Block& block) {
  switch (block.kind) {
    case BlockKind::fact: {
      const auto records = decode_records(block.payload);
      if (!records) return malformed("a fact");
      for (std::size_t i = 0; i < records->size(); ++i)
        processes_.apply_snapshot(records->record(i));
      return true;
    }
    case BlockKind::socket_snapshot_begun:
      processes_.begin_socket_snapshot();
      return true;
    case BlockKind::socket_snapshot_ended: {
      const auto start_ns = decode<std::uint64_t>(block.payload);
      if (!start_ns) return malformed("a snapshot");
      processes_.end_socket_snapshot(*start_ns);
      return true;
    }
    case BlockKind::container: {
      auto found = decode<Container>(block.payload);
      if (!found) return malformed("a container");
      if (auto charged = charge(block); !charged) return std::move(charged).error();
      const auto id = short_container_id(found->id);
      containers_.insert_or_assign(id, std::make_shared<const Container>(std::move(*found)));
      return true;
    }
    case BlockKind::accounts: {
      auto found = decode<CapturedAccounts>(block.payload);
      if (!found) return malformed("a list of accounts");
      accounts_ = std::move(*found);
      return true;
    }
    case BlockKind::addresses: {
      auto found = decode<CapturedAddresses>(block.payload);
      if (!found) return malformed("a list of addresses");
      if (auto charged = charge(block); !charged) return std::move(charged).error();
      auto plugin = found->plugin;
      addresses_.insert_or_assign(std::move(plugin), std::move(*found));
      return true;
    }
    default:
      return false;
  }
}

std::vector<std::string> ReplayedFacts::names_of(const std::string& plugin,
                                                 const IpAddress& address) const {
  const auto of_plugin = addresses_.find(plugin);
  if (of_plugin == addresses_.end()) return {};
  const auto found = of_plugin->second.names.find(address);
  return found == of_plugin->second.names.end() ? std::vector<std::string>() : found->second;
}

Facts::Environment ReplayedFacts::environment(const Process& process,
                                              std::chrono::milliseconds) const {
  const auto found = environments_.find(process.key);
  return found == environments_.end() ? nullptr : found->second;
}

std::optional<std::string> ReplayedFacts::exe_sha256(const Process& process,
                                                     std::chrono::milliseconds) const {
  const auto found = hashes_.find({process.exe_inode, process.exe_ctime_ns, process.exe_mtime_ns});
  return found == hashes_.end() ? std::nullopt : std::optional(found->second);
}

ContainerRef ReplayedFacts::container(std::string_view id) const {
  const auto found = containers_.find(short_container_id(id));
  return found == containers_.end() ? nullptr : found->second;
}

void ReplayedFacts::each_container(const std::function<void(const ContainerRef&)>& visit) const {
  std::set<std::string> living;
  each_process([&](const ProcessRef& process) { living.insert(process->container_id); });
  for (const auto& [id, container] : containers_)
    if (living.contains(id)) visit(container);
}

std::optional<std::string> ReplayedFacts::user_name(std::uint32_t uid) const {
  return name_of(accounts_.users, uid);
}
std::optional<std::string> ReplayedFacts::group_name(std::uint32_t gid) const {
  return name_of(accounts_.groups, gid);
}

std::shared_ptr<const std::vector<Interface>> ReplayedFacts::interfaces() const {
  return std::make_shared<const std::vector<Interface>>();
}

}  // namespace trivet
