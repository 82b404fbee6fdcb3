// SPDX-License-Identifier: Apache-2.0
#include "capture/contents.h"

#include <cstring>
#include <utility>

#include "broker/wire.h"
#include "capture/format.h"
#include "lanes/sequence_gaps.h"

namespace trivet {
namespace {

using broker::Reader;
using broker::Writer;

// Of one text and of one list: whatever fits a block. The reader checks both against what is there.
constexpr std::size_t kMost = kMaxBlockBytes;

std::string text(Reader& from) {
  return from.text(kMost);
}

void write(Writer& to, const std::vector<std::string>& list) {
  to.list(list, [&](const std::string& one) { to.text(one); });
}

std::vector<std::string> texts(Reader& from) {
  std::vector<std::string> list;
  from.list(kMost, [&] { list.push_back(text(from)); });
  return list;
}

void write(Writer& to, const AccountNames& names) {
  to.list(names, [&](const auto& one) {
    to.number(one.first);
    to.text(one.second);
  });
}

AccountNames account_names(Reader& from) {
  AccountNames names;
  from.list(kMost, [&] {
    const auto id = from.number<std::uint32_t>();
    names.insert_or_assign(id, text(from));
  });
  return names;
}

void write(Writer& to, const LaneCounts& counts) {
  for (const auto count : counts) to.number(count);
}

LaneCounts lane_counts(Reader& from) {
  LaneCounts counts;
  for (auto& count : counts) count = from.number<std::uint64_t>();
  return counts;
}

// Each in the order of its encode().
void read(Reader& from, CapturedHost& host) {
  host.version = text(from);
  auto& is = host.identity;
  for (auto* field : {&is.name, &is.os, &is.kernel, &is.architecture, &is.machine_id, &is.boot_id})
    *field = text(from);
  is.cpus = from.number<std::uint32_t>();
  is.memory_bytes = from.number<std::uint64_t>();
  is.daemon_pid = from.number<std::uint32_t>();
  host.boot_to_real_ns = from.number<std::int64_t>();
  host.cgroup_root = text(from);
  host.begun_ns = from.number<std::uint64_t>();
}

void read(Reader& from, CapturedConfiguration& configuration) {
  configuration.path = text(from);
  from.list(kMost, [&] {
    PluginConfiguration plugin;
    plugin.name = text(from);
    plugin.toml = text(from);
    from.list(kMost, [&] {
      auto path = text(from);
      plugin.files.folders.insert_or_assign(std::move(path), texts(from));
    });
    from.list(kMost, [&] {
      auto path = text(from);
      plugin.files.texts.insert_or_assign(std::move(path), text(from));
    });
    configuration.plugins.push_back(std::move(plugin));
  });
}

void read(Reader& from, Container& container) {
  for (auto* field :
       {&container.id, &container.runtime, &container.name, &container.image, &container.image_id,
        &container.image_digest, &container.pod_name, &container.pod_namespace, &container.pod_uid})
    *field = text(from);
  from.list(kMost, [&] {
    auto key = text(from);
    container.labels.emplace_back(std::move(key), text(from));
  });
  container.privileged = from.flag();
  container.capabilities = from.number<std::uint64_t>();
  from.list(kMost, [&] {
    ContainerMount mount;
    mount.source = text(from);
    mount.destination = text(from);
    mount.read_only = from.flag();
    mount.propagation = text(from);
    container.mounts.push_back(std::move(mount));
  });
  container.started_ns = from.number<std::uint64_t>();
}

void read(Reader& from, CapturedEnvironment& environment) {
  environment.task.start_ns = from.number<std::uint64_t>();
  environment.task.tgid = from.number<std::uint32_t>();
  environment.task.exec_count = from.number<std::uint32_t>();
  environment.variables = texts(from);
}

void read(Reader& from, CapturedHash& hash) {
  for (auto* field : {&hash.exe.inode, &hash.exe.ctime_ns, &hash.exe.mtime_ns})
    *field = from.number<std::uint64_t>();
  hash.hash = text(from);
}

void read(Reader& from, CapturedAccounts& accounts) {
  accounts.users = account_names(from);
  accounts.groups = account_names(from);
}

void read(Reader& from, CapturedAddresses& addresses) {
  addresses.plugin = text(from);
  from.list(kMost, [&] {
    IpAddress address;
    address.family = from.number<std::uint8_t>();
    for (auto& byte : address.bytes) byte = from.number<std::uint8_t>();
    addresses.names.insert_or_assign(address, texts(from));
  });
}

void read(Reader& from, LaneCounts& counts) {
  counts = lane_counts(from);
}

void read(Reader& from, CaptureEnd& end) {
  end.ended_ns = from.number<std::uint64_t>();
  end.reason =
      from.number<std::uint8_t>() == 0 ? CaptureEnd::Reason::asked : CaptureEnd::Reason::size;
  end.events = lane_counts(from);
  end.lost = lane_counts(from);
  end.lost_in_kernel = lane_counts(from);
}

void read(Reader& from, std::uint64_t& number) {
  number = from.number<std::uint64_t>();
}

}  // namespace

Bytes encode(const CapturedHost& host) {
  Writer to;
  to.text(host.version);
  const auto& is = host.identity;
  for (const auto* field :
       {&is.name, &is.os, &is.kernel, &is.architecture, &is.machine_id, &is.boot_id})
    to.text(*field);
  to.number(is.cpus);
  to.number(is.memory_bytes);
  to.number(is.daemon_pid);
  to.number(host.boot_to_real_ns);
  to.text(host.cgroup_root);
  to.number(host.begun_ns);
  return to.message();
}

Bytes encode(const CapturedConfiguration& configuration) {
  Writer to;
  to.text(configuration.path);
  to.list(configuration.plugins, [&](const PluginConfiguration& plugin) {
    to.text(plugin.name);
    to.text(plugin.toml);
    to.list(plugin.files.folders, [&](const auto& folder) {
      to.text(folder.first);
      write(to, folder.second);
    });
    to.list(plugin.files.texts, [&](const auto& file) {
      to.text(file.first);
      to.text(file.second);
    });
  });
  return to.message();
}

Bytes encode(const Container& container) {
  Writer to;
  for (const auto* field :
       {&container.id, &container.runtime, &container.name, &container.image, &container.image_id,
        &container.image_digest, &container.pod_name, &container.pod_namespace, &container.pod_uid})
    to.text(*field);
  to.list(container.labels, [&](const auto& label) {
    to.text(label.first);
    to.text(label.second);
  });
  to.number(static_cast<std::uint8_t>(container.privileged));
  to.number(container.capabilities);
  to.list(container.mounts, [&](const ContainerMount& mount) {
    to.text(mount.source);
    to.text(mount.destination);
    to.number(static_cast<std::uint8_t>(mount.read_only));
    to.text(mount.propagation);
  });
  to.number(container.started_ns);
  return to.message();
}

Bytes encode(const CapturedEnvironment& environment) {
  Writer to;
  to.number(environment.task.start_ns);
  to.number(environment.task.tgid);
  to.number(environment.task.exec_count);
  write(to, environment.variables);
  return to.message();
}

Bytes encode(const CapturedHash& hash) {
  Writer to;
  for (const auto field : {hash.exe.inode, hash.exe.ctime_ns, hash.exe.mtime_ns}) to.number(field);
  to.text(hash.hash);
  return to.message();
}

Bytes encode(const CapturedAccounts& accounts) {
  Writer to;
  write(to, accounts.users);
  write(to, accounts.groups);
  return to.message();
}

Bytes encode(const CapturedAddresses& addresses) {
  Writer to;
  to.text(addresses.plugin);
  to.list(addresses.names, [&](const auto& one) {
    to.number(one.first.family);
    for (const auto byte : one.first.bytes) to.number(byte);
    write(to, one.second);
  });
  return to.message();
}

Bytes encode(const LaneCounts& counts) {
  Writer to;
  write(to, counts);
  return to.message();
}

Bytes encode(const CaptureEnd& end) {
  Writer to;
  to.number(end.ended_ns);
  to.number(static_cast<std::uint8_t>(end.reason));
  for (const auto* counts : {&end.events, &end.lost, &end.lost_in_kernel}) write(to, *counts);
  return to.message();
}

Bytes encode(std::uint64_t number) {
  Writer to;
  to.number(number);
  return to.message();
}

template <class T>
std::optional<T> decode(std::span<const std::byte> payload) {
  Reader from(payload);
  T value{};
  read(from, value);
  if (!from.complete()) return std::nullopt;
  return value;
}

template std::optional<CapturedHost> decode(std::span<const std::byte>);
template std::optional<CapturedConfiguration> decode(std::span<const std::byte>);
template std::optional<Container> decode(std::span<const std::byte>);
template std::optional<CapturedEnvironment> decode(std::span<const std::byte>);
template std::optional<CapturedHash> decode(std::span<const std::byte>);
template std::optional<CapturedAccounts> decode(std::span<const std::byte>);
template std::optional<CapturedAddresses> decode(std::span<const std::byte>);
template std::optional<LaneCounts> decode(std::span<const std::byte>);
template std::optional<CaptureEnd> decode(std::span<const std::byte>);
template std::optional<std::uint64_t> decode(std::span<const std::byte>);

std::optional<lanes::Batch> decode_records(std::span<const std::byte> payload) {
  lanes::Batch batch;
  while (!payload.empty()) {
    event_header header;
    if (payload.size() < sizeof(header)) return std::nullopt;
    std::memcpy(&header, payload.data(), sizeof(header));
    if (header.size < sizeof(header) || header.size > payload.size() || header.lane >= LANE_COUNT ||
        header.type == 0 || header.type >= EVENT_TYPES ||
        header.cpu >= lanes::SequenceGaps::kMaxCpus)
      return std::nullopt;
    batch.add(payload.first(header.size));
    payload = payload.subspan(header.size);
  }
  return batch;
}

}  // namespace trivet
