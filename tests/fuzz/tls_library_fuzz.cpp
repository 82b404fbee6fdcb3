// SPDX-License-Identifier: Apache-2.0
// Any bytes as a file whose code some process runs.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "tracing/tls_library.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int file = ::memfd_create("code", MFD_CLOEXEC);
  if (::write(file, data, size) == static_cast<ssize_t>(size)) {
    (void)trivet::tracing::find_tls_functions(file);
  }
  ::close(file);
  return 0;
}
