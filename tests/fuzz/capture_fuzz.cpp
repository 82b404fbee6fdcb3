// SPDX-License-Identifier: Apache-2.0
// Hostile captures, replayed with the plugin that this is linked with. Bytes are taken as a file as
// they are, where they begin as one; else as blocks (kind, size in two bytes, payload), which get
// the head and the checksums that no mutation finds.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "capture/replay.h"
#include "config/toml_file.h"
#include "trivet/plugin.h"

extern "C" trivet::Plugin* trivet_plugin_create();

namespace {

using namespace trivet;

class Silence final : public Log {
 public:
  void write(LogLevel, std::string_view, const Values&) override {}
};

// Files in the place of those that a configuration names.
class OneRule final : public FileSource {
 public:
  Result<std::vector<std::string>> expand(const std::string& path) override {
    return std::vector{path};
  }
  Result<TextFile> read(const std::string& path) override {
    return TextFile{
        path,
        "- rule: any\n  desc: any\n  priority: NOTICE\n"
        "  condition: evt.type in (execve, open, openat, connect, ptrace)\n"
        "  output: \"%proc.cmdline %proc.aname[2] %proc.env[A] %proc.exe_sha256 %fd.name "
        "%fd.sip.name %user.name %container.name %evt.args\"\n",
        false};
  }
};

std::string with_checksums(std::span<const std::byte> bytes) {
  std::string file = capture_head();
  while (bytes.size() >= 3) {
    const auto size = std::min<std::size_t>(
        static_cast<std::size_t>(bytes[1]) | static_cast<std::size_t>(bytes[2]) << 8,
        bytes.size() - 3);
    file += capture_block(static_cast<BlockKind>(bytes[0]), bytes.subspan(3, size));
    bytes = bytes.subspan(3 + size);
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string raw(reinterpret_cast<const char*>(data), size);
  std::istringstream file(
      raw.starts_with("triv") ? raw : with_checksums(std::as_bytes(std::span(data, size))));
  Silence log;
  auto replay = Replay::open(file, log);
  if (!replay) return 0;
  std::unique_ptr<Plugin> plugin(trivet_plugin_create());
  OneRule files;
  const auto table = parse_toml("fuzz.toml", TRIVET_PLUGIN_TABLE, files);
  if (!table || !plugin->configure(**table)) __builtin_trap();
  if (!(*replay)->add("fuzzed", std::move(plugin))) __builtin_trap();
  std::size_t bytes = 0;
  (void)(*replay)->run([&](const RecordSchema& schema, const void* record) {
    bytes += to_json(schema, record, (*replay)->origin()).size();
    return bytes < 1 << 20;
  });
  return 0;
}
