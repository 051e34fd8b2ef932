/*
 * What can be started on a socket.
 *
 * Every function here but iocp_shutdown() is a verb: 0, 1 or a negative
 * errno, as <iocp/op.h> says. All return -EBADF (closed handle), -EBUSY (the
 * operation is still pending), -ENOMEM and -ESHUTDOWN (the port is closed);
 * -EINVAL for an empty vector or a NULL argument; and what the kernel says
 * when it fails at once (-ENOTCONN, -ECONNRESET, -ENOBUFS, -EPIPE ...).
 * Status in the packet: 0, -ECANCELED, -ETIMEDOUT (deadline), -ECONNRESET,
 * -EMSGSIZE (a datagram longer than the buffer, which is full) or another
 * errno of the kernel's.
 *
 * On a stream the operations of one direction complete in the order in which
 * they were started. A send completes when its last byte was taken by the
 * kernel; sends are never interleaved. A receive completes with what has
 * come: at least one byte, or 0 and IOCP_OP_END when the peer has closed.
 * SIGPIPE is never raised.
 *
 * Source: WSARecv, WSASend, WSARecvFrom, WSASendTo, WSARecvMsg, WSASendMsg,
 * AcceptEx, ConnectEx, DisconnectEx, TransmitFile, TransmitPackets
 * (Microsoft Learn); recv(2), send(2), sendfile(2).
 */
#ifndef IOCP_SOCKET_H
#define IOCP_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <iocp/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A receive of size 0 on a stream may complete in vain, which saves it a
 * system call: for waiting without a buffer on a connection that is idle. */
#define IOCP_RECV_HINT 0x10000000

/*
 * Receive into one buffer. A size of 0 on a stream waits until there is
 * something to receive, takes nothing and completes with 0; on a datagram
 * socket it takes a datagram and loses it. `flags`: MSG_PEEK, MSG_WAITALL
 * (a stream: completes when the buffer is full or the stream ends), MSG_OOB,
 * IOCP_RECV_HINT.
 */
int iocp_recv(struct iocp_handle *handle, struct iocp_op *op, void *buffer,
              size_t size_bytes, int flags);

/* Send one buffer, all of it. `flags`: MSG_MORE, MSG_OOB, MSG_DONTROUTE. */
int iocp_send(struct iocp_handle *handle, struct iocp_op *op,
              const void *buffer, size_t size_bytes, int flags);

/*
 * The same, scattered and gathered. The vector stays the caller's and stays
 * unchanged; it and its buffers must live until the packet. `count` is 1 to
 * 1024.
 */
int iocp_recvv(struct iocp_handle *handle, struct iocp_op *op,
               const struct iovec *vector, unsigned count, int flags);
int iocp_sendv(struct iocp_handle *handle, struct iocp_op *op,
               const struct iovec *vector, unsigned count, int flags);

/*
 * The message forms, with address and control data, as recvmsg(2) and
 * sendmsg(2). At completion of a receive msg_namelen, msg_controllen and
 * msg_flags have been set. Control data of a send on a stream goes with its
 * first byte. The msghdr and all that it points to must live until the
 * packet.
 */
int iocp_recvmsg(struct iocp_handle *handle, struct iocp_op *op,
                 struct msghdr *message, int flags);
int iocp_sendmsg(struct iocp_handle *handle, struct iocp_op *op,
                 const struct msghdr *message, int flags);

/*
 * Datagrams with addresses. `ret_address` (NULL: not wanted) has room for
 * *address_len bytes, which becomes the address's length, at completion.
 * `address` of a send must live until the packet.
 */
int iocp_recvfrom(struct iocp_handle *handle, struct iocp_op *op, void *buffer,
                  size_t size_bytes, int flags, struct sockaddr *ret_address,
                  socklen_t *address_len);
int iocp_sendto(struct iocp_handle *handle, struct iocp_op *op,
                const void *buffer, size_t size_bytes, int flags,
                const struct sockaddr *address, socklen_t address_len);

/*
 * Accept one connection on a listening socket. The packet is the
 * listener's: it carries the listener's key.
 *
 * `into` is a handle of the same port made beforehand, empty (associated
 * with fd -1) or with a socket that was never used; it takes the
 * connection's descriptor, and a socket that it had is closed. With NULL the
 * library makes a handle on the listener's port, with the listener's key and
 * flags (see iocp_handle_set_key), which is the caller's to close. Either way
 * op->accepted is the handle when the packet's status is 0.
 *
 * With size_bytes > 0 the operation completes when the connection's first
 * bytes are in `buffer`, or with 0 bytes and IOCP_OP_END when the peer
 * closed before it sent any; a made-beforehand handle closed meanwhile ends
 * it with -ECANCELED. `ret_peer` (NULL: not wanted) as in iocp_recvfrom().
 *
 * Returns also -ENOTSOCK, -EINVAL (not listening; `into` is of another port),
 * -EISCONN (`into` is connected, bound or listening, or another accept has it).
 * -EMFILE, -ENFILE, -ENOBUFS and -ENOMEM of the kernel come in the packet when
 * the operation was pending: no connection was lost, it still waits in the
 * listener's backlog; back off and start again.
 */
int iocp_accept(struct iocp_handle *listener, struct iocp_op *op,
                struct iocp_handle *into, void *buffer, size_t size_bytes,
                struct sockaddr *ret_peer, socklen_t *peer_len);

/*
 * Connect, and then send `size_bytes` (0: none) of first data; bytes counts
 * them. A handle emptied by IOCP_REUSE gets a new socket of the kind that it
 * had. A network failure (-ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH,
 * -ENETUNREACH) always comes in the packet. Returns also -EISCONN,
 * -EALREADY (a connect is pending), -EINVAL (listening), and -EAGAIN for a
 * Unix socket whose backlog is full. `address` is copied; the data must
 * live until the packet.
 */
int iocp_connect(struct iocp_handle *handle, struct iocp_op *op,
                 const struct sockaddr *address, socklen_t address_len,
                 const void *buffer, size_t size_bytes);

/* End the connection once the sends before it are done. */
#define IOCP_DISCONNECT 1u
/* And empty the handle, so that accept or connect may use it again. */
#define IOCP_REUSE 2u

/*
 * Disconnect after all pending sends: the peer sees the end of the stream
 * and later sends get -EPIPE; receives go on. With IOCP_REUSE (in `flags`)
 * pending receives end with -ECANCELED, the descriptor is closed and the
 * handle is empty, still associated. -ENOTCONN when not connected.
 */
int iocp_disconnect(struct iocp_handle *handle, struct iocp_op *op,
                    unsigned flags);

/*
 * No verb, queues nothing. SHUT_WR: the stream ends after the pending sends
 * and new ones get -EPIPE. SHUT_RD: pending receives go on, new ones get
 * -EPIPE. SHUT_RDWR: both. Returns 0, -EBADF, -ENOTCONN or -EINVAL.
 */
int iocp_shutdown(struct iocp_handle *handle, int how);

/*
 * Send memory, a range of a file, and memory again, as one operation.
 * file_length 0 means to the end of the file as it is at the start; file -1
 * means none. A file that turns out shorter than its range ends the
 * operation with -ENODATA, bytes telling what went. The file is the
 * caller's, its position is neither used nor changed, and it must stay open
 * until the packet.
 */
struct iocp_transmit {
    const void *head;
    size_t head_bytes;
    int file;
    uint64_t file_offset;
    uint64_t file_length;
    const void *tail;
    size_t tail_bytes;
};

/* `what` must live until the packet. `flags`: IOCP_DISCONNECT, IOCP_REUSE. */
int iocp_transmit_file(struct iocp_handle *handle, struct iocp_op *op,
                       const struct iocp_transmit *what, unsigned flags);

/* One element of a list: memory, or with buffer NULL a range of a file. */
struct iocp_transmit_element {
    const void *buffer;
    int file;
    uint64_t offset;     /* of a file */
    uint64_t size_bytes; /* of a file, 0: to its end */
};

/* The same for a list of 1 or more elements, which must live as `what`. */
int iocp_transmit_packets(struct iocp_handle *handle, struct iocp_op *op,
                          const struct iocp_transmit_element *elements,
                          unsigned count, unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
