/* SPDX-License-Identifier: GPL-2.0-only */
/* A tree that is not balanced. */
#ifndef _LINUX_RBTREE_H
#define _LINUX_RBTREE_H

#include <linux/container_of.h>
#include <linux/types.h>

struct rb_node {
	struct rb_node *child[2];
};

struct rb_root {
	struct rb_node *rb_node;
};

#define RB_ROOT			((struct rb_root){ NULL })
#define rb_entry(node, type, member) container_of(node, type, member)

/* Return: the node that is there already, or NULL. */
static inline struct rb_node *rb_find_add(struct rb_node *node, struct rb_root *root,
					  int (*cmp)(struct rb_node *, const struct rb_node *))
{
	struct rb_node **link = &root->rb_node;
	int order;

	while (*link) {
		order = cmp(node, *link);
		if (!order)
			return *link;
		link = &(*link)->child[order > 0];
	}
	*link = node;
	return NULL;
}

/* Return: the node for which @cmp returns 0, or NULL. */
static inline struct rb_node *rb_find(const void *key, const struct rb_root *root,
				      int (*cmp)(const void *, const struct rb_node *))
{
	struct rb_node *node = root->rb_node;
	int order;

	while (node && (order = cmp(key, node)))
		node = node->child[order > 0];
	return node;
}

#endif
