/*
 * From the kernel's events to work that can be done: the port's source.
 *
 * One persistent, edge-triggered registration for each handle. The event
 * carries slot and generation, never a pointer. What waits to be sent is
 * driven at once by whoever harvests, or it could lie there while all
 * workers are in handlers; a receive is left to the thread that takes it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sys.h"
#include "engine/engine.h"
#include "engine/handle.h"

int iocp__source_create(struct iocp_port *port)
{
    struct iocp__engine *engine = calloc(1, sizeof(*engine));

    if (!engine)
        return -ENOMEM;
    engine->timers.locked.fd = -1;
    engine->timers.locked.set_ns = IOCP__NEVER;
    port->engine = engine;
    return 0;
}

void iocp__source_destroy(struct iocp_port *port)
{
    struct iocp__engine *engine = port->engine;

    if (engine->timers.locked.fd >= 0)
        iocp__sys_close(engine->timers.locked.fd);
    free(engine->timers.locked.heap);
    iocp__table_destroy(&engine->table);
    free(engine);
}

void iocp__source_close(struct iocp_port *port)
{
    iocp__timers_close(port);
}

/* The handle may have something to do: sends now, receives by a node. */
static void note_locked(struct iocp_handle *handle,
                        struct iocp__harvest *harvest)
    IOCP__RELEASES(handle->lock)
{
    if (!handle->out.ops.head && !handle->in.ops.head) {
        iocp__handle_unlock(handle);
        return;
    }
    handle->pins++;
    if (handle->out.ready && handle->out.ops.head)
        iocp__drive_out_locked(handle);
    if (iocp__wants_turn_locked(handle)) {
        iocp__list_append(&harvest->nodes, &handle->node);
        harvest->count++;
    }
    iocp__handle_unpin(handle);
}

static void note_event(struct iocp_port *port, const struct epoll_event *event,
                       struct iocp__harvest *harvest)
{
    struct iocp_handle *handle =
        iocp__table_at(&port->engine->table, (uint32_t)event->data.u64);

    iocp__handle_lock(handle);
    if (handle->generation != event->data.u64 >> 32) {
        iocp__handle_unlock(handle);
        return;
    }
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        handle->ended = true;
    if (handle->ended || event->events & EPOLLIN)
        handle->in.ready = handle->in.told = true;
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        handle->out.ready = true;
    note_locked(handle, harvest);
}

void iocp__source_note(struct iocp_port *port, const struct epoll_event *events,
                       int count, struct iocp__harvest *harvest)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == IOCP__KICK)
            harvest->kicked = true;
        else if (events[i].data.u64 == IOCP__TIMER_EVENT)
            iocp__timers_run(port);
        else
            note_event(port, &events[i], harvest);
    }
}

/* A modification that changes nothing puts a ready descriptor into the
 * kernel's ready list again: epoll_ctl(2), EPOLL_CTL_MOD. */
static void rearm(struct iocp_port *port, int fd, uint64_t data,
                  uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = data};

    iocp__sys_epoll_ctl(port->epoll, EPOLL_CTL_MOD, fd, &event);
}

void iocp__source_rearm(struct iocp_port *port)
{
    struct iocp__table *table = &port->engine->table;
    struct iocp__timers *timers = &port->engine->timers;
    uint32_t size = iocp__table_size(table);

    for (uint32_t slot = 0; slot < size; slot++) {
        struct iocp_handle *handle = iocp__table_at(table, slot);

        iocp__handle_lock(handle);
        if (handle->registered)
            rearm(port, handle->fd, iocp__handle_data_locked(handle),
                  IOCP__HANDLE_EVENTS);
        iocp__handle_unlock(handle);
    }
    iocp__mutex_lock(&timers->lock);
    if (timers->locked.fd >= 0)
        rearm(port, timers->locked.fd, IOCP__TIMER_EVENT, EPOLLIN | EPOLLET);
    iocp__mutex_unlock(&timers->lock);
}

bool iocp__source_run(struct iocp__node *node, struct iocp_packet *ret_packet)
{
    struct iocp_handle *handle =
        IOCP__CONTAINER(node, struct iocp_handle, node);
    bool given;

    iocp__handle_lock(handle);
    handle->pins++;
    handle->queued = false;
    if (handle->out.ready && handle->out.ops.head)
        iocp__drive_out_locked(handle);
    given = iocp__drive_one_in_locked(handle, ret_packet);
    iocp__handle_leave(handle);
    return given;
}

void iocp__source_drop(struct iocp__node *node)
{
    struct iocp_handle *handle =
        IOCP__CONTAINER(node, struct iocp_handle, node);

    iocp__handle_lock(handle);
    handle->queued = false;
    handle->pins++;
    iocp__handle_unpin(handle);
}
