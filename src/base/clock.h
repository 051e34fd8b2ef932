/* The monotonic clock, and time-outs as points on it. */
#ifndef IOCP_BASE_CLOCK_H
#define IOCP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define IOCP__NEVER INT64_MAX

static inline int64_t iocp__now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The point `after_ns` from now; for ever when that is negative or beyond. */
static inline int64_t iocp__deadline_ns(int64_t after_ns)
{
    int64_t now_ns;

    if (after_ns < 0)
        return IOCP__NEVER;
    now_ns = iocp__now_ns();
    return after_ns > IOCP__NEVER - now_ns ? IOCP__NEVER : now_ns + after_ns;
}

static inline struct timespec iocp__timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
}

#endif
