/* What the library says: error texts, its version, and a log call-back. */
#ifndef IOCP_LOG_H
#define IOCP_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

#define IOCP_VERSION_MAJOR 0
#define IOCP_VERSION_MINOR 1
#define IOCP_VERSION_PATCH 0

/* "0.1.0", of the library that is loaded. */
const char *iocp_version(void);

/*
 * The text of a negative errno as this library means it (iocp.7 lists
 * them), of 0 ("success"), or of any other value ("unknown error").
 * The string is constant.
 */
const char *iocp_strerror(int error);

enum iocp_log_level { IOCP_LOG_ERROR, IOCP_LOG_INFO, IOCP_LOG_DEBUG };

/*
 * Called from any thread, library threads included, never with a lock of
 * the library held. It must not call the library. `text` is one line
 * without its end, and is gone when the call returns.
 */
typedef void iocp_log_fn(void *arg, enum iocp_log_level level,
                         const char *text);

/*
 * Hear what happens at `level` or above; NULL silences, as at first. With
 * IOCP_LOG=error|info|debug in the environment and no call-back, the lines
 * go to standard error. Set it before the first port is created.
 */
void iocp_log_set(iocp_log_fn *fn, void *arg, enum iocp_log_level level);

#ifdef __cplusplus
}
#endif

#endif
