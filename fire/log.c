#include "log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "date.h"

#define RING_BYTES (512u << 10) /* a power of two */

/* At the end, give up who reads the log after so many tenths of a second. */
#define STUCK_MAX 10

/* Lines may lie this long, so that a busy server writes many at a time. */
#define REST_NS (NS_PER_S / 100)

struct log_ring {
    struct log *log;       /* immutable */
    atomic_size_t written; /* ever, by the worker */
    atomic_size_t taken;   /* ever, by the writer */
    atomic_ulong dropped;  /* lines */
    char bytes[RING_BYTES];
};

struct log {
    int fd;                  /* immutable */
    int wake_fd;             /* immutable */
    unsigned count;          /* immutable */
    struct log_ring **rings; /* immutable */
    pthread_t thread;
    atomic_bool is_asleep; /* the writer, until wake_fd is written to */
    atomic_bool is_ending;
    /* The writer's own. */
    size_t piece;       /* bytes to write at a time */
    unsigned stuck;     /* pieces in a row that there was no room for */
    unsigned long lost; /* pieces that could not be written */
};

struct log_ring *log_ring(struct log *log, unsigned number)
{
    return log->rings[number];
}

static void wake(struct log *log)
{
    uint64_t one = 1;

    /* Cannot fail: the counter is far from its end. */
    if (atomic_exchange(&log->is_asleep, false) &&
        write(log->wake_fd, &one, sizeof(one)) < 0)
        return;
}

void log_write(struct log_ring *ring, const char *bytes, size_t size)
{
    size_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    size_t at = written % RING_BYTES;
    size_t first = RING_BYTES - at < size ? RING_BYTES - at : size;

    if (RING_BYTES - (written - taken) < size) {
        atomic_fetch_add(&ring->dropped, 1);
    } else {
        memcpy(ring->bytes + at, bytes, first);
        memcpy(ring->bytes, bytes + first, size - first);
        /* Sequentially consistent with is_asleep: either the writer sees
         * these bytes before it sleeps, or we see that it does. */
        atomic_store(&ring->written, written + size);
    }
    if (atomic_load(&ring->log->is_asleep))
        wake(ring->log);
}

/* Is there room for a piece within a tenth of a second? */
static bool has_room(struct log *log)
{
    struct pollfd poll_fd = {.fd = log->fd, .events = POLLOUT};

    if (poll(&poll_fd, 1, 100) > 0) {
        log->stuck = 0;
        return true;
    }
    log->stuck++;
    return false;
}

/*
 * Write a piece of a ring. Returns whether there is more to do. A piece is
 * small enough for what poll(2) promises, so that the call does not block
 * although O_NONBLOCK, which others would see, is not set.
 */
static bool carry(struct log *log, struct log_ring *ring)
{
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    size_t there = atomic_load(&ring->written) - taken;
    size_t size = there < log->piece ? there : log->piece;
    size_t at = taken % RING_BYTES;
    size_t first = RING_BYTES - at < size ? RING_BYTES - at : size;
    struct iovec vector[2] = {
        {.iov_base = ring->bytes + at, .iov_len = first},
        {.iov_base = ring->bytes, .iov_len = size - first},
    };
    ssize_t gone;

    if (size == 0)
        return false;
    if (!has_room(log))
        return true;
    gone = writev(log->fd, vector, 2);
    if (gone < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (gone < 0) {
        /* The disk is full, or the reader is gone. */
        log->lost++;
        gone = (ssize_t)there;
    }
    atomic_store_explicit(&ring->taken, taken + (size_t)gone,
                          memory_order_release);
    return true;
}

static bool carry_all(struct log *log)
{
    bool found = false;

    for (unsigned i = 0; i < log->count; i++)
        found |= carry(log, log->rings[i]);
    return found;
}

static void report(struct log *log)
{
    unsigned long dropped = 0;

    for (unsigned i = 0; i < log->count; i++)
        dropped += atomic_exchange(&log->rings[i]->dropped, 0);
    if (dropped > 0)
        fprintf(stderr, "fire: %lu lines of the access log were dropped\n",
                dropped);
    if (log->lost > 0)
        fputs("fire: the access log cannot be written\n", stderr);
    log->lost = 0;
}

static bool has_work(const struct log *log)
{
    bool found = atomic_load(&log->is_ending);

    for (unsigned i = 0; i < log->count; i++)
        found |= atomic_load(&log->rings[i]->written) !=
                     atomic_load(&log->rings[i]->taken) ||
                 atomic_load(&log->rings[i]->dropped) > 0;
    return found;
}

static void sleep_until_work(struct log *log)
{
    uint64_t count;

    atomic_store(&log->is_asleep, true);
    if (has_work(log)) {
        atomic_store(&log->is_asleep, false);
        return;
    }
    if (read(log->wake_fd, &count, sizeof(count)) < 0)
        atomic_store(&log->is_asleep, false);
}

static void *run(void *arg)
{
    static const struct timespec rest = {.tv_nsec = REST_NS};
    struct log *log = arg;

    for (;;) {
        bool is_ending = atomic_load(&log->is_ending);
        bool has_more = carry_all(log);

        if (has_more && !(is_ending && log->stuck >= STUCK_MAX)) {
            if (!is_ending && log->piece > PIPE_BUF)
                nanosleep(&rest, NULL);
            continue;
        }
        report(log);
        if (is_ending)
            return NULL;
        sleep_until_work(log);
        nanosleep(&rest, NULL);
    }
}

static bool create_rings(struct log *log, unsigned count)
{
    log->rings = calloc(count, sizeof(struct log_ring *));
    if (!log->rings)
        return false;
    for (; log->count < count; log->count++) {
        struct log_ring *ring = calloc(1, sizeof(*ring));

        if (!ring)
            return false;
        ring->log = log;
        log->rings[log->count] = ring;
    }
    return true;
}

static void free_rings(struct log *log)
{
    while (log->count > 0)
        free(log->rings[--log->count]);
    free(log->rings);
}

/* A file takes all that there is; a pipe or a terminal only so much. */
static size_t piece_for(int fd)
{
    struct stat stat;

    return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) ? RING_BYTES
                                                          : PIPE_BUF;
}

int log_create(int fd, unsigned rings, struct log **ret_log)
{
    struct log *log = calloc(1, sizeof(*log));
    int error = -ENOMEM;

    if (!log)
        return error;
    if (!create_rings(log, rings))
        goto free_log;
    log->fd = fd;
    log->piece = piece_for(fd);
    log->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (log->wake_fd < 0) {
        error = -errno;
        goto free_log;
    }
    error = -pthread_create(&log->thread, NULL, run, log);
    if (error < 0)
        goto close_wake;
    *ret_log = log;
    return 0;

close_wake:
    close(log->wake_fd);
free_log:
    free_rings(log);
    free(log);
    return error;
}

void log_destroy(struct log *log)
{
    struct timespec until;

    atomic_store(&log->is_ending, true);
    wake(log);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 3;
    /* Should its writer hang in a call all the same, it ends with us. */
    if (pthread_timedjoin_np(log->thread, NULL, &until) != 0)
        return;
    close(log->wake_fd);
    close(log->fd);
    free_rings(log);
    free(log);
}
