// SPDX-License-Identifier: Apache-2.0
// Writes what the kernel programs know of the table of system calls, as a header for them: it is
// part of the objects, so that whoever asks for them to be loaded has no say in what is read of a
// call. Runs while trivet is built.
#include <cstdio>
#include <iterator>

#include "security/calls.h"

namespace trivet::security {
namespace {

consteval call_table table_of_calls() {
  call_table table{};
  for (std::size_t type = 0; type < kExecve; ++type) {
    const Call& call = kCalls[type];
    table.shapes[type] = call.shape;
    const auto place = [&](auto& by_number, std::uint16_t number) {
      if (number < std::size(by_number)) by_number[number] = static_cast<std::uint8_t>(type + 1);
    };
    place(table.native, native_number(call));
    place(table.compat, call.numbers.i386);
    place(table.compat, call.numbers.i386_older);
    place(table.socketcall, call.numbers.socketcall);
  }
  for (std::size_t i = 0; i < std::size(kRingCalls); ++i) table.rings[i] = kRingCalls[i];
  return table;
}

constexpr call_table kTable = table_of_calls();

// The initializer of an array, as a macro.
void print(const char* macro, const auto& values) {
  std::printf("#define %s {", macro);
  for (std::size_t i = 0; i < std::size(values); ++i)
    if (values[i] != 0) std::printf(" [%zu] = %#xu,", i, static_cast<unsigned>(values[i]));
  std::printf(" }\n");
}

}  // namespace
}  // namespace trivet::security

int main() {
  using trivet::security::kTable, trivet::security::print;
  print("CALL_TABLE_SHAPES", kTable.shapes);
  print("CALL_TABLE_NATIVE", kTable.native);
  print("CALL_TABLE_COMPAT", kTable.compat);
  print("CALL_TABLE_SOCKETCALL", kTable.socketcall);
  print("CALL_TABLE_RINGS", kTable.rings);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
