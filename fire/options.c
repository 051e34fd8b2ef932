#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <iocp.h>

#include "date.h"

static const char usage[] =
    "Usage: fire [options] DIRECTORY\n"
    "Serve the files below DIRECTORY over HTTP.\n"
    "\n"
    "  --listen ADDRESS:PORT   listen there; also [V6]:PORT or unix:PATH; "
    "port\n"
    "                          0 picks one; again for more (127.0.0.1:8080)\n"
    "  --access-log FILE       a line for each request, \"-\" for standard\n"
    "                          output, \"off\" for none (standard error)\n"
    "  --workers N             threads (as many as processors)\n"
    "  --connections N         at once, at most (as descriptors allow, but\n"
    "                          10000)\n"
    "  --index NAME            the file that stands for its directory\n"
    "                          (index.html)\n"
    "  --header-timeout S      seconds that a request's head may take (20)\n"
    "  --idle-timeout S        seconds that a kept connection may idle (60)\n"
    "  --version, --help       print it\n"
    "\n"
    "Stop it with SIGTERM or SIGINT: answers under way are finished.\n";

/* Why a value is refused, or NULL. */
typedef const char *read_fn(struct options *options, const char *value);

static const char *read_listen(struct options *options, const char *value)
{
    if (options->listeners == OPTIONS_LISTENERS)
        return "there are too many of them";
    if (!listen_parse(value, &options->listen[options->listeners]))
        return "give it as 127.0.0.1:8080, [::1]:8080 or unix:/run/fire.sock";
    options->listeners++;
    return NULL;
}

static const char *read_access_log(struct options *options, const char *value)
{
    if (value[0] == '\0')
        return "give the name of a file, \"-\" or \"off\"";
    options->is_log_off = strcmp(value, "off") == 0;
    options->access_log = value;
    return NULL;
}

static bool read_number(const char *value, unsigned max, unsigned *ret_number)
{
    char *end;
    unsigned long number;

    if (value[0] < '0' || value[0] > '9')
        return false;
    number = strtoul(value, &end, 10);
    if (*end != '\0' || number == 0 || number > max)
        return false;
    *ret_number = (unsigned)number;
    return true;
}

static const char *read_workers(struct options *options, const char *value)
{
    if (!read_number(value, 1024, &options->workers))
        return "give a number of threads from 1 to 1024";
    return NULL;
}

static const char *read_connections(struct options *options, const char *value)
{
    if (!read_number(value, 10000000, &options->connections))
        return "give a number from 1 to 10000000";
    return NULL;
}

static const char *read_index(struct options *options, const char *value)
{
    if (value[0] == '\0' || strchr(value, '/') || strlen(value) > 255)
        return "give the name of a file, without a slash";
    options->index = value;
    return NULL;
}

static const char *read_seconds(const char *value, int64_t *ret_ns)
{
    unsigned seconds;

    if (!read_number(value, 86400, &seconds))
        return "give seconds from 1 to 86400";
    *ret_ns = seconds * NS_PER_S;
    return NULL;
}

static const char *read_header_timeout(struct options *options,
                                       const char *value)
{
    return read_seconds(value, &options->header_timeout_ns);
}

static const char *read_idle_timeout(struct options *options, const char *value)
{
    return read_seconds(value, &options->idle_timeout_ns);
}

static const struct option {
    const char *name;
    read_fn *read;
} table[] = {
    {"--listen", read_listen},
    {"--access-log", read_access_log},
    {"--workers", read_workers},
    {"--connections", read_connections},
    {"--index", read_index},
    {"--header-timeout", read_header_timeout},
    {"--idle-timeout", read_idle_timeout},
};

static enum options_result wrong(const char *what, const char *which,
                                 const char *advice)
{
    fprintf(stderr, "fire: %s %s: %s\n", what, which, advice);
    return OPTIONS_WRONG;
}

/* The option that `argument` names, up to its end or its "=". */
static const struct option *find(const char *argument)
{
    size_t size = strcspn(argument, "=");

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strlen(table[i].name) == size &&
            memcmp(table[i].name, argument, size) == 0)
            return &table[i];
    }
    return NULL;
}

/* One option; *at is its index, and becomes that of its value. */
static enum options_result read_option(struct options *options, int argc,
                                       char **argv, int *at)
{
    const struct option *option = find(argv[*at]);
    const char *value = strchr(argv[*at], '=');
    const char *advice;

    if (!option)
        return wrong("unknown option", argv[*at], "see fire --help");
    if (value)
        value++;
    else if (*at + 1 < argc)
        value = argv[++*at];
    else
        return wrong("option", option->name,
                     "its value is missing, see fire --help");
    advice = option->read(options, value);
    if (!advice)
        return OPTIONS_RUN;
    fprintf(stderr, "fire: %s '%s': %s\n", option->name, value, advice);
    return OPTIONS_WRONG;
}

static enum options_result read_directory(struct options *options, int count,
                                          char **names)
{
    if (count == 0) {
        fputs("fire: which directory? Give the one to serve, as in "
              "'fire /srv/www'; see fire --help\n",
              stderr);
        return OPTIONS_WRONG;
    }
    if (count > 1)
        return wrong("one directory too many", names[1],
                     "give one, behind the options");
    options->directory = names[0];
    return OPTIONS_RUN;
}

/* --help and --version answer, wherever they stand before a "--". */
static bool answers(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return true;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("fire %s\n", iocp_version());
            return true;
        }
    }
    return false;
}

enum options_result options_read(struct options *options, int argc, char **argv)
{
    int at = 1, kept = 0;
    char **names = argv + 1;
    enum options_result result;

    *options = (struct options){
        .index = "index.html",
        .header_timeout_ns = 20 * NS_PER_S,
        .idle_timeout_ns = 60 * NS_PER_S,
    };
    if (answers(argc, argv))
        return OPTIONS_ANSWERED;
    for (; at < argc; at++) {
        if (strcmp(argv[at], "--") == 0) {
            while (++at < argc)
                names[kept++] = argv[at];
            break;
        }
        if (argv[at][0] != '-') {
            names[kept++] = argv[at];
            continue;
        }
        result = read_option(options, argc, argv, &at);
        if (result != OPTIONS_RUN)
            return result;
    }
    if (options->listeners == 0)
        read_listen(options, "127.0.0.1:8080");
    return read_directory(options, kept, names);
}
