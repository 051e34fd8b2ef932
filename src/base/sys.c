#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

/* Absent from older headers; the number is the same everywhere. */
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

static long checked(long result)
{
    return result < 0 ? -errno : result;
}

/* Repeat `call` while a signal interrupts it before anything was done. */
#define UNINTERRUPTED(call)                                                    \
    __extension__({                                                            \
        long result_;                                                          \
        do                                                                     \
            result_ = checked(call);                                           \
        while (result_ == -EINTR);                                             \
        result_;                                                               \
    })

ssize_t iocp__sys_recv(int fd, void *buffer, size_t size, int flags)
{
    return UNINTERRUPTED(syscall(SYS_recvfrom, fd, buffer, size,
                                 flags | MSG_DONTWAIT, NULL, NULL));
}

ssize_t iocp__sys_send(int fd, const void *buffer, size_t size, int flags)
{
    return UNINTERRUPTED(syscall(SYS_sendto, fd, buffer, size,
                                 flags | MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0));
}

ssize_t iocp__sys_recvmsg(int fd, struct msghdr *message, int flags)
{
    return UNINTERRUPTED(
        syscall(SYS_recvmsg, fd, message, flags | MSG_DONTWAIT));
}

ssize_t iocp__sys_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return UNINTERRUPTED(
        syscall(SYS_sendmsg, fd, message, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

ssize_t iocp__sys_sendfile(int out, int in, off_t *offset, size_t size)
{
    return UNINTERRUPTED(syscall(SYS_sendfile, out, in, offset, size));
}

ssize_t iocp__sys_pread(int fd, void *buffer, size_t size, off_t offset)
{
    return UNINTERRUPTED(syscall(SYS_pread64, fd, buffer, size, offset));
}

int iocp__sys_fstat(int fd, struct stat *ret_stat)
{
    /* No cancellation point, and the structure's shape is libc's. */
    return fstat(fd, ret_stat) ? -errno : 0;
}

int iocp__sys_socket(int domain, int type, int protocol)
{
    return (int)checked(syscall(SYS_socket, domain,
                                type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

int iocp__sys_accept(int fd, struct sockaddr *peer, socklen_t *peer_len)
{
    return (int)UNINTERRUPTED(
        syscall(SYS_accept4, fd, peer, peer_len, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int iocp__sys_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    return (int)checked(syscall(SYS_connect, fd, address, len));
}

int iocp__sys_shutdown(int fd, int how)
{
    return (int)checked(syscall(SYS_shutdown, fd, how));
}

int iocp__sys_getsockopt(int fd, int name, int *ret_value)
{
    socklen_t len = sizeof(*ret_value);

    return (int)checked(
        syscall(SYS_getsockopt, fd, SOL_SOCKET, name, ret_value, &len));
}

int iocp__sys_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    return (int)checked(syscall(SYS_getsockname, fd, address, len));
}

int iocp__sys_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    return (int)checked(syscall(SYS_getpeername, fd, address, len));
}

int iocp__sys_set_nonblocking(int fd)
{
    long flags = checked(syscall(SYS_fcntl, fd, F_GETFL, 0));

    if (flags < 0 || flags & O_NONBLOCK)
        return flags < 0 ? (int)flags : 0;
    return (int)checked(syscall(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK));
}

void iocp__sys_close(int fd)
{
    int state;

    /* libc's own, so that tools which follow descriptors see the number
     * become free; it is a cancellation point, hence the state. After EINTR
     * the number is free all the same: close(2). */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    close(fd);
    pthread_setcancelstate(state, NULL);
}

int iocp__sys_epoll_create(void)
{
    return (int)checked(syscall(SYS_epoll_create1, EPOLL_CLOEXEC));
}

int iocp__sys_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    return (int)checked(syscall(SYS_epoll_ctl, epoll, op, fd, event));
}

/* epoll_pwait2() came with Linux 5.11, and old filters do not know it. */
static atomic_bool coarse;

static int wait_in_ms(int epoll, struct epoll_event *events, int capacity,
                      int64_t left_ns)
{
    int64_t ms = left_ns / 1000000 + (left_ns % 1000000 != 0);

    if (left_ns == IOCP__NEVER)
        ms = -1;
    else if (ms > INT32_MAX)
        ms = INT32_MAX;
    return (int)checked(
        syscall(SYS_epoll_pwait, epoll, events, capacity, (int)ms, NULL, 8));
}

int iocp__sys_epoll_wait(int epoll, struct epoll_event *events, int capacity,
                         int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns;
    struct timespec left;
    long count;

    if (deadline_ns && deadline_ns != IOCP__NEVER)
        left_ns = deadline_ns - iocp__now_ns();
    if (left_ns < 0)
        left_ns = 0;
    /* Relaxed: whoever misses the news finds it out again. */
    if (!left_ns || left_ns == IOCP__NEVER ||
        atomic_load_explicit(&coarse, memory_order_relaxed))
        return wait_in_ms(epoll, events, capacity, left_ns);
    left = iocp__timespec(left_ns);
    count = checked(
        syscall(SYS_epoll_pwait2, epoll, events, capacity, &left, NULL, 8));
    if (count != -ENOSYS && count != -EPERM)
        return (int)count;
    atomic_store_explicit(&coarse, 1, memory_order_relaxed);
    return wait_in_ms(epoll, events, capacity, left_ns);
}

int iocp__sys_eventfd(void)
{
    return (int)checked(syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void iocp__sys_eventfd_signal(int fd)
{
    uint64_t one = 1;

    /* Nobody reads it: 2^64 - 2 writes until it would refuse. */
    syscall(SYS_write, fd, &one, sizeof(one));
}

int iocp__sys_timerfd(void)
{
    return (int)checked(syscall(SYS_timerfd_create, CLOCK_MONOTONIC,
                                TFD_CLOEXEC | TFD_NONBLOCK));
}

int iocp__sys_timerfd_set(int fd, int64_t deadline_ns)
{
    struct itimerspec at = {.it_value = iocp__timespec(deadline_ns)};

    return (int)checked(
        syscall(SYS_timerfd_settime, fd, TFD_TIMER_ABSTIME, &at, NULL));
}

int iocp__sys_futex_wait(_Atomic uint32_t *word, uint32_t value,
                         int64_t deadline_ns)
{
    struct timespec at = iocp__timespec(deadline_ns);

    /* The BITSET form takes an absolute, monotonic time: futex(2). */
    return (int)checked(syscall(
        SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
        deadline_ns == IOCP__NEVER ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY));
}

void iocp__sys_futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL,
            0);
}

unsigned iocp__sys_processors(void)
{
    cpu_set_t set;
    long bytes =
        checked(syscall(SYS_sched_getaffinity, getpid(), sizeof(set), &set));

    /* More than 1,024 processors do not fit; then what libc counts. */
    if (bytes < 0)
        return (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    return (unsigned)CPU_COUNT_S((size_t)bytes, &set);
}
