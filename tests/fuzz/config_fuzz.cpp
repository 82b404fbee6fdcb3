// SPDX-License-Identifier: Apache-2.0
// A configuration file, as the broker and the main process read it: parsed, searched for the files
// that it names, and turned into settings. An error must say where. As captures keep it, it must
// read the same again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "config/settings.h"
#include "config/toml_file.h"

namespace {

// No file exists: a fuzzer must not open what its input names.
class NoFiles : public trivet::FileSource {
 public:
  trivet::Result<std::vector<std::string>> expand(const std::string& path) override {
    return std::vector<std::string>{path};
  }
  trivet::Result<trivet::TextFile> read(const std::string& path) override {
    return trivet::Error{"cannot read " + path};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  NoFiles files;
  std::string text(reinterpret_cast<const char*>(data), size);
  auto config = trivet::parse_toml("fuzz.toml", text, files);
  if (!config) {
    if (config.error().place.line == 0) std::abort();
    return 0;
  }
  (void)trivet::named_files(**config);
  auto settings = trivet::read_settings(**config, {"security", "tracing", "network"});
  if (!settings && settings.error().place.file != "fuzz.toml") std::abort();
  const std::string written = trivet::to_toml(**config);
  const auto again = trivet::parse_toml("again.toml", written, files);
  if (!again || trivet::to_toml(**again) != written) std::abort();
  return 0;
}
