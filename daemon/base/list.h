/* SPDX-License-Identifier: ISC */
/* Intrusive doubly linked list. The head is a node of its own; nodes remember nothing else. */
#ifndef RENEWD_BASE_LIST_H
#define RENEWD_BASE_LIST_H

#include "base/mem.h"

#include <stdbool.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}
/* Safe on a node that is in no list (after list_init or list_remove). */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
#define list_item(node, type, member) CONTAINER_OF(node, type, member)
/* `it` may be removed in the body. */
#define list_each(it, head)                                                                        \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

#endif
