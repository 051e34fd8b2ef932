/* The contract's clauses that the core answers for, one behaviour each. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <iocp.h>

#include "support/unwind.h"

#define SECOND INT64_C(1000000000)
#define DEADLINE (20 * SECOND)

static struct iocp_port *port;
static struct iocp_handle *handle;
static int peer;
static struct iocp_op op;
static struct iocp_packet packet;
static char buffer[4096];

static int open_port(void **state)
{
    (void)state;
    memset(&op, 0, sizeof(op));
    return iocp_port_create(1, &port);
}

static int close_port(void **state)
{
    (void)state;
    iocp_port_release(port);
    return 0;
}

static int open_pair(void **state)
{
    int ends[2];

    if (open_port(state) || socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        return -1;
    peer = ends[1];
    return iocp_port_associate(port, ends[0], 7, 0, &handle);
}

static int close_pair(void **state)
{
    iocp_handle_close(handle);
    close(peer);
    return iocp_port_drain(port, DEADLINE) || close_port(state);
}

static void post(uintptr_t key)
{
    struct iocp_packet posted = {.key = key};

    assert_int_equal(iocp_port_post(port, &posted), 0);
}

static void expect_packet(int status, size_t bytes)
{
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_int_equal(packet.status, status);
    assert_int_equal(packet.bytes, bytes);
}

/* Three posted packets come in their order, all four values unchanged. */
static void P3_packets_are_queued_in_order(void **state)
{
    struct iocp_packet all_ones = {UINTPTR_MAX, (void *)UINTPTR_MAX, SIZE_MAX,
                                   -1};

    (void)state;
    post(1);
    assert_int_equal(iocp_port_post(port, &all_ones), 0);
    post(3);
    expect_packet(0, 0);
    assert_int_equal(packet.key, 1);
    expect_packet(-1, SIZE_MAX);
    assert_true(packet.op == (void *)UINTPTR_MAX);
    expect_packet(0, 0);
    assert_int_equal(packet.key, 3);
}

/* An empty queue: -ETIMEDOUT, for a poll and for a time-out, and the packet
 * is untouched. */
static void P6_an_empty_queue_times_out(void **state)
{
    struct iocp_packet before = {.key = 77};
    struct iocp_packet after = before;

    (void)state;
    assert_int_equal(iocp_port_wait(port, &after, 0), -ETIMEDOUT);
    assert_int_equal(iocp_port_wait(port, &after, 1000000), -ETIMEDOUT);
    assert_memory_equal(&before, &after, sizeof(before));
}

/* The depth counts what is queued. */
static void P13_the_depth_can_be_read(void **state)
{
    (void)state;
    assert_int_equal(iocp_port_depth(port), 0);
    post(1);
    post(2);
    assert_int_equal(iocp_port_depth(port), 2);
}

static atomic_int parked_order;

struct waiter {
    pthread_t thread;
    atomic_int tid;
    int result;
    struct iocp_packet got;
};

static void *wait_once(void *arg)
{
    struct waiter *waiter = arg;

    atomic_store(&waiter->tid, gettid());
    UNWIND_BEGIN;
    waiter->result = iocp_port_wait(port, &waiter->got, DEADLINE);
    UNWIND_END;
    if (!waiter->result)
        atomic_fetch_add(&parked_order, 1);
    iocp_port_leave(port);
    return NULL;
}

/* Until the kernel says that the thread sleeps. */
static void start_and_see_parked(struct waiter *waiter)
{
    char path[64], text[256];

    memset(waiter, 0, sizeof(*waiter));
    assert_int_equal(pthread_create(&waiter->thread, NULL, wait_once, waiter),
                     0);
    while (!atomic_load(&waiter->tid))
        sched_yield();
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
             atomic_load(&waiter->tid));
    for (unsigned quiet = 0; quiet < 50;) {
        FILE *file = fopen(path, "r");
        const char *name_end = NULL;

        if (file && fgets(text, sizeof(text), file))
            name_end = strrchr(text, ')');
        quiet = name_end && name_end[2] == 'S' ? quiet + 1 : 0;
        if (file)
            fclose(file);
        sched_yield();
    }
}

/* Until the kernel says that the thread is in epoll_wait(). */
static void see_polling(struct waiter *waiter)
{
    char path[64];
    int call = -1;

    snprintf(path, sizeof(path), "/proc/self/task/%d/syscall",
             atomic_load(&waiter->tid));
    while (call != SYS_epoll_pwait && call != 441 /* epoll_pwait2 */) {
        FILE *file = fopen(path, "r");

        if (!file || fscanf(file, "%d", &call) != 1)
            call = -1; /* it runs */
        if (file)
            fclose(file);
        sched_yield();
    }
}

static void newest_of_three(void)
{
    struct waiter waiters[3];

    for (unsigned i = 0; i < 3; i++)
        start_and_see_parked(&waiters[i]);
    for (uintptr_t i = 0; i < 3; i++) {
        post(i + 1);
        pthread_join(waiters[2 - i].thread, NULL);
        assert_int_equal(waiters[2 - i].result, 0);
        assert_int_equal(waiters[2 - i].got.key, i + 1);
    }
}

/* N = 1, three waiters on a port without handles: 3, 2, 1 get the packets. */
static void P4_newest_waiter_is_released_first(void **state)
{
    (void)state;
    newest_of_three();
}

/* The same where the waiters sleep in the port's epoll_wait. */
static void P4_newest_waiter_is_released_first_with_sockets(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        newest_of_three();
}

/* Waiters that parked before the first handle came, one of them after it
 * had spun: the newest still gets the packet, and then the other. */
static void P4_waiters_older_than_the_first_handle(void **state)
{
    struct waiter waiters[2];
    struct iocp_handle *late;
    int ends[2];

    (void)state;
    /* Every so many parks one spins even where that has not paid. */
    for (unsigned i = 0; i < 63; i++)
        assert_int_equal(iocp_port_wait(port, &packet, 1), -ETIMEDOUT);
    iocp_port_leave(port);
    start_and_see_parked(&waiters[0]);
    start_and_see_parked(&waiters[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(iocp_port_associate(port, ends[0], 0, 0, &late), 0);
    see_polling(&waiters[1]);
    post(1);
    pthread_join(waiters[1].thread, NULL);
    assert_int_equal(waiters[1].got.key, 1);
    post(2);
    pthread_join(waiters[0].thread, NULL);
    assert_int_equal(waiters[0].got.key, 2);
    iocp_handle_close(late);
    close(ends[1]);
}

/* A foreign thread that polls right after its post never gets the packet
 * that is reserved for the waiter: 300 tries. */
static void P5_a_poster_cannot_take_it_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        struct waiter waiter;

        start_and_see_parked(&waiter);
        post(1);
        assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
        iocp_port_leave(port);
        pthread_join(waiter.thread, NULL);
        assert_int_equal(waiter.result, 0);
    }
}

/* Closing wakes parked waiters with -ESHUTDOWN; later calls get it too. */
static void P10_close_releases_every_waiter(void **state)
{
    struct waiter waiters[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        start_and_see_parked(&waiters[i]);
    assert_int_equal(iocp_port_close(port), 0);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].result, -ESHUTDOWN);
    }
    assert_int_equal(iocp_port_wait(port, &packet, 0), -ESHUTDOWN);
    assert_int_equal(iocp_port_close(port), -ESHUTDOWN);
}

/* Cancelled in the park, a waiter is gone: the packet goes to another. */
static void N7_a_cancelled_waiter_takes_nothing_along(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        struct waiter waiter;
        void *how;

        start_and_see_parked(&waiter);
        pthread_cancel(waiter.thread);
        pthread_join(waiter.thread, &how);
        assert_true(how == PTHREAD_CANCELED);
        post(5);
        expect_packet(0, 0);
        assert_int_equal(packet.key, 5);
        iocp_port_leave(port);
    }
}

/* N = 1: while the running thread says that it blocks, another is released;
 * and not before. */
static void N8_a_bracketed_block_releases_another(void **state)
{
    struct waiter waiter;

    (void)state;
    post(1);
    expect_packet(0, 0);
    start_and_see_parked(&waiter);
    post(2);
    assert_int_equal(iocp_port_depth(port), 1);
    iocp_block_begin();
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.got.key, 2);
    assert_int_equal(iocp_block_end(), 0);
    assert_int_equal(iocp_block_end(), -EINVAL);
}

/* An accepted receive queues one packet with its bytes, and no second. */
static void Q1_one_operation_one_packet(void **state)
{
    (void)state;
    assert_int_equal(iocp_recv(handle, &op, buffer, sizeof(buffer), 0), 0);
    assert_int_equal(iocp_recv(handle, &op, buffer, sizeof(buffer), 0), -EBUSY);
    assert_int_equal(write(peer, "hello", 5), 5);
    expect_packet(0, 5);
    assert_int_equal(packet.key, 7);
    assert_true(packet.op == &op);
    assert_memory_equal(buffer, "hello", 5);
    assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
}

/* With skip-on-success what is done at once returns 1 and queues nothing;
 * what pended still queues. */
static void Q2_skip_on_success(void **state)
{
    (void)state;
    assert_int_equal(iocp_handle_set_flags(handle, IOCP_SKIP_ON_SUCCESS), 0);
    assert_int_equal(iocp_send(handle, &op, "abc", 3, 0), 1);
    assert_int_equal(op.bytes, 3);
    assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
    assert_int_equal(iocp_recv(handle, &op, buffer, sizeof(buffer), 0), 0);
    assert_int_equal(write(peer, "x", 1), 1);
    expect_packet(0, 1);
}

/* Sixty-four pending receives fill their buffers in the order of starts. */
static void Q8_receives_fill_in_order(void **state)
{
    struct iocp_op ops[64] = {{0}};
    char bytes[64], sent[64];

    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        sent[i] = (char)i;
        assert_int_equal(iocp_recv(handle, &ops[i], &bytes[i], 1, 0), 0);
    }
    assert_int_equal(write(peer, sent, 64), 64);
    for (unsigned i = 0; i < 64; i++) {
        expect_packet(0, 1);
        assert_true(packet.op == &ops[i]);
    }
    assert_memory_equal(bytes, sent, 64);
}

/* A cancelled receive delivers one packet, -ECANCELED; with nothing pending
 * a cancel is -ENOENT. */
static void C1_cancelled_receive_delivers_one_packet(void **state)
{
    (void)state;
    assert_int_equal(iocp_cancel(handle, &op), -ENOENT);
    assert_int_equal(iocp_recv(handle, &op, buffer, sizeof(buffer), 0), 0);
    assert_int_equal(iocp_cancel(handle, &op), 0);
    expect_packet(-ECANCELED, 0);
    assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
}

/* Closing a handle ends what is pending; the handle is stale from then on. */
static void C3_close_ends_what_is_pending(void **state)
{
    struct iocp_op second = {0};

    (void)state;
    assert_int_equal(iocp_recv(handle, &op, buffer, 1, 0), 0);
    assert_int_equal(iocp_recv(handle, &second, buffer, 1, 0), 0);
    assert_int_equal(iocp_handle_close(handle), 0);
    expect_packet(-ECANCELED, 0);
    expect_packet(-ECANCELED, 0);
    assert_int_equal(iocp_handle_close(handle), -EBADF);
}

/* The peer's end is success with 0 bytes and the END flag. */
static void S2_graceful_close_is_success_with_no_bytes(void **state)
{
    (void)state;
    assert_int_equal(iocp_recv(handle, &op, buffer, sizeof(buffer), 0), 0);
    shutdown(peer, SHUT_WR);
    expect_packet(0, 0);
    assert_int_equal(op.flags, IOCP_OP_END);
}

/* A zero-byte receive waits for data and takes none of it. */
static void S3_zero_byte_receive_takes_nothing(void **state)
{
    (void)state;
    assert_int_equal(iocp_recv(handle, &op, NULL, 0, 0), 0);
    assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
    assert_int_equal(write(peer, "ab", 2), 2);
    expect_packet(0, 0);
    assert_int_equal(op.flags, 0);
    assert_int_equal(iocp_recv(handle, &op, buffer, sizeof(buffer), 0), 0);
    expect_packet(0, 2);
}

/* A deadline ends a pending receive with -ETIMEDOUT. */
static void T1_a_deadline_ends_a_receive(void **state)
{
    (void)state;
    assert_int_equal(iocp_op_set_deadline(&op, 1000000), 0);
    assert_int_equal(iocp_recv(handle, &op, buffer, sizeof(buffer), 0), 0);
    expect_packet(-ETIMEDOUT, 0);
}

/* Timers come in the order of their times; a cancelled one says so. */
static void T2_timers_come_as_packets(void **state)
{
    struct iocp_op late = {0}, never = {0};

    (void)state;
    assert_int_equal(iocp_timer_start(port, &never, 3, 3600 * SECOND), 0);
    assert_int_equal(iocp_timer_start(port, &late, 2, 20000000), 0);
    assert_int_equal(iocp_timer_start(port, &op, 1, 1000000), 0);
    expect_packet(0, 0);
    assert_int_equal(packet.key, 1);
    expect_packet(0, 0);
    assert_int_equal(packet.key, 2);
    assert_int_equal(iocp_timer_cancel(port, &never), 0);
    assert_int_equal(iocp_timer_cancel(port, &never), -ENOENT);
    expect_packet(-ECANCELED, 0);
}

/* N = 1 and its only thread in a handler: a send larger than the socket's
 * buffer goes on all the same, byte by byte right. */
static void Q10_partial_sends_go_on_without_workers(void **state)
{
    enum { SIZE = 4 * 1024 * 1024 };
    unsigned char *data = test_malloc(SIZE);
    unsigned char part[65536];
    size_t got = 0;

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (unsigned char)(i % 251);
    post(1);
    expect_packet(0, 0);
    assert_int_equal(iocp_send(handle, &op, data, SIZE, 0), 0);
    while (got < SIZE) {
        ssize_t bytes = read(peer, part, sizeof(part));

        assert_true(bytes > 0);
        assert_memory_equal(part, data + got, (size_t)bytes);
        got += (size_t)bytes;
    }
    expect_packet(0, SIZE);
    test_free(data);
}

/* Association twice, no socket, no descriptor: the error says which. */
static void P1_wrong_descriptors_are_refused(void **state)
{
    struct iocp_handle *other;
    int ends[2];

    (void)state;
    assert_int_equal(
        iocp_port_associate(port, iocp_handle_fd(handle), 0, 0, &other),
        -EINVAL);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(iocp_port_associate(port, ends[0], 0, 0, &other),
                     -ENOTSOCK);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(iocp_port_associate(port, ends[0], 0, 0, &other), -EBADF);
}

/* In a forked child every call answers -ECHILD, and nothing hangs. */
static void P11_a_forked_child_owns_no_port(void **state)
{
    int status;
    pid_t child;

    (void)state;
    child = fork();
    if (!child) {
        int bad = iocp_port_wait(port, &packet, -1) != -ECHILD;

        bad |= iocp_port_post(port, &packet) != -ECHILD;
        bad |= iocp_recv(handle, &op, buffer, 1, 0) != -ECHILD;
        bad |= iocp_handle_close(handle) != -ECHILD;
        _exit(bad);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(iocp_recv(handle, &op, buffer, 1, 0), 0);
    assert_int_equal(write(peer, "x", 1), 1);
    expect_packet(0, 1);
}

#define ON_PORT(test)                                                          \
    cmocka_unit_test_setup_teardown(test, open_port, close_port)
#define ON_PAIR(test)                                                          \
    cmocka_unit_test_setup_teardown(test, open_pair, close_pair)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_PORT(P3_packets_are_queued_in_order),
        ON_PORT(P6_an_empty_queue_times_out),
        ON_PORT(P13_the_depth_can_be_read),
        ON_PORT(P4_newest_waiter_is_released_first),
        ON_PAIR(P4_newest_waiter_is_released_first_with_sockets),
        ON_PORT(P4_waiters_older_than_the_first_handle),
        ON_PAIR(P5_a_poster_cannot_take_it_back),
        ON_PORT(P10_close_releases_every_waiter),
        ON_PORT(N7_a_cancelled_waiter_takes_nothing_along),
        ON_PORT(N8_a_bracketed_block_releases_another),
        ON_PAIR(Q1_one_operation_one_packet),
        ON_PAIR(Q2_skip_on_success),
        ON_PAIR(Q8_receives_fill_in_order),
        ON_PAIR(Q10_partial_sends_go_on_without_workers),
        ON_PAIR(C1_cancelled_receive_delivers_one_packet),
        ON_PAIR(C3_close_ends_what_is_pending),
        ON_PAIR(S2_graceful_close_is_success_with_no_bytes),
        ON_PAIR(S3_zero_byte_receive_takes_nothing),
        ON_PAIR(T1_a_deadline_ends_a_receive),
        ON_PORT(T2_timers_come_as_packets),
        ON_PAIR(P1_wrong_descriptors_are_refused),
        ON_PAIR(P11_a_forked_child_owns_no_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
