// SPDX-License-Identifier: Apache-2.0
// Host names' addresses, asked of this host's resolver at once and again every half minute, on a
// thread of its own.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "trivet/facts.h"

namespace trivet {

class Resolver final : public AddressNames {
 public:
  using Table = std::map<IpAddress, std::vector<std::string>>;

  // `before` is asked until the first answers; it may be null. `answered` is called with each
  // round's answers, on the resolver's thread.
  explicit Resolver(
      std::vector<std::string> names, std::unique_ptr<AddressNames> before = nullptr,
      std::function<void(const Table&)> answered = [](const Table&) {});
  // Waits for an answer that is under way: a few seconds where no server answers.
  ~Resolver() override;
  Resolver(const Resolver&) = delete;

  std::vector<std::string> of(const IpAddress& address) const override;

 private:
  void keep_asking();

  const std::vector<std::string> names_;
  const std::function<void(const Table&)> answered_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable stopping_;
  bool stop_ = false;
  std::unique_ptr<AddressNames> before_;  // until there are answers
  Table table_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace trivet
