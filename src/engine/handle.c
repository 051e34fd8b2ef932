/* A handle's association, its descriptor, and its end. */
#include "engine/handle.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/sys.h"
#include "engine/engine.h"

/* What the socket is; what the verbs need to know of it. */
static int classify_locked(struct iocp_handle *handle)
    IOCP__REQUIRES(handle->lock)
{
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof(peer);
    int family, type, protocol, error;

    if ((error = iocp__sys_getsockopt(handle->fd, SO_DOMAIN, &family)) ||
        (error = iocp__sys_getsockopt(handle->fd, SO_TYPE, &type)) ||
        (error = iocp__sys_getsockopt(handle->fd, SO_PROTOCOL, &protocol)))
        return error;
    handle->family = (uint16_t)family;
    handle->type = (uint16_t)type;
    handle->protocol = (uint16_t)protocol;
    handle->connected =
        !iocp__sys_getpeername(handle->fd, (struct sockaddr *)&peer, &peer_len);
    return 0;
}

void iocp__handle_adopt_locked(struct iocp_handle *handle, int fd)
{
    handle->fd = fd;
    handle->registered = handle->ended = handle->reset = false;
    handle->connecting = handle->connected = false;
    handle->shut_later = handle->moves = false;
    handle->in.ready = handle->out.ready = true; /* unknown: try */
    handle->in.told = false;
    handle->in.shut = handle->out.shut = false;
}

void iocp__handle_empty_locked(struct iocp_handle *handle)
{
    int fd = handle->fd;

    iocp__handle_unregister_locked(handle);
    iocp__handle_adopt_locked(handle, -1);
    if (fd < 0)
        return;
    iocp__descriptor_yield(fd);
    iocp__sys_close(fd);
}

int iocp__handle_register_locked(struct iocp_handle *handle)
{
    struct epoll_event event = {.events = IOCP__HANDLE_EVENTS,
                                .data.u64 = iocp__handle_data_locked(handle)};
    int error;

    if (handle->registered)
        return 0;
    error = iocp__sys_epoll_ctl(handle->port->epoll, EPOLL_CTL_ADD, handle->fd,
                                &event);
    handle->registered = !error;
    return error;
}

/* Always before the descriptor is closed: while a forked child holds it
 * open, only this takes it out of the epoll set. */
void iocp__handle_unregister_locked(struct iocp_handle *handle)
{
    struct epoll_event unused = {0};

    /* Events that are on their way carry the old generation. */
    handle->generation++;
    if (handle->registered)
        iocp__sys_epoll_ctl(handle->port->epoll, EPOLL_CTL_DEL, handle->fd,
                            &unused);
    handle->registered = false;
}

static int describe_locked(struct iocp_handle *handle,
                           const struct iocp_handle *like)
    IOCP__REQUIRES(handle->lock)
{
    if (!like)
        return handle->fd < 0 ? 0 : classify_locked(handle);
    handle->family = like->family;
    handle->type = like->type;
    handle->protocol = like->protocol;
    return 0;
}

int iocp__handle_make(struct iocp_port *port, int fd,
                      const struct iocp_handle *like,
                      struct iocp_handle **ret_handle)
{
    struct iocp_handle *handle;
    int error = iocp__watcher_start(port);

    if (error)
        return error;
    handle = iocp__table_take(&port->engine->table);
    if (!handle)
        return -ENOMEM;
    iocp__handle_lock(handle);
    iocp__handle_adopt_locked(handle, fd);
    error = describe_locked(handle, like);
    if (error) {
        handle->fd = -1;
        iocp__handle_unlock(handle);
        iocp__table_give(&port->engine->table, handle);
        return error;
    }
    /* Once in a slot's life: a stale pointer may be looked at meanwhile. */
    if (!handle->port)
        handle->port = port;
    handle->alive = true;
    handle->owners = 1;
    handle->skip = false;
    iocp__port_ref(port);
    iocp__port_live_add(port);
    iocp__handle_unlock(handle);
    *ret_handle = handle;
    return 0;
}

/* Claim the number and see that it is a socket nobody blocks on. */
static int claim(int fd)
{
    struct stat stat;
    int error = iocp__sys_fstat(fd, &stat);

    if (error)
        return error;
    if (!S_ISSOCK(stat.st_mode))
        return -ENOTSOCK;
    if (!iocp__descriptor_claim(fd))
        return -EINVAL;
    error = iocp__sys_set_nonblocking(fd);
    if (error)
        iocp__descriptor_yield(fd);
    return error;
}

int iocp_port_associate(struct iocp_port *port, int fd, uintptr_t key,
                        unsigned flags, struct iocp_handle **ret_handle)
{
    struct iocp_handle *handle;
    int error = 0;

    if (!iocp__port_here(port))
        return -ECHILD;
    if (fd != -1)
        error = claim(fd);
    if (error)
        return error;
    error = iocp__handle_make(port, fd, NULL, &handle);
    if (error) {
        if (fd != -1)
            iocp__descriptor_yield(fd);
        return error;
    }
    handle->key = key;
    handle->skip = flags & IOCP_SKIP_ON_SUCCESS;
    *ret_handle = handle;
    return 0;
}

/* The very end: nobody has the handle, nobody is inside a call of it. */
static void settle(struct iocp_handle *handle) IOCP__RELEASES(handle->lock)
{
    struct iocp_port *port = handle->port;
    int fd = handle->fd;

    handle->fd = -1;
    handle->alive = false;
    iocp__handle_unlock(handle);
    if (fd >= 0) {
        iocp__descriptor_yield(fd);
        iocp__sys_close(fd);
    }
    iocp__table_give(&port->engine->table, handle);
    iocp__port_live_gone(port);
    iocp__port_unref(port);
}

void iocp__handle_unpin(struct iocp_handle *handle)
{
    handle->pins--;
    /* Not alive: somebody came with an old pointer, and found nothing. */
    if (handle->owners || handle->pins || handle->queued || !handle->alive)
        iocp__handle_unlock(handle);
    else
        settle(handle);
}

/* The last owner has gone: end what is pending, then let go. */
static void end_handle(struct iocp_handle *handle) IOCP__RELEASES(handle->lock)
{
    const struct iocp_op *acceptor = handle->acceptor;
    struct iocp_handle *listener = NULL;
    struct iocp__list ended = {0};

    /* While the mark is there the operation is not yet delivered. */
    if (acceptor)
        listener = __atomic_load_n(&acceptor->own.handle, __ATOMIC_RELAXED);
    handle->acceptor = NULL;
    handle->pins++;
    iocp__handle_unregister_locked(handle);
    iocp__end_direction_locked(handle, &handle->in, &ended);
    iocp__end_direction_locked(handle, &handle->out, &ended);
    iocp__port_live_closed(handle->port);
    iocp__handle_unlock(handle);
    iocp__ops_deliver(handle, &ended);
    if (acceptor)
        iocp__end_linked(listener, acceptor, IOCP__OP_ABORTING);
    iocp__end_moved(handle, NULL);
    iocp__handle_lock(handle);
    iocp__handle_unpin(handle);
}

int iocp_handle_close(struct iocp_handle *handle)
{
    if (!iocp__port_here(handle->port)) {
        /* No lock: it may be held by a thread that is not in this process. */
        iocp__sys_close(handle->fd);
        handle->fd = -1;
        return -ECHILD;
    }
    iocp__handle_lock(handle);
    if (!handle->owners) {
        iocp__handle_unlock(handle);
        return -EBADF;
    }
    if (--handle->owners)
        iocp__handle_unlock(handle);
    else
        end_handle(handle);
    return 0;
}

static int detach_locked(struct iocp_handle *handle, int *ret_fd)
    IOCP__REQUIRES(handle->lock)
{
    if (!handle->owners)
        return -EBADF;
    if (handle->owners > 1 || handle->in.ops.head || handle->out.ops.head ||
        handle->in.busy || handle->out.busy || handle->acceptor)
        return -EBUSY;
    iocp__handle_unregister_locked(handle);
    if (handle->fd >= 0)
        iocp__descriptor_yield(handle->fd);
    *ret_fd = handle->fd;
    handle->fd = -1;
    handle->owners = 0;
    iocp__port_live_closed(handle->port);
    return 0;
}

int iocp_handle_detach(struct iocp_handle *handle, int *ret_fd)
{
    int error;

    if (!iocp__port_here(handle->port))
        return -ECHILD;
    iocp__handle_lock(handle);
    error = detach_locked(handle, ret_fd);
    if (error) {
        iocp__handle_unlock(handle);
        return error;
    }
    handle->pins++;
    iocp__handle_unpin(handle);
    return 0;
}

int iocp_handle_dup(struct iocp_handle *handle, struct iocp_handle **ret_handle)
{
    bool open;

    if (!iocp__port_here(handle->port))
        return -ECHILD;
    iocp__handle_lock(handle);
    open = handle->owners;
    handle->owners += open;
    iocp__handle_unlock(handle);
    if (!open)
        return -EBADF;
    *ret_handle = handle;
    return 0;
}

uintptr_t iocp_handle_key(struct iocp_handle *handle)
{
    uintptr_t key;

    if (!iocp__port_here(handle->port))
        return 0;
    iocp__handle_lock(handle);
    key = handle->owners ? handle->key : 0;
    iocp__handle_unlock(handle);
    return key;
}

int iocp_handle_set_key(struct iocp_handle *handle, uintptr_t key)
{
    bool open;

    if (!iocp__port_here(handle->port))
        return -ECHILD;
    iocp__handle_lock(handle);
    open = handle->owners;
    if (open)
        handle->key = key;
    iocp__handle_unlock(handle);
    return open ? 0 : -EBADF;
}

int iocp_handle_fd(struct iocp_handle *handle)
{
    int fd;

    if (!iocp__port_here(handle->port))
        return -ECHILD;
    iocp__handle_lock(handle);
    fd = handle->owners ? handle->fd : -EBADF;
    iocp__handle_unlock(handle);
    return fd;
}

int iocp_handle_set_flags(struct iocp_handle *handle, unsigned flags)
{
    bool open;

    if (!iocp__port_here(handle->port))
        return -ECHILD;
    iocp__handle_lock(handle);
    open = handle->owners;
    if (open && flags & IOCP_SKIP_ON_SUCCESS)
        handle->skip = true;
    iocp__handle_unlock(handle);
    return open ? 0 : -EBADF;
}
