/* The walk over directories, as a shared supply of chunks of file names.
 *
 * A directory is listed a piece at a time, by whichever thread runs out of files, and goes back on
 * a stack when there is more of it: however large a directory or a tree is, only a few thousand
 * names are held. Directories wait by path, newest first. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "dicomloom/scan.h"

enum {
    CHUNK_FILES = 32,       /* small: on a cold disk 32 threads share one directory */
    LISTING_ENTRIES = 1024, /* names taken from a directory at a time */
    WAITING_PATHS = 4096    /* given by the caller and not yet taken */
};

struct dl_folder {
    atomic_uint holders; /* the cursor and the chunks */
    dl_directory *directory;
    char *path;
};

/* A directory to be listed, or to be listed further. */
typedef struct cursor {
    struct cursor *next;
    dl_folder *folder;
    bool followed; /* it was reached through a link, or named by the caller */
} cursor;

typedef struct identity {
    uint64_t device, inode;
} identity;

struct dl_walk {
    dl_mutex mutex;
    dl_condition changed;
    dl_chunk *first, *last; /* files that wait, oldest first */
    cursor *cursors;        /* directories that wait, newest first */
    size_t waiting_paths;
    size_t busy; /* chunks and cursors in the hands of threads: more may come of them */
    bool closed, stopped, follow_links;
    identity *visited; /* only when links are followed: open-addressed, inode 0 is free */
    size_t visited_count, visited_capacity;
};

/* --- folders and chunks ------------------------------------------------------------------------
 */

static dl_folder *folder_new(const char *path, size_t size) {
    dl_folder *folder = calloc(1, sizeof *folder);
    char *copy = malloc(size + 1);
    if (!folder || !copy) {
        free(folder);
        free(copy);
        return NULL;
    }
    memcpy(copy, path, size);
    copy[size] = 0;
    folder->path = copy;
    atomic_init(&folder->holders, 1);
    return folder;
}

static void folder_release(dl_folder *folder) {
    if (!folder || atomic_fetch_sub(&folder->holders, 1) != 1) return;
    dl_directory_close(folder->directory);
    free(folder->path);
    free(folder);
}

static dl_chunk *chunk_new(dl_folder *folder) {
    dl_chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk && folder) {
        atomic_fetch_add(&folder->holders, 1);
        chunk->folder = folder;
    }
    return chunk;
}

static void chunk_free(dl_chunk *chunk) {
    folder_release(chunk->folder);
    dl_bytes_free(&chunk->names);
    free(chunk);
}

int dl_chunk_descriptor(const dl_chunk *chunk) {
    return chunk->folder ? dl_directory_descriptor(chunk->folder->directory) : DL_CURRENT_DIRECTORY;
}

const char *dl_chunk_path(const dl_chunk *chunk) {
    return chunk->folder ? chunk->folder->path : "";
}

/* --- the supply --------------------------------------------------------------------------------
 */

dl_walk *dl_walk_new(bool follow_links) {
    dl_walk *walk = calloc(1, sizeof *walk);
    if (!walk) return NULL;
    walk->follow_links = follow_links;
    if (!dl_mutex_init(&walk->mutex)) {
        free(walk);
        return NULL;
    }
    if (!dl_condition_init(&walk->changed)) {
        dl_mutex_destroy(&walk->mutex);
        free(walk);
        return NULL;
    }
    return walk;
}

void dl_walk_free(dl_walk *walk) {
    if (!walk) return;
    while (walk->first) {
        dl_chunk *chunk = walk->first;
        walk->first = chunk->next;
        chunk_free(chunk);
    }
    while (walk->cursors) {
        cursor *each = walk->cursors;
        walk->cursors = each->next;
        folder_release(each->folder);
        free(each);
    }
    dl_condition_destroy(&walk->changed);
    dl_mutex_destroy(&walk->mutex);
    free(walk->visited);
    free(walk);
}

static void append_locked(dl_walk *walk, dl_chunk *chunk) {
    chunk->next = NULL;
    if (walk->last)
        walk->last->next = chunk;
    else
        walk->first = chunk;
    walk->last = chunk;
}

bool dl_walk_add(dl_walk *walk, const char *const *paths, size_t count, size_t *taken) {
    bool room = true;
    *taken = 0;
    dl_mutex_lock(&walk->mutex);
    while (*taken < count && room) {
        room = walk->waiting_paths < WAITING_PATHS;
        dl_chunk *chunk = room ? chunk_new(NULL) : NULL;
        if (!chunk) break;
        while (*taken < count && chunk->count < CHUNK_FILES) {
            const char *path = paths[*taken];
            if (dl_bytes_append(&chunk->names, path, strlen(path) + 1) != DL_OK) break;
            chunk->count++;
            ++*taken;
        }
        if (chunk->count == 0) { /* no memory for that path: the caller comes again */
            chunk_free(chunk);
            break;
        }
        walk->waiting_paths += chunk->count;
        append_locked(walk, chunk);
    }
    dl_condition_wake_all(&walk->changed);
    dl_mutex_unlock(&walk->mutex);
    return *taken == count;
}

void dl_walk_close(dl_walk *walk) {
    dl_mutex_lock(&walk->mutex);
    walk->closed = true;
    dl_condition_wake_all(&walk->changed);
    dl_mutex_unlock(&walk->mutex);
}

void dl_walk_stop(dl_walk *walk) {
    dl_mutex_lock(&walk->mutex);
    walk->stopped = true;
    dl_condition_wake_all(&walk->changed);
    dl_mutex_unlock(&walk->mutex);
}

/* --- listing -----------------------------------------------------------------------------------
 */

typedef struct listing {
    dl_chunk *first, *last;
    cursor *found; /* subdirectories, newest first */
    size_t entries;
    bool more;
} listing;

static dl_status list_file(listing *into, dl_folder *folder, const char *name) {
    if (!into->last || into->last->count == CHUNK_FILES) {
        dl_chunk *chunk = chunk_new(folder);
        if (!chunk) return DL_ERR_MEMORY;
        if (into->last)
            into->last->next = chunk;
        else
            into->first = chunk;
        into->last = chunk;
    }
    dl_status status = dl_bytes_append(&into->last->names, name, strlen(name) + 1);
    if (status == DL_OK) into->last->count++;
    return status;
}

/* A chunk that carries the reason why a directory could not be listed. */
static dl_status list_failure(listing *into, dl_folder *folder, const dl_error *error) {
    dl_chunk *chunk = chunk_new(folder);
    if (!chunk) return DL_ERR_MEMORY;
    chunk->failed = true;
    chunk->error = *error;
    chunk->next = into->first;
    into->first = chunk;
    if (!into->last) into->last = chunk;
    return DL_OK;
}

static cursor *cursor_new(const char *parent, const char *name, bool followed) {
    dl_bytes path = {0};
    size_t size = strlen(parent);
    cursor *made = NULL;
    if (dl_bytes_append(&path, parent, size) == DL_OK &&
        (size == 0 || parent[size - 1] == '/' || dl_bytes_append(&path, "/", 1) == DL_OK) &&
        dl_bytes_append(&path, name, strlen(name)) == DL_OK)
        made = calloc(1, sizeof *made);
    if (made) {
        made->followed = followed;
        made->folder = folder_new((const char *)path.data, path.length);
        if (!made->folder) {
            free(made);
            made = NULL;
        }
    }
    dl_bytes_free(&path);
    return made;
}

static dl_status list_entry(dl_walk *walk, listing *into, dl_folder *folder,
                            const dl_directory_entry *entry) {
    /* An index is often written into the tree that it describes: its own partial file is no row. */
    if (strncmp(entry->name, ".dicomloom-", 11) == 0) return DL_OK;
    dl_file_kind kind = entry->kind;
    bool link = kind == DL_FILE_LINK;
    if (kind == DL_FILE_UNKNOWN || link) {
        dl_file_info info;
        dl_error ignored;
        int at = dl_directory_descriptor(folder->directory);
        if (dl_file_stat(at, entry->name, false, &info, &ignored) == DL_OK) kind = info.kind;
        link = kind == DL_FILE_LINK;
        /* A broken link is listed as a file: opening it gives the row its reason. */
        if (link)
            kind = dl_file_stat(at, entry->name, true, &info, &ignored) == DL_OK ? info.kind
                                                                                 : DL_FILE_REGULAR;
        if (kind == DL_FILE_UNKNOWN) kind = DL_FILE_REGULAR;
    }
    if (kind == DL_FILE_REGULAR) return list_file(into, folder, entry->name);
    if (kind != DL_FILE_DIRECTORY || (link && !walk->follow_links)) return DL_OK;
    cursor *below = cursor_new(folder->path, entry->name, link);
    if (!below) return DL_ERR_MEMORY;
    below->next = into->found;
    into->found = below;
    return DL_OK;
}

/* Where a directory is in the table, or would be. */
static size_t visited_slot(const identity *table, size_t capacity, uint64_t inode,
                           uint64_t device) {
    size_t mask = capacity - 1, at = (size_t)(inode * 0x9E3779B97F4A7C15ULL) & mask;
    while (table[at].inode && (table[at].inode != inode || table[at].device != device))
        at = (at + 1) & mask;
    return at;
}

static dl_status grow_visited_locked(dl_walk *walk) {
    size_t capacity = walk->visited_capacity ? walk->visited_capacity * 2 : 256;
    identity *bigger = calloc(capacity, sizeof *bigger);
    if (!bigger) return DL_ERR_MEMORY;
    for (size_t i = 0; i < walk->visited_capacity; i++) {
        identity each = walk->visited[i];
        if (each.inode) bigger[visited_slot(bigger, capacity, each.inode, each.device)] = each;
    }
    free(walk->visited);
    walk->visited = bigger;
    walk->visited_capacity = capacity;
    return DL_OK;
}

/* Whether the directory has not been listed before. Kept only when links are followed, as only then
 * a directory can be reached twice. */
static dl_status visit(dl_walk *walk, const dl_directory *directory, bool *first) {
    dl_file_info info;
    *first = true;
    if (!walk->follow_links) return DL_OK;
    if (dl_file_stat(dl_directory_descriptor(directory), ".", true, &info, NULL) != DL_OK)
        return DL_OK; /* listing it will tell what is wrong */
    dl_status status = DL_OK;
    dl_mutex_lock(&walk->mutex);
    if (walk->visited_count * 2 >= walk->visited_capacity) status = grow_visited_locked(walk);
    if (status == DL_OK) {
        size_t at = visited_slot(walk->visited, walk->visited_capacity, info.inode, info.device);
        *first = walk->visited[at].inode == 0;
        if (*first) {
            walk->visited[at] = (identity){info.device, info.inode};
            walk->visited_count++;
        }
    }
    dl_mutex_unlock(&walk->mutex);
    return status;
}

/* Takes the next piece of a directory. Runs without the lock. */
static dl_status list(dl_walk *walk, cursor *at, listing *into) {
    dl_folder *folder = at->folder;
    dl_error error;
    dl_status status = DL_OK;
    if (!folder->directory) {
        status = dl_directory_open(DL_CURRENT_DIRECTORY, folder->path, at->followed,
                                   &folder->directory, &error);
        if (status != DL_OK) return list_failure(into, folder, &error);
        bool first;
        status = visit(walk, folder->directory, &first);
        if (status != DL_OK || !first) return status;
    }
    while (into->entries < LISTING_ENTRIES) {
        dl_directory_entry entry;
        status = dl_directory_next(folder->directory, &entry, &error);
        if (status != DL_OK) return list_failure(into, folder, &error);
        if (!entry.name) return DL_OK;
        into->entries++;
        status = list_entry(walk, into, folder, &entry);
        if (status != DL_OK) return status;
    }
    into->more = true;
    return DL_OK;
}

/* Puts what a listing found where the threads take it from. Holds the lock. */
static void file_listing_locked(dl_walk *walk, cursor *from, listing *found) {
    if (found->more) {
        from->next = walk->cursors;
        walk->cursors = from;
    } else {
        folder_release(from->folder);
        free(from);
    }
    while (found->found) { /* newest first onto a stack: the first found comes out first */
        cursor *each = found->found;
        found->found = each->next;
        each->next = walk->cursors;
        walk->cursors = each;
    }
    if (found->first) {
        if (walk->last)
            walk->last->next = found->first;
        else
            walk->first = found->first;
        walk->last = found->last;
    }
}

dl_status dl_walk_take(dl_walk *walk, dl_chunk **chunk) {
    dl_status status = DL_OK;
    *chunk = NULL;
    dl_mutex_lock(&walk->mutex);
    while (!walk->stopped && status == DL_OK) {
        if (walk->first) {
            dl_chunk *taken = walk->first;
            walk->first = taken->next;
            if (!walk->first) walk->last = NULL;
            if (!taken->folder) walk->waiting_paths -= taken->count;
            walk->busy++;
            *chunk = taken;
            break;
        }
        if (walk->cursors) {
            cursor *from = walk->cursors;
            walk->cursors = from->next;
            walk->busy++;
            dl_mutex_unlock(&walk->mutex);
            listing found = {0};
            status = list(walk, from, &found);
            dl_mutex_lock(&walk->mutex);
            file_listing_locked(walk, from, &found);
            walk->busy--;
            dl_condition_wake_all(&walk->changed);
            continue;
        }
        if (walk->closed && walk->busy == 0) break;
        dl_condition_wait(&walk->changed, &walk->mutex);
    }
    dl_mutex_unlock(&walk->mutex);
    return status;
}

void dl_walk_done(dl_walk *walk, dl_chunk *chunk) {
    chunk_free(chunk);
    dl_mutex_lock(&walk->mutex);
    walk->busy--;
    if (walk->busy == 0) dl_condition_wake_all(&walk->changed);
    dl_mutex_unlock(&walk->mutex);
}

dl_status dl_walk_enter(dl_walk *walk, const char *path) {
    cursor *made = cursor_new("", path, true);
    if (!made) return DL_ERR_MEMORY;
    dl_mutex_lock(&walk->mutex);
    made->next = walk->cursors;
    walk->cursors = made;
    dl_condition_wake_all(&walk->changed);
    dl_mutex_unlock(&walk->mutex);
    return DL_OK;
}
