// SPDX-License-Identifier: Apache-2.0
// How many records of one lane never arrived, told from the sequence numbers that the kernel gave
// out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace trivet::lanes {

// A record may arrive after one with a higher number: a softirq may take a number and a place in
// the ring while its CPU's system call has its number and no place yet. So numbers are not compared
// one by one; per CPU, those given out are compared with those that came. Reader thread.
class SequenceGaps {
 public:
  // CPUs by number; the kernel is built for no more (CONFIG_NR_CPUS).
  static constexpr std::uint32_t kMaxCpus = 8192;

  // `cpu` is below kMaxCpus.
  void saw(std::uint32_t cpu, std::uint64_t sequence) {
    if (cpu >= cpus_.size()) cpus_.resize(cpu + 1);
    Cpu& seen = cpus_[cpu];
    seen.given = std::max(seen.given, sequence + 1);
    seen.arrived++;
  }
  // Call at the end of each round. Answers the records missing for longer than one round; never
  // shrinks.
  std::uint64_t settle() {
    std::uint64_t missing = 0;
    for (const Cpu& seen : cpus_) {
      missing += seen.given - std::min(seen.given, seen.arrived);
    }
    settled_ = std::max(settled_, std::min(missing, missing_before_));
    missing_before_ = missing;
    return settled_;
  }

 private:
  struct Cpu {
    std::uint64_t given = 0;
    std::uint64_t arrived = 0;
  };
  std::vector<Cpu> cpus_;
  std::uint64_t missing_before_ = 0;
  std::uint64_t settled_ = 0;
};

}  // namespace trivet::lanes
