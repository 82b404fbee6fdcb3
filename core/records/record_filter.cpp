// SPDX-License-Identifier: Apache-2.0
#include "records/record_filter.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "text/escape.h"
#include "trivet/config.h"

namespace trivet {

namespace {

constexpr std::size_t kMaxPatternBytes = 128;
constexpr long double kLeast = -std::numeric_limits<long double>::infinity();
constexpr long double kMost = std::numeric_limits<long double>::infinity();

struct Unit {
  std::string_view name;
  long double ns;
};
constexpr Unit kUnits[] = {{"ns", 1}, {"us", 1e3L}, {"ms", 1e6L}, {"s", 1e9L}};

// A number, for a duration with its unit; nothing where the text is none.
std::optional<long double> number(std::string_view text, bool duration) {
  long double scale = 1;
  if (duration) {
    const auto digits = text.find_first_not_of("0123456789.");
    if (digits == text.npos) return std::nullopt;
    const auto* unit = std::ranges::find(kUnits, text.substr(digits), &Unit::name);
    if (unit == std::end(kUnits)) return std::nullopt;
    scale = unit->ns;
    text = text.substr(0, digits);
  }
  long double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value * scale;
}

std::optional<std::pair<long double, long double>> range(std::string_view text, bool duration) {
  if (const auto exactly = number(text, duration); exactly && !text.starts_with('-'))
    return std::pair{*exactly, *exactly};
  const auto dash = text.find('-');
  if (dash == text.npos || text.size() == 1) return std::nullopt;
  const auto low = text.substr(0, dash), high = text.substr(dash + 1);
  const auto from = low.empty() ? kLeast : number(low, duration);
  const auto to = high.empty() ? kMost : number(high, duration);
  if (!from || !to || *from > *to) return std::nullopt;
  return std::pair{*from, *to};
}

bool within(const IpAddress& address, const IpAddress& network, unsigned bits) {
  if (address.family != network.family) return false;
  const std::size_t whole = bits / 8;
  if (!std::equal(address.bytes.begin(), address.bytes.begin() + whole, network.bytes.begin()))
    return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((address.bytes[whole] ^ network.bytes[whole]) >> (8 - rest)) == 0;
}

std::optional<long double> as_number(const Value& value) {
  if (const auto* v = std::get_if<std::int64_t>(&value)) return static_cast<long double>(*v);
  if (const auto* v = std::get_if<std::uint64_t>(&value)) return static_cast<long double>(*v);
  if (const auto* v = std::get_if<double>(&value)) return *v;
  if (const auto* v = std::get_if<Duration>(&value)) return static_cast<long double>(v->ns);
  return std::nullopt;
}

bool is_nothing(const Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) return text->empty();
  if (const auto* texts = std::get_if<std::span<const std::string>>(&value)) return texts->empty();
  return std::holds_alternative<std::monostate>(value);
}

Error wrong(const Column& column, const std::string& value, const char* expected) {
  return Error{"column " + std::string(column.name) + " cannot be \"" + printable(value) +
               "\": write " + expected};
}

Error no_such_column(const std::string& name, std::span<const RecordSchema* const> schemas) {
  std::vector<std::string> known;
  for (const auto* schema : schemas)
    for (const auto& column : schema->columns) known.emplace_back(column.name);
  const std::string meant = nearest(name, known);
  std::string tables;
  for (const auto* schema : schemas)
    tables += (tables.empty() ? "" : ", ") + std::string(schema->table);
  return Error{"no column of " + tables + " is named \"" + printable(name) + "\"" +
               (meant.empty() ? "" : ": did you mean \"" + meant + "\"?")};
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = pattern.npos, retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Result<RecordFilter::Matcher> RecordFilter::matcher(const Column& column,
                                                    const std::string& value) {
  if (value.empty()) return Matcher(Nothing{});
  switch (column.type) {
    case ColumnType::integer:
    case ColumnType::number:
      if (const auto found = range(value, false))
        return Matcher(Range{found->first, found->second});
      return wrong(column, value, "a number, or a range such as 400-499 or 500-");
    case ColumnType::duration:
      if (const auto found = range(value, true)) return Matcher(Range{found->first, found->second});
      return wrong(column, value, "a duration such as 20ms, or a range such as 20ms- or 1us-1s");
    case ColumnType::address: {
      const auto slash = value.find('/');
      const auto address = IpAddress::parse(std::string_view(value).substr(0, slash));
      unsigned bits = address && address->family == 4 ? 32 : 128;
      if (address && slash != value.npos) {
        const auto length = number(std::string_view(value).substr(slash + 1), false);
        if (!length || *length < 0 || *length > bits || *length != static_cast<unsigned>(*length))
          return wrong(column, value, "a network such as 10.0.0.0/8");
        bits = static_cast<unsigned>(*length);
      }
      if (!address) return wrong(column, value, "an address, or a network such as 10.0.0.0/8");
      return Matcher(Network{*address, bits});
    }
    case ColumnType::boolean:
      if (value != "true" && value != "false") return wrong(column, value, "true or false");
      return Matcher(value == "true");
    case ColumnType::text:
    case ColumnType::texts:
      if (value.size() > kMaxPatternBytes) return wrong(column, value, "at most 128 bytes");
      return Matcher(Pattern{value});
    case ColumnType::time:
    case ColumnType::fields:
      break;
  }
  return Error{"column " + std::string(column.name) + " cannot be tested: ask trivet query"};
}

Result<RecordFilter> RecordFilter::create(const RecordWish& wish,
                                          std::span<const RecordSchema* const> schemas) {
  RecordFilter filter;
  if (wish.empty()) return filter;
  filter.since_ns_ = wish.since_ns;
  filter.until_ns_ = wish.until_ns;
  for (const auto& clause : wish.clauses)
    for (const auto& tests : clause.alternatives)
      for (const auto& test : tests)
        if (std::ranges::none_of(schemas, [&](const auto* s) { return s->find(test.column); }))
          return no_such_column(test.column, schemas);

  for (const auto* schema : schemas) {
    const auto place = [&](std::string_view name) {
      return static_cast<std::size_t>(schema->find(name) - schema->columns.data());
    };
    Table& table = filter.tables_[std::string(schema->table)];
    table.time = place("time");
    for (const auto& clause : wish.clauses) {
      Clause& made = table.clauses.emplace_back(Clause{{}, clause.negated});
      for (const auto& tests : clause.alternatives) {
        if (!std::ranges::all_of(tests, [&](const auto& t) { return schema->find(t.column); }))
          continue;
        auto& alternative = made.alternatives.emplace_back();
        for (const auto& test : tests) {
          Test& compiled = alternative.emplace_back(Test{place(test.column), {}});
          for (const auto& value : test.values) {
            auto one = matcher(schema->columns[compiled.column], value);
            if (!one) return std::move(one).error();
            compiled.any.push_back(std::move(*one));
          }
        }
      }
    }
  }
  return filter;
}

bool RecordFilter::matches(const Matcher& matcher, const Value& value) {
  if (std::holds_alternative<Nothing>(matcher)) return is_nothing(value);
  if (const auto* wanted = std::get_if<Range>(&matcher)) {
    const auto number = as_number(value);
    return number && wanted->low <= *number && *number <= wanted->high;
  }
  if (const auto* wanted = std::get_if<Network>(&matcher)) {
    const auto* address = std::get_if<IpAddress>(&value);
    return address && within(*address, wanted->address, wanted->bits);
  }
  if (const auto* wanted = std::get_if<bool>(&matcher)) {
    const auto* truth = std::get_if<bool>(&value);
    return truth && *truth == *wanted;
  }
  const auto& wanted = std::get<Pattern>(matcher).text;
  if (const auto* text = std::get_if<std::string_view>(&value))
    return matches_pattern(wanted, *text);
  const auto* texts = std::get_if<std::span<const std::string>>(&value);
  return texts && std::ranges::any_of(
                      *texts, [&](const auto& text) { return matches_pattern(wanted, text); });
}

bool RecordFilter::holds(const Clause& clause, const Row& row) {
  Unpacked unpacked;
  const auto test_holds = [&](const Test& test) {
    const Value value = row.value(test.column, unpacked);
    return std::ranges::any_of(test.any, [&](const auto& m) { return matches(m, value); });
  };
  const bool any = std::ranges::any_of(clause.alternatives, [&](const auto& tests) {
    return std::ranges::all_of(tests, test_holds);
  });
  return any != clause.negated;
}

bool RecordFilter::passes(const Row& row, const Origin& origin) const {
  if (empty()) return true;
  const auto found = tables_.find(row.schema().table);
  if (found == tables_.end()) return false;
  const Table& table = found->second;
  if (since_ns_ || until_ns_) {
    Unpacked unpacked;
    const Value value = row.value(table.time, unpacked);
    const auto* time = std::get_if<Time>(&value);
    const auto when = time ? real_ns(*time, origin) : 0;
    if (!time || (since_ns_ && when < *since_ns_) || (until_ns_ && when > *until_ns_)) return false;
  }
  return std::ranges::all_of(table.clauses, [&](const auto& clause) { return holds(clause, row); });
}

}  // namespace trivet
