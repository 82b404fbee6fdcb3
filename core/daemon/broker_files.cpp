// SPDX-License-Identifier: Apache-2.0
#include "daemon/broker_files.h"

#include <cerrno>

namespace trivet {

Result<std::vector<std::string>> BrokerFiles::expand(const std::string& path) {
  auto names = broker_.list_configured(path);
  if (!names) {
    if (names.error().code == ENOTDIR) return std::vector{path};
    return names.error();
  }
  for (auto& name : *names) name = path + (path.ends_with('/') ? "" : "/") + name;
  return names;
}

Result<TextFile> BrokerFiles::read(const std::string& path) {
  const auto descriptor = broker_.open_configured(path);
  if (!descriptor) return descriptor.error();
  return read_text(descriptor->get(), path);
}

}  // namespace trivet
