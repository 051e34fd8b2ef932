#include "base/mutex.h"

#include "base/clock.h"
#include "base/sys.h"

/* Sections are short: one that is held will mostly be free before a sleep
 * could have begun. */
enum { SPINS = 100 };

void iocp__mutex_lock_slow(struct iocp__mutex *mutex)
{
    for (unsigned i = 0; i < SPINS; i++) {
        uint32_t expected = 0;

        if (!atomic_load_explicit(&mutex->word, memory_order_relaxed) &&
            atomic_compare_exchange_weak_explicit(&mutex->word, &expected, 1,
                                                  memory_order_acquire,
                                                  memory_order_relaxed))
            return;
        iocp__cpu_relax();
    }
    /* From here on always 2: another sleeper may be left behind us. */
    while (atomic_exchange_explicit(&mutex->word, 2, memory_order_acquire))
        iocp__sys_futex_wait(&mutex->word, 2, IOCP__NEVER);
}

void iocp__mutex_wake(struct iocp__mutex *mutex)
{
    iocp__sys_futex_wake(&mutex->word, 1);
}
