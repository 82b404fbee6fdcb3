// SPDX-License-Identifier: Apache-2.0
// container.* and k8s.*. On the host container.id, name and type are "host", as in Falco; what only
// a container runtime could tell has no value, and in a container none until its files have been
// read.
#include <algorithm>

#include "security/fields/field.h"

namespace trivet::security {
namespace {

// Nothing on the host, for an unknown process, and until the runtime's files have been read.
ContainerRef container_of(const RuleEvent& event) {
  if (!event.process || event.process->container_id.empty()) return nullptr;
  return event.facts->container(event.process->container_id);
}

// What the container's description holds, kept for as long as the event lives; nothing if it is
// empty.
template <class Get>
FieldValue text_of(const RuleEvent& event, Get get) {
  const auto container = container_of(event);
  if (!container) return {};
  std::string text(get(*container));
  if (text.empty()) return {};
  return event.keep(std::move(text));
}

FieldValue id(const RuleEvent& event, const FieldArgument&) {
  if (!event.process) return {};
  if (event.process->container_id.empty()) return "host";
  return std::string_view(event.process->container_id);
}

FieldValue name(const RuleEvent& event, const FieldArgument&) {
  if (event.process && event.process->container_id.empty()) return "host";
  return text_of(event, [](const Container& container) { return container.name; });
}

FieldValue kind(const RuleEvent& event, const FieldArgument&) {
  if (event.process && event.process->container_id.empty()) return "host";
  return text_of(event, [](const Container& container) { return container.runtime; });
}

// "docker.io/library/nginx:1.22@sha256:..." in its parts: a colon before the last slash is a
// registry's port.
struct ImageName {
  std::string_view repository;
  std::string_view tag;
  explicit ImageName(std::string_view name) {
    name = name.substr(0, name.find('@'));
    const auto slash = name.rfind('/');
    const auto colon = name.find(':', slash == name.npos ? 0 : slash);
    repository = name.substr(0, colon);
    if (colon != name.npos) tag = name.substr(colon + 1);
  }
};

std::int64_t number(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

FieldValue start_time(const RuleEvent& event, const FieldArgument&) {
  const auto container = container_of(event);
  if (!container || container->started_ns == 0) return {};
  return number(container->started_ns) + event.facts->boot_to_real_ns();
}

FieldValue duration(const RuleEvent& event, const FieldArgument&) {
  const auto container = container_of(event);
  if (!container || container->started_ns == 0) return {};
  return std::max<std::int64_t>(number(event.header->time_ns) - number(container->started_ns), 0);
}

FieldValue privileged(const RuleEvent& event, const FieldArgument&) {
  const auto container = container_of(event);
  if (!container) return {};
  return container->privileged;
}

// source:destination:mode:writable:propagation, as Falco writes a mount.
std::string mount_text(const ContainerMount& mount) {
  return mount.source + ':' + mount.destination + ':' + (mount.read_only ? "ro" : "") + ':' +
         (mount.read_only ? "false" : "true") + ':' + mount.propagation;
}

std::string mounts(const Container& container) {
  std::string out;
  for (const auto& mount : container.mounts)
    out.append(out.empty() ? "" : " ") += mount_text(mount);
  return out;
}

// The mount that the brackets name by its place in the list, source or destination.
template <class Get>
FieldValue of_mount(const RuleEvent& event, const std::string& wanted, bool by_source, Get get) {
  const auto container = container_of(event);
  if (!container) return {};
  for (std::size_t i = 0; i < container->mounts.size(); ++i) {
    const auto& mount = container->mounts[i];
    if (wanted == std::to_string(i) || wanted == (by_source ? mount.source : mount.destination))
      return event.keep(get(mount));
  }
  return {};
}

// Kubernetes' own labels name the pod; the others are its users'.
FieldValue label(const RuleEvent& event, const FieldArgument& argument) {
  const auto container = container_of(event);
  if (!container) return {};
  for (const auto& [key, value] : container->labels)
    if (key == argument.text) return event.keep(value);
  return {};
}

std::string labels(const Container& container) {
  std::string out;
  for (const auto& [key, value] : container.labels)
    out.append(out.empty() ? "" : ", ").append(key).append(":").append(value);
  return out;
}

FieldValue none(const RuleEvent&, const FieldArgument&) {
  return {};
}

#define TEXT(expression)                                                            \
  [](const RuleEvent& event, const FieldArgument&) {                                \
    return text_of(event, [](const Container& container) { return (expression); }); \
  }
#define MOUNT(by_source, expression)                                                          \
  [](const RuleEvent& event, const FieldArgument& argument) {                                 \
    return of_mount(event, argument.text, by_source,                                          \
                    [](const ContainerMount& mount) -> std::string { return (expression); }); \
  }

constexpr Field kFields[] = {
    {"container.id", FieldType::text, ArgumentUse::none, "Container's id, or host", id},
    {"container.name", FieldType::text, ArgumentUse::none, "Container's name, or host", name},
    {"container.full_id", FieldType::text, ArgumentUse::none, "Container's whole id",
     TEXT(container.id)},
    {"container.image", FieldType::text, ArgumentUse::none, "Name of its image",
     TEXT(container.image)},
    {"container.image.id", FieldType::text, ArgumentUse::none, "Id of its image",
     TEXT(container.image_id)},
    {"container.image.repository", FieldType::text, ArgumentUse::none, "Image without tag",
     TEXT(ImageName(container.image).repository)},
    {"container.image.tag", FieldType::text, ArgumentUse::none, "Tag of its image",
     TEXT(ImageName(container.image).tag)},
    {"container.image.digest", FieldType::text, ArgumentUse::none, "Digest of its image",
     TEXT(container.image_digest)},
    {"container.type", FieldType::text, ArgumentUse::none, "Kind of runtime, or host", kind},
    {"container.privileged", FieldType::boolean, ArgumentUse::none, "Runs privileged", privileged},
    {"container.start_ts", FieldType::number, ArgumentUse::none, "When it began, since 1970 in ns",
     start_time},
    {"container.duration", FieldType::number, ArgumentUse::none, "How long it runs, in ns",
     duration},
    {"container.ip", FieldType::text, ArgumentUse::none, "Its address", none},
    {"container.mounts", FieldType::text, ArgumentUse::none, "Its mounts", TEXT(mounts(container))},
    {"container.mount", FieldType::text, ArgumentUse::name, "A mount, by its place or source",
     MOUNT(true, mount_text(mount))},
    {"container.mount.source", FieldType::text, ArgumentUse::name,
     "Source of a mount, by its place or destination", MOUNT(false, mount.source)},
    {"container.mount.dest", FieldType::text, ArgumentUse::name,
     "Destination of a mount, by its place or source", MOUNT(true, mount.destination)},
    {"container.mount.mode", FieldType::text, ArgumentUse::name, "Mode of a mount",
     MOUNT(true, mount.read_only ? "ro" : "")},
    {"container.mount.rdwr", FieldType::text, ArgumentUse::name, "Whether a mount can be written",
     MOUNT(true, mount.read_only ? "false" : "true")},
    {"container.mount.propagation", FieldType::text, ArgumentUse::name, "Propagation of a mount",
     MOUNT(true, mount.propagation)},
    {"container.label", FieldType::text, ArgumentUse::name, "A label of its", label},
    {"container.labels", FieldType::text, ArgumentUse::none, "Its labels", TEXT(labels(container))},
    {"k8s.ns.name", FieldType::text, ArgumentUse::none, "Namespace of its pod",
     TEXT(container.pod_namespace)},
    {"k8s.pod.name", FieldType::text, ArgumentUse::none, "Name of its pod",
     TEXT(container.pod_name)},
    {"k8s.pod.id", FieldType::text, ArgumentUse::none, "Id of its pod", TEXT(container.pod_uid)},
    {"k8s.pod.uid", FieldType::text, ArgumentUse::none, "Id of its pod", TEXT(container.pod_uid)},
    {"k8s.pod.ip", FieldType::text, ArgumentUse::none, "Address of its pod", none},
    {"k8s.pod.label", FieldType::text, ArgumentUse::name, "A label of its pod",
     [](const RuleEvent& event, const FieldArgument& argument) -> FieldValue {
       const auto container = container_of(event);
       return container && !container->pod_name.empty() ? label(event, argument) : FieldValue();
     }},
    {"k8s.pod.labels", FieldType::text, ArgumentUse::none, "Labels of its pod",
     TEXT(container.pod_name.empty() ? std::string() : labels(container))},
};

}  // namespace

std::span<const Field> container_fields() {
  return kFields;
}

}  // namespace trivet::security
