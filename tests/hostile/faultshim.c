/* Lets system calls fail, stop half-way, or end the process: preloaded (LD_PRELOAD) into a child of
 * the tests, and armed by it through `fault_arm`. Only calls on paths below one folder are meant.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#undef open64
#undef openat64
#undef pwrite64
#undef ftruncate64

enum { FAIL = 1, KILL = 2, SHORT = 3, INTERRUPT = 4, SIGNAL = 5 };

static struct {
    volatile int armed, action, error, log_to, clock_every;
    volatile long from, until, seen, clock_seen;
    char folder[PATH_MAX], calls[256];
} fault = {.log_to = -1};

/* Which calls are meant: comma-separated names, "" for all; numbers of the first and the last. */
void fault_arm(const char *folder, const char *calls, int action, int error, long from, long until,
               int log_to, int clock_every) {
    fault.armed = 0;
    snprintf(fault.folder, sizeof fault.folder, "%s", folder);
    snprintf(fault.calls, sizeof fault.calls, ",%s,", calls);
    fault.action = action;
    fault.error = error;
    fault.from = from;
    fault.until = until;
    fault.seen = fault.clock_seen = 0;
    fault.log_to = log_to;
    fault.clock_every = clock_every;
    fault.armed = 1;
}

long fault_seen(void) { return fault.seen; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
    size_t size = strlen(fault.folder);
    return strncmp(path, fault.folder, size) == 0 && strncmp(path + size, "/READ", 5) != 0;
}

static const char *path_of(int folder, const char *name, char *room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t size = 0;
    if (name && (name[0] == '/' || folder == AT_FDCWD)) return name;
    size = syscall(SYS_readlink, link, room, PATH_MAX - 1);
    room[size > 0 ? size : 0] = 0;
    if (name && size > 0 && (size_t)size + strlen(name) + 2 < PATH_MAX) {
        room[size] = '/';
        strcpy(room + size + 1, name);
    }
    return room;
}

static void say(const char *call, const char *path, const char *other) {
    char line[3 * PATH_MAX];
    int size = snprintf(line, sizeof line, "%s\t%s\t%s\n", call, path, other ? other : "");
    if (fault.log_to >= 0) syscall(SYS_write, fault.log_to, line, (size_t)size);
}

/* What is to become of a call: 0, or an action. */
static int meant(const char *call, const char *path, const char *other) {
    if (!fault.armed || (!below(path) && !(other && below(other)))) return 0;
    char name[64];
    snprintf(name, sizeof name, ",%s,", call);
    if (strcmp(fault.calls, ",,") != 0 && !strstr(fault.calls, name)) return 0;
    say(call, path, other);
    long number = __sync_add_and_fetch(&fault.seen, 1);
    if (fault.action == INTERRUPT) return number % 2 ? INTERRUPT : 0;
    if (number < fault.from || number > fault.until) return 0;
    if (fault.action == SIGNAL) syscall(SYS_kill, syscall(SYS_getpid), fault.error);
    return fault.action == SIGNAL ? 0 : fault.action;
}

static int fails(int action) {
    if (action == KILL) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    errno = action == INTERRUPT ? EINTR : fault.error;
    return action == FAIL || action == INTERRUPT;
}

/* Of a write: how much of it is done. A kill comes in its middle. */
static ssize_t cut(int fd, const void *data, size_t size, off_t at, int action) {
    size_t part = action == SHORT ? (size > 0) : size / 2;
    ssize_t done =
        at < 0 ? syscall(SYS_write, fd, data, part) : syscall(SYS_pwrite64, fd, data, part, at);
    if (action == KILL) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    return done;
}

static int on(int fd, const char *call) {
    if (!fault.armed) return 0;
    char room[PATH_MAX];
    int kept = errno, action = meant(call, path_of(fd, NULL, room), NULL);
    errno = kept;
    return action;
}

ssize_t write(int fd, const void *data, size_t size) {
    int action = on(fd, "write");
    if (action == SHORT || action == KILL) return cut(fd, data, size, -1, action);
    return action && fails(action) ? -1 : syscall(SYS_write, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    int action = on(fd, "write");
    if (action == SHORT || action == KILL) return cut(fd, data, size, at, action);
    return action && fails(action) ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    return pwrite(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    int action = on(fd, "write");
    if ((action == SHORT || action == KILL) && count > 0)
        return cut(fd, pieces[0].iov_base, pieces[0].iov_len, -1, action);
    return action && fails(action) ? -1 : syscall(SYS_writev, fd, pieces, count);
}

ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t size, unsigned flags) {
    int action = on(out, "write");
    if (action == SHORT)
        size = 1;
    else if (action && fails(action))
        return -1;
    return syscall(SYS_copy_file_range, in, in_at, out, out_at, size, flags);
}

/* No power is cut here: what a process wrote is there when it is killed, and the disk need not
 * wait. */
int fsync(int fd) {
    int action = on(fd, "fsync");
    return action && fails(action) ? -1 : fault.armed ? 0 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) { return fsync(fd); }

int ftruncate(int fd, off_t size) {
    int action = on(fd, "ftruncate");
    return action && fails(action) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

int fchmod(int fd, mode_t mode) {
    int action = on(fd, "fchmod");
    return action && fails(action) ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

/* The descriptor is gone whatever close says, as it is on Linux. */
int close(int fd) {
    int action = on(fd, "close");
    if (action == INTERRUPT) action = 0;
    if (action == KILL) (void)fails(action);
    int done = (int)syscall(SYS_close, fd);
    return action && fails(action) ? -1 : done;
}

static int open_at(int folder, const char *name, int flags, mode_t mode) {
    char room[PATH_MAX];
    int action = 0;
    if (fault.armed)
        action = meant(flags & O_DIRECTORY ? "opendir"
                       : flags & O_CREAT   ? "create"
                                           : "open",
                       path_of(folder, name, room), NULL);
    return action && fails(action) ? -1 : (int)syscall(SYS_openat, folder, name, flags, mode);
}

#define MODE(flags)                                                                                \
    va_list more;                                                                                  \
    va_start(more, flags);                                                                         \
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                      \
    va_end(more)

int open(const char *name, int flags, ...) {
    MODE(flags);
    return open_at(AT_FDCWD, name, flags, mode);
}

int open64(const char *name, int flags, ...) {
    MODE(flags);
    return open_at(AT_FDCWD, name, flags, mode);
}

int openat(int folder, const char *name, int flags, ...) {
    MODE(flags);
    return open_at(folder, name, flags, mode);
}

int openat64(int folder, const char *name, int flags, ...) {
    MODE(flags);
    return open_at(folder, name, flags, mode);
}

static int renames(const char *call, int from, const char *old, int to, const char *new) {
    char room[PATH_MAX], more[PATH_MAX];
    int action = 0;
    if (fault.armed) action = meant(call, path_of(from, old, room), path_of(to, new, more));
    return action && fails(action);
}

int rename(const char *old, const char *new) {
    if (renames("rename", AT_FDCWD, old, AT_FDCWD, new)) return -1;
    return (int)syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int renameat(int from, const char *old, int to, const char *new) {
    if (renames("rename", from, old, to, new)) return -1;
    return (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

int link(const char *old, const char *new) {
    if (renames("link", AT_FDCWD, old, AT_FDCWD, new)) return -1;
    return (int)syscall(SYS_linkat, AT_FDCWD, old, AT_FDCWD, new, 0);
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    if (renames("link", from, old, to, new)) return -1;
    return (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int mkdir(const char *name, mode_t mode) {
    int there = syscall(SYS_faccessat, AT_FDCWD, name, F_OK) == 0;
    int action = fault.armed && !there ? meant("mkdir", name, NULL) : 0;
    return action && fails(action) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
}

/* The clock on the wall jumps by a day, there and back; the other goes on. */
int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = (int)syscall(SYS_clock_gettime, clock, now);
    if (fault.armed && fault.clock_every && clock == CLOCK_REALTIME) {
        long step = __sync_add_and_fetch(&fault.clock_seen, 1) / fault.clock_every;
        now->tv_sec += step % 3 == 1 ? 86400 : step % 3 == 2 ? -86400 : 0;
    }
    return done;
}

time_t time(time_t *result) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
