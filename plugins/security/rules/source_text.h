// SPDX-License-Identifier: Apache-2.0
// A text that a person wrote as a YAML scalar, with the way back to its place in the file: YAML
// folds lines and undoes quoting, so an offset in the value is not one in the file. Values; any
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trivet/config.h"
#include "trivet/result.h"

namespace trivet::security {

class SourceText {
 public:
  SourceText() = default;
  // `line` and `column`, from 1, are where the scalar starts in the file: at its quote or its ">".
  SourceText(std::string value, std::shared_ptr<const TextFile> file, std::uint32_t line,
             std::uint32_t column);

  // Text that stands for what was written at a place, such as a value of an exception.
  static SourceText made(std::string value, const Place& place);

  const std::string& text() const { return text_; }
  // Adds a blank and what another place wrote.
  void append(const SourceText& other);
  // Where the byte at `offset` of text() was written; the scalar's start if that cannot be found.
  Place at(std::size_t offset) const;

 private:
  struct Part {
    std::size_t offset;                    // in text_
    std::shared_ptr<const TextFile> file;  // without its text where the part was made
    std::uint32_t line;
    std::uint32_t column;
  };
  std::string text_;
  std::vector<Part> parts_;
};

}  // namespace trivet::security
