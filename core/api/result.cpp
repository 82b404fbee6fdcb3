// SPDX-License-Identifier: Apache-2.0
#include "trivet/result.h"

#include <system_error>

namespace trivet {

std::string Place::to_string() const {
  std::string text = file;
  if (line == 0) return text;
  text += ':' + std::to_string(line);
  if (column != 0) text += ':' + std::to_string(column);
  return text;
}

std::string Error::to_string() const {
  std::string where = place.to_string();
  return where.empty() ? message : where + ": " + message;
}

Error Error::within(const std::string& context) && {
  message = context + ": " + message;
  return std::move(*this);
}

Error system_error(int code, std::string message) {
  // strerror() is not thread-safe; the standard library's generic category is.
  message += ": " + std::generic_category().message(code);
  return Error{std::move(message), code, {}};
}

}  // namespace trivet
