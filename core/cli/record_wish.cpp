// SPDX-License-Identifier: Apache-2.0
#include "cli/record_wish.h"

#include <algorithm>
#include <cctype>
#include <ctime>

#include "cli/amounts.h"

namespace trivet {

namespace {

constexpr const char* kGiven = "";  // the option's own value

const std::vector<FilterOption> kOptions = {
    {"ip",
     "NETWORK",
     "Flows from or to this address or network.",
     {{{"local_address", kGiven}}, {{"peer_address", kGiven}}}},
    {"from-ip",
     "NETWORK",
     "Flows opened by this address or network.",
     {{{"direction", "egress"}, {"local_address", kGiven}},
      {{"direction", "ingress"}, {"peer_address", kGiven}}}},
    {"to-ip",
     "NETWORK",
     "Flows opened to this address or network.",
     {{{"direction", "egress"}, {"peer_address", kGiven}},
      {{"direction", "ingress"}, {"local_address", kGiven}}}},
    {"port",
     "PORTS",
     "Flows from or to this port, or range of ports such as 8000-8099.",
     {{{"local_port", kGiven}}, {{"peer_port", kGiven}}}},
    {"from-port",
     "PORTS",
     "Flows opened from this port.",
     {{{"direction", "egress"}, {"local_port", kGiven}},
      {{"direction", "ingress"}, {"peer_port", kGiven}}}},
    {"to-port",
     "PORTS",
     "Flows opened to this port.",
     {{{"direction", "egress"}, {"peer_port", kGiven}},
      {{"direction", "ingress"}, {"local_port", kGiven}}}},
    {"protocol", "NAME", "tcp, udp, icmp, ...", {{{"protocol", kGiven}}}, 'l'},
    {"verdict", "VERDICT", "FORWARDED, DROPPED or AUDIT.", {{{"verdict", kGiven}}}, 'u'},
    {"traffic-direction", "DIRECTION", "ingress or egress.", {{{"direction", kGiven}}}, 'l'},
    {"rule", "NAME", "Records of this rule.", {{{"rule", kGiven}}}},
    {"process", "NAME", "Records of processes of this name.", {{{"process", kGiven}}}},
    {"pid", "PID", "Records of this process.", {{{"pid", kGiven}}}},
    {"exe", "PATH", "Records of processes with this executable.", {{{"exe", kGiven}}}},
    {"uid", "UID", "Records of processes of this user.", {{{"uid", kGiven}}}},
    {"unit", "UNIT", "Records of processes of this systemd unit.", {{{"unit", kGiven}}}},
    {"container",
     "ID",
     "Records of processes of this container; the id's first digits do.",
     {{{"container_id", kGiven}}}},
};

std::string cased(std::string text, char letters) {
  const auto change = [&](unsigned char c) {
    return static_cast<char>(letters == 'u'   ? std::toupper(c)
                             : letters == 'l' ? std::tolower(c)
                                              : c);
  };
  std::ranges::transform(text, text.begin(), change);
  return text;
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> values;
  for (std::size_t begin = 0;;) {
    const auto comma = list.find(',', begin);
    values.emplace_back(list.substr(begin, comma - begin));
    if (comma == list.npos) return values;
    begin = comma + 1;
  }
}

// COLUMN=VALUE,VALUE or COLUMN!=VALUE.
Result<FilterClause> where_clause(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == text.npos || equals == 0 || text.substr(0, equals) == "!")
    return Error{"--where must be COLUMN=VALUE[,VALUE...] or COLUMN!=VALUE, not \"" + text + "\""};
  const bool negated = text[equals - 1] == '!';
  return FilterClause{
      {{{text.substr(0, equals - negated), split(std::string_view(text).substr(equals + 1))}}},
      negated};
}

// "5m" before now, or a moment in the form of RFC 3339 in UTC: 2026-03-01T12:00:00Z.
Result<std::int64_t> moment(const GivenOption& option, std::int64_t now_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::string& text = option.values.front();
  if (const auto ago = parse_duration(text)) return now_ns - ago->count() * kSecond;
  std::tm parts{};
  const char* end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end && std::string_view(end) == "Z")
    return static_cast<std::int64_t>(timegm(&parts)) * kSecond;
  return Error{"--" + option.name +
               " must be a time ago such as 30s, 5m or 2h, or a moment such as "
               "2026-03-01T12:00:00Z"};
}

// Another value for a clause made of the same option.
void add_value(FilterClause& clause, const FilterOption& option, const std::string& given) {
  const std::string value = option.name == "container" ? given + "*" : cased(given, option.letters);
  for (const auto& columns : option.alternatives) {
    auto& tests = clause.alternatives.emplace_back();
    for (const auto& [column, fixed] : columns)
      tests.push_back({column, {fixed.empty() ? value : fixed}});
  }
}

}  // namespace

std::span<const FilterOption> filter_options() {
  return kOptions;
}

Result<RecordWish> record_wish(const std::vector<GivenOption>& given, std::int64_t now_ns) {
  RecordWish wish;
  std::vector<std::pair<std::string, std::size_t>> clause_of;  // by option, those not negated
  bool negate = false;
  for (const auto& option : given) {
    if (option.name == "not") {
      negate = true;
      continue;
    }
    if (option.name == "since" || option.name == "until") {
      auto when = moment(option, now_ns);
      if (!when) return std::move(when).error();
      (option.name == "since" ? wish.since_ns : wish.until_ns) = *when;
      continue;
    }
    const auto known = std::ranges::find(kOptions, option.name, &FilterOption::name);
    if (option.name != "where" && known == kOptions.end()) continue;
    for (const auto& value : option.values) {
      if (value.empty())
        return Error{"--" + option.name +
                     " must not be empty: for columns without a value write "
                     "--where COLUMN="};
      if (option.name == "where") {
        auto clause = where_clause(value);
        if (!clause) return std::move(clause).error();
        clause->negated = clause->negated != negate;
        wish.clauses.push_back(std::move(*clause));
        continue;
      }
      const auto same =
          std::ranges::find(clause_of, option.name, &std::pair<std::string, std::size_t>::first);
      if (!negate && same != clause_of.end()) {
        add_value(wish.clauses[same->second], *known, value);
        continue;
      }
      if (!negate) clause_of.emplace_back(option.name, wish.clauses.size());
      add_value(wish.clauses.emplace_back(FilterClause{{}, negate}), *known, value);
    }
    negate = false;
  }
  if (negate) return Error{"--not must stand before the test that it reverses"};
  return wish;
}

}  // namespace trivet
