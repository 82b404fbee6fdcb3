// SPDX-License-Identifier: Apache-2.0
// Any bytes as a policy file: they are refused with a sentence, or they compile.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "config/toml_file.h"
#include "network/policy_compiler.h"

namespace {

// Files in a policy are none of its business.
class NoFiles final : public trivet::FileSource {
 public:
  trivet::Result<std::vector<std::string>> expand(const std::string&) override {
    return trivet::Error{"no files here"};
  }
  trivet::Result<trivet::TextFile> read(const std::string&) override {
    return trivet::Error{"no files here"};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  NoFiles files;
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto table = trivet::parse_toml("policy.toml", text, files);
  if (!table) return 0;
  auto policy = trivet::network::read_policy(**table);
  if (!policy) {
    if (policy.error().message.empty()) std::abort();
    return 0;
  }
  auto compiled = trivet::network::compile(*policy);
  if (!compiled) return 0;
  for (const auto& row : compiled->rows) {
    const bool masked =
        (row.address[0] & ~row.mask[0]) == 0 && (row.address[1] & ~row.mask[1]) == 0;
    if (!masked || row.port_low > row.port_high || row.rule >= compiled->rules.size()) std::abort();
  }
  return 0;
}
