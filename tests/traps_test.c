/* The traps that the design names, and what befalls at a bad moment. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <iocp.h>

#include "support/unwind.h"

#define DEADLINE INT64_C(20000000000)

static struct iocp_port *port;
static struct iocp_packet packet;
static char buffer[1 << 20];

static void expect_packet(struct iocp_op *of, int status)
{
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_true(packet.op == of);
    assert_int_equal(packet.status, status);
}

struct closer {
    struct iocp_handle *_Atomic handle;
    atomic_bool stop;
};

/* Starts receives on whatever the handle is, also one that just closes. */
static void *start_receives(void *arg)
{
    struct closer *closer = arg;
    static struct iocp_op ops[64];
    static char bytes[64][8];

    for (unsigned i = 0; !atomic_load(&closer->stop); i = (i + 1) % 64)
        iocp_recv(atomic_load(&closer->handle), &ops[i], bytes[i], 8, 0);
    return NULL;
}

/* A handle closes while another thread starts receives on it, and its
 * descriptor's number is taken at once by a foreign pair, whose bytes are
 * never touched. */
static void C3_trap_a_close_never_touches_the_next_owner(void **state)
{
    static struct closer closer;
    pthread_t starter;

    (void)state;
    assert_int_equal(iocp_port_create(1, &port), 0);
    for (unsigned round = 0; round < 300; round++) {
        struct iocp_handle *handle;
        int ends[2], foreign[2];
        char byte = 0;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        assert_int_equal(iocp_port_associate(port, ends[0], 0, 0, &handle), 0);
        atomic_store(&closer.handle, handle);
        atomic_store(&closer.stop, false);
        pthread_create(&starter, NULL, start_receives, &closer);
        for (unsigned i = 0; i < round % 7; i++)
            sched_yield();
        assert_int_equal(iocp_handle_close(handle), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, foreign), 0);
        assert_int_equal(write(foreign[1], "f", 1), 1);
        for (unsigned i = 0; i < 50; i++)
            sched_yield();
        assert_int_equal(recv(foreign[0], &byte, 1, MSG_DONTWAIT), 1);
        assert_int_equal(byte, 'f');
        atomic_store(&closer.stop, true);
        pthread_join(starter, NULL);
        while (!iocp_port_wait(port, &packet, 0))
            assert_int_equal(packet.status, -ECANCELED);
        close(ends[1]);
        close(foreign[0]);
        close(foreign[1]);
    }
    assert_int_equal(iocp_port_drain(port, DEADLINE), 0);
    iocp_port_release(port);
}

static atomic_int served;

static void *serve_one(void *unused)
{
    struct iocp_packet mine;

    if (!iocp_port_wait(port, &mine, DEADLINE))
        atomic_store(&served, 1);
    iocp_port_leave(port);
    return unused;
}

static void *wait_to_be_cancelled(void *ret_taken)
{
    struct iocp_packet mine;

    /* In the handler no call is a cancellation point: what was taken is
     * counted. */
    UNWIND_BEGIN;
    if (!iocp_port_wait(port, &mine, DEADLINE))
        atomic_store((atomic_bool *)ret_taken, true);
    UNWIND_END;
    return NULL;
}

/* A waiter is cancelled just as its data comes, or a posted packet: taken by
 * it, or still there for the next, never lost: 1,000 rounds. */
static void N7_trap_a_cancel_races_with_a_packet(void **state)
{
    struct iocp_handle *handle;
    struct iocp_op op = {0};
    int ends[2];

    (void)state;
    assert_int_equal(iocp_port_create(1, &port), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(iocp_port_associate(port, ends[0], 0, 0, &handle), 0);
    for (unsigned round = 0; round < 1000; round++) {
        struct iocp_packet posted = {.op = &op};
        atomic_bool was_taken = false;
        pthread_t waiter;

        if (round % 2)
            assert_int_equal(iocp_recv(handle, &op, buffer, 8, 0), 0);
        pthread_create(&waiter, NULL, wait_to_be_cancelled, &was_taken);
        for (unsigned i = 0; i < round % 40; i++)
            sched_yield();
        if (round % 2)
            assert_int_equal(write(ends[1], "x", 1), 1);
        else
            assert_int_equal(iocp_port_post(port, &posted), 0);
        pthread_cancel(waiter);
        pthread_join(waiter, NULL);
        if (!atomic_load(&was_taken))
            expect_packet(&op, 0);
        assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
        iocp_port_leave(port);
    }
    iocp_handle_close(handle);
    close(ends[1]);
    iocp_port_release(port);
}

/* Readiness counts as a queued packet while the only permitted thread has
 * said that it blocks: the other thread serves the second socket. */
static void Q10_a_second_socket_is_served_meanwhile(void **state)
{
    struct iocp_packet posted = {0};
    struct iocp_handle *handle;
    struct iocp_op op = {0};
    pthread_t other;
    int ends[2];

    (void)state;
    atomic_store(&served, 0);
    assert_int_equal(iocp_port_create(1, &port), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(iocp_port_associate(port, ends[0], 0, 0, &handle), 0);
    assert_int_equal(iocp_recv(handle, &op, buffer, 8, 0), 0);
    assert_int_equal(iocp_port_post(port, &posted), 0);
    expect_packet(NULL, 0);
    pthread_create(&other, NULL, serve_one, NULL);
    assert_int_equal(iocp_block_begin(), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    while (!atomic_load(&served))
        sched_yield(); /* the harness's time-out fails it */
    assert_int_equal(iocp_block_end(), 0);
    pthread_join(other, NULL);
    iocp_handle_close(handle);
    close(ends[1]);
    iocp_port_release(port);
}

/* The same without block_begin: a deadline fires and is queued while the
 * only thread is in its handler. */
static void Q10_a_deadline_fires_during_a_handler(void **state)
{
    struct iocp_handle *handle;
    struct iocp_op op = {0};
    int ends[2];

    (void)state;
    assert_int_equal(iocp_port_create(1, &port), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(iocp_port_associate(port, ends[0], 0, 0, &handle), 0);
    assert_int_equal(iocp_op_set_deadline(&op, 2000000), 0);
    assert_int_equal(iocp_recv(handle, &op, buffer, 8, 0), 0);
    while (iocp_port_depth(port) != 1)
        sched_yield(); /* this is the handler; the watcher does it */
    expect_packet(&op, -ETIMEDOUT);
    iocp_handle_close(handle);
    close(ends[1]);
    iocp_port_release(port);
}

static struct iocp_handle *listen_on(int family, struct sockaddr_storage *ret,
                                     socklen_t *ret_len)
{
    struct sockaddr_in6 *v6 = (void *)ret;
    struct sockaddr_in *v4 = (void *)ret;
    struct iocp_handle *listener;
    int fd = socket(family, SOCK_STREAM, 0);

    memset(ret, 0, sizeof(*ret));
    ret->ss_family = (sa_family_t)family;
    *ret_len = sizeof(*ret);
    if (family == AF_INET)
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (family == AF_INET6)
        v6->sin6_addr = in6addr_loopback;
    /* A Unix socket bound to its family alone gets an abstract name. */
    assert_int_equal(bind(fd, (struct sockaddr *)ret,
                          family == AF_UNIX   ? sizeof(sa_family_t)
                          : family == AF_INET ? sizeof(*v4)
                                              : sizeof(*v6)),
                     0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, ret_len), 0);
    assert_int_equal(iocp_port_associate(port, fd, 1, 0, &listener), 0);
    return listener;
}

/* The same address, as an IPv6 socket sees it: ::ffff:127.0.0.1. */
static void map(struct sockaddr_storage *address, socklen_t *len)
{
    struct sockaddr_in v4 = *(struct sockaddr_in *)(void *)address;
    struct sockaddr_in6 *v6 = (void *)address;

    memset(address, 0, sizeof(*address));
    v6->sin6_family = AF_INET6;
    v6->sin6_port = v4.sin_port;
    v6->sin6_addr.s6_addr[10] = v6->sin6_addr.s6_addr[11] = 0xff;
    memcpy(&v6->sin6_addr.s6_addr[12], &v4.sin_addr, sizeof(v4.sin_addr));
    *len = sizeof(*v6);
}

static void round_trip(int family, int client_family)
{
    struct iocp_op accepting = {0}, connecting = {0}, receiving = {0};
    struct sockaddr_storage address;
    struct iocp_handle *listener, *client;
    socklen_t len;

    assert_int_equal(iocp_port_create(1, &port), 0);
    listener = listen_on(family, &address, &len);
    if (family != client_family)
        map(&address, &len);
    assert_int_equal(iocp_port_associate(port,
                                         socket(client_family, SOCK_STREAM, 0),
                                         2, 0, &client),
                     0);
    assert_int_equal(
        iocp_accept(listener, &accepting, NULL, NULL, 0, NULL, NULL), 0);
    assert_int_equal(iocp_connect(client, &connecting,
                                  (struct sockaddr *)&address, len, "hi", 2),
                     0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
        assert_int_equal(packet.status, 0);
    }
    assert_int_equal(connecting.bytes, 2);
    assert_int_equal(iocp_recv(accepting.accepted, &receiving, buffer, 9, 0),
                     0);
    expect_packet(&receiving, 0);
    assert_int_equal(packet.bytes, 2);
    iocp_handle_close(accepting.accepted);
    iocp_handle_close(client);
    iocp_handle_close(listener);
    assert_int_equal(iocp_port_drain(port, DEADLINE), 0);
    iocp_port_release(port);
}

/* Listen, accept, connect with first data and receive over IPv4, Unix and
 * IPv6 sockets, and over IPv6 to an IPv4 listener (mapped). */
static void S7_every_address_family(void **state)
{
    int v6 = socket(AF_INET6, SOCK_STREAM, 0);

    round_trip(AF_INET, AF_INET);
    round_trip(AF_UNIX, AF_UNIX);
    if (v6 < 0)
        return; /* a machine without it */
    (void)state;
    close(v6);
    round_trip(AF_INET6, AF_INET6);
    round_trip(AF_INET, AF_INET6);
}

/* Deadlines end an accept, and a send that is partly gone with its bytes. */
static void T1_deadlines_of_accept_and_send(void **state)
{
    struct sockaddr_storage address;
    struct iocp_handle *listener, *handle;
    struct iocp_op op = {0};
    socklen_t len;
    int ends[2];

    (void)state;
    assert_int_equal(iocp_port_create(1, &port), 0);
    listener = listen_on(AF_INET, &address, &len);
    assert_int_equal(iocp_op_set_deadline(&op, 1000000), 0);
    assert_int_equal(iocp_accept(listener, &op, NULL, NULL, 0, NULL, NULL), 0);
    expect_packet(&op, -ETIMEDOUT);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(iocp_port_associate(port, ends[0], 0, 0, &handle), 0);
    assert_int_equal(iocp_send(handle, &op, buffer, sizeof(buffer), 0), 0);
    expect_packet(&op, -ETIMEDOUT);
    assert_in_range(packet.bytes, 1, sizeof(buffer) - 1);
    iocp_handle_close(handle);
    iocp_handle_close(listener);
    close(ends[1]);
    iocp_port_release(port);
}

/* No descriptor left: the accept ends with -EMFILE, the connection stays in
 * the backlog, and the next accept takes it. */
static void S6_no_descriptor_left(void **state)
{
    struct rlimit before, none;
    struct sockaddr_storage address;
    struct iocp_handle *listener;
    struct iocp_op op = {0};
    socklen_t len;
    int client, next;

    (void)state;
    assert_int_equal(iocp_port_create(1, &port), 0);
    listener = listen_on(AF_INET, &address, &len);
    client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(iocp_accept(listener, &op, NULL, NULL, 0, NULL, NULL), 0);
    next = dup(0);
    close(next);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
    expect_packet(&op, -EMFILE);
    assert_int_equal(iocp_accept(listener, &op, NULL, NULL, 0, NULL, NULL),
                     -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(iocp_accept(listener, &op, NULL, NULL, 0, NULL, NULL), 0);
    expect_packet(&op, 0);
    iocp_handle_close(op.accepted);
    iocp_handle_close(listener);
    close(client);
    iocp_port_release(port);
}

/* Handles up to the process's limit of descriptors, a receive pending on
 * each; a byte for each comes through the port; the next descriptor is
 * refused, and afterwards none is left open. */
static void P1_handles_up_to_the_limit(void **state)
{
    enum { MOST = 9000 };
    static struct iocp_handle *handles[MOST];
    static struct iocp_op ops[MOST];
    static int peers[MOST];
    int before = dup(0), after, ends[2];
    unsigned count = 0;

    (void)state;
    close(before);
    assert_int_equal(iocp_port_create(1, &port), 0);
    while (count < MOST && !socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) {
        peers[count] = ends[1];
        assert_int_equal(
            iocp_port_associate(port, ends[0], count, 0, &handles[count]), 0);
        assert_int_equal(
            iocp_recv(handles[count], &ops[count], &buffer[count], 1, 0), 0);
        count++;
    }
    assert_in_range(count, 100, MOST);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(write(peers[i], "b", 1), 1);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
        assert_true(packet.op == &ops[packet.key] && packet.bytes == 1);
    }
    for (unsigned i = 0; i < count; i++) {
        iocp_handle_close(handles[i]);
        close(peers[i]);
    }
    assert_int_equal(iocp_port_drain(port, DEADLINE), 0);
    iocp_port_release(port);
    after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

/* Sends and receives pending and starting while the peer resets at one
 * moment after another: each accepted operation has one packet. */
static void S1_trap_a_reset_at_every_moment(void **state)
{
    struct linger at_once = {.l_onoff = 1};
    struct sockaddr_storage address;
    struct iocp_handle *listener;
    socklen_t len;

    (void)state;
    assert_int_equal(iocp_port_create(1, &port), 0);
    listener = listen_on(AF_INET, &address, &len);
    for (unsigned moment = 0; moment < 8; moment++) {
        struct iocp_op ops[4] = {{0}};
        struct iocp_handle *handle;
        unsigned pending = 0;
        int client = socket(AF_INET, SOCK_STREAM, 0);

        assert_int_equal(connect(client, (struct sockaddr *)&address, len), 0);
        setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        assert_int_equal(
            iocp_accept(listener, &ops[0], NULL, NULL, 0, NULL, NULL), 0);
        expect_packet(&ops[0], 0);
        handle = ops[0].accepted;
        for (unsigned step = 0; step < 8; step++) {
            struct iocp_op *op = &ops[step % 4];
            int result;

            if (step == moment)
                close(client);
            result = step & 1
                         ? iocp_recv(handle, op, buffer, 8, 0)
                         : iocp_send(handle, op, buffer, sizeof(buffer), 0);
            pending += result == 0;
        }
        for (; pending; pending--)
            assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
        assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
        iocp_handle_close(handle);
    }
    iocp_handle_close(listener);
    assert_int_equal(iocp_port_drain(port, DEADLINE), 0);
    iocp_port_release(port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(C3_trap_a_close_never_touches_the_next_owner),
        cmocka_unit_test(N7_trap_a_cancel_races_with_a_packet),
        cmocka_unit_test(P1_handles_up_to_the_limit),
        cmocka_unit_test(S1_trap_a_reset_at_every_moment),
        cmocka_unit_test(Q10_a_second_socket_is_served_meanwhile),
        cmocka_unit_test(Q10_a_deadline_fires_during_a_handler),
        cmocka_unit_test(S6_no_descriptor_left),
        cmocka_unit_test(S7_every_address_family),
        cmocka_unit_test(T1_deadlines_of_accept_and_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
