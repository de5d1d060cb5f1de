/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_RCULIST_H
#define _LINUX_RCULIST_H

#include <linux/list.h>
#include <linux/rcupdate.h>

static inline void list_add_tail_rcu(struct list_head *item,
				     struct list_head *head)
{
	struct list_head *prev = head->prev;

	item->next = head;
	item->prev = prev;
	rcu_assign_pointer(prev->next, item);
	head->prev = item;
}

/* The item's way on stays, for those who stand on it. */
static inline void list_del_rcu(struct list_head *item)
{
	__list_del_entry(item);
	item->prev = (typeof(item->prev))LIST_POISON2;
}

#define list_for_each_entry_rcu(pos, head, member)			\
	for (__list_check_rcu(),					\
	     pos = list_entry(rcu_dereference((head)->next), typeof(*pos), \
			      member);					\
	     !list_entry_is_head(pos, head, member);			\
	     pos = list_entry(rcu_dereference(pos->member.next),	\
			      typeof(*pos), member))

#define hlist_first_rcu(head)	(*(struct hlist_node **)&(head)->first)
#define hlist_next_rcu(item)	(*(struct hlist_node **)&(item)->next)

static inline void hlist_add_head_rcu(struct hlist_node *item,
				      struct hlist_head *head)
{
	item->next = head->first;
	item->pprev = &head->first;
	if (item->next)
		item->next->pprev = &item->next;
	rcu_assign_pointer(head->first, item);
}

static inline void hlist_del_rcu(struct hlist_node *item)
{
	__hlist_del(item);
	item->pprev = (typeof(item->pprev))LIST_POISON2;
}

#define hlist_for_each_entry_rcu(pos, head, member)			\
	for (__list_check_rcu(),					\
	     pos = hlist_entry_safe(rcu_dereference(hlist_first_rcu(head)), \
				    typeof(*(pos)), member);		\
	     pos;							\
	     pos = hlist_entry_safe(rcu_dereference(hlist_next_rcu(	\
				    &(pos)->member)), typeof(*(pos)), member))

#define __list_check_rcu()						\
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(),				\
			 "RCU list walked outside a read-side section")

#endif
