/*
 * Which descriptor numbers are some handle's, in the whole process: a second
 * association is an error, and only here it can be seen, also across ports.
 * One bit each, in pages that are made when needed; no lock, so that a fork
 * at any moment leaves nothing held.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/handle.h"

enum { PAGE_WORDS = 512, PAGE_BITS = PAGE_WORDS * 64, PAGES = 65536 };

struct page {
    _Atomic uint64_t words[PAGE_WORDS];
};

static struct page *_Atomic pages[PAGES]; /* zero pages cost nothing */

static struct page *page_of(int fd)
{
    struct page *_Atomic *place = &pages[(unsigned)fd / PAGE_BITS];
    struct page *page = atomic_load_explicit(place, memory_order_acquire);
    struct page *fresh;

    if (page)
        return page;
    fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        return NULL;
    /* Release: its zeroes are there before it is. The loser's is not used. */
    if (atomic_compare_exchange_strong_explicit(
            place, &page, fresh, memory_order_acq_rel, memory_order_acquire))
        return fresh;
    free(fresh);
    return page;
}

static _Atomic uint64_t *word_of(struct page *page, int fd, uint64_t *ret_bit)
{
    unsigned bit = (unsigned)fd % PAGE_BITS;

    *ret_bit = UINT64_C(1) << bit % 64;
    return &page->words[bit / 64];
}

bool iocp__descriptor_claim(int fd)
{
    struct page *page = page_of(fd);
    _Atomic uint64_t *word;
    uint64_t bit;

    /* Short of memory: the guard is off for this one, nothing else is. */
    if (!page)
        return true;
    word = word_of(page, fd, &bit);
    return !(atomic_fetch_or(word, bit) & bit);
}

void iocp__descriptor_yield(int fd)
{
    struct page *page = page_of(fd);
    _Atomic uint64_t *word;
    uint64_t bit;

    if (!page)
        return;
    word = word_of(page, fd, &bit);
    atomic_fetch_and(word, ~bit);
}

/* In a child of fork(), alone: no handle of the parent's is one here. */
void iocp__source_forked(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        struct page *page = atomic_load(&pages[i]);

        for (unsigned j = 0; page && j < PAGE_WORDS; j++)
            page->words[j] = 0;
    }
}
