// SPDX-License-Identifier: Apache-2.0
#include "tracing/tls_files.h"

#include <cerrno>
#include <string>
#include <tuple>
#include <utility>

#include "tracing/tls_library.h"

namespace trivet::tracing {
namespace {

constexpr std::size_t max_told = 4096;
// Of one tick: to attach takes some milliseconds, and payload waits meanwhile.
constexpr std::size_t files_each_tick = 16;
// A library of a container that has gone is let go of after at most two of these; a pass over all
// mappings of a host takes a few milliseconds.
constexpr std::uint64_t use_period_ns = 30'000'000'000;
// Room in known_files for those that are probed.
constexpr std::size_t max_plain = TLS_FILES_MAX - 1024;

constexpr const char* iterator = "files_in_use";

}  // namespace

bool TlsFiles::Later::operator()(const tls_file& a, const tls_file& b) const {
  return std::tie(a.inode, a.device, a.generation) < std::tie(b.inode, b.device, b.generation);
}

TlsFiles::TlsFiles(Host& host, Object& object) : host_(host), object_(object) {}

Result<void> TlsFiles::start() {
  auto known = object_.map("known_files");
  if (!known) return std::move(known).error();
  known_files_ = *known;
  auto used = object_.map("used_files");
  if (!used) return std::move(used).error();
  used_files_ = *used;
  looked_ns_ = host_.now_ns();
  return object_.iterate(iterator);
}

void TlsFiles::on_file(const tls_file_event& event) {
  if (told_.size() >= max_told) {
    ++counts_.lost;  // told again with its next use, as it is not known
    return;
  }
  told_.push_back({event.file, task_key(event.header.task), event.address});
}

void TlsFiles::tick(std::uint64_t now_ns) {
  for (std::size_t i = 0; i < files_each_tick && !told_.empty(); i++) {
    const Told told = told_.front();
    told_.pop_front();
    look_at(told);
  }
  if (!probed_.empty() && now_ns >= looked_ns_ + use_period_ns) drop_unused(now_ns);
}

void TlsFiles::look_at(const Told& told) {
  std::uint32_t kind = 0;
  auto known = TypedMap<tls_file, std::uint32_t>(*known_files_).lookup(told.file, kind);
  if (known && *known) return;  // told more than once meanwhile
  auto file = object_.code_file(told.process, told.address);
  // One whose process has ended is told again with its next use.
  if (!file) {
    if (file.error().code != ESRCH && file.error().code != ENOENT) ++counts_.failed;
    return;
  }
  auto places = find_tls_functions((*file)->descriptor());
  if (!places || places->empty()) {
    ++counts_.plain;
    know(told.file, TLS_FILE_PLAIN);
    return;
  }
  if (auto done = (*file)->probe("calls", *places); !done) {
    if (counts_.failed++ == 0) {
      host_.log().warning("a TLS library cannot be probed", {{"error", done.error().to_string()}});
    }
    know(told.file, TLS_FILE_PLAIN);
    return;
  }
  ++counts_.probed;
  probed_.insert_or_assign(told.file, std::move(*file));
  know(told.file, TLS_FILE_PROBED);
}

void TlsFiles::know(const tls_file& file, tls_file_kind kind) {
  TypedMap<tls_file, std::uint32_t> known(*known_files_);
  if (kind == TLS_FILE_PLAIN) {
    if (plain_.size() >= max_plain) {
      (void)known.erase(plain_.front());
      plain_.pop_front();
    }
    plain_.push_back(file);
  }
  if (auto done = known.update(file, kind); !done) ++counts_.failed;
}

void TlsFiles::drop_unused(std::uint64_t now_ns) {
  looked_ns_ = now_ns;
  if (auto done = object_.iterate(iterator); !done) {
    ++counts_.failed;
    return;
  }
  for (auto next = probed_.begin(); next != probed_.end();) {
    std::uint64_t used_ns = 0;
    auto found = TypedMap<tls_file, std::uint64_t>(*used_files_).lookup(next->first, used_ns);
    if (!found || !*found || used_ns >= now_ns) {
      ++next;
      continue;
    }
    ++counts_.detached;
    (void)TypedMap<tls_file, std::uint32_t>(*known_files_).erase(next->first);
    next = probed_.erase(next);
  }
}

}  // namespace trivet::tracing
