// SPDX-License-Identifier: Apache-2.0
// The files whose code runs on this host, as the kernel tells each once: those that have a TLS
// library's functions are probed, until no process runs their code any more. Owned by TlsText;
// worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "tracing/tls_calls.h"
#include "trivet/host.h"

namespace trivet::tracing {

struct TlsFileCounts {
  std::uint64_t plain = 0;     // without the functions of a TLS library
  std::uint64_t probed = 0;    // that were attached to
  std::uint64_t detached = 0;  // of them, those that no process used any more
  std::uint64_t failed = 0;    // that could not be read or attached to
  std::uint64_t lost = 0;      // told, but there was no room for them
};

class TlsFiles {
 public:
  // Both outlive it. `object` has the maps known_files and used_files, the iterator files_in_use
  // and the hook calls.
  TlsFiles(Host& host, Object& object);

  // Has the kernel tell what runs already.
  Result<void> start();
  void on_file(const tls_file_event& event);
  // Looks at some of the files that were told, and from time to time which are still in use.
  void tick(std::uint64_t now_ns);

  const TlsFileCounts& counts() const { return counts_; }
  std::size_t probed() const { return probed_.size(); }

 private:
  struct Later {
    bool operator()(const tls_file& a, const tls_file& b) const;
  };
  struct Told {
    tls_file file;
    TaskKey process;
    std::uint64_t address;
  };

  void look_at(const Told& told);
  void know(const tls_file& file, tls_file_kind kind);
  void drop_unused(std::uint64_t now_ns);

  Host& host_;
  Object& object_;
  Map* known_files_ = nullptr;
  Map* used_files_ = nullptr;
  std::deque<Told> told_;
  std::map<tls_file, std::unique_ptr<CodeFile>, Later> probed_;
  std::deque<tls_file> plain_;  // in known_files, oldest first
  std::uint64_t looked_ns_ = 0;
  TlsFileCounts counts_;
};

}  // namespace trivet::tracing
