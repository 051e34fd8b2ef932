#include "date.h"

#include <string.h>

static int64_t read_ns(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * NS_PER_S + time.tv_nsec;
}

int64_t date_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

/* The names are English, whatever the locale: it is never set here. */
void date_format(time_t time, char text[DATE_SIZE])
{
    struct tm parts;

    gmtime_r(&time, &parts);
    /* A year of five digits does not fit; such a date is none to send. */
    if (strftime(text, DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &parts) == 0)
        memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", DATE_SIZE);
}

static void write_texts(struct date *date)
{
    int64_t real_ns = read_ns(CLOCK_REALTIME_COARSE);
    time_t second = (time_t)(real_ns / NS_PER_S);
    struct tm parts;

    date_format(second, date->http);
    localtime_r(&second, &parts);
    if (strftime(date->log, sizeof(date->log), "[%d/%b/%Y:%H:%M:%S %z]",
                 &parts) == 0)
        date->log[0] = '\0';
    date->until_ns = date->now_ns + NS_PER_S - real_ns % NS_PER_S;
}

void date_refresh(struct date *date)
{
    date->now_ns = read_ns(CLOCK_MONOTONIC_COARSE);
    if (date->now_ns >= date->until_ns)
        write_texts(date);
}
