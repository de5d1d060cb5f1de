/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_LIST_H
#define _LINUX_LIST_H

#include <linux/compiler.h>
#include <linux/container_of.h>
#include <linux/types.h>

/* What an unlinked entry points to where nobody may look any more. */
#define LIST_POISON1	0x100
#define LIST_POISON2	0x122

#define LIST_HEAD_INIT(name)	{ &(name), &(name) }
#define LIST_HEAD(name)		struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	WRITE_ONCE(list->next, list);
	list->prev = list;
}

static inline bool list_empty(const struct list_head *head)
{
	return READ_ONCE(head->next) == head;
}

static inline void list_add(struct list_head *item, struct list_head *head)
{
	item->next = head->next;
	item->prev = head;
	head->next->prev = item;
	WRITE_ONCE(head->next, item);
}

static inline void list_add_tail(struct list_head *item, struct list_head *head)
{
	list_add(item, head->prev);
}

static inline void __list_del_entry(struct list_head *item)
{
	item->next->prev = item->prev;
	/* What lies behind it was made visible by others, before they unlocked. */
	smp_store_release(&item->prev->next, item->next);
}

static inline void list_del(struct list_head *item)
{
	__list_del_entry(item);
	item->next = (typeof(item->next))LIST_POISON1;
	item->prev = (typeof(item->prev))LIST_POISON2;
}

static inline void list_del_init(struct list_head *item)
{
	__list_del_entry(item);
	INIT_LIST_HEAD(item);
}

#define list_entry(ptr, type, member)	container_of(ptr, type, member)
#define list_first_entry(head, type, member)				\
	list_entry((head)->next, type, member)
#define list_next_entry(pos, member)					\
	list_entry((pos)->member.next, typeof(*(pos)), member)
#define list_entry_is_head(pos, head, member)	(&(pos)->member == (head))

#define list_for_each_entry(pos, head, member)				\
	for (pos = list_first_entry(head, typeof(*pos), member);	\
	     !list_entry_is_head(pos, head, member);			\
	     pos = list_next_entry(pos, member))

#define list_for_each_entry_safe(pos, n, head, member)			\
	for (pos = list_first_entry(head, typeof(*pos), member),	\
	     n = list_next_entry(pos, member);				\
	     !list_entry_is_head(pos, head, member);			\
	     pos = n, n = list_next_entry(n, member))

#define HLIST_HEAD_INIT		{ .first = NULL }
#define HLIST_HEAD(name)	struct hlist_head name = HLIST_HEAD_INIT

static inline void INIT_HLIST_NODE(struct hlist_node *item)
{
	item->next = NULL;
	item->pprev = NULL;
}

static inline bool hlist_unhashed(const struct hlist_node *item)
{
	return !item->pprev;
}

static inline bool hlist_empty(const struct hlist_head *head)
{
	return !READ_ONCE(head->first);
}

static inline void hlist_add_head(struct hlist_node *item,
				  struct hlist_head *head)
{
	item->next = head->first;
	if (item->next)
		item->next->pprev = &item->next;
	WRITE_ONCE(head->first, item);
	item->pprev = &head->first;
}

static inline void __hlist_del(struct hlist_node *item)
{
	smp_store_release(item->pprev, item->next);
	if (item->next)
		item->next->pprev = item->pprev;
}

static inline void hlist_del(struct hlist_node *item)
{
	__hlist_del(item);
	item->next = (typeof(item->next))LIST_POISON1;
	item->pprev = (typeof(item->pprev))LIST_POISON2;
}

static inline void hlist_del_init(struct hlist_node *item)
{
	if (hlist_unhashed(item))
		return;
	__hlist_del(item);
	INIT_HLIST_NODE(item);
}

#define hlist_entry(ptr, type, member)	container_of(ptr, type, member)
#define hlist_entry_safe(ptr, type, member)				\
({									\
	typeof(ptr) __entry = (ptr);					\
									\
	__entry ? hlist_entry(__entry, type, member) : NULL;		\
})

#define hlist_for_each_entry(pos, head, member)				\
	for (pos = hlist_entry_safe((head)->first, typeof(*(pos)), member); \
	     pos;							\
	     pos = hlist_entry_safe((pos)->member.next, typeof(*(pos)), \
				    member))

#define hlist_for_each_entry_safe(pos, n, head, member)			\
	for (pos = hlist_entry_safe((head)->first, typeof(*pos), member); \
	     pos && ({ n = pos->member.next; 1; });			\
	     pos = hlist_entry_safe(n, typeof(*pos), member))

#endif
