/* Fire: a web server for files, on completion ports. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <iocp.h>

#include "listen.h"
#include "log.h"
#include "options.h"
#include "server.h"

enum { EXIT_OK, EXIT_CANNOT_RUN, EXIT_USAGE };

/* Every client is a descriptor. Returns how many there may be. */
static unsigned raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    /* Refused only where the hard limit is above the system's own. */
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur < 1u << 30 ? (unsigned)limit.rlim_cur : 1u << 30;
}

static int open_root(struct server *server, const struct options *options)
{
    int error;

    server->root.index = options->index;
    server->root.fd =
        open(options->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (server->root.fd < 0) {
        error = errno;
        fprintf(stderr, "fire: cannot serve '%s': %s; give a directory\n",
                options->directory, strerror(error));
        return error == ENOENT || error == ENOTDIR ? EXIT_USAGE
                                                   : EXIT_CANNOT_RUN;
    }
    error = file_root_probe(&server->root);
    if (error < 0) {
        fprintf(stderr, "fire: cannot open files below '%s': %s%s\n",
                options->directory, strerror(-error),
                error == -ENOSYS ? "; openat2(2) needs Linux 5.6" : "");
        return EXIT_CANNOT_RUN;
    }
    return EXIT_OK;
}

static int log_fd(const struct options *options)
{
    if (!options->access_log)
        return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (strcmp(options->access_log, "-") == 0)
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return open(options->access_log,
                O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
}

static const char *listen_advice(int error)
{
    switch (error) {
    case -EADDRINUSE:
        return "another server has it; choose another with --listen";
    case -EACCES:
    case -EPERM:
        return "ports below 1024 are the administrator's; choose another "
               "with --listen";
    case -EADDRNOTAVAIL:
        return "this machine has no such address; choose one of its own";
    default:
        return "choose another with --listen";
    }
}

static int open_listeners(struct server *server, const struct options *options)
{
    for (unsigned i = 0; i < options->listeners; i++) {
        struct listener *listener = &server->listeners[i];
        int error = listener_open(listener, &options->listen[i]);
        char name[160];

        if (error < 0) {
            listener_name(listener, name, sizeof(name));
            fprintf(stderr, "fire: cannot listen on %s: %s; %s\n", name,
                    strerror(-error), listen_advice(error));
            return EXIT_CANNOT_RUN;
        }
        server->listener_count++;
    }
    return EXIT_OK;
}

static void announce(const struct server *server)
{
    for (unsigned i = 0; i < server->listener_count; i++) {
        char name[160];

        listener_name(&server->listeners[i], name, sizeof(name));
        printf("listening on %s\n", name);
    }
    fflush(stdout);
}

static int open_log(struct server *server, const struct options *options)
{
    int fd, error;

    if (options->is_log_off)
        return EXIT_OK;
    fd = log_fd(options);
    if (fd < 0) {
        fprintf(stderr, "fire: cannot open the access log '%s': %s\n",
                options->access_log ? options->access_log : "standard error",
                strerror(errno));
        return EXIT_CANNOT_RUN;
    }
    error = log_create(fd, options->workers, &server->log);
    if (error < 0) {
        fprintf(stderr, "fire: cannot log: %s\n", strerror(-error));
        return EXIT_CANNOT_RUN;
    }
    return EXIT_OK;
}

/* As many as this process may use. */
static unsigned count_processors(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1; /* more of them than the set has room for */
    return (unsigned)CPU_COUNT(&set);
}

/* SIGTERM and SIGINT come to the main thread alone, when it asks. */
static void block_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, ret_set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int run(struct server *server, struct options *options)
{
    unsigned descriptors = raise_descriptor_limit();
    sigset_t signals;
    int status, number;

    block_signals(&signals);
    if (options->workers == 0)
        options->workers = count_processors();
    if ((status = open_root(server, options)) != EXIT_OK ||
        (status = open_log(server, options)) != EXIT_OK ||
        (status = open_listeners(server, options)) != EXIT_OK)
        return status;
    status = server_start(server, descriptors);
    if (status < 0) {
        fprintf(stderr, "fire: cannot start: %s\n", iocp_strerror(status));
        return EXIT_CANNOT_RUN;
    }
    announce(server);
    sigwait(&signals, &number);
    server_stop(server, &signals);
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct listener listeners[OPTIONS_LISTENERS];
    static struct server server = {
        .options = &options,
        .root = {.fd = -1},
        .listeners = listeners,
    };

    switch (options_read(&options, argc, argv)) {
    case OPTIONS_RUN:
        return run(&server, &options);
    case OPTIONS_ANSWERED:
        return EXIT_OK;
    case OPTIONS_WRONG:
        return EXIT_USAGE;
    }
    return EXIT_USAGE;
}
