/* The peer: raw io_uring through liburing, one thread: multishot accept,
 * multishot receive into provided buffers, deferred task work. */
#include <errno.h>
#include <liburing.h>

#include "server.h"

enum { ENTRIES = 4096, BUFFERS = 4096, BUFFER_BYTES = 8192 };
enum { ACCEPT, RECEIVE, SEND, CLOSE };

static struct io_uring ring;
static struct io_uring_buf_ring *provided;
static char *buffers;

/* fd, buffer and kind in one word: no memory for a request. */
static uint64_t tag(int fd, unsigned buffer, unsigned kind)
{
    return (uint64_t)(unsigned)fd << 32 | (uint64_t)buffer << 8 | kind;
}

static struct io_uring_sqe *entry(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void receive(int fd)
{
    struct io_uring_sqe *sqe = entry();

    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    io_uring_sqe_set_data64(sqe, tag(fd, 0, RECEIVE));
}

static void give_back(unsigned buffer)
{
    io_uring_buf_ring_add(provided, buffers + buffer * BUFFER_BYTES,
                          BUFFER_BYTES, (unsigned short)buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(provided, 1);
}

static void received(int fd, const struct io_uring_cqe *cqe)
{
    unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    struct io_uring_sqe *sqe;

    if (cqe->res <= 0) {
        if (cqe->res == -ENOBUFS) {
            receive(fd);
            return;
        }
        sqe = entry();
        io_uring_prep_close(sqe, fd);
        io_uring_sqe_set_data64(sqe, tag(fd, 0, CLOSE));
        return;
    }
    sqe = entry();
    io_uring_prep_send(sqe, fd, buffers + buffer * BUFFER_BYTES,
                       (size_t)cqe->res, MSG_WAITALL | MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, tag(fd, buffer, SEND));
    if (!(cqe->flags & IORING_CQE_F_MORE))
        receive(fd);
}

static void handle(const struct io_uring_cqe *cqe)
{
    int fd = (int)(cqe->user_data >> 32);

    switch (cqe->user_data & 0xff) {
    case ACCEPT:
        if (cqe->res >= 0)
            receive(cqe->res);
        break;
    case RECEIVE:
        received(fd, cqe);
        break;
    case SEND:
        give_back((unsigned)(cqe->user_data >> 8) & 0xffff);
        break;
    }
}

int main(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_CQSIZE,
                                     .cq_entries = 4 * ENTRIES};
    struct io_uring_buf_reg registration = {.ring_entries = BUFFERS};
    struct io_uring_sqe *sqe;
    int listener = bench_listen();

    if (io_uring_queue_init_params(ENTRIES, &ring, &params) ||
        posix_memalign((void **)&provided, 4096,
                       BUFFERS * sizeof(struct io_uring_buf)) ||
        !(buffers = malloc((size_t)BUFFERS * BUFFER_BYTES)))
        return 1;
    registration.ring_addr = (uintptr_t)provided;
    if (io_uring_register_buf_ring(&ring, &registration, 0))
        return 1;
    io_uring_buf_ring_init(provided);
    for (unsigned i = 0; i < BUFFERS; i++)
        give_back(i);
    sqe = entry();
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
    io_uring_sqe_set_data64(sqe, tag(listener, 0, ACCEPT));
    for (;;) {
        struct io_uring_cqe *cqes[64];
        unsigned count;

        io_uring_submit_and_wait(&ring, 1);
        while ((count = io_uring_peek_batch_cqe(&ring, cqes, 64))) {
            for (unsigned i = 0; i < count; i++)
                handle(cqes[i]);
            io_uring_cq_advance(&ring, count);
        }
    }
}
