// SPDX-License-Identifier: Apache-2.0
// uring_http server PORT MODE | client PORT COUNT MODE: HTTP/1.1 by io_uring alone. The server
// answers each request with its path as the body; the client asks for /1 to /COUNT, one after the
// other, and checks the answers. MODE says who does the work: `task` (as a rule), `worker` (io-wq's
// threads) or `poll` (the thread that polls the submission queue).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 8192, DESCRIPTORS = 1024 };

static struct io_uring ring;
static unsigned sqe_flags;

static struct connection {
  char in[ROOM], out[ROOM];
  size_t have, size, sent;
} connections[DESCRIPTORS];

enum deed { ACCEPT, RECEIVE, SEND };

static void fail(const char* what, int error) {
  fprintf(stderr, "%s: %s\n", what, strerror(error));
  exit(1);
}

static void submit(enum deed deed, int fd) {
  struct io_uring_sqe* sqe = io_uring_get_sqe(&ring);
  struct connection* c = &connections[fd];
  if (!sqe) fail("submission queue", EBUSY);
  if (deed == ACCEPT) io_uring_prep_accept(sqe, fd, NULL, NULL, 0);
  if (deed == RECEIVE) io_uring_prep_recv(sqe, fd, c->in + c->have, ROOM - c->have, 0);
  if (deed == SEND) io_uring_prep_send(sqe, fd, c->out + c->sent, c->size - c->sent, MSG_NOSIGNAL);
  sqe->flags |= sqe_flags;
  io_uring_sqe_set_data64(sqe, (unsigned long long)deed << 32 | (unsigned)fd);
  int done = io_uring_submit(&ring);
  if (done < 0) fail("io_uring_submit", -done);
}

static int wait_for(enum deed* deed, int* fd) {
  struct io_uring_cqe* cqe;
  int error = io_uring_wait_cqe(&ring, &cqe);
  if (error < 0) fail("io_uring_wait_cqe", -error);
  *deed = io_uring_cqe_get_data64(cqe) >> 32;
  *fd = (int)(unsigned)io_uring_cqe_get_data64(cqe);
  int result = cqe->res;
  io_uring_cqe_seen(&ring, cqe);
  return result;
}

// Answers all requests that are whole; false where there is none.
static int answer(struct connection* c) {
  char* end;
  c->size = c->sent = 0;
  while ((end = memmem(c->in, c->have, "\r\n\r\n", 4))) {
    char path[64];
    *end = 0;
    if (sscanf(c->in, "GET %63s", path) != 1) fail("a request", EPROTO);
    c->size +=
        (size_t)snprintf(c->out + c->size, ROOM - c->size,
                         "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(path), path);
    c->have -= (size_t)(end + 4 - c->in);
    memmove(c->in, end + 4, c->have);
  }
  return c->size > 0;
}

static void serve(int listener) {
  submit(ACCEPT, listener);
  for (;;) {
    enum deed deed;
    int fd;
    int result = wait_for(&deed, &fd);
    struct connection* c = &connections[fd];
    if (deed == ACCEPT) {
      if (result < 0 || result >= DESCRIPTORS) fail("accept", -result);
      memset(&connections[result], 0, sizeof(*c));
      submit(RECEIVE, result);
      submit(ACCEPT, listener);
    } else if (result <= 0) {
      close(fd);
    } else if (deed == RECEIVE) {
      c->have += (size_t)result;
      submit(answer(c) ? SEND : RECEIVE, fd);
    } else {
      c->sent += (size_t)result;
      submit(c->sent < c->size ? SEND : RECEIVE, fd);
    }
  }
}

static void ask(int fd, int count) {
  struct connection* c = &connections[fd];
  for (int i = 1; i <= count; i++) {
    enum deed deed;
    char wanted[128];
    c->size = (size_t)snprintf(c->out, ROOM, "GET /%d HTTP/1.1\r\nHost: uring\r\n\r\n", i);
    int length = snprintf(NULL, 0, "/%d", i);
    snprintf(wanted, sizeof(wanted), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n/%d", length, i);
    c->have = c->sent = 0;
    submit(SEND, fd);
    if (wait_for(&deed, &fd) != (int)c->size) fail("send", EIO);
    while (c->have < strlen(wanted)) {
      submit(RECEIVE, fd);
      int result = wait_for(&deed, &fd);
      if (result <= 0) fail("recv", -result);
      c->have += (size_t)result;
    }
    if (c->have != strlen(wanted) || memcmp(c->in, wanted, c->have) != 0) fail("answer", EPROTO);
  }
}

int main(int argc, char** argv) {
  const int server = argc == 4 && strcmp(argv[1], "server") == 0;
  if (!server && (argc != 5 || strcmp(argv[1], "client") != 0)) return 2;
  const char* mode = argv[argc - 1];
  if (strcmp(mode, "worker") == 0) sqe_flags = IOSQE_ASYNC;
  int error = io_uring_queue_init(256, &ring, strcmp(mode, "poll") == 0 ? IORING_SETUP_SQPOLL : 0);
  if (error < 0) fail("io_uring_queue_init", -error);

  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_port = htons((unsigned short)atoi(argv[2])),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (!server) {
    if (connect(fd, (struct sockaddr*)&at, sizeof(at))) fail("connect", errno);
    ask(fd, atoi(argv[3]));
    return 0;
  }
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (bind(fd, (struct sockaddr*)&at, sizeof(at)) || listen(fd, 128)) fail("listen", errno);
  puts("ready");
  fflush(stdout);
  serve(fd);
}
