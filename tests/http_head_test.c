/*
 * The reader of request heads, alone: what it says of a head, and that it
 * says the same wherever the bytes are split. Numbers are those of Fire's
 * list of checks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../fire/head.h"
#include "../fire/path.h"
#include "../fire/range.h"

struct reading {
    struct head head;
    enum head_result result;
};

static struct reading read_whole(const char *bytes, size_t size)
{
    struct reading reading;

    memset(&reading, 0, sizeof(reading)); /* the padding too */
    reading.result = head_read(&reading.head, bytes, size);
    return reading;
}

/* Exactly `size` bytes behind no others, for the address sanitizer. */
static enum head_result read_copy(struct head *head, const char *bytes,
                                  size_t size)
{
    char *copy = malloc(size + 1);
    enum head_result result;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    copy[size] = '#';
    result = head_read(head, copy, size);
    free(copy);
    return result;
}

/* The same bytes, in pieces of `step`, the first one of `first`. */
static struct reading read_pieces(const char *bytes, size_t size, size_t first,
                                  size_t step)
{
    struct reading reading;
    size_t end = first < size ? first : size;

    memset(&reading, 0, sizeof(reading));
    for (;;) {
        reading.result = read_copy(&reading.head, bytes, end);
        if (reading.result != HEAD_MORE || end == size)
            return reading;
        end = size - end < step ? size : end + step;
    }
}

static void assert_same(const struct reading *a, const struct reading *b)
{
    assert_int_equal(a->result, b->result);
    assert_memory_equal(&a->head, &b->head, sizeof(a->head));
}

static void assert_same_in_pieces(const char *bytes, size_t size)
{
    struct reading whole = read_whole(bytes, size), pieces;

    for (size_t first = 1; first < size && first < 600; first++) {
        pieces = read_pieces(bytes, size, first, size);
        assert_same(&whole, &pieces);
    }
    pieces = read_pieces(bytes, size, 1, size < 2000 ? 1 : 997);
    assert_same(&whole, &pieces);
}

static const char *const samples[] = {
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\n",
    "\r\n\r\nHEAD /a?b=c HTTP/1.0\r\n\r\n",
    "GET http://h:80/p?q HTTP/1.1\r\nHost: x\r\nRange: bytes=0-3\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde",
    "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.1\nHost: x\n\n",
    "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: a, close,,keep-alive \r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "GET",
};

static void the_answer_is_the_same_wherever_the_bytes_are_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        assert_same_in_pieces(samples[i], strlen(samples[i]));
}

/* A head with something long in it: at, just below and above each limit. */
static void long_heads_are_the_same_in_pieces(void **state)
{
    static const size_t sizes[] = {8191, 8192, 8193, 8300, 16300, 16384, 20000};
    static char bytes[40000];

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int size = sprintf(bytes, "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n",
                           (int)sizes[i] - 1, 0);

        assert_same_in_pieces(bytes, (size_t)size);
        size = sprintf(bytes, "GET / HTTP/1.1\r\nHost: x\r\nA: %0*d\r\n\r\n",
                       (int)sizes[i], 0);
        assert_same_in_pieces(bytes, (size_t)size);
    }
}

/* Random changes to good heads: no crash, and the same in pieces. */
static void damaged_heads_are_the_same_in_pieces(void **state)
{
    static const char spice[] = "\r\n\0 :\t,/?%*HGx\x7f\x80";
    unsigned seed = 12345;

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        char bytes[128];
        const char *sample = samples[round % 5];
        size_t size = strlen(sample);

        memcpy(bytes, sample, size);
        for (unsigned changes = 0; changes < 3; changes++) {
            seed = seed * 1103515245u + 12345u;
            bytes[(seed >> 8) % size] = spice[(seed >> 24) % sizeof(spice)];
        }
        assert_same_in_pieces(bytes, size);
    }
}

static unsigned refusal(const char *bytes)
{
    struct reading reading = read_whole(bytes, strlen(bytes));

    assert_int_not_equal(reading.result, HEAD_MORE);
    return reading.head.refused;
}

#define HOST "Host: x\r\n"

static void check_03_host_is_there_once_and_well_formed(void **state)
{
    (void)state;
    assert_int_equal(refusal("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: a b/c@d\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: x:y\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), 0);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost: x.y:80\r\n\r\n"), 0);
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 0);
    assert_int_equal(refusal("GET / HTTP/1.0\r\n\r\n"), 0);
}

static void check_05_absolute_form_gives_path_and_query(void **state)
{
    static const char bytes[] =
        "GET http://h:80/p/q?a=b HTTP/1.1\r\n" HOST "\r\n";
    struct reading reading = read_whole(bytes, sizeof(bytes) - 1);
    const struct head *head = &reading.head;

    (void)state;
    assert_int_equal(reading.result, HEAD_DONE);
    assert_int_equal(head->path.size, 4);
    assert_memory_equal(bytes + head->path.start, "/p/q", 4);
    assert_int_equal(head->query.size, 4);
    assert_memory_equal(bytes + head->query.start, "?a=b", 4);
    assert_int_equal(refusal("GET http://u@h/ HTTP/1.1\r\n" HOST "\r\n"), 400);
    assert_int_equal(refusal("GET http:/// HTTP/1.1\r\n" HOST "\r\n"), 400);
    assert_int_equal(refusal("GET x HTTP/1.1\r\n" HOST "\r\n"), 400);
    assert_int_equal(refusal("GET http://h HTTP/1.1\r\n" HOST "\r\n"), 0);
}

static void check_06_versions(void **state)
{
    (void)state;
    assert_int_equal(refusal("GET / HTTP/2.0\r\n" HOST "\r\n"), 505);
    assert_int_equal(refusal("GET / http/1.1\r\n" HOST "\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.10\r\n" HOST "\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1\r\n" HOST "\r\n"), 400);
    assert_int_equal(refusal("GET /\r\n" HOST "\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.2\r\n" HOST "\r\n"), 0);
}

static void check_07_methods(void **state)
{
    static const struct {
        const char *bytes;
        enum head_method method;
    } cases[] = {
        {"GET / HTTP/1.0\r\n\r\n", METHOD_GET},
        {"HEAD / HTTP/1.0\r\n\r\n", METHOD_HEAD},
        {"POST / HTTP/1.0\r\n\r\n", METHOD_OTHER},
        {"CONNECT h:80 HTTP/1.0\r\n\r\n", METHOD_OTHER},
        {"OPTIONS * HTTP/1.0\r\n\r\n", METHOD_OPTIONS},
        {"get / HTTP/1.0\r\n\r\n", METHOD_UNKNOWN},
        {"BREW / HTTP/1.0\r\n\r\n", METHOD_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reading reading =
            read_whole(cases[i].bytes, strlen(cases[i].bytes));

        assert_int_equal(reading.result, HEAD_DONE);
        assert_int_equal(reading.head.method, cases[i].method);
    }
    assert_int_equal(refusal("GET * HTTP/1.0\r\n\r\n"), 400);
    assert_int_equal(refusal("G(T / HTTP/1.0\r\n\r\n"), 400);
}

static void check_27_fields_are_strict(void **state)
{
    (void)state;
    assert_int_equal(refusal("GET / HTTP/1.1\r\nHost : x\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n"),
                     400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\n" HOST "A\r\n\r\n"), 400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\n" HOST "A: 12345678\x01\r\n"),
                     400);
    assert_int_equal(refusal("GET / HTTP/1.1\r\n" HOST "A: 1234\x7f\r\n"), 400);
    assert_int_equal(
        refusal("GET / HTTP/1.1\r\n" HOST "A: \t1234\t5678\x80 \r\n\r\n"), 0);
}

static void check_27_a_nul_is_refused(void **state)
{
    static const char bytes[] = "GET / HTTP/1.0\r\nA: 1234\0005678\r\n\r\n";
    struct reading reading = read_whole(bytes, sizeof(bytes) - 1);

    (void)state;
    assert_int_equal(reading.head.refused, 400);
}

#define POST "POST / HTTP/1.1\r\n" HOST

static void check_28_framing(void **state)
{
    (void)state;
    assert_int_equal(refusal(POST "Content-Length: 5\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n"),
                     400);
    assert_int_equal(
        refusal(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400);
    assert_int_equal(refusal(POST "Content-Length: +5\r\n\r\n"), 400);
    assert_int_equal(refusal(POST "Content-Length: \r\n\r\n"), 400);
    assert_int_equal(
        refusal(POST "Content-Length: 99999999999999999999\r\n\r\n"), 400);
    assert_int_equal(refusal(POST "Transfer-Encoding: br\r\n\r\n"), 501);
    assert_int_equal(refusal(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
                     501);
    assert_int_equal(
        refusal(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400);
    assert_int_equal(
        refusal(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), 0);
}

static void check_33_limits(void **state)
{
    static char bytes[20000];
    int size;

    (void)state;
    size = sprintf(bytes, "GET /%08191d HTTP/1.0\r\n\r\n", 0);
    assert_int_equal(read_whole(bytes, (size_t)size).result, HEAD_DONE);
    size = sprintf(bytes, "GET /%08192d HTTP/1.0\r\n\r\n", 0);
    assert_int_equal(read_whole(bytes, (size_t)size).head.refused, 414);
    size = sprintf(bytes, "GET / HTTP/1.0\r\nA: %016361d\r\n\r\n", 0);
    assert_int_equal(size, HEAD_MAX);
    assert_int_equal(read_whole(bytes, (size_t)size).result, HEAD_DONE);
    size = sprintf(bytes, "GET / HTTP/1.0\r\nA: %016362d\r\n\r\n", 0);
    assert_int_equal(read_whole(bytes, (size_t)size).head.refused, 431);
}

static void a_head_ends_before_what_follows_it(void **state)
{
    static const char bytes[] = "GET / HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n";
    struct reading reading = read_whole(bytes, sizeof(bytes) - 1);

    (void)state;
    assert_int_equal(reading.result, HEAD_DONE);
    assert_int_equal(reading.head.size, 18);
}

static void check_24_25_26_paths(void **state)
{
    static const struct {
        const char *path;
        unsigned status;
        const char *name;
    } cases[] = {
        {"/", 0, ""},           {"", 0, ""},
        {"/a/b", 0, "a/b"},     {"//a///b//", 0, "a/b/"},
        {"/a%20b", 0, "a b"},   {"/%252e", 0, "%2e"},
        {"/%zz", 400, ""},      {"/%6", 400, ""},
        {"/%00", 400, ""},      {"/../x", 404, ""},
        {"/%2e%2e/x", 404, ""}, {"/..%2fx", 404, ""},
        {"/a%2Fb", 404, ""},    {"/.git/config", 404, ""},
        {"/a/.b", 404, ""},     {"/.well-known/x", 0, ".well-known/x"},
        {"/a/.", 404, ""},      {"/a..b/c.", 0, "a..b/c."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[64];
        size_t size;
        unsigned status =
            path_decode(cases[i].path, strlen(cases[i].path), name, &size);

        assert_int_equal(status, cases[i].status);
        if (status == 0) {
            assert_string_equal(name, cases[i].name);
            assert_int_equal(size, strlen(cases[i].name));
        }
    }
}

static void check_13_14_15_ranges(void **state)
{
    static const struct {
        const char *value;
        enum range_kind kind;
        uint64_t first, last;
    } cases[] = {
        {"bytes=0-3", RANGE_ONE, 0, 3},
        {"bytes=3-", RANGE_ONE, 3, 99},
        {"bytes=-3", RANGE_ONE, 97, 99},
        {"bytes=0-999", RANGE_ONE, 0, 99},
        {"bytes=-200", RANGE_ONE, 0, 99},
        {"BYTES=99-99", RANGE_ONE, 99, 99},
        {"bytes=0-99999999999999999999999", RANGE_ONE, 0, 99},
        {"bytes=100-", RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=99999999999999999999-", RANGE_UNSATISFIABLE, 0, 0},
        {"lines=0-3", RANGE_NONE, 0, 0},
        {"bytes=5-2", RANGE_NONE, 0, 0},
        {"bytes=abc", RANGE_NONE, 0, 0},
        {"bytes=-", RANGE_NONE, 0, 0},
        {"bytes=", RANGE_NONE, 0, 0},
        {"bytes=0-1,3-4", RANGE_NONE, 0, 0},
        {"bytes", RANGE_NONE, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct range range = {0, 0};

        assert_int_equal(
            range_read(cases[i].value, strlen(cases[i].value), 100, &range),
            cases[i].kind);
        assert_int_equal(range.first, cases[i].first);
        assert_int_equal(range.last, cases[i].last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_the_same_wherever_the_bytes_are_split),
        cmocka_unit_test(long_heads_are_the_same_in_pieces),
        cmocka_unit_test(damaged_heads_are_the_same_in_pieces),
        cmocka_unit_test(check_03_host_is_there_once_and_well_formed),
        cmocka_unit_test(check_05_absolute_form_gives_path_and_query),
        cmocka_unit_test(check_06_versions),
        cmocka_unit_test(check_07_methods),
        cmocka_unit_test(check_27_fields_are_strict),
        cmocka_unit_test(check_27_a_nul_is_refused),
        cmocka_unit_test(check_28_framing),
        cmocka_unit_test(check_33_limits),
        cmocka_unit_test(a_head_ends_before_what_follows_it),
        cmocka_unit_test(check_24_25_26_paths),
        cmocka_unit_test(check_13_14_15_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
