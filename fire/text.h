/* Writing text into a buffer of a fixed size; what does not fit is cut. */
#ifndef FIRE_TEXT_H
#define FIRE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    char *at, *end;
};

static inline void text_put(struct text *text, const char *bytes, size_t size)
{
    size_t room = (size_t)(text->end - text->at);

    if (size > room)
        size = room;
    memcpy(text->at, bytes, size);
    text->at += size;
}

static inline void text_puts(struct text *text, const char *string)
{
    text_put(text, string, strlen(string));
}

/* In decimal. */
static inline void text_put_number(struct text *text, uint64_t number)
{
    char digits[20], *first = digits + sizeof(digits);

    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text_put(text, first, (size_t)(digits + sizeof(digits) - first));
}

/* In hexadecimal. */
static inline void text_put_hex(struct text *text, uint64_t number)
{
    char digits[16], *first = digits + sizeof(digits);

    do {
        *--first = "0123456789abcdef"[number % 16];
        number /= 16;
    } while (number > 0);
    text_put(text, first, (size_t)(digits + sizeof(digits) - first));
}

#endif
