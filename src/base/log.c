#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* Set before the first port: read afterwards without a lock. */
static iocp_log_fn *_Atomic listener;
static void *_Atomic listener_arg;
static atomic_int loudest = -1;

static void to_standard_error(void *arg, enum iocp_log_level level,
                              const char *text)
{
    static const char *const names[] = {"error", "info", "debug"};

    (void)arg;
    fprintf(stderr, "libiocp: %s: %s\n", names[level], text);
}

void iocp_log_set(iocp_log_fn *fn, void *arg, enum iocp_log_level level)
{
    atomic_store(&loudest, fn ? (int)level : -1);
    atomic_store(&listener_arg, arg);
    atomic_store(&listener, fn);
}

void iocp__log_init(void)
{
    static const char *const names[] = {"error", "info", "debug"};
    const char *wish = getenv("IOCP_LOG");

    if (!wish || atomic_load(&listener))
        return;
    for (int i = 0; i < 3; i++)
        if (!strcmp(wish, names[i]))
            iocp_log_set(to_standard_error, NULL, (enum iocp_log_level)i);
}

void iocp__log(enum iocp_log_level level, const char *format, ...)
{
    iocp_log_fn *fn = atomic_load(&listener);
    char text[256];
    va_list arguments;

    if (!fn || (int)level > atomic_load(&loudest))
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fn(atomic_load(&listener_arg), level, text);
}

const char *iocp_version(void)
{
    return TEXT(IOCP_VERSION_MAJOR) "." TEXT(IOCP_VERSION_MINOR) "." TEXT(
        IOCP_VERSION_PATCH);
}

/* Where the library means more, or other, than errno(3) says. */
static const struct {
    int error;
    const char *text;
} texts[] = {
    {0, "success"},
    {EAGAIN, "not now: out of threads, or the backlog is full"},
    {EALREADY, "a connect is already pending on the handle"},
    {EBADF, "the handle is closed, or the descriptor is not open"},
    {EBUSY, "the operation is still pending, or a handle is still open"},
    {ECANCELED, "the operation was cancelled"},
    {ECHILD, "the port belongs to the process that forked this one"},
    {EISCONN, "the socket is connected, or otherwise in use"},
    {EMSGSIZE, "the message is longer than the buffer"},
    {ENODATA, "the file ended before its range"},
    {ENOENT, "nothing was pending"},
    {ENOTCONN, "the socket is not connected"},
    {ENOTSOCK, "the descriptor is not a socket"},
    {EPIPE, "the direction of the socket was shut down"},
    {ESHUTDOWN, "the port is closed"},
    {ETIMEDOUT, "the time is up"},
};

const char *iocp_strerror(int error)
{
    const char *text = NULL;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].error == -error)
            return texts[i].text;
    if (error < 0)
        text = strerrordesc_np(-error);
    return text ? text : "unknown error";
}
