// SPDX-License-Identifier: Apache-2.0
#include "broker/libbpf_log.h"

#include <doctest/doctest.h>

#include <cerrno>

using trivet::broker::reason_in;

TEST_CASE("of what libbpf 1.1 and the verifier print, the line that tells the cause is kept") {
  struct {
    const char* text;
    int code;
    const char* reason;
  } cases[] = {
      // Output of the library for programs that this project does not have.
      {"libbpf: prog 'a': BPF program load failed: Operation not permitted\n"
       "libbpf: permission error while running as root; try raising 'ulimit -l'? current value: "
       "8.0 "
       "MiB\n"
       "libbpf: prog 'a': failed to load: -1\n"
       "libbpf: failed to load object 'f.o'\n",
       EPERM, "Operation not permitted"},
      {"libbpf: prog 'b': failed to find kernel BTF type ID of 'no_such_tracepoint': -3\n"
       "libbpf: prog 'b': failed to prepare load attributes: -3\n"
       "libbpf: prog 'b': failed to load: -3\n"
       "libbpf: failed to load object 'f.o'\n",
       ESRCH, "failed to find kernel BTF type ID of 'no_such_tracepoint'"},
      {"libbpf: prog 'c': BPF program load failed: Permission denied\n"
       "libbpf: prog 'c': -- BEGIN PROG LOAD LOG --\n"
       "0: R1=ctx() R10=fp0\n"
       "0: (79) r1 = *(u64 *)(r1 +320)\n"
       "invalid bpf_context access off=320 size=8\n"
       "processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 "
       "mark_read 0\n"
       "-- END PROG LOAD LOG --\n"
       "libbpf: prog 'c': failed to load: -13\n"
       "libbpf: failed to load object 'f.o'\n",
       EACCES, "Permission denied: invalid bpf_context access off=320 size=8"},
      {"", EINVAL, "Invalid argument"},
      {"-- END PROG LOAD LOG --\n", EINVAL, "Invalid argument"},
  };
  for (const auto& row : cases) {
    CAPTURE(row.text);
    CHECK(reason_in(row.text, row.code) == row.reason);
  }
}
