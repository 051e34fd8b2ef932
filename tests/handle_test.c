/* Owners, shutdown, messages and lists: what one handle does besides. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <iocp.h>

#define DEADLINE INT64_C(20000000000)

static struct iocp_port *port;
static struct iocp_handle *handle;
static int peer;
static struct iocp_op op, second;
static struct iocp_packet packet;
static char buffer[1 << 20];

static int open_pair(void **state)
{
    int ends[2];

    (void)state;
    memset(&op, 0, sizeof(op));
    memset(&second, 0, sizeof(second));
    if (iocp_port_create(1, &port) || socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        return -1;
    peer = ends[1];
    return iocp_port_associate(port, ends[0], 7, 0, &handle);
}

static int close_pair(void **state)
{
    (void)state;
    iocp_handle_close(handle);
    close(peer);
    if (iocp_port_drain(port, DEADLINE))
        return -1;
    iocp_port_release(port);
    return 0;
}

static void expect_packet(struct iocp_op *of, int status, size_t bytes)
{
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_true(packet.op == of);
    assert_int_equal(packet.status, status);
    assert_int_equal(packet.bytes, bytes);
}

/* A second owner keeps the handle and what is pending; the last close ends. */
static void Q9_the_last_owner_ends_the_handle(void **state)
{
    struct iocp_handle *twin;

    (void)state;
    assert_int_equal(iocp_handle_dup(handle, &twin), 0);
    assert_int_equal(iocp_recv(twin, &op, buffer, 10, 0), 0);
    assert_int_equal(iocp_handle_close(handle), 0);
    assert_int_equal(iocp_port_wait(port, &packet, 0), -ETIMEDOUT);
    assert_int_equal(iocp_port_drain(port, 0), -EBUSY);
    assert_int_equal(iocp_handle_close(twin), 0);
    expect_packet(&op, -ECANCELED, 0);
}

/* Detached, the descriptor lives on; not while something is pending. */
static void P1_a_descriptor_can_be_taken_out_again(void **state)
{
    struct iocp_handle *again;
    int fd;

    (void)state;
    assert_int_equal(iocp_recv(handle, &op, buffer, 10, 0), 0);
    assert_int_equal(iocp_handle_detach(handle, &fd), -EBUSY);
    assert_int_equal(iocp_cancel(handle, &op), 0);
    expect_packet(&op, -ECANCELED, 0);
    assert_int_equal(iocp_handle_detach(handle, &fd), 0);
    assert_int_equal(write(peer, "x", 1), 1);
    assert_int_equal(read(fd, buffer, 10), 1);
    assert_int_equal(iocp_recv(handle, &op, buffer, 10, 0), -EBADF);
    assert_int_equal(iocp_port_associate(port, fd, 8, 0, &again), 0);
    handle = again;
}

/* SHUT_RD: the pending receive lives, a new one is -EPIPE. */
static void S5_shut_down_receiving(void **state)
{
    (void)state;
    assert_int_equal(iocp_recv(handle, &op, buffer, 10, 0), 0);
    assert_int_equal(iocp_shutdown(handle, SHUT_RD), 0);
    assert_int_equal(iocp_recv(handle, &second, buffer, 10, 0), -EPIPE);
    assert_int_equal(write(peer, "abc", 3), 3);
    expect_packet(&op, 0, 3);
}

/* SHUT_WR takes effect behind the pending send; a new send is -EPIPE. */
static void S5_shut_down_sending_after_what_is_pending(void **state)
{
    size_t got = 0;
    ssize_t part;

    (void)state;
    assert_int_equal(iocp_send(handle, &op, buffer, sizeof(buffer), 0), 0);
    assert_int_equal(iocp_shutdown(handle, SHUT_WR), 0);
    assert_int_equal(iocp_send(handle, &second, "x", 1, 0), -EPIPE);
    while ((part = read(peer, buffer, 65536)) > 0)
        got += (size_t)part;
    assert_int_equal(part, 0);
    assert_int_equal(got, sizeof(buffer));
    expect_packet(&op, 0, sizeof(buffer));
}

/* A cancelled partial send tells what had gone. */
static void C1_a_cancelled_send_tells_its_bytes(void **state)
{
    size_t gone, got = 0;

    (void)state;
    assert_int_equal(iocp_send(handle, &op, buffer, sizeof(buffer), 0), 0);
    assert_int_equal(iocp_cancel(handle, NULL), 0);
    assert_int_equal(iocp_port_wait(port, &packet, DEADLINE), 0);
    assert_int_equal(packet.status, -ECANCELED);
    gone = packet.bytes;
    assert_in_range(gone, 1, sizeof(buffer) - 1);
    assert_int_equal(iocp_disconnect(handle, &op, 0), 0);
    expect_packet(&op, 0, 0);
    for (ssize_t part; (part = read(peer, buffer, 65536)) > 0;)
        got += (size_t)part;
    assert_int_equal(got, gone);
}

/* A descriptor goes as control data of a message, and works there. */
static void S10_messages_carry_control_data(void **state)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec piece = {"m", 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    int ends[2], passed;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    memcpy(CMSG_DATA(&control.header), &ends[1], sizeof(int));
    piece.iov_base = buffer;
    assert_int_equal(iocp_recvmsg(handle, &op, &message, 0), 0);
    {
        struct iovec out = {"m", 1};
        struct msghdr sent = message;

        sent.msg_iov = &out;
        assert_int_equal(sendmsg(peer, &sent, 0), 1);
    }
    expect_packet(&op, 0, 1);
    memcpy(&passed, CMSG_DATA(&control.header), sizeof(int));
    assert_int_not_equal(passed, ends[1]);
    assert_int_equal(write(passed, "p", 1), 1);
    assert_int_equal(read(ends[0], buffer, 10), 1);
    close(passed);
    close(ends[0]);
    close(ends[1]);
}

/* A hundred pieces of memory, in their order, as one operation. */
static void S9_a_list_is_sent_as_one_operation(void **state)
{
    struct iocp_transmit_element list[100];
    char sent[100], got[100];

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        sent[i] = (char)i;
        list[i] = (struct iocp_transmit_element){
            .buffer = &sent[i], .file = -1, .size_bytes = 1};
    }
    assert_int_equal(iocp_transmit_packets(handle, &op, list, 0, 0), -EINVAL);
    assert_int_equal(iocp_transmit_packets(handle, &op, list, 100, 0), 0);
    expect_packet(&op, 0, 100);
    assert_int_equal(recv(peer, got, 100, MSG_WAITALL), 100);
    assert_memory_equal(got, sent, 100);
}

/* Get-many takes what there is, in order, failed operations included. */
static void P8_get_many_takes_all_there_is(void **state)
{
    struct iocp_packet packets[8], posted = {.key = 1};

    (void)state;
    assert_int_equal(iocp_port_wait_many(port, packets, 0, 0), -EINVAL);
    assert_int_equal(iocp_port_wait_many(port, packets, 8, 0), -ETIMEDOUT);
    assert_int_equal(iocp_port_post(port, &posted), 0);
    assert_int_equal(iocp_recv(handle, &op, buffer, 1, 0), 0);
    assert_int_equal(iocp_cancel(handle, &op), 0);
    assert_int_equal(iocp_port_post(port, &posted), 0);
    assert_int_equal(iocp_port_wait_many(port, packets, 2, 0), 2);
    assert_int_equal(packets[0].key, 1);
    assert_int_equal(packets[1].status, -ECANCELED);
    assert_int_equal(iocp_port_wait_many(port, packets, 8, 0), 1);
}

/* The port's descriptor is readable while something is queued: posted twice,
 * also after the first was taken, and for a socket's readiness. */
static void P12_the_port_is_itself_waitable(void **state)
{
    struct iocp_packet posted = {.key = 1};
    struct pollfd waits = {.fd = iocp_port_fd(port), .events = POLLIN};

    (void)state;
    assert_int_equal(iocp_port_post(port, &posted), 0);
    assert_int_equal(iocp_port_post(port, &posted), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(poll(&waits, 1, 20000), 1);
        assert_int_equal(iocp_port_wait(port, &packet, 0), 0);
        iocp_port_leave(port);
    }
    assert_int_equal(iocp_recv(handle, &op, buffer, 10, 0), 0);
    assert_int_equal(write(peer, "x", 1), 1);
    do
        assert_int_equal(poll(&waits, 1, 20000), 1);
    while (iocp_port_wait(port, &packet, 0));
    assert_true(packet.op == &op);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(P1_a_descriptor_can_be_taken_out_again),
        TEST(P8_get_many_takes_all_there_is),
        TEST(P12_the_port_is_itself_waitable),
        TEST(Q9_the_last_owner_ends_the_handle),
        TEST(C1_a_cancelled_send_tells_its_bytes),
        TEST(S5_shut_down_receiving),
        TEST(S5_shut_down_sending_after_what_is_pending),
        TEST(S9_a_list_is_sent_as_one_operation),
        TEST(S10_messages_carry_control_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
