/*
 * libiocp: I/O completion ports for Linux.
 *
 * One queue for a pool of threads. Any thread starts an operation, the port
 * hands each completed one to exactly one thread, the newest waiter first,
 * and lets only N of them run at once. Start with iocp.7.
 *
 * Conventions of every header: a function returns 0 or a negative errno;
 * outputs are untouched on failure; every call may be made from any thread,
 * unless its comment says otherwise; no call but the waits in <iocp/port.h>
 * ever blocks; times are monotonic and in nanoseconds, a negative time-out
 * means "for ever".
 *
 * After fork() a port belongs to the parent alone: in the child every call
 * on it, or on one of its handles, returns -ECHILD.
 *
 * Source of the behaviour: "I/O Completion Ports", Microsoft Learn.
 */
#ifndef IOCP_H
#define IOCP_H

#include <iocp/handle.h>
#include <iocp/log.h>
#include <iocp/op.h>
#include <iocp/port.h>
#include <iocp/socket.h>
#include <iocp/timer.h>

#endif
