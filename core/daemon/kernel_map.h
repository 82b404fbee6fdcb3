// SPDX-License-Identifier: Apache-2.0
// A BPF map used through its descriptor with bpf(2) alone: the main process needs no libbpf for it,
// and may do no more than the descriptor's mode allows. Thread-safe as the system call is.
#pragma once

#include "broker/client.h"
#include "trivet/bpf.h"

namespace trivet {

class KernelMap final : public Map {
 public:
  explicit KernelMap(broker::LoadedMap map);

  std::size_t key_size() const override { return map_.key_size; }
  std::size_t value_size() const override { return value_size_; }
  Result<bool> lookup(std::span<const std::byte> key, std::span<std::byte> value) const override;
  Result<void> update(std::span<const std::byte> key, std::span<const std::byte> value) override;
  Result<bool> erase(std::span<const std::byte> key) override;
  Result<void> each(
      const std::function<bool(std::span<const std::byte> key, std::span<const std::byte> value)>&
          visit) const override;

  const std::string& name() const { return map_.name; }

 private:
  Error failure(const char* action) const;

  broker::LoadedMap map_;
  std::size_t value_size_;
};

}  // namespace trivet
