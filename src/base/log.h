/* The library's voice: silent unless somebody asked. */
#ifndef IOCP_BASE_LOG_H
#define IOCP_BASE_LOG_H

#include <iocp/log.h>

/* One line. Never call it with a lock held. */
void iocp__log(enum iocp_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* IOCP_LOG in the environment: looked at when a port is created. */
void iocp__log_init(void);

#endif
