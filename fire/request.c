#include "request.h"

#include "answer.h"
#include "exchange.h"
#include "file.h"
#include "files.h"
#include "path.h"
#include "range.h"
#include "server.h"
#include "worker.h"

/* A body up to this size is thrown away; before a longer one we close. */
#define SKIP_MAX 65536

/*
 * Does the connection outlive this request? Not when it is unclear where the
 * next one begins. A body is never read as a request: it is skipped, or the
 * connection ends.
 */
static bool is_kept(const struct worker *worker, const struct head *head)
{
    if (head->refused || head->close || head->is_chunked ||
        head->faulty_framing)
        return false;
    if (!head->minor_1 && !head->keep_alive)
        return false;
    /* Whether the body comes is then up to the client's patience. */
    if (head->content_length > 0 &&
        (head->expects_continue || head->content_length > SKIP_MAX))
        return false;
    return server_phase(worker->server) == SERVER_RUNNING;
}

/* Only a client that has said that it ends here sends nothing more. */
static bool may_send_more(const struct exchange *exchange)
{
    const struct head *head = &exchange->head;
    bool ends = head->close || (!head->minor_1 && !head->keep_alive);

    return head->refused || !ends || head->is_chunked ||
           head->content_length > 0 ||
           exchange->end > exchange->start + head->size;
}

static void answer_kind(struct worker *worker, struct exchange *exchange,
                        enum file_kind kind)
{
    switch (kind) {
    case FILE_DIRECTORY:
        answer_slash(worker, exchange);
        break;
    case FILE_FORBIDDEN:
        answer_error(worker, exchange, 403);
        break;
    case FILE_BUSY:
    case FILE_EXHAUSTED:
        answer_error(worker, exchange, 503);
        break;
    case FILE_MISSING:
    case FILE_REGULAR: /* does not come here */
        answer_error(worker, exchange, 404);
        break;
    }
}

static void answer_regular(struct worker *worker, struct exchange *exchange,
                           struct file *file)
{
    const struct head *head = &exchange->head;
    enum range_kind kind = RANGE_NONE;
    struct range range;

    /* A range is only for GET (RFC 9110, 14.2). */
    if (head->range.size > 0 && !head->has_ranges && !head->has_if_range &&
        head->method == METHOD_GET)
        kind = range_read(exchange_slice(exchange, head->range),
                          head->range.size, file->identity.size, &range);
    switch (kind) {
    case RANGE_NONE:
        answer_file(worker, exchange, file);
        break;
    case RANGE_ONE:
        answer_range(worker, exchange, file, &range);
        break;
    case RANGE_UNSATISFIABLE:
        answer_unsatisfiable(worker, exchange, file->identity.size);
        file_release(file);
        break;
    }
}

static void answer_path(struct worker *worker, struct exchange *exchange)
{
    char name[HEAD_TARGET_MAX + 1];
    size_t name_size;
    struct file *file;
    unsigned status = path_decode(exchange_slice(exchange, exchange->head.path),
                                  exchange->head.path.size, name, &name_size);

    if (status != 0) {
        answer_error(worker, exchange, status);
        return;
    }
    file =
        files_get(worker->server->files, name, name_size, worker->date.now_ns);
    if (!file) {
        answer_error(worker, exchange, 503);
    } else if (file->kind != FILE_REGULAR) {
        answer_kind(worker, exchange, file->kind);
        file_release(file);
    } else {
        answer_regular(worker, exchange, file);
    }
}

void request_answer(struct worker *worker, struct exchange *exchange)
{
    const struct head *head = &exchange->head;

    date_refresh(&worker->date);
    exchange->keep = is_kept(worker, head);
    exchange->lingers = may_send_more(exchange);
    exchange->skip = exchange->keep ? head->content_length : 0;
    if (head->refused) {
        answer_error(worker, exchange, head->refused);
        return;
    }
    switch ((enum head_method)head->method) {
    case METHOD_GET:
    case METHOD_HEAD:
        answer_path(worker, exchange);
        break;
    case METHOD_OPTIONS:
        answer_options(worker, exchange);
        break;
    case METHOD_OTHER:
        answer_error(worker, exchange, 405);
        break;
    case METHOD_UNKNOWN:
        answer_error(worker, exchange, 501);
        break;
    }
}

void request_time_out(struct worker *worker, struct exchange *exchange)
{
    date_refresh(&worker->date);
    exchange->keep = false;
    exchange->lingers = true;
    answer_error(worker, exchange, 408);
}
