/*
 * A doubly linked, NULL-terminated list of nodes that live in their objects.
 * All zeroes is an empty list. It owns nothing and locks nothing.
 */
#ifndef IOCP_BASE_LIST_H
#define IOCP_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include <iocp/op.h>

struct iocp__list {
    struct iocp__node *head, *tail;
};

#define IOCP__CONTAINER(pointer, type, member)                                 \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline bool iocp__list_empty(const struct iocp__list *list)
{
    return !list->head;
}

/* Put `node` before `place`; at the end when `place` is NULL. */
static inline void iocp__list_insert(struct iocp__list *list,
                                     struct iocp__node *place,
                                     struct iocp__node *node)
{
    struct iocp__node *before = place ? place->prev : list->tail;

    node->prev = before;
    node->next = place;
    *(before ? &before->next : &list->head) = node;
    *(place ? &place->prev : &list->tail) = node;
}

static inline void iocp__list_append(struct iocp__list *list,
                                     struct iocp__node *node)
{
    iocp__list_insert(list, NULL, node);
}

static inline void iocp__list_prepend(struct iocp__list *list,
                                      struct iocp__node *node)
{
    iocp__list_insert(list, list->head, node);
}

static inline void iocp__list_remove(struct iocp__list *list,
                                     struct iocp__node *node)
{
    *(node->prev ? &node->prev->next : &list->head) = node->next;
    *(node->next ? &node->next->prev : &list->tail) = node->prev;
    node->next = node->prev = NULL;
}

static inline struct iocp__node *iocp__list_pop(struct iocp__list *list)
{
    struct iocp__node *node = list->head;

    if (node)
        iocp__list_remove(list, node);
    return node;
}

/* Move everything in `from` to the end of `to`. */
static inline void iocp__list_splice(struct iocp__list *to,
                                     struct iocp__list *from)
{
    if (!from->head)
        return;
    from->head->prev = to->tail;
    *(to->tail ? &to->tail->next : &to->head) = from->head;
    to->tail = from->tail;
    from->head = from->tail = NULL;
}

#endif
