#include "head.h"

#include <string.h>

#include "field.h"

/* The longest request line: a target, and room for the rest of it. */
#define REQUEST_LINE_MAX (HEAD_TARGET_MAX + 64)

static void refuse(struct head *head, unsigned status)
{
    head->refused = (uint16_t)status;
}

static bool same(const char *text, size_t size, const char *other)
{
    return size == strlen(other) && memcmp(text, other, size) == 0;
}

static enum head_method method_of(const char *text, size_t size)
{
    static const char *const others[] = {"POST",    "PUT",   "DELETE",
                                         "CONNECT", "TRACE", "PATCH"};

    if (same(text, size, "GET"))
        return METHOD_GET;
    if (same(text, size, "HEAD"))
        return METHOD_HEAD;
    if (same(text, size, "OPTIONS"))
        return METHOD_OPTIONS;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (same(text, size, others[i]))
            return METHOD_OTHER;
    }
    return METHOD_UNKNOWN;
}

/* HTTP-version (RFC 9112, 2.3): the name is case-sensitive. */
static unsigned read_version(struct head *head, const char *text, size_t size)
{
    if (size != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.' ||
        text[5] < '0' || text[5] > '9' || text[7] < '0' || text[7] > '9')
        return 400;
    if (text[5] != '1')
        return 505;
    /* A higher minor version is answered as the highest that we know. */
    head->minor_1 = text[7] != '0';
    return 0;
}

static void read_path(struct head *head, const char *bytes, size_t start,
                      size_t end)
{
    const char *mark = memchr(bytes + start, '?', end - start);
    size_t path_end = mark ? (size_t)(mark - bytes) : end;

    head->path.start = (uint16_t)start;
    head->path.size = (uint16_t)(path_end - start);
    head->query.start = (uint16_t)path_end;
    head->query.size = (uint16_t)(end - path_end);
}

/* absolute-form (RFC 9112, 3.2.2); its authority stands above Host. */
static unsigned read_absolute(struct head *head, const char *bytes,
                              size_t start, size_t end)
{
    size_t authority, at;

    if (end - start > 7 && field_is(bytes + start, 7, "http://"))
        authority = start + 7;
    else if (end - start > 8 && field_is(bytes + start, 8, "https://"))
        authority = start + 8;
    else
        return 400;

    for (at = authority; at < end; at++) {
        if (bytes[at] == '/' || bytes[at] == '?')
            break;
    }
    if (at == authority || !field_is_host(bytes + authority, at - authority))
        return 400;
    read_path(head, bytes, at, end);
    return 0;
}

static unsigned read_target(struct head *head, const char *bytes, size_t start,
                            size_t end)
{
    if (end - start > HEAD_TARGET_MAX)
        return 414;
    if (start == end || !field_is_target(bytes + start, end - start))
        return 400;
    if (bytes[start] == '/') {
        read_path(head, bytes, start, end);
        return 0;
    }
    if (end - start == 1 && bytes[start] == '*') {
        head->asterisk = true;
        return head->method == METHOD_OPTIONS ? 0 : 400;
    }
    /* The authority-form of CONNECT: a method that is not served anyway. */
    if (head->method == METHOD_OTHER &&
        field_is_host(bytes + start, end - start))
        return 0;
    return read_absolute(head, bytes, start, end);
}

/* method SP request-target SP HTTP-version (RFC 9112, 3). */
static unsigned read_request_line(struct head *head, const char *bytes,
                                  size_t start, size_t end)
{
    const char *space = memchr(bytes + start, ' ', end - start);
    size_t target, target_end;
    unsigned status;

    head->request_line.start = (uint16_t)start;
    head->request_line.size = (uint16_t)(end - start);
    if (!space)
        return 400;
    target = (size_t)(space - bytes) + 1;
    if (!field_is_token(bytes + start, target - 1 - start))
        return 400;
    space = memchr(bytes + target, ' ', end - target);
    if (!space)
        return 400;
    target_end = (size_t)(space - bytes);

    head->method = (uint8_t)method_of(bytes + start, target - 1 - start);
    status = read_version(head, bytes + target_end + 1, end - target_end - 1);
    if (status != 0)
        return status;
    return read_target(head, bytes, target, target_end);
}

/* The head is whole: what no single field could tell. */
static unsigned judge(const struct head *head)
{
    if (head->minor_1 && !head->has_host)
        return 400;
    /* Two lengths are how requests are smuggled (RFC 9112, 6.3). */
    if (head->is_chunked && head->has_length)
        return 400;
    return 0;
}

/* One line, without its CR LF. Returns whether the head ends with it. */
static bool read_line(struct head *head, const char *bytes, size_t start,
                      size_t end)
{
    if (!head->in_fields) {
        /* Empty lines before a request are skipped (RFC 9112, 2.2). */
        if (start == end)
            return false;
        refuse(head, read_request_line(head, bytes, start, end));
        head->in_fields = true;
        return false;
    }
    if (start == end) {
        refuse(head, judge(head));
        return true;
    }
    refuse(head, field_read(head, bytes, start, end));
    return false;
}

/* No line end in all that may be looked at: wait for more, or too long? */
static enum head_result read_no_further(struct head *head, size_t window,
                                        size_t window_max)
{
    head->scanned = (uint16_t)window;
    if (window < window_max)
        return HEAD_MORE;
    if (head->in_fields || window_max == HEAD_MAX) {
        refuse(head, 431);
        return HEAD_REFUSED;
    }
    head->request_line.start = head->line;
    head->request_line.size = (uint16_t)(window - head->line);
    refuse(head, 414);
    return HEAD_REFUSED;
}

enum head_result head_read(struct head *head, const char *bytes, size_t size)
{
    while (head->refused == 0) {
        size_t window_max = HEAD_MAX;
        size_t window, start = head->line, end;
        const char *line_end;

        if (!head->in_fields && start + REQUEST_LINE_MAX < HEAD_MAX)
            window_max = start + REQUEST_LINE_MAX;
        window = size < window_max ? size : window_max;
        line_end = memchr(bytes + head->scanned, '\n', window - head->scanned);
        if (!line_end)
            return read_no_further(head, window, window_max);

        end = (size_t)(line_end - bytes);
        head->line = head->scanned = (uint16_t)(end + 1);
        /* A bare LF ends no line here, though RFC 9112, 2.2 would allow it:
         * who stands before us may see another request than we do. */
        if (end == start || bytes[end - 1] != '\r') {
            head->request_line.start = (uint16_t)start;
            if (!head->in_fields)
                head->request_line.size = (uint16_t)(end - start);
            refuse(head, 400);
        } else if (read_line(head, bytes, start, end - 1) && !head->refused) {
            head->size = head->line;
            return HEAD_DONE;
        }
    }
    return HEAD_REFUSED;
}
