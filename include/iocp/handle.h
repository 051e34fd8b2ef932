/*
 * The handle: a descriptor that joined a port.
 *
 * A handle owns its descriptor from the association on: the library closes
 * it, and never while a call of another thread may still use its number.
 * Association sets O_NONBLOCK, and that is seen by everyone who shares the
 * open file: duplicates of the descriptor, and other processes.
 *
 * Source: CreateIoCompletionPort, SetFileCompletionNotificationModes,
 * CancelIoEx, CloseHandle (Microsoft Learn).
 */
#ifndef IOCP_HANDLE_H
#define IOCP_HANDLE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct iocp_handle;
struct iocp_port;

/* An operation that is done at once returns 1 and queues no packet. */
#define IOCP_SKIP_ON_SUCCESS 1u

/*
 * Make the socket `fd` a handle of the port. `key` is what its packets
 * carry. `fd` may be -1: an empty handle, to be given to iocp_accept(). It
 * may be a socket of any address family, type and state. Unknown flags are
 * ignored.
 * Returns 0, and the descriptor is the handle's; or, and it stays the
 * caller's: -EBADF (not open), -ENOTSOCK (no socket), -EINVAL (already a
 * handle, of this port or another), -ENOMEM, -ESHUTDOWN, or -EAGAIN (no
 * thread for the port's watcher).
 */
int iocp_port_associate(struct iocp_port *port, int fd, uintptr_t key,
                        unsigned flags, struct iocp_handle **ret_handle);

/*
 * In a forked child it closes the child's copy of the descriptor and returns
 * -ECHILD. Close one owner's hold on the handle; the last one ends it: each
 * pending operation completes exactly once, with -ECANCELED unless it was just
 * being done, and its buffers are the library's until that packet. From then on
 * every call with the handle returns -EBADF, for as long as its memory was
 * not given to a new handle, which takes the oldest closed one first.
 * Returns 0 or -EBADF.
 */
int iocp_handle_close(struct iocp_handle *handle);

/*
 * Take the descriptor out again: the handle ends as by iocp_handle_close(),
 * but the descriptor lives on as the caller's, still with O_NONBLOCK.
 * Returns 0, -EBADF, or -EBUSY while anything is pending on the handle or it
 * has a second owner.
 */
int iocp_handle_detach(struct iocp_handle *handle, int *ret_fd);

/*
 * One more owner of the same handle: the same association, key and pending
 * operations; each owner closes it once. Returns 0 or -EBADF.
 */
int iocp_handle_dup(struct iocp_handle *handle,
                    struct iocp_handle **ret_handle);

/* The completion key, 0 for a closed handle. */
uintptr_t iocp_handle_key(struct iocp_handle *handle);

/*
 * Change the key of every operation that starts later. Meant for a handle
 * that iocp_accept() made. Returns 0 or -EBADF.
 */
int iocp_handle_set_key(struct iocp_handle *handle, uintptr_t key);

/*
 * The descriptor, for getsockname(2), setsockopt(2) and the like, or -1 for
 * an empty handle, or -EBADF. It is the handle's: do not close it, do not
 * read or write it beside the library, do not clear O_NONBLOCK.
 */
int iocp_handle_fd(struct iocp_handle *handle);

/*
 * Add IOCP_SKIP_ON_SUCCESS to the handle. Flags only accumulate; unknown
 * bits are ignored. Returns 0 or -EBADF.
 */
int iocp_handle_set_flags(struct iocp_handle *handle, unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
