/* The table of handles: 200,000 slots, found by number, never moved, the
 * oldest given back first. Inside the library: engine/table.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/handle.h"
#include "engine/table.h"

enum { SLOTS = 200000 };

/* Every slot is found by its number, at the address where it was made, and
 * none beyond the last. */
static void P1_two_hundred_thousand_handles_have_slots(void **state)
{
    static struct iocp__table table;
    struct iocp_handle **handles = calloc(SLOTS, sizeof(struct iocp_handle *));

    (void)state;
    assert_non_null(handles);
    for (uint32_t i = 0; i < SLOTS; i++) {
        handles[i] = iocp__table_take(&table);
        assert_non_null(handles[i]);
        assert_int_equal(handles[i]->slot, i);
    }
    for (uint32_t i = 0; i < SLOTS; i++)
        assert_ptr_equal(iocp__table_at(&table, i), handles[i]);
    assert_null(iocp__table_at(&table, SLOTS));
    assert_int_equal(iocp__table_size(&table), SLOTS);
    free(handles);
    iocp__table_destroy(&table);
}

/* Slots that were given back come again, the oldest first, and no new one
 * is made while there are some. */
static void P1_the_oldest_slot_comes_again_first(void **state)
{
    static struct iocp__table table;
    struct iocp_handle *handles[100];

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        handles[i] = iocp__table_take(&table);
    for (unsigned i = 0; i < 100; i++)
        iocp__table_give(&table, handles[(i + 50) % 100]);
    for (unsigned i = 0; i < 100; i++)
        assert_ptr_equal(iocp__table_take(&table), handles[(i + 50) % 100]);
    assert_int_equal(iocp__table_size(&table), 100);
    iocp__table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P1_two_hundred_thousand_handles_have_slots),
        cmocka_unit_test(P1_the_oldest_slot_comes_again_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
