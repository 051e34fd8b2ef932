#include "range.h"

#include <stdbool.h>

#include "field.h"

/* 1*DIGIT; too large a number becomes the largest. False when there is none. */
static bool read_number(const char **at, const char *end, uint64_t *ret_number)
{
    const char *first = *at;
    uint64_t number = 0;

    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');

        if (number > (UINT64_MAX - digit) / 10)
            number = UINT64_MAX;
        else
            number = number * 10 + digit;
    }
    *ret_number = number;
    return *at > first;
}

/* "-5": the last five bytes. */
static enum range_kind suffix(uint64_t length, uint64_t file_size,
                              struct range *ret_range)
{
    if (length == 0)
        return RANGE_UNSATISFIABLE;
    ret_range->first = length < file_size ? file_size - length : 0;
    ret_range->last = file_size - 1;
    return RANGE_ONE;
}

enum range_kind range_read(const char *value, size_t size, uint64_t file_size,
                           struct range *ret_range)
{
    const char *at = value + 6, *end = value + size;
    uint64_t first, last = UINT64_MAX;
    bool has_first, has_last;

    /* No range of an empty file can be sent, and "all of it" is 200. */
    if (file_size == 0 || size < 6 || !field_is(value, 6, "bytes="))
        return RANGE_NONE;
    has_first = read_number(&at, end, &first);
    if (at == end || *at++ != '-')
        return RANGE_NONE;
    has_last = read_number(&at, end, &last);
    if (at != end)
        return RANGE_NONE;

    if (!has_first)
        return has_last ? suffix(last, file_size, ret_range) : RANGE_NONE;
    if (!has_last)
        last = UINT64_MAX;
    if (last < first)
        return RANGE_NONE;
    if (first >= file_size)
        return RANGE_UNSATISFIABLE;
    ret_range->first = first;
    ret_range->last = last < file_size ? last : file_size - 1;
    return RANGE_ONE;
}
