/* The engine's own state of one port: where its handles and timers are. */
#ifndef IOCP_ENGINE_ENGINE_H
#define IOCP_ENGINE_ENGINE_H

#include "engine/table.h"
#include "engine/timers.h"

/* In epoll_data.u64, beside IOCP__KICK and slot + generation. */
#define IOCP__TIMER_EVENT (UINT64_MAX - 1)

struct iocp__engine {
    struct iocp__table table;
    struct iocp__timers timers;
};

#endif
