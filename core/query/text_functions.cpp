// SPDX-License-Identifier: Apache-2.0
#include "query/text_functions.h"

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "query/budget.h"

namespace trivet {
namespace {

// Steps that LIKE, GLOB and trim() may take in one call: at most some two seconds. A pattern of 32
// bytes goes through a text of 16 MiB, the longest that is recorded.
constexpr std::uint64_t kMaxSteps = 512 << 20;

// Sides that trim() takes away from, and which of the patterns it is.
constexpr std::uintptr_t kLeft = 1, kRight = 2;
constexpr std::uintptr_t kLike = 0, kGlob = 1;

bool is(sqlite3_value* value, int type) {
  return sqlite3_value_type(value) == type;
}

// What SQLite reads as text there; without data for NULL, and if memory is short.
std::string_view text_of(sqlite3_value* value) {
  auto text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  return {text, text ? static_cast<std::size_t>(sqlite3_value_bytes(value)) : 0};
}

// As above, but a blob stays one.
std::string_view bytes_of(sqlite3_value* value) {
  if (!is(value, SQLITE_BLOB)) return text_of(value);
  auto bytes = static_cast<const char*>(sqlite3_value_blob(value));
  return {bytes ? bytes : "", static_cast<std::size_t>(sqlite3_value_bytes(value))};
}

// Whether there is time for a call of so many steps: SQLite itself looks between some calls only.
bool in_time(sqlite3_context* context, std::size_t steps) {
  Budget* budget = Budget::current();
  if (!budget || budget->in_time(steps)) return true;
  sqlite3_result_error_code(context, SQLITE_INTERRUPT);
  return false;
}

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
}

// std::string_view::find() takes the product of both lengths; this, of the C library, does not.
std::size_t find(std::string_view text, std::string_view part) {
  const void* found = memmem(text.data(), text.size(), part.data(), part.size());
  return found ? static_cast<std::size_t>(static_cast<const char*>(found) - text.data())
               : text.npos;
}

// instr(text, part): the character, or byte of a blob, at which it begins; 0: nowhere.
void instr(sqlite3_context* context, int, sqlite3_value** arguments) {
  if (is(arguments[0], SQLITE_NULL) || is(arguments[1], SQLITE_NULL)) return;
  const bool blobs = is(arguments[0], SQLITE_BLOB) && is(arguments[1], SQLITE_BLOB);
  const std::string_view text = bytes_of(arguments[0]), part = bytes_of(arguments[1]);
  if (!text.data() || !part.data()) return sqlite3_result_error_nomem(context);
  if (!in_time(context, text.size())) return;
  std::size_t at = 0;
  if (blobs || part.empty() || begins_character(part[0])) {
    at = part.empty() ? 0 : find(text, part);
  } else if (!text.starts_with(part)) {
    at = text.npos;  // it begins within a character, and none does behind the text's first byte
  }
  std::int64_t place = 0;
  if (at != text.npos) {
    place = 1;
    for (std::size_t i = 1; i <= at; ++i) place += blobs || begins_character(text[i]);
  }
  sqlite3_result_int64(context, place);
}

// replace(text, part, by)
void replace(sqlite3_context* context, int, sqlite3_value** arguments) {
  std::string_view text = text_of(arguments[0]);
  if (!text.data()) return;
  const std::string_view part = text_of(arguments[1]);
  if (!part.data()) return;
  if (part.empty() || part[0] == 0) return sqlite3_result_value(context, arguments[0]);
  if (!in_time(context, text.size())) return;
  const std::string_view by = text_of(arguments[2]);
  if (!by.data()) return;

  sqlite3_str* out = sqlite3_str_new(sqlite3_context_db_handle(context));
  const auto append = [out](std::string_view bytes) {
    sqlite3_str_append(out, bytes.data(), static_cast<int>(bytes.size()));
  };
  while (sqlite3_str_errcode(out) == SQLITE_OK) {
    const std::size_t at = find(text, part);
    append(text.substr(0, at));
    if (at == text.npos) break;
    append(by);
    text.remove_prefix(at + part.size());
  }
  const int failed = sqlite3_str_errcode(out);
  const auto bytes = static_cast<sqlite3_uint64>(sqlite3_str_length(out));
  char* made = sqlite3_str_finish(out);
  if (failed == SQLITE_TOOBIG) {
    sqlite3_result_error_toobig(context);
  } else if (failed != SQLITE_OK) {
    sqlite3_result_error_nomem(context);
  } else if (!made) {
    sqlite3_result_text(context, "", 0, SQLITE_STATIC);
  } else {
    return sqlite3_result_text64(context, made, bytes, sqlite3_free, SQLITE_UTF8);
  }
  sqlite3_free(made);
}

// like(pattern, text[, escape]) and glob(pattern, text): what the operators call.
void match(sqlite3_context* context, int count, sqlite3_value** arguments) {
  // Debian's SQLite is built so: patterns are for text.
  if (is(arguments[0], SQLITE_BLOB) || is(arguments[1], SQLITE_BLOB)) {
    return sqlite3_result_int(context, 0);
  }
  const auto longest = static_cast<std::size_t>(
      sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LIKE_PATTERN_LENGTH, -1));
  const std::string_view pattern = text_of(arguments[0]), text = text_of(arguments[1]);
  if (pattern.size() > longest) {
    return sqlite3_result_error(context, "LIKE or GLOB pattern too complex", -1);
  }
  unsigned escape = 0;
  if (count == 3) {
    const std::string_view given = text_of(arguments[2]);
    if (!given.data()) return;
    escape = given.size() == 1 ? static_cast<unsigned char>(given[0]) : 0;
    // Of '%' and '_' sqlite3_strlike() makes something else than the operator.
    if (escape == 0 || escape >= 0x80 || escape == '%' || escape == '_') {
      return sqlite3_result_error(context,
                                  "ESCAPE must be a single ASCII character, and not % or _", -1);
    }
  }
  if (!pattern.data() || !text.data()) return;
  if (pattern.size() * text.size() > kMaxSteps) {
    return sqlite3_result_error(context,
                                "LIKE or GLOB takes too long with a text of this length: shorten "
                                "the pattern, look into a part of the text with substr(), or look "
                                "for words with instr()",
                                -1);
  }
  if (!in_time(context, pattern.size() * text.size())) return;
  const bool glob = reinterpret_cast<std::uintptr_t>(sqlite3_user_data(context)) == kGlob;
  const int differs = glob ? sqlite3_strglob(pattern.data(), text.data())
                           : sqlite3_strlike(pattern.data(), text.data(), escape);
  sqlite3_result_int(context, differs == 0);
}

// The characters before the first NUL.
std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> found;
  text = text.substr(0, text.find('\0'));
  while (!text.empty()) {
    std::size_t size = 1;
    if (static_cast<unsigned char>(text[0]) >= 0xc0) {
      while (size < text.size() && !begins_character(text[size])) ++size;
    }
    found.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return found;
}

// trim(text, characters), and of one side only. SQLite's own is fast where blanks are trimmed.
void trim(sqlite3_context* context, int, sqlite3_value** arguments) {
  constexpr std::size_t kMaxBytes = 1000;
  std::string_view text = text_of(arguments[0]);
  const std::string_view these = text_of(arguments[1]);
  if (!text.data() || !these.data()) return;
  if (these.size() > kMaxBytes) {
    return sqlite3_result_error(
        context, "trim() takes away at most 1000 bytes' characters: name fewer of them", -1);
  }
  if (!in_time(context, text.size())) return;
  const auto trimmed = characters(these);
  std::uint64_t steps = 0;
  const auto sides = reinterpret_cast<std::uintptr_t>(sqlite3_user_data(context));
  for (const auto side : {kLeft, kRight}) {
    bool more = (sides & side) != 0;
    while (more && !text.empty() && steps <= kMaxSteps) {
      more = false;
      for (const auto& one : trimmed) {
        ++steps;
        if (side == kLeft ? !text.starts_with(one) : !text.ends_with(one)) continue;
        if (side == kLeft) {
          text.remove_prefix(one.size());
        } else {
          text.remove_suffix(one.size());
        }
        more = true;
        break;
      }
    }
  }
  if (steps > kMaxSteps) {
    return sqlite3_result_error(
        context, "trim() takes too long with a text of this length: name fewer characters", -1);
  }
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

}  // namespace

int add_text_functions(sqlite3* connection) {
  struct Function {
    const char* name;
    int arguments;
    void (*call)(sqlite3_context*, int, sqlite3_value**);
    std::uintptr_t variant;
  };
  constexpr Function kFunctions[] = {
      {"instr", 2, instr, 0},    {"replace", 3, replace, 0}, {"like", 2, match, kLike},
      {"like", 3, match, kLike}, {"glob", 2, match, kGlob},  {"trim", 2, trim, kLeft | kRight},
      {"ltrim", 2, trim, kLeft}, {"rtrim", 2, trim, kRight},
  };
  for (const auto& [name, arguments, call, variant] : kFunctions) {
    const int result = sqlite3_create_function_v2(
        connection, name, arguments, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
        reinterpret_cast<void*>(variant), call, nullptr, nullptr, nullptr);
    if (result != SQLITE_OK) return result;
  }
  return SQLITE_OK;
}

}  // namespace trivet
