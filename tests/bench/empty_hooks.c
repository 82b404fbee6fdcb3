// SPDX-License-Identifier: Apache-2.0
// Attaches programs that do nothing to hooks, until standard input ends:
//
//     empty_hooks tracepoint:sys_exit_openat raw_tracepoint:sys_exit ...
//
// What these cost is what the hooks cost: docs/BENCHMARKS.md.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char* what) {
  perror(what);
  exit(1);
}

static int bpf(int command, union bpf_attr* attr) {
  return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int empty_program(uint32_t type) {
  const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
                                  {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr attr = {.prog_type = type};
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = 2;
  attr.license = (uintptr_t) "GPL";
  const int program = bpf(BPF_PROG_LOAD, &attr);
  if (program < 0) fail("an empty program");
  return program;
}

static void attach_raw(const char* name) {
  union bpf_attr attr = {0};
  attr.raw_tracepoint.name = (uintptr_t)name;
  attr.raw_tracepoint.prog_fd = (uint32_t)empty_program(BPF_PROG_TYPE_RAW_TRACEPOINT);
  if (bpf(BPF_RAW_TRACEPOINT_OPEN, &attr) < 0) fail(name);
}

static void attach_tracepoint(const char* name) {
  char path[256], text[32] = {0};
  snprintf(path, sizeof(path), "/sys/kernel/tracing/events/syscalls/%s/id", name);
  const int file = open(path, O_RDONLY);
  if (file < 0 || read(file, text, sizeof(text) - 1) <= 0) fail(path);
  close(file);
  struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr)};
  attr.config = strtoull(text, NULL, 10);
  attr.sample_period = 1;
  attr.wakeup_events = 1;
  const int event = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  if (event < 0) fail(name);
  if (ioctl(event, PERF_EVENT_IOC_SET_BPF, empty_program(BPF_PROG_TYPE_TRACEPOINT)) != 0)
    fail(name);
  if (ioctl(event, PERF_EVENT_IOC_ENABLE, 0) != 0) fail(name);
}

int main(int count, char** words) {
  for (int i = 1; i < count; i++) {
    const char* name = strchr(words[i], ':');
    if (!name) fail("TYPE:NAME");
    if (strncmp(words[i], "raw_", 4) == 0)
      attach_raw(name + 1);
    else
      attach_tracepoint(name + 1);
  }
  puts("attached");
  fflush(stdout);
  while (getchar() != EOF) continue;
  return 0;
}
