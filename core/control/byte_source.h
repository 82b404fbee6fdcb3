// SPDX-License-Identifier: Apache-2.0
// Bytes that one client of the control socket gets as they come: a capture. Thread-safe.
#pragma once

#include <cstddef>
#include <string>

namespace trivet {

class ByteSource {
 public:
  // Whatever it works on ends with it.
  virtual ~ByteSource() = default;
  // Appends about `most` bytes of what waits; false once all that there ever will be has been
  // taken.
  virtual bool take(std::string& out, std::size_t most) = 0;
  // Has it come to its end soon: the client wants no more.
  virtual void finish() = 0;
};

}  // namespace trivet
