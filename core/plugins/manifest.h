// SPDX-License-Identifier: Apache-2.0
// What a plugin library says of itself in its section .trivet.plugin, read before it is opened.
#pragma once

#include <string>
#include <string_view>

#include "trivet/result.h"

namespace trivet::plugins {

inline constexpr std::string_view manifest_section = ".trivet.plugin";
// A BPF object is in the section of this name and its own.
inline constexpr std::string_view object_section_prefix = ".trivet.bpf.";

// cmake/TrivetPlugin.cmake writes one as lines of key=value.
struct Manifest {
  std::string name;
  std::string version;
  std::string summary;
  std::string fingerprint;  // of the API headers and the compiler it was built with
};

// The fingerprint that this program was built with.
std::string_view core_fingerprint();

// Whether a plugin, an object or a file of the plugin folder may be called that: a lower-case
// letter, then lower-case letters, digits and underscores, at most 32 in all.
bool valid_name(std::string_view name);

// Unknown keys are ignored; a missing one is an error.
Result<Manifest> parse_manifest(std::string_view text);

// The manifest of the library behind `fd`, refused where it is of another plugin than `name` or was
// built for another trivet. `path` is what errors call the file.
Result<Manifest> read_manifest(int fd, const std::string& path, const std::string& name);

}  // namespace trivet::plugins
