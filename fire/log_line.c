/* A line of the access log, in the combined format of Apache's httpd. */
#include "connection.h"
#include "exchange.h"
#include "log.h"
#include "peer.h"
#include "worker.h"

#define LINE_MAX_BYTES 4096

/* The longest part of a line that a client chooses; the rest is cut. */
#define PART_MAX 900

/* A client's bytes: nothing of them may end the line or a quoted part. */
static void put_quoted(struct text *text, const char *bytes, size_t size)
{
    text_puts(text, "\"");
    for (size_t i = 0; i < size && i < PART_MAX; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') {
            char escape[4] = {'\\', 'x', "0123456789abcdef"[c / 16],
                              "0123456789abcdef"[c % 16]};

            text_put(text, escape, sizeof(escape));
        } else {
            text_put(text, bytes + i, 1);
        }
    }
    text_puts(text, "\"");
}

static void put_field(struct text *text, const struct exchange *exchange,
                      struct head_slice slice)
{
    if (slice.size == 0)
        text_puts(text, "\"-\"");
    else
        put_quoted(text, exchange_slice(exchange, slice), slice.size);
}

void log_answer(struct worker *worker, const struct connection *connection,
                const struct exchange *exchange)
{
    const struct head *head = &exchange->head;
    char line[LINE_MAX_BYTES];
    struct text text = {line, line + sizeof(line) - 1};
    uint64_t body = 0;

    if (!worker->log)
        return;
    if (exchange->sent > exchange->head_bytes)
        body = exchange->sent - exchange->head_bytes;
    peer_put_address(&text, &connection->peer, connection->peer_size);
    text_puts(&text, " - - ");
    text_puts(&text, worker->date.log);
    text_puts(&text, " ");
    put_field(&text, exchange, head->request_line);
    text_puts(&text, " ");
    text_put_number(&text, exchange->status);
    text_puts(&text, " ");
    text_put_number(&text, body);
    text_puts(&text, " ");
    put_field(&text, exchange, head->referer);
    text_puts(&text, " ");
    put_field(&text, exchange, head->user_agent);
    *text.at++ = '\n';
    log_write(worker->log, line, (size_t)(text.at - line));
}
