/*
 * A disk that a test commands: preloaded into the service (LD_PRELOAD), it watches what is done below one folder.
 *
 * DISK_ROOT     the folder; nothing else is touched
 * DISK_CONTROL  a file of rules (struct rule), mapped and read at every call: errors and delays at the n-th matching call
 * DISK_JOURNAL  a folder on the same file system: what is not synced yet is written down there, so that disk.ts can take it back after a kill
 *
 * Writes go through, since reads must see them; the journal keeps what was there before. A file's bytes and size are durable by its own fsync,
 * a name only by that of its directory: stricter than most file systems, and what POSIX promises. With a journal no sync reaches the real disk.
 * Paths come from /proc/self/fd, so nothing has to be remembered by descriptor. Shared mappings are not watched: SQLite maps only its -shm file,
 * which a crash may leave as it likes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum op { ANY, WRITE, SYNC, TRUNCATE, CREATE, RENAME, REMOVE, READ };
struct rule { uint32_t on, op; int32_t error; uint32_t first, count, delay_ms, seen, hit; char match[224]; };
#define RULES 8
enum kind { K_WRITE = 1, K_TRUNCATE, K_CREATE, K_REMOVE, K_RENAME, K_SYNC };
struct record { uint32_t magic, kind; uint64_t ino, ino2; int64_t offset, size; uint32_t a, b; };
#define MAGIC 0x4b534944

static char root[PATH_MAX], journal[PATH_MAX - 32];
static size_t root_length;
static int journal_fd = -1;
static struct rule *rules;
static unsigned buried;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
  const char *at = getenv("DISK_ROOT"), *control = getenv("DISK_CONTROL"), *folder = getenv("DISK_JOURNAL");
  if (!at || !realpath(at, root)) return;
  if (control) {
    int fd = REAL(open)(control, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, RULES * sizeof(struct rule), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) abort();
    rules = map;
    close(fd);
  }
  if (folder) {
    char file[PATH_MAX];
    snprintf(journal, sizeof journal, "%s", folder);
    snprintf(file, sizeof file, "%s/journal", journal);
    journal_fd = REAL(open)(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal_fd < 0) abort();
  }
  root_length = strlen(root);
}

static int watched(const char *path) {
  return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int path_of(int fd, char *out) {
  char link[64];
  if (!root_length) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, out, PATH_MAX - 1);
  if (length <= 0) return 0;
  out[length] = 0;
  return watched(out);
}

/* The folder of a path without links, and the name in it. False for what is not watched. */
static int locate(int at, const char *path, char *whole, char **name) {
  char folder[PATH_MAX], base[PATH_MAX], copy[PATH_MAX];
  if (!root_length || !path || !*path || strlen(path) >= PATH_MAX / 2) return 0;
  snprintf(copy, sizeof copy, "%s", path);
  char *slash = strrchr(copy, '/');
  if (slash && !slash[1] && slash != copy) { *slash = 0; slash = strrchr(copy, '/'); }
  snprintf(base, sizeof base, "%s", slash ? slash + 1 : copy);
  if (slash) slash[slash == copy] = 0;
  const char *parent = slash ? copy : ".";
  if (*parent == '/' || at == AT_FDCWD) snprintf(folder, sizeof folder, "%s", parent);
  else snprintf(folder, sizeof folder, "/proc/self/fd/%d/%.2000s", at, parent);
  if (!realpath(folder, whole) || strlen(whole) + strlen(base) + 2 > PATH_MAX) return 0;
  *name = whole + strlen(whole);
  **name = '/';
  strcpy(++*name, base);
  return watched(whole);
}

/* Whether a rule makes this call fail: its errno, or 0. */
static int disturb(enum op op, const char *path) {
  int error = 0;
  for (int i = 0; rules && i < RULES; i++) {
    struct rule *rule = rules + i;
    if (!rule->on || (rule->op == ANY ? op == READ : rule->op != op) || !strstr(path, rule->match)) continue;
    uint32_t number = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_SEQ_CST);
    if (number < rule->first || (rule->count && number >= rule->first + rule->count)) continue;
    __atomic_add_fetch(&rule->hit, 1, __ATOMIC_SEQ_CST);
    struct timespec pause = {rule->delay_ms / 1000, (long)(rule->delay_ms % 1000) * 1000000};
    while (rule->delay_ms && nanosleep(&pause, &pause) && errno == EINTR) {}
    if (!error) error = rule->error;
  }
  return error;
}
#define DISTURB(op, path) \
  do { int error_ = disturb(op, path); if (error_) { errno = error_; return -1; } } while (0)

static void note(struct record record, const void *a, const void *b) {
  record.magic = MAGIC;
  struct iovec parts[] = {{&record, sizeof record}, {(void *)a, record.a}, {(void *)b, record.b}};
  ssize_t whole = (ssize_t)(sizeof record + record.a + record.b);
  if (REAL(writev)(journal_fd, parts, 3) != whole) abort(); /* a journal with a hole would blame the service */
}

static uint64_t ino_at(const char *path) {
  struct stat found;
  return lstat(path, &found) ? 0 : found.st_ino;
}

/* The inode of the folder that `whole` lies in. */
static uint64_t folder_of(char *whole, char *name) {
  name[-1] = 0;
  uint64_t ino = ino_at(name - 1 == whole ? "/" : whole);
  name[-1] = '/';
  return ino;
}

/* What was in a range before; not longer than the file. A second descriptor of a database would drop its locks: only write-only files need one. */
static void *old_bytes(int fd, int64_t offset, int64_t length, int64_t size, uint32_t *got) {
  int64_t most = offset >= size ? 0 : (length < size - offset ? length : size - offset);
  *got = 0;
  if (most <= 0) return NULL;
  char *bytes = malloc((size_t)most), link[64];
  ssize_t count = bytes ? REAL(pread)(fd, bytes, (size_t)most, offset) : -1;
  if (bytes && count < 0) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int other = REAL(open)(link, O_RDONLY | O_CLOEXEC);
    count = other < 0 ? -1 : REAL(pread)(other, bytes, (size_t)most, offset);
    if (other >= 0) close(other);
  }
  if (count != most) abort();
  *got = (uint32_t)most;
  return bytes;
}

static void note_write(int fd, int64_t offset, const void *bytes, size_t length) {
  struct stat found;
  if (fstat(fd, &found) || !S_ISREG(found.st_mode)) return;
  if (offset < 0) offset = fcntl(fd, F_GETFL) & O_APPEND ? found.st_size : lseek(fd, 0, SEEK_CUR);
  uint32_t got;
  void *old = old_bytes(fd, offset, (int64_t)length, found.st_size, &got);
  note((struct record){0, K_WRITE, found.st_ino, 0, offset, found.st_size, got, (uint32_t)length}, old, bytes);
  free(old);
}

static void note_truncate(int fd, int64_t to) {
  struct stat found;
  if (fstat(fd, &found)) return;
  uint32_t got;
  void *old = old_bytes(fd, to, found.st_size, found.st_size, &got);
  note((struct record){0, K_TRUNCATE, found.st_ino, 0, to, found.st_size, got, 0}, old, NULL);
  free(old);
}

static void note_create(char *whole, char *name) {
  note((struct record){0, K_CREATE, folder_of(whole, name), ino_at(whole), 0, 0, (uint32_t)strlen(name), 0}, name, NULL);
}

/* Keeps what is about to lose its name: its inode cannot be taken by another file then. Returns its number in the journal's folder. */
static int64_t bury(const char *whole, int by_rename) {
  char grave[PATH_MAX];
  long long number = getpid() * 1000000LL + ++buried; /* one journal may be that of several processes, one after the other */
  snprintf(grave, sizeof grave, "%s/%lld", journal, number);
  return (by_rename ? REAL(rename)(whole, grave) : REAL(link)(whole, grave)) ? 0 : number;
}

#define HOLD() pthread_mutex_lock(&lock)
#define LET_GO() do { int error_ = errno; pthread_mutex_unlock(&lock); errno = error_; } while (0)

#define WRITER(signature, call, fd, offset, bytes, length) \
  signature { \
    char path[PATH_MAX]; \
    if (!path_of(fd, path)) return call; \
    DISTURB(WRITE, path); \
    if (journal_fd < 0) return call; \
    HOLD(); \
    note_write(fd, offset, bytes, length); \
    ssize_t result = call; \
    LET_GO(); \
    return result; \
  }
WRITER(ssize_t write(int fd, const void *bytes, size_t length), REAL(write)(fd, bytes, length), fd, -1, bytes, length)
WRITER(ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at), REAL(pwrite)(fd, bytes, length, at), fd, at, bytes, length)
WRITER(ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at), REAL(pwrite64)(fd, bytes, length, at), fd, at, bytes, length)

/* Vectors are written part by part: a short write is a legal answer, and a caller goes on behind it. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
  char path[PATH_MAX];
  return count < 1 || !path_of(fd, path) ? REAL(writev)(fd, parts, count) : write(fd, parts->iov_base, parts->iov_len);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  char path[PATH_MAX];
  return count < 1 || !path_of(fd, path) ? REAL(pwritev)(fd, parts, count, at) : pwrite(fd, parts->iov_base, parts->iov_len, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return pwritev(fd, parts, count, at); }

/* A copy inside the kernel cannot be watched: the caller falls back to reading and writing. */
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
  char path[PATH_MAX];
  if (path_of(to, path)) { errno = EXDEV; return -1; }
  return REAL(copy_file_range)(from, from_at, to, to_at, length, flags);
}
ssize_t sendfile(int to, int from, off_t *at, size_t length) {
  char path[PATH_MAX], bytes[65536];
  if (!path_of(to, path)) return REAL(sendfile)(to, from, at, length);
  size_t most = length < sizeof bytes ? length : sizeof bytes;
  ssize_t got = at ? REAL(pread)(from, bytes, most, *at) : REAL(read)(from, bytes, most);
  ssize_t put = got <= 0 ? got : write(to, bytes, (size_t)got);
  if (put > 0 && at) *at += put;
  return put;
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t length) { return sendfile(to, from, at, length); }

static int sync_file(int fd, int (*go)(int)) {
  char path[PATH_MAX];
  struct stat found;
  if (!path_of(fd, path)) return go(fd);
  DISTURB(SYNC, path);
  if (journal_fd < 0 || fstat(fd, &found)) return go(fd);
  HOLD();
  note((struct record){0, K_SYNC, found.st_ino, 0, 0, 0, 0, 0}, NULL, NULL);
  LET_GO();
  return 0;
}
int fsync(int fd) { return sync_file(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_file(fd, REAL(fdatasync)); }

int ftruncate(int fd, off_t to) {
  char path[PATH_MAX];
  if (!path_of(fd, path)) return REAL(ftruncate)(fd, to);
  DISTURB(TRUNCATE, path);
  HOLD();
  if (journal_fd >= 0) note_truncate(fd, to);
  int result = REAL(ftruncate)(fd, to);
  LET_GO();
  return result;
}
int ftruncate64(int fd, off64_t to) { return ftruncate(fd, to); }

static int open_file(int at, const char *path, int flags, mode_t mode) {
  char whole[PATH_MAX], *name;
  int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
  if (!writes || !locate(at, path, whole, &name)) return REAL(openat)(at, path, flags, mode);
  HOLD();
  int is_new = flags & O_CREAT && !ino_at(whole);
  LET_GO();
  if (is_new) DISTURB(CREATE, whole);
  if (journal_fd < 0) return REAL(openat)(at, path, flags, mode);
  HOLD();
  is_new = flags & O_CREAT && !ino_at(whole);
  int fd = REAL(openat)(at, path, flags & (flags & O_EXCL ? -1 : ~O_TRUNC), mode);
  if (fd >= 0 && is_new) note_create(whole, name);
  else if (fd >= 0 && flags & O_TRUNC) {
    note_truncate(fd, 0);
    if (REAL(ftruncate)(fd, 0)) abort();
  }
  LET_GO();
  return fd;
}
static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; }
#define OPENER(name) \
  int name(const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = mode_of(flags, rest); va_end(rest); \
    return open_file(AT_FDCWD, path, flags, mode); \
  }
#define OPENER_AT(name) \
  int name(int at, const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = mode_of(flags, rest); va_end(rest); \
    return open_file(at, path, flags, mode); \
  }
OPENER(open)
OPENER(open64)
OPENER_AT(openat)
OPENER_AT(openat64)

#define MAKER(signature, call, at, path) \
  signature { \
    char whole[PATH_MAX], *name; \
    if (!locate(at, path, whole, &name)) return call; \
    DISTURB(CREATE, whole); \
    HOLD(); \
    int result = call; \
    if (!result && journal_fd >= 0) note_create(whole, name); \
    LET_GO(); \
    return result; \
  }
MAKER(int mkdir(const char *path, mode_t mode), REAL(mkdir)(path, mode), AT_FDCWD, path)
MAKER(int mkdirat(int at, const char *path, mode_t mode), REAL(mkdirat)(at, path, mode), at, path)
MAKER(int link(const char *from, const char *to), REAL(link)(from, to), AT_FDCWD, to)
MAKER(int symlink(const char *from, const char *to), REAL(symlink)(from, to), AT_FDCWD, to)

char *mkdtemp(char *template) {
  char whole[PATH_MAX], *name;
  int is_ours = locate(AT_FDCWD, template, whole, &name), error = is_ours ? disturb(CREATE, whole) : 0;
  if (error) { errno = error; return NULL; }
  if (is_ours) HOLD();
  char *made = REAL(mkdtemp)(template);
  if (is_ours && made && journal_fd >= 0 && locate(AT_FDCWD, made, whole, &name)) note_create(whole, name);
  if (is_ours) LET_GO();
  return made;
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
  char old[PATH_MAX], new[PATH_MAX], *old_name, *new_name;
  struct stat replaced;
  if (!locate(from_at, from, old, &old_name) || !locate(to_at, to, new, &new_name)) return REAL(renameat)(from_at, from, to_at, to);
  DISTURB(RENAME, new);
  HOLD();
  if (journal_fd >= 0) {
    int64_t grave = !lstat(new, &replaced) && !S_ISDIR(replaced.st_mode) ? bury(new, 0) : 0;
    note((struct record){0, K_RENAME, folder_of(new, new_name), folder_of(old, old_name), grave, (int64_t)ino_at(old),
                         (uint32_t)strlen(new_name), (uint32_t)strlen(old_name)}, new_name, old_name);
  }
  int result = REAL(renameat)(from_at, from, to_at, to);
  LET_GO();
  return result;
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

static int is_empty(const char *path) {
  DIR *folder = opendir(path);
  int count = 0;
  while (folder && readdir(folder)) count++;
  if (folder) closedir(folder);
  return folder && count == 2;
}

int unlinkat(int at, const char *path, int flags) {
  char whole[PATH_MAX], *name;
  if (!locate(at, path, whole, &name) || !ino_at(whole)) return REAL(unlinkat)(at, path, flags);
  DISTURB(REMOVE, whole);
  if (journal_fd < 0) return REAL(unlinkat)(at, path, flags);
  HOLD();
  int by_rename = flags & AT_REMOVEDIR && is_empty(whole), result = 0;
  uint64_t folder = folder_of(whole, name), ino = ino_at(whole);
  int64_t grave = by_rename || !(flags & AT_REMOVEDIR) ? bury(whole, by_rename) : 0;
  if (grave) note((struct record){0, K_REMOVE, folder, ino, grave, 0, (uint32_t)strlen(name), 0}, name, NULL);
  if (!grave || !by_rename) result = REAL(unlinkat)(at, path, flags);
  LET_GO();
  return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
  int result = unlink(path);
  return result && errno == EISDIR ? rmdir(path) : result;
}

#define READER(signature, call, fd) \
  signature { \
    char path[PATH_MAX]; \
    if (rules && path_of(fd, path)) DISTURB(READ, path); \
    return call; \
  }
READER(ssize_t read(int fd, void *bytes, size_t length), REAL(read)(fd, bytes, length), fd)
READER(ssize_t pread(int fd, void *bytes, size_t length, off_t at), REAL(pread)(fd, bytes, length, at), fd)
READER(ssize_t pread64(int fd, void *bytes, size_t length, off64_t at), REAL(pread64)(fd, bytes, length, at), fd)
