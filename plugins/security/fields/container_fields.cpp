// SPDX-License-Identifier: Apache-2.0
// container.* and k8s.*. On the host container.id and container.name are "host", as in Falco; what
// only a container runtime could tell has no value.
#include "security/fields/field.h"

namespace trivet::security {
namespace {

FieldValue id(const RuleEvent& event, const FieldArgument&) {
  if (!event.process) return {};
  if (event.process->container_id.empty()) return "host";
  return std::string_view(event.process->container_id);
}

FieldValue name(const RuleEvent& event, const FieldArgument&) {
  if (!event.process || !event.process->container_id.empty()) return {};
  return "host";
}

FieldValue none(const RuleEvent&, const FieldArgument&) {
  return {};
}

constexpr Field kFields[] = {
    {"container.id", FieldType::text, ArgumentUse::none, "Container's id, or host", id},
    {"container.name", FieldType::text, ArgumentUse::none, "Container's name, or host", name},
    {"container.full_id", FieldType::text, ArgumentUse::none, "Container's whole id", none},
    {"container.image", FieldType::text, ArgumentUse::none, "Name of its image", none},
    {"container.image.id", FieldType::text, ArgumentUse::none, "Id of its image", none},
    {"container.image.repository", FieldType::text, ArgumentUse::none, "Image without tag", none},
    {"container.image.tag", FieldType::text, ArgumentUse::none, "Tag of its image", none},
    {"container.image.digest", FieldType::text, ArgumentUse::none, "Digest of its image", none},
    {"container.type", FieldType::text, ArgumentUse::none, "Kind of runtime", none},
    {"container.privileged", FieldType::boolean, ArgumentUse::none, "Runs privileged", none},
    {"container.start_ts", FieldType::number, ArgumentUse::none, "When it began", none},
    {"container.duration", FieldType::number, ArgumentUse::none, "How long it runs", none},
    {"container.ip", FieldType::text, ArgumentUse::none, "Its address", none},
    {"container.mounts", FieldType::text, ArgumentUse::none, "Its mounts", none},
    {"k8s.ns.name", FieldType::text, ArgumentUse::none, "Namespace of its pod", none},
    {"k8s.pod.name", FieldType::text, ArgumentUse::none, "Name of its pod", none},
    {"k8s.pod.id", FieldType::text, ArgumentUse::none, "Id of its pod", none},
    {"k8s.pod.uid", FieldType::text, ArgumentUse::none, "Id of its pod", none},
    {"k8s.pod.ip", FieldType::text, ArgumentUse::none, "Address of its pod", none},
    {"k8s.pod.label", FieldType::text, ArgumentUse::name, "A label of its pod", none},
    {"k8s.pod.labels", FieldType::text, ArgumentUse::none, "Labels of its pod", none},
};

}  // namespace

std::span<const Field> container_fields() {
  return kFields;
}

}  // namespace trivet::security
