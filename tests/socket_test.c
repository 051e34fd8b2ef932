/* Accept, connect, disconnect, transmit and datagrams, over loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <iocp.h>

#define DEADLINE INT64_C(20000000000)

static struct iocp_port *port;
static struct iocp_handle *listener;
static struct sockaddr_in address;
static struct iocp_op op;
static struct iocp_packet packet;
static char buffer[65536];

static int bound_socket(int type, struct sockaddr_in *ret_address)
{
    socklen_t length = sizeof(*ret_address);
    int fd = socket(AF_INET, type, 0);

    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->sin_family = AF_INET;
    ret_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)ret_address, length) ||
        getsockname(fd, (struct sockaddr *)ret_address, &length))
        return -1;
    return fd;
}

static int open_listener(void **state)
{
    int fd = bound_socket(SOCK_STREAM, &address);

    (void)state;
    memset(&op, 0, sizeof(op));
    if (fd < 0 || listen(fd, 128) || iocp_port_create(1, &port))
        return -1;
    return iocp_port_associate(port, fd, 1, 0, &listener);
}

static int close_listener(void **state)
{
    (void)state;
    iocp_handle_close(listener);
    if (iocp_port_drain(port, DEADLINE))
        return -1;
    iocp_port_release(port);
    return 0;
}

static void expect_packet(struct iocp_op *of, int status, size_t bytes)
{
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_int_equal(packet.status, status);
    assert_int_equal(packet.bytes, bytes);
    assert_true(packet.op == of);
}

static void expect_nothing(void)
{
    assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
}

static int connect_client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)),
                     0);
    return fd;
}

static struct iocp_handle *empty_handle(void)
{
    struct iocp_handle *handle;

    assert_int_equal(iocp_port_associate(port, -1, 2, 0, &handle), 0);
    return handle;
}

/* The library makes the handle; the packet is the listener's; the peer's
 * address is told; the connection works. */
static void S6_accept_makes_a_handle(void **state)
{
    struct sockaddr_in peer = {0}, own;
    socklen_t peer_len = sizeof(peer), own_len = sizeof(own);
    struct iocp_op receive = {0};
    int client;

    (void)state;
    assert_int_equal(iocp_accept(listener, &op, NULL, NULL, 0,
                                 (struct sockaddr *)&peer, &peer_len),
                     0);
    expect_nothing();
    client = connect_client();
    expect_packet(&op, 0, 0);
    assert_int_equal(packet.key, 1);
    getsockname(client, (struct sockaddr *)&own, &own_len);
    assert_int_equal(peer.sin_port, own.sin_port);
    assert_int_equal(iocp_recv(op.accepted, &receive, buffer, 10, 0), 0);
    assert_int_equal(write(client, "abc", 3), 3);
    expect_packet(&receive, 0, 3);
    iocp_handle_close(op.accepted);
    close(client);
}

/* With first data the packet comes with the first bytes; with a FIN before
 * any, 0 bytes and END. */
static void S6_accept_waits_for_first_data(void **state)
{
    struct iocp_handle *into = empty_handle();
    int client;

    (void)state;
    assert_int_equal(iocp_accept(listener, &op, into, buffer, 100, NULL, NULL),
                     0);
    client = connect_client();
    expect_nothing();
    assert_int_equal(write(client, "first", 5), 5);
    expect_packet(&op, 0, 5);
    assert_true(op.accepted == into);
    assert_int_equal(packet.key, 1);
    assert_memory_equal(buffer, "first", 5);
    iocp_handle_close(into);
    close(client);

    into = empty_handle();
    assert_int_equal(iocp_accept(listener, &op, into, buffer, 100, NULL, NULL),
                     0);
    close(connect_client());
    expect_packet(&op, 0, 0);
    assert_int_equal(op.flags, IOCP_OP_END);
    iocp_handle_close(into);
}

/* Closing the handle that an accept is to fill ends it, before a connection
 * came and while its first bytes are waited for; so does the listener. */
static void S6_closing_ends_the_accept(void **state)
{
    struct iocp_handle *into = empty_handle();
    int client;

    (void)state;
    assert_int_equal(iocp_accept(listener, &op, into, NULL, 0, NULL, NULL), 0);
    assert_int_equal(iocp_handle_close(into), 0);
    expect_packet(&op, -ECANCELED, 0);

    for (unsigned by_listener = 0; by_listener < 2; by_listener++) {
        into = empty_handle();
        assert_int_equal(
            iocp_accept(listener, &op, into, buffer, 9, NULL, NULL), 0);
        client = connect_client();
        while (iocp_handle_fd(into) < 0)
            expect_nothing();
        if (by_listener)
            assert_int_equal(iocp_cancel(listener, &op), 0);
        else
            assert_int_equal(iocp_handle_close(into), 0);
        expect_packet(&op, -ECANCELED, 0);
        if (by_listener)
            assert_int_equal(iocp_handle_close(into), 0);
        close(client);
    }
}

/* A handle that the library made for an accept that is cancelled while it
 * waits for first data is closed again: none is left open. */
static void S6_no_handle_is_left_behind(void **state)
{
    char byte;
    int client;

    (void)state;
    assert_int_equal(iocp_accept(listener, &op, NULL, buffer, 9, NULL, NULL),
                     0);
    client = connect_client();
    while (iocp_cancel(listener, &op))
        ;
    expect_packet(&op, -ECANCELED, 0);
    assert_null(op.accepted);
    assert_int_equal(iocp_handle_close(listener), 0);
    assert_int_equal(iocp_port_drain(port, DEADLINE), 0);
    assert_int_not_equal(recv(client, &byte, 1, 0), 1);
    close(client);
}

/* Not listening, or another port's handle: -EINVAL. A handle in use, or the
 * listener: -EISCONN. */
static void S6_accept_refuses_the_wrong_handles(void **state)
{
    struct iocp_handle *into = empty_handle(), *plain;
    struct iocp_port *elsewhere;
    struct iocp_op second = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(iocp_port_associate(port, fd, 0, 0, &plain), 0);
    assert_int_equal(iocp_accept(plain, &op, into, NULL, 0, NULL, NULL),
                     -EINVAL);
    assert_int_equal(iocp_accept(listener, &op, listener, NULL, 0, NULL, NULL),
                     -EISCONN);
    assert_int_equal(iocp_accept(listener, &op, into, NULL, 0, NULL, NULL), 0);
    assert_int_equal(iocp_accept(listener, &second, into, NULL, 0, NULL, NULL),
                     -EISCONN);
    iocp_handle_close(into);
    expect_packet(&op, -ECANCELED, 0);
    iocp_handle_close(plain);
    assert_int_equal(iocp_port_create(1, &elsewhere), 0);
    assert_int_equal(iocp_port_associate(elsewhere, -1, 0, 0, &into), 0);
    assert_int_equal(iocp_accept(listener, &op, into, NULL, 0, NULL, NULL),
                     -EINVAL);
    iocp_handle_close(into);
    iocp_port_release(elsewhere);
}

/* Success counts the first data; connected is -EISCONN from then on. */
static void S7_connect_sends_first_data(void **state)
{
    struct iocp_handle *handle;
    int fd = socket(AF_INET, SOCK_STREAM, 0), server;

    (void)state;
    assert_int_equal(iocp_port_associate(port, fd, 5, 0, &handle), 0);
    assert_int_equal(iocp_connect(handle, &op, (struct sockaddr *)&address,
                                  sizeof(address), "hey", 3),
                     0);
    expect_packet(&op, 0, 3);
    assert_int_equal(packet.key, 5);
    server = accept(iocp_handle_fd(listener), NULL, NULL);
    assert_int_equal(read(server, buffer, 10), 3);
    assert_int_equal(iocp_connect(handle, &op, (struct sockaddr *)&address,
                                  sizeof(address), NULL, 0),
                     -EISCONN);
    iocp_handle_close(handle);
    close(server);
}

/* Refused comes in the packet; the same handle then connects elsewhere. */
static void S7_refused_comes_in_the_packet(void **state)
{
    struct sockaddr_in nobody;
    struct iocp_handle *handle;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    close(bound_socket(SOCK_STREAM, &nobody));
    assert_int_equal(iocp_port_associate(port, fd, 5, 0, &handle), 0);
    assert_int_equal(iocp_connect(handle, &op, (struct sockaddr *)&nobody,
                                  sizeof(nobody), NULL, 0),
                     0);
    expect_packet(&op, -ECONNREFUSED, 0);
    assert_int_equal(iocp_connect(handle, &op, (struct sockaddr *)&address,
                                  sizeof(address), NULL, 0),
                     0);
    expect_packet(&op, 0, 0);
    iocp_handle_close(handle);
}

/* Send and receive on a socket that is not connected: -ENOTCONN, no packet. */
static void S2_not_connected_fails_at_once(void **state)
{
    struct iocp_handle *handle;

    (void)state;
    assert_int_equal(iocp_port_associate(port, socket(AF_INET, SOCK_STREAM, 0),
                                         0, 0, &handle),
                     0);
    assert_int_equal(iocp_recv(handle, &op, buffer, 1, 0), -ENOTCONN);
    assert_int_equal(iocp_send(handle, &op, "x", 1, 0), -ENOTCONN);
    assert_int_equal(iocp_disconnect(handle, &op, 0), -ENOTCONN);
    expect_nothing();
    iocp_handle_close(handle);
}

static struct iocp_handle *accept_into(struct iocp_handle *into, int *client)
{
    int result = iocp_accept(listener, &op, into, NULL, 0, NULL, NULL);

    assert_int_equal(result, 0);
    *client = connect_client();
    expect_packet(&op, 0, 0);
    return op.accepted;
}

/* The peer sees the end, a later send -EPIPE; with REUSE the same handle,
 * with its key, is accepted into again, and a pending receive is ended. */
static void S8_disconnect_and_use_again(void **state)
{
    struct iocp_op receive = {0};
    struct iocp_handle *handle = empty_handle();
    int client;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        accept_into(handle, &client);
        assert_int_equal(iocp_recv(handle, &receive, buffer, 9, 0), 0);
        assert_int_equal(iocp_disconnect(handle, &op, 0), 0);
        expect_packet(&op, 0, 0);
        assert_int_equal(read(client, buffer, 9), 0);
        assert_int_equal(iocp_send(handle, &op, "x", 1, 0), -EPIPE);
        assert_int_equal(iocp_disconnect(handle, &op, IOCP_REUSE), 0);
        expect_packet(&receive, -ECANCELED, 0);
        assert_int_equal(packet.key, 2);
        expect_packet(&op, 0, 0);
        assert_int_equal(iocp_handle_fd(handle), -1);
        close(client);
    }
    iocp_handle_close(handle);
}

/* A reset ends a pending receive with -ECONNRESET, and later calls too. */
static void S1_a_reset_is_told_again(void **state)
{
    struct linger at_once = {.l_onoff = 1};
    int client;
    struct iocp_handle *handle = accept_into(NULL, &client);

    (void)state;
    assert_int_equal(iocp_recv(handle, &op, buffer, 9, 0), 0);
    setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(client);
    expect_packet(&op, -ECONNRESET, 0);
    assert_int_equal(iocp_recv(handle, &op, buffer, 9, 0), -ECONNRESET);
    iocp_handle_close(handle);
}

static void transmit_one(size_t head, size_t middle, size_t tail,
                         uint64_t offset)
{
    static unsigned char sent[400000], got[400000];
    char name[] = "/tmp/iocp-test-XXXXXX";
    struct iocp_transmit what = {.head = sent,
                                 .head_bytes = head,
                                 .file_offset = offset,
                                 .file_length = middle,
                                 .tail = sent + head + middle,
                                 .tail_bytes = tail};
    size_t total = head + middle + tail, bytes = 0;
    int client;
    struct iocp_handle *handle = accept_into(NULL, &client);

    for (size_t i = 0; i < total; i++)
        sent[i] = (unsigned char)(i * 7 % 253);
    what.file = middle ? mkstemp(name) : -1;
    if (middle) {
        unlink(name);
        assert_int_equal(pwrite(what.file, sent + head, middle, (off_t)offset),
                         middle);
    }
    assert_int_equal(iocp_transmit_file(handle, &op, &what, IOCP_DISCONNECT),
                     0);
    while (bytes < total) {
        ssize_t part = read(client, got + bytes, total - bytes);

        assert_true(part > 0);
        bytes += (size_t)part;
    }
    expect_packet(&op, 0, total);
    assert_int_equal(read(client, got, 1), 0);
    assert_memory_equal(sent + 1, got + 1, total ? total - 1 : 0);
    iocp_handle_close(handle);
    close(client);
    if (middle)
        close(what.file);
}

/* Head, file range and tail of all sizes around the limit between reading
 * and sendfile, and from beyond 4 GiB, arrive whole; the stream then ends. */
static void S9_transmit_sends_head_file_and_tail(void **state)
{
    static const size_t sizes[][3] = {
        {0, 0, 0},      {5, 0, 0},      {0, 1, 0},
        {10, 16383, 3}, {10, 16384, 3}, {0, 16385, 7},
        {7, 300000, 9}, {0, 16384, 0},  {70000, 20, 5000}};

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        transmit_one(sizes[i][0], sizes[i][1], sizes[i][2], 100);
    transmit_one(3, 9, 3, UINT64_C(5) << 30);
    transmit_one(3, 100000, 3, UINT64_C(5) << 30);
}

/* A file shorter than its range: -ENODATA, with the bytes that went. */
static void S9_a_file_that_is_too_short_is_told(void **state)
{
    char name[] = "/tmp/iocp-test-XXXXXX";
    struct iocp_transmit what = {.file = mkstemp(name), .file_length = 50};
    int client;
    struct iocp_handle *handle = accept_into(NULL, &client);

    (void)state;
    unlink(name);
    assert_int_equal(write(what.file, buffer, 20), 20);
    assert_int_equal(iocp_transmit_file(handle, &op, &what, 0), 0);
    expect_packet(&op, -ENODATA, 20);
    iocp_handle_close(handle);
    close(client);
    close(what.file);
}

/* Datagrams carry their sender's address; one that is too long fills the
 * buffer and is -EMSGSIZE in its packet, also with skip on success. */
static void S10_datagrams_with_addresses(void **state)
{
    struct sockaddr_in from = {0}, own, to;
    socklen_t from_len = sizeof(from);
    struct iocp_handle *handle;
    int fd = bound_socket(SOCK_DGRAM, &own);
    int other = bound_socket(SOCK_DGRAM, &to);

    (void)state;
    assert_int_equal(
        iocp_port_associate(port, fd, 0, IOCP_SKIP_ON_SUCCESS, &handle), 0);
    assert_int_equal(iocp_sendto(handle, &op, "ping", 4, 0,
                                 (struct sockaddr *)&to, sizeof(to)),
                     1);
    assert_int_equal(recv(other, buffer, 100, 0), 4);
    assert_int_equal(iocp_recvfrom(handle, &op, buffer, 100, 0,
                                   (struct sockaddr *)&from, &from_len),
                     0);
    sendto(other, "pong!", 5, 0, (struct sockaddr *)&own, sizeof(own));
    expect_packet(&op, 0, 5);
    assert_int_equal(from.sin_port, to.sin_port);
    sendto(other, "too long", 8, 0, (struct sockaddr *)&own, sizeof(own));
    assert_int_equal(iocp_recv(handle, &op, buffer, 3, 0), 0);
    expect_packet(&op, -EMSGSIZE, 3);
    iocp_handle_close(handle);
    close(other);
}

/* Gathered from 1,000 pieces, scattered into 64, an empty list refused. */
static void S11_scatter_and_gather(void **state)
{
    struct iovec pieces[1000];
    struct iocp_op receive = {0};
    int client;
    struct iocp_handle *handle = accept_into(NULL, &client);
    char got[1000];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        buffer[i] = (char)i;
        pieces[i] = (struct iovec){&buffer[i], 1};
    }
    assert_int_equal(iocp_sendv(handle, &op, pieces, 0, 0), -EINVAL);
    assert_int_equal(iocp_sendv(handle, &op, pieces, 1000, 0), 0);
    expect_packet(&op, 0, 1000);
    assert_int_equal(recv(client, got, 1000, MSG_WAITALL), 1000);
    assert_memory_equal(got, buffer, 1000);
    assert_int_equal(iocp_recvv(handle, &receive, pieces, 640, MSG_WAITALL), 0);
    memset(got, 'q', 640);
    assert_int_equal(write(client, got, 640), 640);
    expect_packet(&receive, 0, 640);
    assert_memory_equal(got, buffer, 640);
    iocp_handle_close(handle);
    close(client);
}

/* Data and FIN in one segment on 200 connections: each one's data and each
 * one's end come. */
static void S2_trap_data_and_fin_in_one_edge(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        int client;
        struct iocp_handle *handle = accept_into(NULL, &client);

        assert_int_equal(iocp_recv(handle, &op, buffer, 100, 0), 0);
        assert_int_equal(send(client, "last", 4, MSG_MORE), 4);
        close(client);
        expect_packet(&op, 0, 4);
        assert_int_equal(iocp_recv(handle, &op, buffer, 100, 0), 0);
        expect_packet(&op, 0, 0);
        iocp_handle_close(handle);
    }
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, open_listener, close_listener)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(S1_a_reset_is_told_again),
        TEST(S2_not_connected_fails_at_once),
        TEST(S2_trap_data_and_fin_in_one_edge),
        TEST(S6_accept_makes_a_handle),
        TEST(S6_accept_waits_for_first_data),
        TEST(S6_closing_ends_the_accept),
        TEST(S6_no_handle_is_left_behind),
        TEST(S6_accept_refuses_the_wrong_handles),
        TEST(S7_connect_sends_first_data),
        TEST(S7_refused_comes_in_the_packet),
        TEST(S8_disconnect_and_use_again),
        TEST(S9_transmit_sends_head_file_and_tail),
        TEST(S9_a_file_that_is_too_short_is_told),
        TEST(S10_datagrams_with_addresses),
        TEST(S11_scatter_and_gather),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
