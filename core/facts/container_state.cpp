// SPDX-License-Identifier: Apache-2.0
#include "facts/container_state.h"

#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "trivet/capability.h"

namespace trivet {

namespace {

using Json = nlohmann::json;

// No runtime gives a container so many of one thing; a file that does is cut.
constexpr std::size_t kMaxItems = 1024;
// Capabilities that every kernel trivet runs on has: up to CAP_AUDIT_READ.
constexpr std::uint64_t kAllCapabilities = (std::uint64_t{1} << 38) - 1;

// Docker's own set for a container that asks for nothing (docker-run(1), --cap-add).
constexpr std::string_view kDockerCapabilities[] = {
    "CAP_AUDIT_WRITE", "CAP_CHOWN",   "CAP_DAC_OVERRIDE",     "CAP_FOWNER",    "CAP_FSETID",
    "CAP_KILL",        "CAP_MKNOD",   "CAP_NET_BIND_SERVICE", "CAP_NET_RAW",   "CAP_SETFCAP",
    "CAP_SETGID",      "CAP_SETPCAP", "CAP_SETUID",           "CAP_SYS_CHROOT"};

// The member of an object; a null where `from` is none or has none.
const Json& member(const Json& from, const char* key) {
  static const Json null;
  if (!from.is_object()) return null;
  const auto found = from.find(key);
  return found == from.end() ? null : *found;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::string text(const Json& from, const char* key) {
  return text_of(member(from, key));
}

bool truth(const Json& from, const char* key) {
  const Json& value = member(from, key);
  return value.is_boolean() && value.get<bool>();
}

using Texts = std::map<std::string, std::string>;

Texts texts(const Json& object) {
  Texts out;
  if (!object.is_object()) return out;
  for (const auto& [key, value] : object.items()) {
    if (out.size() == kMaxItems) break;
    if (value.is_string()) out.emplace(key, value.get<std::string>());
  }
  return out;
}

// The first of these keys that is there.
std::string first_of(const Texts& from, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (const auto found = from.find(key); found != from.end() && !found->second.empty())
      return found->second;
  return {};
}

std::string without_prefix(std::string from, std::string_view prefix) {
  return from.starts_with(prefix) ? from.substr(prefix.size()) : from;
}

// RFC 3339 in UTC, as Go prints it, in ns since 1970; 0 for anything else and for Go's year 1.
std::int64_t real_ns(const std::string& text) {
  std::tm date{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &date);
  if (!rest) return 0;
  std::int64_t fraction = 0;
  if (*rest == '.') {
    std::int64_t unit = 100'000'000;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) fraction += (*rest - '0') * unit;
  }
  std::int64_t offset = 0;
  if (*rest == '+' || *rest == '-') {
    const int sign = *rest == '-' ? -1 : 1;
    char* end = nullptr;
    const long hours = std::strtol(rest + 1, &end, 10);
    const long minutes = *end == ':' ? std::strtol(end + 1, nullptr, 10) : 0;
    if (hours > 24 || minutes > 60) return 0;
    offset = sign * (hours * 3600 + minutes * 60);
  } else if (*rest != 'Z') {
    return 0;
  }
  const std::int64_t seconds = timegm(&date) - offset;
  return seconds <= 0 ? 0 : seconds * 1'000'000'000 + fraction;
}

std::uint64_t boot_ns(std::int64_t real, std::int64_t boot_to_real_ns) {
  return real > boot_to_real_ns ? static_cast<std::uint64_t>(real - boot_to_real_ns) : 0;
}

std::uint64_t capability_set(const Json& names) {
  std::uint64_t set = 0;
  if (!names.is_array()) return set;
  for (const auto& name : names) {
    std::string full = text_of(name);
    if (full == "ALL") return kAllCapabilities;
    if (!full.starts_with("CAP_")) full.insert(0, "CAP_");
    set |= capability_bit(full);
  }
  return set;
}

// What Kubernetes' node agent has every runtime note, each under its own names.
void fill_pod(Container& container, const Texts& notes) {
  const auto fill = [&](std::string& field, std::initializer_list<const char*> keys) {
    if (auto value = first_of(notes, keys); !value.empty()) field = std::move(value);
  };
  fill(container.pod_name, {"io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"});
  fill(container.pod_namespace,
       {"io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace"});
  fill(container.pod_uid, {"io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"});
  fill(container.name, {"io.kubernetes.container.name", "io.kubernetes.cri.container-name"});
  fill(container.image, {"io.kubernetes.cri-o.ImageName", "io.kubernetes.cri.image-name"});
}

void fill_from_docker(Container& container, const Json& config, std::int64_t boot_to_real_ns) {
  container.runtime = "docker";
  container.name = without_prefix(text(config, "Name"), "/");
  const Json& asked = member(config, "Config");
  container.image = text(asked, "Image");
  container.image_id = without_prefix(text(config, "Image"), "sha256:");
  container.image_digest = text(member(config, "ImageManifest"), "digest");
  const Texts labels = texts(member(asked, "Labels"));
  container.labels.assign(labels.begin(), labels.end());
  container.started_ns =
      boot_ns(real_ns(text(member(config, "State"), "StartedAt")), boot_to_real_ns);
  fill_pod(container, labels);
  const Json& points = member(config, "MountPoints");
  if (!points.is_object()) return;
  for (const auto& [destination, point] : points.items()) {
    if (container.mounts.size() == kMaxItems) break;
    ContainerMount mount;
    mount.source = text(point, "Source");
    if (mount.source.empty()) mount.source = text(point, "Name");
    mount.destination = destination;
    mount.read_only = !truth(point, "RW");
    mount.propagation = text(point, "Propagation");
    container.mounts.push_back(std::move(mount));
  }
}

void fill_from_docker_host(Container& container, const Json& host) {
  container.privileged = truth(host, "Privileged");
  std::uint64_t set = 0;
  for (const auto name : kDockerCapabilities) set |= capability_bit(name);
  if (container.privileged) set = kAllCapabilities;
  const std::uint64_t dropped = capability_set(member(host, "CapDrop"));
  container.capabilities = (set & ~dropped) | capability_set(member(host, "CapAdd"));
}

std::vector<ContainerMount> bundle_mounts(const Json& list) {
  std::vector<ContainerMount> mounts;
  if (!list.is_array()) return mounts;
  for (const auto& item : list) {
    if (mounts.size() == kMaxItems) break;
    ContainerMount mount{text(item, "source"), text(item, "destination"), false, {}};
    const std::string type = text(item, "type");
    // What the runtime mounts for every container is not what somebody asked for.
    if (!type.empty() && type != "bind" && type != "rbind" && type != "none") continue;
    if (const Json& options = member(item, "options"); options.is_array())
      for (const auto& option : options) {
        const std::string word = text_of(option);
        if (word == "ro") mount.read_only = true;
        if (word.ends_with("private") || word.ends_with("shared") || word.ends_with("slave"))
          mount.propagation = word;
      }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

// `whole`: nothing else describes the container better.
void fill_from_bundle(Container& container, const Json& config, bool whole) {
  container.capabilities =
      capability_set(member(member(member(config, "process"), "capabilities"), "bounding"));
  if (!whole) return;
  const Texts notes = texts(member(config, "annotations"));
  if (first_of(notes, {"io.container.manager"}) == "libpod") container.runtime = "podman";
  if (notes.contains("io.kubernetes.cri-o.ContainerType")) container.runtime = "cri-o";
  if (const auto labels = first_of(notes, {"io.kubernetes.cri-o.Labels"}); !labels.empty()) {
    const Texts list = texts(Json::parse(labels, nullptr, false));
    container.labels.assign(list.begin(), list.end());
  } else if (container.labels.empty()) {
    container.labels.assign(notes.begin(), notes.end());
  }
  fill_pod(container, notes);
  if (container.image_id.empty())
    container.image_id =
        without_prefix(first_of(notes, {"io.kubernetes.cri-o.ImageRef"}), "sha256:");
  container.mounts = bundle_mounts(member(config, "mounts"));
  const auto said = first_of(
      notes, {"io.podman.annotations.privileged", "io.kubernetes.cri-o.PrivilegedRuntime"});
  const bool unconfined = (container.capabilities & kAllCapabilities) == kAllCapabilities &&
                          member(member(config, "linux"), "seccomp").is_null();
  container.privileged = said.empty() ? unconfined : said == "TRUE" || said == "true";
}

// CRI-O and podman keep what they were asked for as JSON inside of JSON.
bool fill_from_storage(Container& container, const Json& list) {
  if (!list.is_array()) return false;
  for (const auto& item : list) {
    if (text(item, "id") != container.id) continue;
    const Json notes = Json::parse(text(item, "metadata"), nullptr, false);
    const Json& names = member(item, "names");
    if (names.is_array() && !names.empty()) container.name = text_of(names.front());
    if (const auto name = text(notes, "name"); !name.empty()) container.name = name;
    container.image = text(notes, "image-name");
    container.image_id = text(notes, "image-id");
    if (container.image_id.empty()) container.image_id = text(item, "image");
    return true;
  }
  return false;
}

}  // namespace

std::optional<Container> describe_container(const std::string& id, std::span<const StateFile> files,
                                            std::int64_t boot_to_real_ns) {
  Container container;
  container.id = id;
  bool described = false;
  bool by_docker = false;
  for (const auto& file : files) {
    const Json json = Json::parse(file.text, nullptr, false);
    if (json.is_discarded()) continue;
    if (file.name == "docker config") {
      fill_from_docker(container, json, boot_to_real_ns);
      by_docker = described = true;
    } else if (file.name == "docker hostconfig") {
      fill_from_docker_host(container, json);
    } else if (file.name == "storage list") {
      if (fill_from_storage(container, json) && container.runtime.empty())
        container.runtime = "podman";
    } else if (file.name == "storage config" || file.name.starts_with("containerd ")) {
      if (container.runtime.empty()) container.runtime = "containerd";
      fill_from_bundle(container, json, !by_docker);
      if (container.started_ns == 0)
        container.started_ns = boot_ns(file.modified_real_ns, boot_to_real_ns);
      described = true;
    }
  }
  if (!described) return std::nullopt;
  if (container.image_digest.empty())
    if (const auto at = container.image.find('@'); at != std::string::npos)
      container.image_digest = container.image.substr(at + 1);
  return container;
}

}  // namespace trivet
