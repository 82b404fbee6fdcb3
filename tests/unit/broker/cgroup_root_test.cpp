// SPDX-License-Identifier: Apache-2.0
#include "broker/cgroup_root.h"

#include <doctest/doctest.h>

using trivet::broker::cgroup_root_in;

TEST_CASE("the cgroup2 root is found where it is mounted") {
  // Lines as the kernel of a systemd host, of a hybrid one, and of a container print them.
  struct {
    const char* mountinfo;
    const char* root;
  } cases[] = {
      {"35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 "
       "rw,nsdelegate\n",
       "/sys/fs/cgroup"},
      {"40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
       "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
       "/sys/fs/cgroup/unified"},
      {"41 31 0:38 /docker/0123 /mnt/part rw,relatime shared:1 master:2 - cgroup2 cgroup2 rw\n"
       "42 31 0:38 / /mnt/with\\040space rw,relatime - cgroup2 cgroup2 rw\n",
       "/mnt/with space"},
      {"30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\nrubbish\n", ""},
      {"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n", ""},
      {"", ""},
      {"garbage", ""},
  };
  for (const auto& row : cases) {
    CAPTURE(row.mountinfo);
    CHECK(cgroup_root_in(row.mountinfo) == row.root);
  }
}
