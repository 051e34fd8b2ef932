/* The command line. */
#ifndef FIRE_OPTIONS_H
#define FIRE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "listen.h"

#define OPTIONS_LISTENERS 32

struct options {
    const char *directory;
    const char *index;
    const char *access_log; /* NULL: standard error; "-": standard output */
    bool is_log_off;
    unsigned workers;     /* 0: as many as processors */
    unsigned connections; /* 0: what the limit of descriptors allows */
    int64_t header_timeout_ns;
    int64_t idle_timeout_ns;
    unsigned listeners;
    struct listen_address listen[OPTIONS_LISTENERS];
};

enum options_result {
    OPTIONS_RUN,
    OPTIONS_ANSWERED, /* --help or --version: exit 0 */
    OPTIONS_WRONG,    /* said what is wrong: exit 2 */
};

enum options_result options_read(struct options *options, int argc,
                                 char **argv);

#endif
