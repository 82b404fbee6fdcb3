// SPDX-License-Identifier: Apache-2.0
// Opens plugin libraries in the main process. The one place that includes Boost.DLL.
#pragma once

#include <memory>
#include <string>

#include "plugins/manifest.h"
#include "trivet/plugin.h"
#include "trivet/result.h"

namespace trivet::plugins {

// A plugin library in this process. It stays mapped until the process ends, also when this is
// destroyed: threads and records may still hold its code. Not thread-safe.
class Library {
 public:
  // `fd` comes from the broker, which has checked the file; `path` is what errors call it. The
  // manifest is judged before the library is opened, since opening runs its constructors.
  static Result<Library> open(int fd, const std::string& path, const std::string& name);

  const Manifest& manifest() const { return manifest_; }
  // A new instance of the plugin.
  Result<std::unique_ptr<Plugin>> create() const;

 private:
  using Factory = Plugin*();
  Library(Manifest manifest, Factory* factory)
      : manifest_(std::move(manifest)), factory_(factory) {}

  Manifest manifest_;
  Factory* factory_;
};

}  // namespace trivet::plugins
