// SPDX-License-Identifier: Apache-2.0
#include "plugins/manifest.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "plugins/elf.h"

namespace trivet::plugins {

std::string_view core_fingerprint() {
  return TRIVET_FINGERPRINT;
}

bool valid_name(std::string_view name) {
  auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && name.size() <= 32 && lower(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return lower(c) || digit(c) || c == '_'; });
}

Result<Manifest> parse_manifest(std::string_view text) {
  Manifest manifest;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    std::string_view key = line.substr(0, equals);
    std::string value(line.substr(equals + 1));
    if (key == "name") manifest.name = value;
    if (key == "version") manifest.version = value;
    if (key == "summary") manifest.summary = value;
    if (key == "fingerprint") manifest.fingerprint = value;
  }
  for (auto [key, value] : {std::pair{"name", &manifest.name},
                            {"version", &manifest.version},
                            {"fingerprint", &manifest.fingerprint}}) {
    if (value->empty()) return Error{std::string("its manifest has no ") + key};
  }
  return manifest;
}

Result<Manifest> read_manifest(int fd, const std::string& path, const std::string& name) {
  auto file = ElfFile::open(fd, path);
  if (!file) return std::move(file).error();
  auto bytes = file->read(std::string(manifest_section));
  if (!bytes) {
    if (bytes.error().code != ENOENT) return std::move(bytes).error();
    return Error{path + " is not a trivet plugin: it has no section " +
                 std::string(manifest_section)};
  }
  auto manifest = parse_manifest({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (!manifest) return std::move(manifest).error().within(path + " is not a trivet plugin");
  if (manifest->name != name) {
    return Error{path + " holds the plugin \"" + manifest->name + "\": name the file " +
                 manifest->name + ".so"};
  }
  if (manifest->fingerprint != core_fingerprint()) {
    return Error{path + " was built for another trivet (fingerprint " + manifest->fingerprint +
                 ", this one has " + std::string(core_fingerprint()) +
                 "): install the plugin that comes with this trivet, or rebuild it"};
  }
  return manifest;
}

}  // namespace trivet::plugins
