// SPDX-License-Identifier: Apache-2.0
#include "network/revisions.h"

#include <utility>

namespace trivet::network {

namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

}  // namespace

std::string json_text(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) {
      json += c;
    } else {
      static constexpr char kHex[] = "0123456789abcdef";
      json += "\\u00";
      json += kHex[c >> 4 & 15];
      json += kHex[c & 15];
    }
  }
  return json + "\"";
}

const Revision& Revisions::add(std::shared_ptr<const Policy> policy, std::string source,
                               std::uint64_t now_ns) {
  deadline_ns_.reset();
  kept_.push_front({++last_number_, std::move(source), now_ns, std::move(policy)});
  if (kept_.size() > kKept) kept_.pop_back();
  return kept_.front();
}

std::string Revisions::to_json(std::uint64_t now_ns) const {
  std::string json = "[";
  for (const auto& revision : kept_) {
    const bool present = &revision == &kept_.front();
    json += (present ? "{\"revision\":" : ",{\"revision\":") + std::to_string(revision.number) +
            ",\"source\":" + json_text(revision.source) +
            ",\"rules\":" + std::to_string(revision.policy->rules.size()) +
            ",\"age_s\":" + std::to_string((now_ns - revision.since_ns) / kNsPerSecond) +
            ",\"state\":" +
            (!present    ? "\"replaced\""
             : waiting() ? "\"to be confirmed\""
                         : "\"in force\"");
    if (present && waiting()) {
      const auto left = *deadline_ns_ > now_ns ? (*deadline_ns_ - now_ns) / kNsPerSecond : 0;
      json += ",\"confirm_within_s\":" + std::to_string(left);
    }
    json += "}";
  }
  return json + "]";
}

}  // namespace trivet::network
