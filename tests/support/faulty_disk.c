/*
 * A disk that hangs or fails, for the store of one process.
 *
 * Preloaded, this stands between the process and the system for files whose path has "journal.db" in it. What the file named by
 * FAULTY_DISK says counts, read at each call: "hang" (a sync does not come back as long as it says so), "sync=ERRNO" and
 * "read=ERRNO" (they fail so), anything else: nothing is wrong.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_of_the_store(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return strstr(path, "journal.db") != NULL;
}

static void fault(char *told, size_t size) {
  told[0] = 0;
  const char *name = getenv("FAULTY_DISK");
  FILE *file = name ? fopen(name, "r") : NULL;
  if (!file) return;
  if (!fgets(told, (int)size, file)) told[0] = 0;
  fclose(file);
}

/* The error of an operation, 0 without one. */
static int error_of(const char *operation) {
  char told[64];
  fault(told, sizeof told);
  size_t length = strlen(operation);
  return strncmp(told, operation, length) == 0 && told[length] == '=' ? atoi(told + length + 1) : 0;
}

static int synchronise(int fd, int (*real)(int)) {
  if (is_of_the_store(fd)) {
    char told[64];
    struct timespec moment = {0, 5000000};
    for (fault(told, sizeof told); strncmp(told, "hang", 4) == 0; fault(told, sizeof told)) nanosleep(&moment, NULL);
    if ((errno = error_of("sync")) != 0) return -1;
  }
  return real(fd);
}

int fsync(int fd) { return synchronise(fd, (int (*)(int))dlsym(RTLD_NEXT, "fsync")); }

int fdatasync(int fd) { return synchronise(fd, (int (*)(int))dlsym(RTLD_NEXT, "fdatasync")); }

ssize_t pread64(int fd, void *buffer, size_t count, off_t offset) {
  typedef ssize_t (*Read)(int, void *, size_t, off_t);
  int error = is_of_the_store(fd) ? error_of("read") : 0;
  if (error != 0) {
    errno = error;
    return -1;
  }
  return ((Read)dlsym(RTLD_NEXT, "pread64"))(fd, buffer, count, offset);
}

ssize_t pread(int fd, void *buffer, size_t count, off_t offset) { return pread64(fd, buffer, count, offset); }
