/* native/base: errors, growing buffers, byte sources, directories, threads, numbers.
 *
 * The only room that knows the operating system. Nothing here has global state; every function that
 * can fail returns a dl_status and fills the caller's dl_error. */
#ifndef DICOMLOOM_BASE_H
#define DICOMLOOM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if !defined(_WIN32)
#include <pthread.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DL_NODISCARD __attribute__((warn_unused_result))
#if defined(__MINGW32__) /* its "printf" is the C library's of Windows, which knows no %zu */
#define DL_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#else
#define DL_PRINTF(text, first) __attribute__((format(printf, text, first)))
#endif
#define DL_LIKELY(x) __builtin_expect(!!(x), 1)
#define DL_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define DL_NODISCARD
#define DL_PRINTF(text, first)
#define DL_LIKELY(x) (x)
#define DL_UNLIKELY(x) (x)
#endif

/* --- errors ------------------------------------------------------------------------------------
 */

typedef enum dl_status {
    DL_OK = 0,
    DL_ERR_MEMORY,      /* an allocation failed */
    DL_ERR_IO,          /* the operating system refused; dl_error.os_error is errno */
    DL_ERR_NOT_DICOM,   /* the bytes are not a DICOM data set */
    DL_ERR_TRUNCATED,   /* the bytes end inside something they had announced */
    DL_ERR_CORRUPT,     /* the bytes break the grammar of PS3.5 */
    DL_ERR_LIMIT,       /* a limit the caller set (depth, value size) was reached */
    DL_ERR_UNSUPPORTED, /* valid, but not something this build can read */
    DL_ERR_ARGUMENT,    /* the caller broke the contract */
    DL_ERR_PIXEL,       /* a pixel does not fit what is said of it */
    DL_ERR_STOPPED      /* the caller asked to stop */
} dl_status;

#define DL_MESSAGE_SIZE 200

typedef struct dl_error {
    dl_status code;
    int os_error;    /* errno of a DL_ERR_IO, else 0 */
    uint32_t tag;    /* the element being read, (group << 16) | element, 0 when none */
    uint64_t offset; /* byte offset in the source */
    char message[DL_MESSAGE_SIZE];
} dl_error;

/* Fills error (which may be NULL) and returns code, so that callers can `return dl_fail(...)`. */
dl_status dl_fail(dl_error *error, dl_status code, uint64_t offset, const char *format, ...)
    DL_PRINTF(4, 5);

/* A DL_ERR_IO whose message is "<what>: <the system's reason>". */
dl_status dl_fail_os(dl_error *error, int os_error, const char *what);

/* The system's words for an errno, in a caller-owned buffer; always terminated. */
const char *dl_os_message(int os_error, char *into, size_t size);

/* --- growing buffers ---------------------------------------------------------------------------
 */

typedef struct dl_bytes {
    uint8_t *data;
    size_t length;
    size_t capacity;
} dl_bytes;

/* Makes room for `extra` bytes beyond length. Growth is geometric. */
DL_NODISCARD dl_status dl_bytes_grow(dl_bytes *bytes, size_t extra);
void dl_bytes_free(dl_bytes *bytes);

static inline DL_NODISCARD dl_status dl_bytes_reserve(dl_bytes *bytes, size_t extra) {
    return DL_LIKELY(bytes->capacity - bytes->length >= extra) ? DL_OK
                                                               : dl_bytes_grow(bytes, extra);
}

static inline DL_NODISCARD dl_status dl_bytes_append(dl_bytes *bytes, const void *data,
                                                     size_t size) {
    dl_status status = dl_bytes_reserve(bytes, size);
    if (status == DL_OK && size > 0) {
        memcpy(bytes->data + bytes->length, data, size);
        bytes->length += size;
    }
    return status;
}

/* --- byte sources ------------------------------------------------------------------------------
 */

/* Where bytes come from: a file, memory, a member of an archive, an inflated stream. */
typedef struct dl_source {
    void *context;
    /* Reads up to size bytes at offset into `into`. *got may be less than size; 0 means the end. */
    dl_status (*read_at)(void *context, uint64_t offset, void *into, size_t size, size_t *got,
                         dl_error *error);
    /* How many bytes there are. Asked only when an error message needs it. */
    dl_status (*size)(void *context, uint64_t *size, dl_error *error);
    void (*close)(void *context); /* NULL when there is nothing to close */
} dl_source;

static inline void dl_source_close(dl_source *source) {
    if (source->close) source->close(source->context);
    source->close = NULL;
}

/* A source over bytes that the caller keeps alive. */
typedef struct dl_memory {
    const uint8_t *data;
    size_t size;
} dl_memory;
void dl_source_memory(dl_source *source, dl_memory *memory);

/* A source over an open descriptor; close() closes it. */
void dl_source_descriptor(dl_source *source, int descriptor);

/* --- sockets -----------------------------------------------------------------------------------
 */

/* A connected socket that somebody else closes. Waiting is done in short steps, between which
 * `waiting` (NULL: nothing) may say by a status other than DL_OK that it is to end. */
typedef struct dl_socket {
    intptr_t descriptor; /* a SOCKET of Windows does not fit an int */
    dl_status (*waiting)(void *context, dl_error *error);
    void *context;
} dl_socket;

/* Give or take at least one byte, or 0 at the end of the connection, by `deadline` (of
 * dl_monotonic_seconds); DL_ERR_IO with os_error ETIMEDOUT after it. The socket may block or not.
 */
DL_NODISCARD dl_status dl_socket_receive(void *socket, void *into, size_t room, double deadline,
                                         size_t *count, dl_error *error);
DL_NODISCARD dl_status dl_socket_send(void *socket, const void *data, size_t size, double deadline,
                                      size_t *count, dl_error *error);
/* Writes all of `data` where the descriptor stands; 0, or errno. */
int dl_descriptor_write(int descriptor, const void *data, size_t size);

/* --- files and directories ---------------------------------------------------------------------
 */

typedef enum dl_file_kind {
    DL_FILE_UNKNOWN = 0, /* the directory entry does not say: stat decides */
    DL_FILE_REGULAR,
    DL_FILE_DIRECTORY,
    DL_FILE_LINK,
    DL_FILE_OTHER /* FIFO, socket, device: never opened */
} dl_file_kind;

typedef struct dl_file_info {
    dl_file_kind kind;
    uint64_t size;
    int64_t modified_ns; /* since 1970-01-01T00:00:00Z */
    uint64_t inode;
    uint64_t device;
} dl_file_info;

#define DL_CURRENT_DIRECTORY (-100) /* AT_FDCWD: relative to the process's working directory */

/* Opens a file to read, relative to the directory descriptor `at`. Never blocks on a FIFO. */
DL_NODISCARD dl_status dl_file_open(int at, const char *name, int *descriptor, dl_error *error);
/* Looks at what `name` is; a final symbolic link is followed when `follow`. */
DL_NODISCARD dl_status dl_file_stat(int at, const char *name, bool follow, dl_file_info *info,
                                    dl_error *error);

typedef struct dl_directory dl_directory;
typedef struct dl_directory_entry {
    const char *name; /* valid until the next call */
    dl_file_kind kind;
} dl_directory_entry;

DL_NODISCARD dl_status dl_directory_open(int at, const char *name, bool follow,
                                         dl_directory **directory, dl_error *error);
/* Sets entry->name to NULL at the end. "." and ".." are left out. */
DL_NODISCARD dl_status dl_directory_next(dl_directory *directory, dl_directory_entry *entry,
                                         dl_error *error);
int dl_directory_descriptor(const dl_directory *directory);
void dl_directory_close(dl_directory *directory);

/* --- threads and time --------------------------------------------------------------------------
 */

#if defined(_WIN32)
typedef struct dl_mutex { /* an SRWLOCK: windows.h stays out of every other file */
    void *state;
} dl_mutex;
typedef struct dl_condition { /* a CONDITION_VARIABLE */
    void *state;
} dl_condition;
typedef void *dl_thread;
#else
typedef pthread_mutex_t dl_mutex;
typedef pthread_cond_t dl_condition;
typedef pthread_t dl_thread;
#endif

/* False when the system gives no more of them. */
DL_NODISCARD bool dl_mutex_init(dl_mutex *mutex);
void dl_mutex_destroy(dl_mutex *mutex);
void dl_mutex_lock(dl_mutex *mutex);
void dl_mutex_unlock(dl_mutex *mutex);

DL_NODISCARD bool dl_condition_init(dl_condition *condition);
void dl_condition_destroy(dl_condition *condition);
/* The mutex is held before and after; it may return without having been woken. */
void dl_condition_wait(dl_condition *condition, dl_mutex *mutex);
/* Ends after `seconds` at the latest, however the wall clock is set; false when it was that. */
bool dl_condition_wait_for(dl_condition *condition, dl_mutex *mutex, double seconds);
void dl_condition_wake_all(dl_condition *condition);

DL_NODISCARD dl_status dl_thread_start(dl_thread *thread, void *(*run)(void *), void *argument,
                                       dl_error *error);
/* Waits for the thread's end. Once for each thread. */
void dl_thread_join(dl_thread thread);
/* Seconds on a clock that never goes backwards. */
double dl_monotonic_seconds(void);
/* How often the calling thread gave up the processor to wait; 0 where the system does not say. */
uint64_t dl_thread_waits(void);
/* Processors this process may run on, at least 1. */
unsigned dl_processor_count(void);

/* --- numbers -----------------------------------------------------------------------------------
 */

/* Decimal text as PS3.5 DS and IS write it, blind to the process's locale. False unless all of
 * text is one number. */
bool dl_parse_int64(const char *text, size_t size, int64_t *value);
bool dl_parse_double(const char *text, size_t size, double *value);

#define DL_NUMBER_SIZE 40
/* The shortest correctly rounded decimal that reads back as the same value, at most DL_NUMBER_SIZE
 * bytes. Return the length, no terminator. */
size_t dl_format_uint64(char *into, uint64_t value);
size_t dl_format_int64(char *into, int64_t value);
size_t dl_format_double(char *into, double value);
size_t dl_format_float(char *into, float value);

static inline uint16_t dl_load_u16(const uint8_t *p, bool big_endian) {
    return (uint16_t)(big_endian ? (p[0] << 8 | p[1]) : (p[1] << 8 | p[0]));
}
static inline uint32_t dl_load_u32(const uint8_t *p, bool big_endian) {
    return big_endian ? ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3])
                      : ((uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0]);
}
static inline uint64_t dl_load_u64(const uint8_t *p, bool big_endian) {
    uint64_t first = dl_load_u32(p, big_endian), second = dl_load_u32(p + 4, big_endian);
    return big_endian ? (first << 32 | second) : (second << 32 | first);
}

#ifdef __cplusplus
}
#endif
#endif
