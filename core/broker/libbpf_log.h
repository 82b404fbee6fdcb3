// SPDX-License-Identifier: Apache-2.0
// What libbpf and the verifier say, kept instead of printed, and the one line of it that a person
// needs. Broker thread only.
#pragma once

#include <string>

namespace trivet::broker {

// Collects libbpf's warnings while it lives; one at a time. Without one, libbpf is silent.
class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  // Why something failed with errno `code`: its text, and the verifier's last line or libbpf's own.
  std::string reason(int code) const;

 private:
  std::string text_;
};

// Sets libbpf's output to nothing but what a LibbpfLog collects.
void silence_libbpf();

// The same from text that was collected, for errno `code`.
std::string reason_in(const std::string& text, int code);

}  // namespace trivet::broker
