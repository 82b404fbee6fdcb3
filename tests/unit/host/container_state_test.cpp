// SPDX-License-Identifier: Apache-2.0
// Expected values are what the runtimes' own inspect commands print for files like these.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "facts/container_state.h"
#include "trivet/capability.h"

namespace trivet {
namespace {

const std::string kId(64, 'a');
// 2024-05-06T07:08:09Z less one second.
constexpr std::int64_t kBootToReal = 1'714'979'288'000'000'000;

const std::string kDockerConfig = R"({"ID":")" + kId + R"(","Created":"2024-05-06T07:08:00.1Z",
  "State":{"Running":true,"Pid":4242,"StartedAt":"2024-05-06T07:08:09.5Z"},
  "Image":"sha256:0123456789ab","Name":"/web","RestartCount":0,
  "Config":{"Image":"registry.example:5000/shop/web:1.2","Labels":{"tier":"front","app":"shop"}},
  "MountPoints":{"/data":{"Source":"/srv/data","Destination":"/data","RW":false,"Name":"",
    "Type":"bind","Propagation":"rprivate"},
   "/cache":{"Source":"","Destination":"/cache","RW":true,"Name":"vol1","Type":"volume"}}})";

TEST_CASE("Docker's files tell name, image, labels, mounts and start") {
  const std::vector<StateFile> files{
      {"docker config", kDockerConfig},
      {"docker hostconfig", R"({"Privileged":false,"CapAdd":["NET_ADMIN"],"CapDrop":["MKNOD"]})"}};
  const auto container = describe_container(kId, files, kBootToReal);
  REQUIRE(container);
  CHECK(container->runtime == "docker");
  CHECK(container->name == "web");
  CHECK(container->image == "registry.example:5000/shop/web:1.2");
  CHECK(container->image_id == "0123456789ab");
  CHECK(container->labels ==
        std::vector<std::pair<std::string, std::string>>{{"app", "shop"}, {"tier", "front"}});
  REQUIRE(container->mounts.size() == 2);
  CHECK(container->mounts[0].source == "vol1");
  CHECK_FALSE(container->mounts[0].read_only);
  CHECK(container->mounts[1].source == "/srv/data");
  CHECK(container->mounts[1].read_only);
  CHECK(container->mounts[1].propagation == "rprivate");
  CHECK(container->started_ns == 1'500'000'000);
  CHECK_FALSE(container->privileged);
  CHECK((container->capabilities & capability_bit("CAP_NET_ADMIN")) != 0);
  CHECK((container->capabilities & capability_bit("CAP_MKNOD")) == 0);
  CHECK((container->capabilities & capability_bit("CAP_CHOWN")) != 0);
  CHECK((container->capabilities & capability_bit("CAP_SYS_ADMIN")) == 0);
}

TEST_CASE("a privileged container of Docker has every capability") {
  const std::vector<StateFile> files{{"docker config", kDockerConfig},
                                     {"docker hostconfig", R"({"Privileged":true})"}};
  const auto container = describe_container(kId, files, kBootToReal);
  REQUIRE(container);
  CHECK(container->privileged);
  CHECK((container->capabilities & capability_bit("CAP_SYS_ADMIN")) != 0);
}

TEST_CASE("a bundle under containerd tells the pod that Kubernetes made it for") {
  const std::vector<StateFile> files{{"containerd k8s.io",
                                      R"({"ociVersion":"1.0.2",
  "process":{"capabilities":{"bounding":["CAP_CHOWN","CAP_KILL"]}},
  "mounts":[{"destination":"/proc","type":"proc","source":"proc"},
    {"destination":"/etc/hosts","type":"bind","source":"/var/lib/kubelet/hosts",
     "options":["rbind","rprivate","ro"]}],
  "annotations":{"io.kubernetes.cri.container-name":"app","io.kubernetes.cri.container-type":"container",
    "io.kubernetes.cri.image-name":"docker.io/library/nginx:1.22@sha256:beef",
    "io.kubernetes.cri.sandbox-name":"shop-0","io.kubernetes.cri.sandbox-namespace":"prod",
    "io.kubernetes.cri.sandbox-uid":"11-22"},
  "linux":{"seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}}})",
                                      kBootToReal + 7}};
  const auto container = describe_container(kId, files, kBootToReal);
  REQUIRE(container);
  CHECK(container->runtime == "containerd");
  CHECK(container->name == "app");
  CHECK(container->image == "docker.io/library/nginx:1.22@sha256:beef");
  CHECK(container->image_digest == "sha256:beef");
  CHECK(container->pod_name == "shop-0");
  CHECK(container->pod_namespace == "prod");
  CHECK(container->pod_uid == "11-22");
  CHECK(container->capabilities == (capability_bit("CAP_CHOWN") | capability_bit("CAP_KILL")));
  REQUIRE(container->mounts.size() == 1);
  CHECK(container->mounts[0].destination == "/etc/hosts");
  CHECK(container->mounts[0].read_only);
  CHECK(container->started_ns == 7);
}

TEST_CASE("podman's name and image are in its storage's list, CRI-O's pod in the bundle") {
  const std::string list = R"([{"id":"bb","names":["other"]},{"id":")" + kId +
                           R"(","names":["quiet_fox"],"image":"cafe",
    "metadata":"{\"image-name\":\"quay.io/fox:2\",\"image-id\":\"cafe\",\"name\":\"quiet_fox\"}"}])";
  const std::vector<StateFile> podman{
      {"storage config", R"({"annotations":{"io.container.manager":"libpod",
        "io.podman.annotations.privileged":"TRUE"}})"},
      {"storage list", list}};
  auto container = describe_container(kId, podman, 0);
  REQUIRE(container);
  CHECK(container->runtime == "podman");
  CHECK(container->name == "quiet_fox");
  CHECK(container->image == "quay.io/fox:2");
  CHECK(container->image_id == "cafe");
  CHECK(container->privileged);

  const std::vector<StateFile> crio{
      {"storage config",
       R"({"annotations":{"io.kubernetes.cri-o.ContainerType":"container",
        "io.kubernetes.container.name":"db","io.kubernetes.pod.name":"db-0",
        "io.kubernetes.pod.namespace":"data","io.kubernetes.cri-o.ImageName":"quay.io/pg:15",
        "io.kubernetes.cri-o.Labels":"{\"app\":\"pg\"}"}})"}};
  container = describe_container(kId, crio, 0);
  REQUIRE(container);
  CHECK(container->runtime == "cri-o");
  CHECK(container->name == "db");
  CHECK(container->pod_name == "db-0");
  CHECK(container->image == "quay.io/pg:15");
  CHECK(container->labels == std::vector<std::pair<std::string, std::string>>{{"app", "pg"}});
}

TEST_CASE("files that are no description, or a hostile one, describe nothing or little") {
  CHECK_FALSE(describe_container(kId, {}, 0));
  for (const char* text : {"", "{", "[]", "7", "null", R"({"Name":7,"Config":[],"State":"x"})",
                           R"({"MountPoints":[1,2]})", R"({"State":{"StartedAt":"99999999"}})",
                           R"({"annotations":{"io.kubernetes.cri-o.Labels":"{"}})"}) {
    CAPTURE(text);
    for (const char* name : {"docker config", "docker hostconfig", "containerd x", "storage config",
                             "storage list", "nonsense"}) {
      const std::vector<StateFile> files{{name, text}};
      const auto container = describe_container(kId, files, 0);
      if (container) CHECK(container->id == kId);
    }
  }
  const std::string deep = std::string(100'000, '[');
  const std::vector<StateFile> files{{"docker config", deep}};
  CHECK_FALSE(describe_container(kId, files, 0));
}

}  // namespace
}  // namespace trivet
