/*
 * Every system call that the library makes, as a negative errno or a result.
 *
 * They go past libc's wrappers for two reasons: those are cancellation
 * points, and only the park in a wait may be one (N7); and one seam is where
 * a test lets a call fail. A call that a signal interrupted is repeated
 * where its manual page says that nothing has happened.
 */
#ifndef IOCP_BASE_SYS_H
#define IOCP_BASE_SYS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

_Static_assert(sizeof(void *) == 8, "offsets and times take 64 bits here");

/* Tell the processor that this is a loop that waits. */
static inline void iocp__cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

ssize_t iocp__sys_recv(int fd, void *buffer, size_t size, int flags);
ssize_t iocp__sys_send(int fd, const void *buffer, size_t size, int flags);
ssize_t iocp__sys_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t iocp__sys_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t iocp__sys_sendfile(int out, int in, off_t *offset, size_t size);
ssize_t iocp__sys_pread(int fd, void *buffer, size_t size, off_t offset);
int iocp__sys_fstat(int fd, struct stat *ret_stat);

int iocp__sys_socket(int domain, int type, int protocol);
int iocp__sys_accept(int fd, struct sockaddr *peer, socklen_t *peer_len);
int iocp__sys_connect(int fd, const struct sockaddr *address, socklen_t len);
int iocp__sys_shutdown(int fd, int how);
int iocp__sys_getsockopt(int fd, int name, int *ret_value);
int iocp__sys_getsockname(int fd, struct sockaddr *address, socklen_t *len);
int iocp__sys_getpeername(int fd, struct sockaddr *address, socklen_t *len);
int iocp__sys_set_nonblocking(int fd);
void iocp__sys_close(int fd);

int iocp__sys_epoll_create(void);
int iocp__sys_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
/* deadline_ns: IOCP__NEVER waits for ever, 0 polls. May return -EINTR. */
int iocp__sys_epoll_wait(int epoll, struct epoll_event *events, int capacity,
                         int64_t deadline_ns);
int iocp__sys_eventfd(void);
void iocp__sys_eventfd_signal(int fd);
int iocp__sys_timerfd(void);
int iocp__sys_timerfd_set(int fd, int64_t deadline_ns);

/* 0 when woken (perhaps in vain), or -ETIMEDOUT, -EAGAIN, -EINTR. */
int iocp__sys_futex_wait(_Atomic uint32_t *word, uint32_t value,
                         int64_t deadline_ns);
void iocp__sys_futex_wake(_Atomic uint32_t *word, int count);
unsigned iocp__sys_processors(void);

#endif
