/*
 * Transmit: memory and ranges of files as one operation. Memory and what
 * there is of small file parts goes gathered in one call; a large part goes
 * by sendfile (measured: read + send is cheaper up to about 16 KiB).
 *
 * Where it stands is an element's number and an offset in it. What was read
 * and not taken by the kernel is read again: no buffer outlives a call.
 */
#include <errno.h>
#include <signal.h>

#include "base/sys.h"
#include "op/disconnect.h"

enum {
    SMALL_BYTES = 16 * 1024,
    PIECES = 16,
    TURN_BYTES = 2 * 1024 * 1024, /* then others have their turn */
};

/* args: what or elements; count, 0: what; the current element's number, its
 * offset, and its size once that was looked up (0: not yet, or nothing). */
enum { WHAT, COUNT, INDEX, OFFSET, SIZE };

static size_t element_count(const struct iocp_op *op)
{
    return op->own.args[COUNT] ? op->own.args[COUNT] : 3;
}

static struct iocp_transmit_element element(const struct iocp_op *op,
                                            size_t index)
{
    const struct iocp_transmit *what = iocp__pointer(op, WHAT);

    if (op->own.args[COUNT])
        return ((const struct iocp_transmit_element *)what)[index];
    if (index == 1)
        return (struct iocp_transmit_element){.file = what->file,
                                              .offset = what->file_offset,
                                              .size_bytes = what->file_length};
    return (struct iocp_transmit_element){
        .buffer = index ? what->tail : what->head,
        .file = -1,
        .size_bytes = index ? what->tail_bytes : what->head_bytes};
}

static bool is_file(const struct iocp_transmit_element *part)
{
    return !part->buffer && part->file >= 0;
}

/* Its size, asked from the file where it was left open; or an errno. */
static int64_t element_size(struct iocp_transmit_element *part)
{
    struct stat stat;
    int error;

    if (!is_file(part))
        return part->buffer ? (int64_t)part->size_bytes : 0;
    if (part->size_bytes)
        return (int64_t)part->size_bytes;
    error = iocp__sys_fstat(part->file, &stat);
    if (error)
        return error;
    return (uint64_t)stat.st_size > part->offset
               ? (int64_t)((uint64_t)stat.st_size - part->offset)
               : 0;
}

/* The current element, from where it stands; 0, or the errno of its size. */
static int current(struct iocp_op *op, struct iocp_transmit_element *ret_part)
{
    int64_t size;

    *ret_part = element(op, op->own.args[INDEX]);
    if (!op->own.args[SIZE]) {
        size = element_size(ret_part);
        if (size < 0)
            return (int)size;
        op->own.args[SIZE] = (uintptr_t)size;
    }
    ret_part->size_bytes = op->own.args[SIZE] - op->own.args[OFFSET];
    ret_part->offset += op->own.args[OFFSET];
    if (ret_part->buffer)
        ret_part->buffer =
            (const char *)ret_part->buffer + op->own.args[OFFSET];
    return 0;
}

static void next_element(struct iocp_op *op)
{
    op->own.args[INDEX]++;
    op->own.args[OFFSET] = op->own.args[SIZE] = 0;
}

/* `bytes` more have gone, perhaps over several elements. */
static void advance(struct iocp_op *op, size_t bytes)
{
    op->bytes += bytes;
    while (bytes) {
        struct iocp_transmit_element part;

        if (current(op, &part))
            return; /* it has told its size before */
        if (bytes < part.size_bytes) {
            op->own.args[OFFSET] += bytes;
            return;
        }
        bytes -= part.size_bytes;
        next_element(op);
    }
}

struct gathered {
    struct iovec pieces[PIECES];
    unsigned count;
    bool more; /* something follows that is not in here */
    char bytes[SMALL_BYTES];
};

/* Memory from the current element on, and small file parts read in. */
static int gather(const struct iocp_op *op, struct gathered *ret)
{
    struct iocp_op ahead = *op;
    size_t used = 0;

    ret->count = 0;
    ret->more = true;
    while (ahead.own.args[INDEX] < element_count(op)) {
        struct iocp_transmit_element part;
        int error = current(&ahead, &part);
        long bytes = (long)part.size_bytes;

        if (error)
            return error;
        if (bytes && (ret->count == PIECES ||
                      (is_file(&part) && part.size_bytes > SMALL_BYTES - used)))
            return 0;
        if (bytes && is_file(&part)) {
            bytes = iocp__sys_pread(part.file, ret->bytes + used,
                                    part.size_bytes, (off_t)part.offset);
            part.buffer = ret->bytes + used;
            used += bytes > 0 ? (size_t)bytes : 0;
        }
        if (bytes < 0)
            return (int)bytes;
        if (bytes)
            ret->pieces[ret->count++] =
                (struct iovec){.iov_base = (void *)(uintptr_t)part.buffer,
                               .iov_len = (size_t)bytes};
        /* The file is shorter than its part: said when that is reached. */
        if ((size_t)bytes < part.size_bytes)
            return ret->count ? 0 : -ENODATA;
        next_element(&ahead);
    }
    ret->more = false;
    return 0;
}

static long send_gathered(struct iocp_handle *handle, struct gathered *gathered)
{
    struct msghdr message = {.msg_iov = gathered->pieces,
                             .msg_iovlen = gathered->count};

    return iocp__sys_sendmsg(handle->fd, &message,
                             gathered->more ? MSG_MORE : 0);
}

/* sendfile() knows no MSG_NOSIGNAL: the signal is held off, and taken. */
static long send_file(struct iocp_handle *handle,
                      const struct iocp_transmit_element *part)
{
    static const struct timespec at_once = {0};
    off_t offset = (off_t)part->offset;
    sigset_t pipe, before, pending;
    long result;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    result = iocp__sys_sendfile(
        handle->fd, part->file, &offset,
        part->size_bytes < TURN_BYTES ? (size_t)part->size_bytes : TURN_BYTES);
    if (result == -EPIPE && !sigismember(&before, SIGPIPE) &&
        !sigpending(&pending) && sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result ? result : -ENODATA;
}

/* One call's worth; how much went, 0 when all has, or an errno. */
static long send_some(struct iocp_handle *handle, struct iocp_op *op)
{
    struct gathered gathered;
    struct iocp_transmit_element part;
    int error;

    while (op->own.args[INDEX] < element_count(op)) {
        error = current(op, &part);
        if (error)
            return error;
        if (part.size_bytes)
            break;
        next_element(op);
    }
    if (op->own.args[INDEX] >= element_count(op))
        return 0;
    if (is_file(&part) && part.size_bytes > SMALL_BYTES)
        return send_file(handle, &part);
    error = gather(op, &gathered);
    return error ? error : send_gathered(handle, &gathered);
}

static enum iocp__outcome attempt_transmit(struct iocp_handle *handle,
                                           struct iocp_op *op)
{
    size_t turn = 0;

    while (turn < TURN_BYTES) {
        long result = send_some(handle, op);

        if (result < 0)
            return iocp__failed(op, result);
        if (!result && op->own.msg_flags)
            return iocp__disconnect_now(handle, op,
                                        (unsigned)op->own.msg_flags);
        if (!result)
            return IOCP__DONE_READY;
        advance(op, (size_t)result);
        turn += (size_t)result;
    }
    return IOCP__YIELD;
}

static const struct iocp__verb transmit = {.out = true,
                                           .attempt = attempt_transmit};

static int start(struct iocp_handle *handle, struct iocp_op *op,
                 const void *what, size_t count, unsigned flags)
{
    int error = iocp__begin(handle, op);

    if (error)
        return error;
    op->own.args[WHAT] = (uintptr_t)what;
    op->own.args[COUNT] = count;
    op->own.args[INDEX] = op->own.args[OFFSET] = op->own.args[SIZE] = 0;
    op->own.msg_flags = (int)(flags & (IOCP_DISCONNECT | IOCP_REUSE));
    return iocp__start(handle, op, &transmit);
}

int iocp_transmit_file(struct iocp_handle *handle, struct iocp_op *op,
                       const struct iocp_transmit *what, unsigned flags)
{
    return what ? start(handle, op, what, 0, flags) : -EINVAL;
}

int iocp_transmit_packets(struct iocp_handle *handle, struct iocp_op *op,
                          const struct iocp_transmit_element *elements,
                          unsigned count, unsigned flags)
{
    return elements && count ? start(handle, op, elements, count, flags)
                             : -EINVAL;
}
