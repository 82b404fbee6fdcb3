// SPDX-License-Identifier: Apache-2.0
// Which of the host names that rules compare addresses with an address has: fd.sip.name and its
// kin. Asked of this host's resolver at once and again every half minute, on a thread of its own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "trivet/value.h"

namespace trivet::security {

class FilterGraph;

// The names that the conditions of a graph compare fields such as fd.sip.name with, sorted.
std::vector<std::string> host_names(const FilterGraph& graph);

class AddressNames {
 public:
  // What `before` knows holds until the first answers; it may be null.
  explicit AddressNames(std::vector<std::string> names, const AddressNames* before = nullptr);
  // Waits for an answer that is under way: a few seconds where no server answers.
  ~AddressNames();
  AddressNames(const AddressNames&) = delete;
  AddressNames& operator=(const AddressNames&) = delete;

  const std::vector<std::string>& names() const { return names_; }
  // Empty for an address that none of the names has, and until the first answers. Any thread.
  std::vector<std::string> of(const IpAddress& address) const;

 private:
  using Table = std::map<IpAddress, std::vector<std::string>>;
  void keep_asking();

  const std::vector<std::string> names_;
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable stopping_;
  bool stop_ = false;
  Table table_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace trivet::security
