/* The peer: libuv, one loop, uv_try_write first as its best users do. */
#include <uv.h>

#include "server.h"

struct connection {
    uv_tcp_t tcp; /* first: the stream is the connection */
    uv_write_t write;
    char buffer[8192];
};

static void ended(uv_handle_t *handle)
{
    free(handle);
}

static void allocate(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    struct connection *c = (struct connection *)handle;

    (void)size;
    *ret_buffer = uv_buf_init(c->buffer, sizeof(c->buffer));
}

static void received(uv_stream_t *stream, ssize_t bytes,
                     const uv_buf_t *buffer);

static void written(uv_write_t *write, int status)
{
    if (!status)
        uv_read_start(write->handle, allocate, received);
}

static void received(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *buffer)
{
    struct connection *c = (struct connection *)stream;
    uv_buf_t rest;
    int sent;

    if (bytes < 0) {
        uv_close((uv_handle_t *)stream, ended);
        return;
    }
    if (!bytes)
        return;
    rest = uv_buf_init(buffer->base, (unsigned)bytes);
    sent = uv_try_write(stream, &rest, 1);
    if (sent == bytes)
        return;
    rest.base += sent > 0 ? sent : 0;
    rest.len -= sent > 0 ? (size_t)sent : 0;
    uv_read_stop(stream);
    uv_write(&c->write, stream, &rest, 1, written);
}

static void connected(uv_stream_t *listener, int status)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (status < 0 || !c)
        exit(1);
    uv_tcp_init(listener->loop, &c->tcp);
    if (!uv_accept(listener, (uv_stream_t *)&c->tcp))
        uv_read_start((uv_stream_t *)&c->tcp, allocate, received);
}

int main(void)
{
    uv_tcp_t listener;

    uv_tcp_init(uv_default_loop(), &listener);
    uv_tcp_open(&listener, bench_listen());
    uv_listen((uv_stream_t *)&listener, 1024, connected);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
