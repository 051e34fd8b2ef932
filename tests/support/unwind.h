/*
 * A thread that pthread_cancel() unwinds returns from none of its functions,
 * so AddressSanitizer leaves their stack marked, and then trips over the
 * marks in its own work at the thread's end. A clean-up handler that calls
 * this takes them away: UNWIND_BEGIN and UNWIND_END around what is cancelled.
 */
#ifndef TESTS_UNWIND_H
#define TESTS_UNWIND_H

#include <pthread.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
void __asan_handle_no_return(void);
#else
#define __asan_handle_no_return() ((void)0)
#endif

static inline void forget_stack(void *unused)
{
    (void)unused;
    __asan_handle_no_return();
}

#define UNWIND_BEGIN pthread_cleanup_push(forget_stack, NULL)
#define UNWIND_END pthread_cleanup_pop(0)

#endif
