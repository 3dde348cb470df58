/* Preloaded into the worker: makes the n-th call of a class fail, or all from then on, if it concerns a file of the
 * store. What the C library is asked for is seen here, by RocksDB and by Rust; direct system calls are not (strace does
 * those). Says on standard error how many calls there were and how often it struck. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static const char *dir, *class;
static long nth, error, is_short, is_sticky;
static atomic_long calls, struck;

__attribute__((constructor)) static void begin(void) {
  dir = getenv("SHIM_DIR");
  class = getenv("SHIM_CLASS");
  nth = atol(getenv("SHIM_NTH") ? getenv("SHIM_NTH") : "0");
  error = atol(getenv("SHIM_ERRNO") ? getenv("SHIM_ERRNO") : "0");
  is_short = error == 0;
  is_sticky = getenv("SHIM_STICKY") != NULL;
}

__attribute__((destructor)) static void end(void) {
  char text[80];
  int len = snprintf(text, sizeof text, "shim: %ld calls, struck %ld\n", calls, struck);
  if (dir && write(2, text, len) < 0) return;
}

static int strikes(const char *of) {
  if (!class || strcmp(of, class)) return 0;
  long now = atomic_fetch_add(&calls, 1) + 1;
  /* Interrupted calls are made again: for ever would be for ever. */
  long last = !is_sticky ? nth : error == EINTR ? nth + 8 : LONG_MAX;
  if (nth == 0 || now < nth || now > last) return 0;
  atomic_fetch_add(&struck, 1);
  errno = error;
  return 1;
}

static int ours(const char *path) { return dir && strncmp(path, dir, strlen(dir)) == 0; }

static int our_file(int fd) {
  char link[40], path[PATH_MAX];
  if (!dir || fd < 3) return 0;
  int kept = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, sizeof path - 1);
  errno = kept;
  if (len < 0) return 0;
  path[len] = 0;
  return ours(path);
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* Of a short call at least one byte is moved: none would mean the end of the file. */
#define MOVE(of, name, call, half) \
  if (our_file(fd) && strikes(of)) { \
    if (!is_short) return -1; \
    if (len > 1) return half; \
  } \
  return call

ssize_t write(int fd, const void *buf, size_t len) {
  REAL(ssize_t, "write", int, const void *, size_t);
  MOVE("write", "write", real(fd, buf, len), real(fd, buf, len / 2));
}
ssize_t pwrite(int fd, const void *buf, size_t len, off_t at) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  MOVE("write", "pwrite", real(fd, buf, len, at), real(fd, buf, len / 2, at));
}
ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t at) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  MOVE("write", "pwrite64", real(fd, buf, len, at), real(fd, buf, len / 2, at));
}
ssize_t read(int fd, void *buf, size_t len) {
  REAL(ssize_t, "read", int, void *, size_t);
  MOVE("read", "read", real(fd, buf, len), real(fd, buf, len / 2));
}
ssize_t pread(int fd, void *buf, size_t len, off_t at) {
  REAL(ssize_t, "pread", int, void *, size_t, off_t);
  MOVE("read", "pread", real(fd, buf, len, at), real(fd, buf, len / 2, at));
}
ssize_t pread64(int fd, void *buf, size_t len, off64_t at) {
  REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
  MOVE("read", "pread64", real(fd, buf, len, at), real(fd, buf, len / 2, at));
}

#define CALL(of, name, is_ours, call) \
  if (is_ours && strikes(of) && !is_short) return -1; \
  return call

int fsync(int fd) {
  REAL(int, "fsync", int);
  CALL("sync", "fsync", our_file(fd), real(fd));
}
int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  CALL("sync", "fdatasync", our_file(fd), real(fd));
}
int ftruncate(int fd, off_t len) {
  REAL(int, "ftruncate", int, off_t);
  CALL("size", "ftruncate", our_file(fd), real(fd, len));
}
int ftruncate64(int fd, off64_t len) {
  REAL(int, "ftruncate64", int, off64_t);
  CALL("size", "ftruncate64", our_file(fd), real(fd, len));
}
int fallocate(int fd, int mode, off_t at, off_t len) {
  REAL(int, "fallocate", int, int, off_t, off_t);
  CALL("size", "fallocate", our_file(fd), real(fd, mode, at, len));
}
int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  CALL("rename", "rename", ours(from), real(from, to));
}
int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  CALL("unlink", "unlink", ours(path), real(path));
}
int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  CALL("open", "mkdir", ours(path), real(path, mode));
}
int open(const char *path, int flags, ...) {
  REAL(int, "open", const char *, int, ...);
  __builtin_va_list rest;
  __builtin_va_start(rest, flags);
  mode_t mode = __builtin_va_arg(rest, int);
  __builtin_va_end(rest);
  CALL("open", "open", ours(path), real(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
  REAL(int, "open64", const char *, int, ...);
  __builtin_va_list rest;
  __builtin_va_start(rest, flags);
  mode_t mode = __builtin_va_arg(rest, int);
  __builtin_va_end(rest);
  CALL("open", "open64", ours(path), real(path, flags, mode));
}
