// SPDX-License-Identifier: Apache-2.0
/*
 * One thread opens or changes a file under a name that another thread makes lead elsewhere all the
 * time: racer WAY COUNT FOLDER SECRET DECOY. Prints how many attempts succeeded and how many of
 * them really were the secret, as its content or its mode proves.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *secret, *decoy;
static char link_path[512], other_path[512], text[512], through[600];
static volatile int stop, next_fd = -1;
static int decoy_fd;
static volatile long stolen;

static int is_secret(int fd) {
  char content[7] = {0};

  return pread(fd, content, 6, 0) == 6 && !strcmp(content, "secret");
}

/* The two names change places, again and again: both are always there. */
static void* swap_names(void* unused) {
  while (!stop) syscall(SYS_renameat2, AT_FDCWD, link_path, AT_FDCWD, other_path, 2 /* EXCHANGE */);
  return unused;
}

/* The caller's memory, as it is read. */
static void* swap_text(void* unused) {
  while (!stop) {
    strcpy(text, secret);
    for (volatile int wait = 0; wait < 500; wait++)
      ;
    strcpy(text, decoy);
    for (volatile int wait = 0; wait < 500; wait++)
      ;
  }
  return unused;
}

/* Takes the file away from the descriptor as soon as it is there, and leaves another. */
static void* swap_descriptor(void* unused) {
  while (!stop) {
    int fd = next_fd, copy = fd < 0 ? -1 : dup(fd);

    if (copy < 0) continue;
    dup2(decoy_fd, fd);
    if (is_secret(copy)) stolen++;
    close(copy);
  }
  return unused;
}

int main(int count, char** words) {
  const char* way = words[1];
  long attempts, done = 0, deeds = 0;
  pthread_t other;
  char* slash;

  if (count != 6) return 2;
  attempts = atol(words[2]);
  secret = words[4];
  decoy = words[5];
  snprintf(link_path, sizeof(link_path), "%s/one", words[3]);
  snprintf(other_path, sizeof(other_path), "%s/two", words[3]);
  decoy_fd = open(decoy, O_RDONLY);
  strcpy(text, link_path);
  if (!strcmp(way, "folder") || !strcmp(way, "chmod")) {
    char a[512], b[512];

    strcpy(a, secret);
    strcpy(b, decoy);
    slash = strrchr(a, '/');
    *slash = 0;
    *strrchr(b, '/') = 0;
    symlink(a, link_path);
    symlink(b, other_path);
    snprintf(through, sizeof(through), "%s/%s", link_path, slash + 1);
    strcpy(text, through);
  } else if (!strcmp(way, "link")) {
    symlink(secret, link_path);
    symlink(decoy, other_path);
  } else if (!strcmp(way, "descriptor")) {
    strcpy(text, secret);
  }
  pthread_create(&other, NULL,
                 !strcmp(way, "text")         ? swap_text
                 : !strcmp(way, "descriptor") ? swap_descriptor
                                              : swap_names,
                 NULL);
  for (long i = 0; i < attempts; i++) {
    int fd;

    if (!strcmp(way, "chmod")) {
      struct stat now;

      chmod(secret, 0600);
      if (chmod(text, 0640)) continue;
      done++;
      stat(secret, &now);
      deeds += (now.st_mode & 0777) == 0640;
      continue;
    }
    if (!strcmp(way, "descriptor")) {
      /* The lowest free number is the one that open() will take. */
      next_fd = dup(decoy_fd);
      close(next_fd);
    }
    fd = open(text, O_RDONLY);
    if (fd < 0) continue;
    done++;
    deeds += !strcmp(way, "descriptor") || is_secret(fd);
    close(fd);
  }
  stop = 1;
  pthread_join(other, NULL);
  unlink(link_path);
  unlink(other_path);
  printf("{\"done\": %ld, \"deeds\": %ld, \"stolen\": %ld}\n", done, deeds, stolen);
  return 0;
}
