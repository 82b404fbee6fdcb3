// SPDX-License-Identifier: Apache-2.0
#include "security/rules/source_text.h"

#include <algorithm>

namespace trivet::security {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Moves over one character, keeping count of the place.
struct Cursor {
  const std::string& text;
  std::size_t at = 0;
  std::uint32_t line = 1;
  std::uint32_t column = 1;

  bool done() const { return at >= text.size(); }
  void step() {
    if (text[at++] == '\n') {
      ++line;
      column = 1;
    } else {
      ++column;
    }
  }
};

}  // namespace

SourceText::SourceText(std::string value, std::shared_ptr<const TextFile> file, std::uint32_t line,
                       std::uint32_t column)
    : text_(std::move(value)) {
  parts_.push_back({0, std::move(file), line, column});
}

SourceText SourceText::made(std::string value, const Place& place) {
  auto file = std::make_shared<const TextFile>(TextFile{place.file, ""});
  return SourceText(std::move(value), std::move(file), place.line, place.column);
}

void SourceText::append(const SourceText& other) {
  if (other.parts_.empty()) return;
  if (!text_.empty()) text_ += ' ';
  for (Part part : other.parts_) {
    part.offset += text_.size();
    parts_.push_back(std::move(part));
  }
  text_ += other.text_;
}

Place SourceText::at(std::size_t offset) const {
  if (parts_.empty()) return {};
  auto after = std::ranges::find_if(parts_, [&](const Part& p) { return p.offset > offset; });
  const Part& part = *std::prev(after);
  Place start{part.file->path, part.line, part.column};

  Cursor cursor{part.file->text};
  while (!cursor.done() && cursor.line < part.line) cursor.step();
  while (!cursor.done() && cursor.line == part.line && cursor.column < part.column) cursor.step();
  if (cursor.done()) return start;
  // A block scalar begins on the line after its ">" or "|".
  if (cursor.text[cursor.at] == '>' || cursor.text[cursor.at] == '|') {
    auto line = cursor.line;
    while (!cursor.done() && cursor.line == line) cursor.step();
  }
  // Folding and quoting only add to what is not blank, or leave out: walk both in step, skipping
  // what the value does not have.
  Place last = start;
  for (std::size_t i = part.offset; i < text_.size(); ++i) {
    char wanted = text_[i];
    if (is_space(wanted)) {
      if (i >= offset) return last;
      continue;
    }
    while (!cursor.done() && cursor.text[cursor.at] != wanted) cursor.step();
    if (cursor.done()) return start;
    last = {part.file->path, cursor.line, cursor.column};
    if (i >= offset) return last;
    cursor.step();
  }
  // Behind the last character.
  return {part.file->path, cursor.line, cursor.column};
}

}  // namespace trivet::security
