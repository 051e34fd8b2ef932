/*
 * A mutex of one word for sections of some tens of nanoseconds: a fifth of a
 * pthread_mutex_t's size, which counts in a handle of which there may be a
 * million. All zeroes is unlocked. Clang checks who holds what.
 */
#ifndef IOCP_BASE_MUTEX_H
#define IOCP_BASE_MUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#ifdef __clang__
#define IOCP__ANNOTATE(x) __attribute__((x))
#else
#define IOCP__ANNOTATE(x)
#endif
#define IOCP__CAPABILITY IOCP__ANNOTATE(capability("mutex"))
#define IOCP__ACQUIRES(...) IOCP__ANNOTATE(acquire_capability(__VA_ARGS__))
#define IOCP__RELEASES(...) IOCP__ANNOTATE(release_capability(__VA_ARGS__))
#define IOCP__REQUIRES(...) IOCP__ANNOTATE(requires_capability(__VA_ARGS__))
#define IOCP__GUARDED_BY(x) IOCP__ANNOTATE(guarded_by(x))
#define IOCP__UNCHECKED IOCP__ANNOTATE(no_thread_safety_analysis)

/* 0: free, 1: held, 2: held and somebody may sleep for it. */
struct IOCP__CAPABILITY iocp__mutex {
    _Atomic uint32_t word;
};

void iocp__mutex_lock_slow(struct iocp__mutex *mutex);
void iocp__mutex_wake(struct iocp__mutex *mutex);

static inline void iocp__mutex_lock(struct iocp__mutex *mutex)
    IOCP__ACQUIRES(mutex) IOCP__UNCHECKED
{
    uint32_t expected = 0;

    /* Acquire: what the last holder wrote is seen by this one. */
    if (!atomic_compare_exchange_strong_explicit(&mutex->word, &expected, 1,
                                                 memory_order_acquire,
                                                 memory_order_relaxed))
        iocp__mutex_lock_slow(mutex);
}

static inline void iocp__mutex_unlock(struct iocp__mutex *mutex)
    IOCP__RELEASES(mutex) IOCP__UNCHECKED
{
    /* Release: pairs with the acquire of the next holder. */
    if (atomic_exchange_explicit(&mutex->word, 0, memory_order_release) == 2)
        iocp__mutex_wake(mutex);
}

#endif
