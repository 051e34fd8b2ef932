/* How many run, who goes first, and what a thread's place is. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <iocp.h>

#define DEADLINE INT64_C(20000000000)

static struct iocp_port *port;
static struct iocp_packet packet;

static void post(struct iocp_port *to, uintptr_t key)
{
    struct iocp_packet posted = {.key = key};

    assert_int_equal(iocp_port_post(to, &posted), 0);
}

/* 0 means the processors that this process may use; else what was said; more
 * than INT_MAX is refused. */
static void P2_the_value_is_fixed_at_creation(void **state)
{
    cpu_set_t set;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
    assert_int_equal(iocp_port_create(0, &port), 0);
    assert_int_equal(iocp_port_concurrency(port), CPU_COUNT(&set));
    iocp_port_release(port);
    assert_int_equal(iocp_port_create(5, &port), 0);
    assert_int_equal(iocp_port_concurrency(port), 5);
    iocp_port_release(port);
    assert_int_equal(iocp_port_create(UINT32_MAX, &port), -EINVAL);
}

enum { WORKERS = 6, PACKETS = 3000 };
static atomic_int running, peak, handled;

static void *work(void *unused)
{
    struct iocp_packet mine;

    while (!iocp_port_wait(port, &mine, IOCP_INFINITE)) {
        int now = atomic_fetch_add(&running, 1) + 1, seen = peak;

        while (now > seen && !atomic_compare_exchange_weak(&peak, &seen, now))
            ;
        sched_yield(); /* let others in, if they may come */
        atomic_fetch_sub(&running, 1);
        atomic_fetch_add(&handled, 1);
    }
    return unused;
}

/* N = 1, 2, 3 with six workers under a flood: the peak of handlers at once is
 * never above N. */
static void N2_at_most_n_run(void **state)
{
    (void)state;
    for (unsigned limit = 1; limit <= 3; limit++) {
        pthread_t workers[WORKERS];

        peak = handled = 0;
        assert_int_equal(iocp_port_create(limit, &port), 0);
        for (unsigned i = 0; i < WORKERS; i++)
            pthread_create(&workers[i], NULL, work, NULL);
        for (unsigned i = 0; i < PACKETS; i++)
            post(port, i);
        while (atomic_load(&handled) < PACKETS)
            sched_yield(); /* the harness's time-out fails it */
        iocp_port_close(port);
        for (unsigned i = 0; i < WORKERS; i++)
            pthread_join(workers[i], NULL);
        iocp_port_release(port);
        assert_in_range(peak, 1, limit);
    }
}

static void *take_one(void *ret_result)
{
    *(atomic_int *)ret_result = 1;
    *(atomic_int *)ret_result =
        iocp_port_wait(port, &(struct iocp_packet){0}, DEADLINE) ? -1 : 2;
    return NULL;
}

/* N = 1: a running thread that comes back takes all that is queued, ahead of
 * one that waits; when it leaves, the other gets its turn. */
static void N3_a_running_thread_goes_first(void **state)
{
    atomic_int result = 0;
    pthread_t other;

    (void)state;
    assert_int_equal(iocp_port_create(1, &port), 0);
    post(port, 1);
    assert_int_equal(iocp_port_wait(port, &packet, 0), 0);
    pthread_create(&other, NULL, take_one, &result);
    while (!atomic_load(&result))
        sched_yield();
    for (unsigned i = 0; i < 100; i++) {
        post(port, i);
        assert_int_equal(iocp_port_wait(port, &packet, 0), 0);
        assert_int_equal(packet.key, i);
    }
    assert_int_equal(atomic_load(&result), 1);
    post(port, 7);
    assert_int_equal(iocp_port_leave(port), 0);
    pthread_join(other, NULL);
    assert_int_equal(atomic_load(&result), 2);
    assert_int_equal(iocp_port_leave(port), -ENOENT);
    iocp_port_release(port);
}

static void *poll_once(void *ret_result)
{
    *(int *)ret_result = iocp_port_wait(port, &(struct iocp_packet){0}, 0);
    return NULL;
}

static int polled_by_another(void)
{
    int result = 1;
    pthread_t other;

    pthread_create(&other, NULL, poll_once, &result);
    pthread_join(other, NULL);
    return result;
}

/* N = 1: after a time-out the thread still counts as running, so nobody else
 * gets what is queued, until it waits again or leaves. */
static void N6_a_time_out_leaves_the_thread_counted(void **state)
{
    (void)state;
    assert_int_equal(iocp_port_create(1, &port), 0);
    assert_int_equal(iocp_port_wait(port, &packet, 1000000), -ETIMEDOUT);
    post(port, 1);
    assert_int_equal(polled_by_another(), -ETIMEDOUT);
    assert_int_equal(iocp_port_wait(port, &packet, 0), 0);
    post(port, 2);
    assert_int_equal(polled_by_another(), -ETIMEDOUT);
    assert_int_equal(iocp_port_leave(port), 0);
    assert_int_equal(polled_by_another(), 0);
    iocp_port_release(port);
}

/* A thread that waits on a second port gives its place in the first up. */
static void N1_one_port_at_a_time(void **state)
{
    struct iocp_port *second;

    (void)state;
    assert_int_equal(iocp_port_create(1, &port), 0);
    assert_int_equal(iocp_port_create(1, &second), 0);
    post(port, 1);
    assert_int_equal(iocp_port_wait(port, &packet, 0), 0);
    post(port, 2);
    assert_int_equal(polled_by_another(), -ETIMEDOUT);
    assert_int_equal(iocp_port_wait(second, &packet, 0), -ETIMEDOUT);
    assert_int_equal(polled_by_another(), 0);
    iocp_port_release(second);
    iocp_port_release(port);
}

static struct iocp_handle *handle;
static struct iocp_op op, second_op;
static char buffer[100];
static int peer;

static void open_pair(void)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(iocp_port_create(1, &port), 0);
    assert_int_equal(iocp_port_associate(port, ends[0], 7, 0, &handle), 0);
    peer = ends[1];
}

static void close_pair(void)
{
    assert_int_equal(iocp_handle_close(handle), 0);
    close(peer);
    iocp_port_release(port);
}

static void *start_receive(void *unused)
{
    assert_int_equal(iocp_recv(handle, &op, buffer, 50, 0), 0);
    return unused;
}

/* The thread that began a receive is gone before the data comes, and nobody
 * had ever waited: the packet comes all the same. */
static void Q6_Q7_io_outlives_its_thread(void **state)
{
    pthread_t starter;

    (void)state;
    open_pair();
    pthread_create(&starter, NULL, start_receive, NULL);
    pthread_join(starter, NULL);
    assert_int_equal(write(peer, "late", 4), 4);
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_true(packet.op == &op && packet.bytes == 4 && packet.key == 7);
    close_pair();
}

/* A cancel without an operation ends all that is pending on the handle. */
static void C2_cancel_all(void **state)
{
    (void)state;
    open_pair();
    assert_int_equal(iocp_recv(handle, &op, buffer, 50, 0), 0);
    assert_int_equal(iocp_recv(handle, &second_op, buffer, 50, 0), 0);
    assert_int_equal(iocp_cancel(handle, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
        assert_int_equal(packet.status, -ECANCELED);
    }
    assert_int_equal(iocp_cancel(handle, NULL), -ENOENT);
    close_pair();
}

/* Plain calls on the descriptor, and iocp_shutdown, queue nothing. */
static void S13_plain_calls_never_queue(void **state)
{
    (void)state;
    open_pair();
    assert_int_equal(send(iocp_handle_fd(handle), "x", 1, 0), 1);
    assert_int_equal(recv(iocp_handle_fd(handle), buffer, 1, 0), -1);
    assert_int_equal(iocp_shutdown(handle, SHUT_WR), 0);
    assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
    close_pair();
}

/* Nothing dequeued; a failed operation; a posted packet; the end of the
 * stream; data: told apart by the return and packet.status alone. */
static void P7_the_five_cases(void **state)
{
    (void)state;
    open_pair();
    assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
    assert_int_equal(iocp_recv(handle, &op, buffer, 50, 0), 0);
    iocp_cancel(handle, &op);
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_true(packet.op == &op && packet.status < 0 && packet.key == 7);
    post(port, 9);
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_true(!packet.op && !packet.status && packet.key == 9);
    assert_int_equal(write(peer, "d", 1), 1);
    assert_int_equal(iocp_recv(handle, &op, buffer, 50, 0), 0);
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_true(packet.op == &op && !packet.status && packet.bytes == 1);
    shutdown(peer, SHUT_WR);
    assert_int_equal(iocp_recv(handle, &op, buffer, 50, 0), 0);
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_true(packet.op == &op && !packet.status && !packet.bytes);
    close_pair();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P2_the_value_is_fixed_at_creation),
        cmocka_unit_test(P7_the_five_cases),
        cmocka_unit_test(N1_one_port_at_a_time),
        cmocka_unit_test(N2_at_most_n_run),
        cmocka_unit_test(N3_a_running_thread_goes_first),
        cmocka_unit_test(N6_a_time_out_leaves_the_thread_counted),
        cmocka_unit_test(Q6_Q7_io_outlives_its_thread),
        cmocka_unit_test(C2_cancel_all),
        cmocka_unit_test(S13_plain_calls_never_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
