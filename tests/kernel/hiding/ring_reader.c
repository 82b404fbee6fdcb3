// SPDX-License-Identifier: Apache-2.0
/* Reads a file through io_uring, without a system call that opens: ring_reader WAY PATH. */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct io_uring_params params;
static struct io_uring_sqe* entries;
static unsigned *tail, *mask, *array;
static int ring;

static void* map(size_t size, long offset) {
  return mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, offset);
}

static struct io_uring_sqe* request(int operation, int fd, const void* address) {
  unsigned at = *tail & *mask;
  struct io_uring_sqe* entry = &entries[at];

  memset(entry, 0, sizeof(*entry));
  entry->opcode = operation;
  entry->fd = fd;
  entry->addr = (unsigned long)address;
  array[at] = at;
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  return entry;
}

static int submit(unsigned count, unsigned completions) {
  unsigned flags = params.flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0;

  return syscall(SYS_io_uring_enter, ring, count, completions, flags | IORING_ENTER_GETEVENTS, NULL,
                 0);
}

int main(int count, char** words) {
  static char text[4096], decoy[4096];
  struct open_how {
    unsigned long long flags, mode, resolve;
  } how = {O_RDONLY, 0, 0};
  const char *way = words[1], *path = words[2];
  int slots[4] = {-1, -1, -1, -1}, fd;
  struct io_uring_sqe* open_request;
  char* queue;

  if (count != 3) return 2;
  if (!strcmp(way, "polled")) {
    params.flags = IORING_SETUP_SQPOLL;
    params.sq_thread_idle = 1000;
  }
  ring = syscall(SYS_io_uring_setup, 8, &params);
  if (ring < 0) return 77;
  queue = map(params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
  entries = map(params.sq_entries * sizeof(*entries), IORING_OFF_SQES);
  tail = (unsigned*)(queue + params.sq_off.tail);
  mask = (unsigned*)(queue + params.sq_off.ring_mask);
  array = (unsigned*)(queue + params.sq_off.array);
  syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, slots, 4);

  if (!strcmp(way, "openat2")) {
    open_request = request(IORING_OP_OPENAT2, AT_FDCWD, path);
    open_request->len = sizeof(how);
    open_request->off = (unsigned long)&how;
  } else {
    open_request = request(IORING_OP_OPENAT, AT_FDCWD, path);
  }
  if (!strcmp(way, "worker")) open_request->flags |= IOSQE_ASYNC;
  if (!strcmp(way, "slot") || !strcmp(way, "refilled") || !strcmp(way, "silent")) {
    /* Into the ring's own table, read and closed in one go. */
    int silent = !strcmp(way, "silent");

    open_request->file_index = 1;
    open_request->flags |= IOSQE_IO_HARDLINK;
    if (silent) open_request->flags |= IOSQE_CQE_SKIP_SUCCESS;
    if (!strcmp(way, "refilled")) open_request->flags &= ~IOSQE_IO_HARDLINK;
    struct io_uring_sqe* read_request = request(IORING_OP_READ, 0, text);
    read_request->len = sizeof(text);
    read_request->flags |= IOSQE_FIXED_FILE;
    if (!strcmp(way, "refilled")) {
      struct io_uring_sqe* other = request(IORING_OP_OPENAT, AT_FDCWD, "/etc/hostname");
      other->file_index = 1;
      submit(3, 3);
    } else {
      submit(2, silent ? 1 : 2);
    }
  } else {
    struct io_uring_cqe* answers;

    submit(1, 1);
    answers = (void*)(queue + params.cq_off.cqes);
    for (int i = 0; i < 2000 && !answers[0].res; i++) usleep(1000);
    fd = answers[0].res;
    if (fd < 0 || read(fd, text, sizeof(text)) < 0) return 1;
  }
  (void)decoy;
  for (int i = 0; i < 2000 && !text[0]; i++) usleep(1000);
  fputs(text, stdout);
  return text[0] ? 0 : 1;
}
