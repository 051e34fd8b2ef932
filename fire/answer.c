#include "answer.h"

#include <stdio.h>

#include "exchange.h"
#include "file.h"
#include "range.h"
#include "text.h"
#include "worker.h"

#define ALLOW "Allow: GET, HEAD, OPTIONS\r\n"

struct page {
    unsigned status;
    const char *reason;
    const char *sentence;
};

static const struct page pages[] = {
    {400, "Bad Request", "This is no well-formed HTTP request."},
    {403, "Forbidden", "This file may not be read."},
    {404, "Not Found", "There is no such file here."},
    {405, "Method Not Allowed", "Files can only be read here."},
    {408, "Request Timeout", "The request took too long to arrive."},
    {414, "URI Too Long", "The address is longer than is allowed here."},
    {416, "Range Not Satisfiable", "The file has no such part."},
    {417, "Expectation Failed", "This expectation cannot be met."},
    {431, "Request Header Fields Too Large",
     "The request's head is longer than is allowed here."},
    {501, "Not Implemented", "This is not understood here."},
    {503, "Service Unavailable", "Try again in a moment."},
    {505, "HTTP Version Not Supported", "Only HTTP/1.1 and 1.0 are spoken."},
};

static const struct page *page_of(unsigned status)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (pages[i].status == status)
            return &pages[i];
    }
    return &pages[0];
}

static bool wants_body(const struct exchange *exchange)
{
    return exchange->head.method != METHOD_HEAD;
}

static void put_vector(struct exchange *exchange, const char *bytes,
                       size_t size)
{
    struct iovec *vector = &exchange->vector[exchange->vectors++];

    vector->iov_base = (char *)(uintptr_t)bytes;
    vector->iov_len = size;
}

static struct text begin(struct exchange *exchange, unsigned status)
{
    exchange->status = status;
    exchange->vectors = 0;
    return (struct text){exchange->out, exchange->out + EXCHANGE_OUT};
}

static void put_status(struct text *text, unsigned status, const char *reason)
{
    text_puts(text, "HTTP/1.1 ");
    text_put_number(text, status);
    text_puts(text, " ");
    text_puts(text, reason);
    text_puts(text, "\r\n");
}

/* Whether the connection stays; in HTTP/1.1 that is not worth a word. */
static void put_connection(struct text *text, const struct exchange *exchange)
{
    if (!exchange->keep)
        text_puts(text, "Connection: close\r\n");
    else if (!exchange->head.minor_1)
        text_puts(text, "Connection: keep-alive\r\n");
}

/* The date, behind "Date: ", and the end of the head. */
static void put_end(struct text *text, const struct worker *worker,
                    const struct exchange *exchange)
{
    text_put(text, worker->date.http, DATE_SIZE - 1);
    text_puts(text, "\r\n");
    put_connection(text, exchange);
    text_puts(text, "\r\n");
}

/* The head is written: it is the first thing to be sent. */
static void finish(struct exchange *exchange, const struct text *text)
{
    exchange->head_bytes = (uint64_t)(text->at - exchange->out);
    put_vector(exchange, exchange->out, (size_t)exchange->head_bytes);
}

static void write_page(struct worker *worker, struct exchange *exchange,
                       const struct page *page, const char *fields)
{
    struct text text = begin(exchange, page->status);
    char body[400];
    int size = snprintf(body, sizeof(body),
                        "<!doctype html>\n<html lang=\"en\">\n"
                        "<title>%u %s</title>\n<h1>%u %s</h1>\n<p>%s</p>\n",
                        page->status, page->reason, page->status, page->reason,
                        page->sentence);

    put_status(&text, page->status, page->reason);
    text_puts(&text, "Content-Type: text/html; charset=utf-8\r\n"
                     "Content-Length: ");
    text_put_number(&text, (uint64_t)size);
    text_puts(&text, "\r\n");
    text_puts(&text, fields);
    text_puts(&text, "Date: ");
    put_end(&text, worker, exchange);
    finish(exchange, &text);
    if (wants_body(exchange)) {
        const char *start = text.at;

        text_put(&text, body, (size_t)size);
        put_vector(exchange, start, (size_t)(text.at - start));
    }
}

void answer_error(struct worker *worker, struct exchange *exchange,
                  unsigned status)
{
    const char *fields = "";

    if (status == 405)
        fields = ALLOW;
    else if (status == 503)
        fields = "Retry-After: 1\r\n";
    write_page(worker, exchange, page_of(status), fields);
}

void answer_unsatisfiable(struct worker *worker, struct exchange *exchange,
                          uint64_t file_size)
{
    char fields[64];

    snprintf(fields, sizeof(fields), "Content-Range: bytes */%llu\r\n",
             (unsigned long long)file_size);
    write_page(worker, exchange, page_of(416), fields);
}

void answer_options(struct worker *worker, struct exchange *exchange)
{
    struct text text = begin(exchange, 204);

    put_status(&text, 204, "No Content");
    text_puts(&text, ALLOW "Date: ");
    put_end(&text, worker, exchange);
    finish(exchange, &text);
}

/*
 * The location is the request's own bytes, sent from where they lie: as
 * encoded as they came, and with one leading slash, since two of them would
 * name another host.
 */
void answer_slash(struct worker *worker, struct exchange *exchange)
{
    static const char end[] = "\r\n\r\n";
    const char *path = exchange_slice(exchange, exchange->head.path);
    size_t size = exchange->head.path.size;
    struct text text = begin(exchange, 301);

    while (size > 1 && path[1] == '/') {
        path++;
        size--;
    }
    put_status(&text, 301, "Moved Permanently");
    text_puts(&text, "Content-Length: 0\r\n");
    put_connection(&text, exchange);
    text_puts(&text, "Date: ");
    text_put(&text, worker->date.http, DATE_SIZE - 1);
    text_puts(&text, "\r\nLocation: ");
    finish(exchange, &text);
    put_vector(exchange, path, size);
    put_vector(exchange, "/", 1);
    put_vector(exchange, exchange_slice(exchange, exchange->head.query),
               exchange->head.query.size);
    put_vector(exchange, end, sizeof(end) - 1);
    for (unsigned i = 1; i < exchange->vectors; i++)
        exchange->head_bytes += exchange->vector[i].iov_len;
}

/* What follows the head: a part of the file, from memory or by descriptor. */
static void put_file(struct exchange *exchange, struct file *file,
                     uint64_t offset, uint64_t length)
{
    exchange->file = file;
    if (!wants_body(exchange) || length == 0)
        return;
    if (file->body) {
        put_vector(exchange, file->body + offset, (size_t)length);
        return;
    }
    exchange->transmit = (struct iocp_transmit){
        .head = exchange->out,
        .head_bytes = (size_t)exchange->head_bytes,
        .file = file->fd,
        .file_offset = offset,
        .file_length = length,
    };
}

void answer_file(struct worker *worker, struct exchange *exchange,
                 struct file *file)
{
    struct text text = begin(exchange, 200);

    text_put(&text, file->head, file->head_size);
    put_end(&text, worker, exchange);
    finish(exchange, &text);
    put_file(exchange, file, 0, file->identity.size);
}

void answer_range(struct worker *worker, struct exchange *exchange,
                  struct file *file, const struct range *range)
{
    struct text text = begin(exchange, 206);
    uint64_t length = range->last - range->first + 1;

    put_status(&text, 206, "Partial Content");
    text_puts(&text, "Content-Range: bytes ");
    text_put_number(&text, range->first);
    text_puts(&text, "-");
    text_put_number(&text, range->last);
    text_puts(&text, "/");
    text_put_number(&text, file->identity.size);
    text_puts(&text, "\r\nContent-Length: ");
    text_put_number(&text, length);
    text_puts(&text, "\r\n");
    text_put(&text, file->head + file->fields, file->head_size - file->fields);
    put_end(&text, worker, exchange);
    finish(exchange, &text);
    put_file(exchange, file, range->first, length);
}
