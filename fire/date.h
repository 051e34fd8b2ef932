/* A worker's clock: monotonic time, and the texts of the current second. */
#ifndef FIRE_DATE_H
#define FIRE_DATE_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

/* IMF-fixdate (RFC 9110, 5.6.7), and its end. */
#define DATE_SIZE 30

struct date {
    int64_t now_ns;   /* monotonic, a few milliseconds coarse */
    int64_t until_ns; /* when the texts become old */
    char http[DATE_SIZE];
    char log[32]; /* "[26/Nov/2026:10:00:00 +0000]" */
};

/* Look at the clock; the texts are written anew once a second. */
void date_refresh(struct date *date);

void date_format(time_t time, char text[DATE_SIZE]);

/* Monotonic and exact. */
int64_t date_now_ns(void);

#endif
