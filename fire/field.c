#include "field.h"

#include <stdint.h>
#include <string.h>

#include "head.h"

enum { TOKEN = 1, TARGET = 2, HOST = 4 };

/*
 * The alphabets, as sums of the three. TARGET is what clients really send:
 * every visible character but quotes, angle brackets, backslash and "#".
 */
static const uint8_t alphabets[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 1, 7, 7, 7, 7, 6, 6, 7, 7,
    6, 7, 7, 2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 2, 6, 0, 6, 0, 2, 2, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 2, 0, 2, 3, 7, 3, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 2, 3, 2, 7, 0,
};

static bool is_all(const char *text, size_t size, uint8_t alphabet)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c > 127 || !(alphabets[c] & alphabet))
            return false;
    }
    return true;
}

bool field_is_token(const char *text, size_t size)
{
    return size > 0 && is_all(text, size, TOKEN);
}

bool field_is_target(const char *text, size_t size)
{
    return is_all(text, size, TARGET);
}

bool field_is(const char *text, size_t size, const char *lower)
{
    if (size != strlen(lower))
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        if (c != lower[i])
            return false;
    }
    return true;
}

/* What stands between the brackets of an IPv6 address, loosely. */
static bool is_ipv6(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!strchr("0123456789abcdefABCDEF:.", text[i]) || text[i] == '\0')
            return false;
    }
    return size >= 2;
}

static bool is_port(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
    }
    return size <= 5;
}

bool field_is_host(const char *text, size_t size)
{
    const char *colon, *bracket;
    size_t name = size;

    if (size > 0 && text[0] == '[') {
        bracket = memchr(text, ']', size);
        if (!bracket || !is_ipv6(text + 1, (size_t)(bracket - text) - 1))
            return false;
        name = (size_t)(bracket - text) + 1;
        return name == size ||
               (text[name] == ':' && is_port(text + name + 1, size - name - 1));
    }
    colon = memchr(text, ':', size);
    if (colon)
        name = (size_t)(colon - text);
    if (!is_all(text, name, HOST))
        return false;
    return !colon || is_port(colon + 1, size - name - 1);
}

/*
 * field-value (RFC 9110, 5.5): no control character but the tab. Eight
 * bytes at a time; the first word that might have one is looked at closely.
 */
static bool is_value(const char *text, size_t size)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = ones * 0x80;
    size_t i = 0;

    for (; i + 8 <= size; i += 8) {
        uint64_t word, below_space, is_delete;

        memcpy(&word, text + i, 8);
        below_space = (word - ones * 0x20) & ~word;
        is_delete = ((word ^ (ones * 0x7f)) - ones) & ~(word ^ (ones * 0x7f));
        if ((below_space | is_delete) & highs)
            break;
    }
    for (; i < size; i++) {
        unsigned char c = (unsigned char)text[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next element of a comma-separated list, empty ones left out. */
static bool next_element(const char **at, const char *end,
                         const char **ret_text, size_t *ret_size)
{
    const char *text = *at, *stop;

    while (text < end && (is_blank(*text) || *text == ','))
        text++;
    if (text == end)
        return false;
    stop = memchr(text, ',', (size_t)(end - text));
    if (!stop)
        stop = end;
    *at = stop;
    while (is_blank(stop[-1]))
        stop--;
    *ret_text = text;
    *ret_size = (size_t)(stop - text);
    return true;
}

static unsigned read_host(struct head *head, const char *value, size_t size)
{
    if (head->has_host || !field_is_host(value, size))
        return 400;
    head->has_host = true;
    return 0;
}

static unsigned read_connection(struct head *head, const char *value,
                                size_t size)
{
    const char *at = value, *text;
    size_t text_size;

    while (next_element(&at, value + size, &text, &text_size)) {
        if (field_is(text, text_size, "close"))
            head->close = true;
        else if (field_is(text, text_size, "keep-alive"))
            head->keep_alive = true;
    }
    return 0;
}

static unsigned read_content_length(struct head *head, const char *value,
                                    size_t size)
{
    uint64_t length = 0;

    /* 18 digits cannot overflow, and no body is as long as that. */
    if (size == 0 || size > 18)
        return 400;
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9')
            return 400;
        length = length * 10 + (uint64_t)(value[i] - '0');
    }
    if (head->has_length && head->content_length != length)
        return 400;
    head->has_length = true;
    head->content_length = length;
    return 0;
}

static unsigned read_transfer_encoding(struct head *head, const char *value,
                                       size_t size)
{
    const char *at = value, *text;
    size_t text_size;

    /* HTTP/1.0 has no codings: close after the answer (RFC 9112, 6.1). */
    if (!head->minor_1)
        head->faulty_framing = true;
    while (next_element(&at, value + size, &text, &text_size)) {
        if (!field_is(text, text_size, "chunked"))
            return 501;
        if (head->is_chunked)
            return 400;
        head->is_chunked = true;
    }
    return head->is_chunked ? 0 : 400;
}

static unsigned read_expect(struct head *head, const char *value, size_t size)
{
    /* HTTP/1.0 knows no expectations (RFC 9110, 10.1.1). */
    if (!head->minor_1)
        return 0;
    if (!field_is(value, size, "100-continue"))
        return 417;
    head->expects_continue = true;
    return 0;
}

static unsigned read_if_range(struct head *head, const char *value, size_t size)
{
    (void)value;
    (void)size;
    head->has_if_range = true;
    return 0;
}

/* Fields that are judged here, and those that are only kept for later. */
static const struct field {
    const char *name; /* in lower case */
    size_t name_size;
    unsigned (*read)(struct head *head, const char *value, size_t size);
    size_t slice; /* or where in struct head it is kept */
} fields[] = {
    {"host", sizeof("host") - 1, read_host, 0},
    {"connection", sizeof("connection") - 1, read_connection, 0},
    {"user-agent", sizeof("user-agent") - 1, NULL,
     offsetof(struct head, user_agent)},
    {"referer", sizeof("referer") - 1, NULL, offsetof(struct head, referer)},
    {"range", sizeof("range") - 1, NULL, offsetof(struct head, range)},
    {"if-range", sizeof("if-range") - 1, read_if_range, 0},
    {"content-length", sizeof("content-length") - 1, read_content_length, 0},
    {"transfer-encoding", sizeof("transfer-encoding") - 1,
     read_transfer_encoding, 0},
    {"expect", sizeof("expect") - 1, read_expect, 0},
};

static void keep(struct head *head, const struct field *field, size_t start,
                 size_t size)
{
    struct head_slice *slice =
        (struct head_slice *)(void *)((char *)head + field->slice);

    if (slice->start != 0 && slice == &head->range)
        head->has_ranges = true;
    slice->start = (uint16_t)start;
    slice->size = (uint16_t)size;
}

unsigned field_read(struct head *head, const char *bytes, size_t start,
                    size_t end)
{
    const char *colon = memchr(bytes + start, ':', end - start);
    size_t name_size, value;

    /* No space before the colon and no folded line (RFC 9112, 5.1, 5.2):
     * neither is a token. */
    if (!colon)
        return 400;
    name_size = (size_t)(colon - bytes) - start;
    if (!field_is_token(bytes + start, name_size))
        return 400;

    value = start + name_size + 1;
    while (value < end && is_blank(bytes[value]))
        value++;
    while (end > value && is_blank(bytes[end - 1]))
        end--;
    if (!is_value(bytes + value, end - value))
        return 400;

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (name_size != fields[i].name_size ||
            !field_is(bytes + start, name_size, fields[i].name))
            continue;
        if (fields[i].read)
            return fields[i].read(head, bytes + value, end - value);
        keep(head, &fields[i], value, end - value);
        break;
    }
    return 0;
}
