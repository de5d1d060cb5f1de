/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that is counted, can be made to fail, and is really freed. */
#ifndef _LINUX_SLAB_H
#define _LINUX_SLAB_H

#include <string.h>

#include <linux/overflow.h>
#include <linux/types.h>

#define GFP_KERNEL		1u	/* may sleep */
#define GFP_KERNEL_ACCOUNT	GFP_KERNEL
#define GFP_ATOMIC		0u
#define __GFP_ZERO		2u

void *shim_alloc(size_t size, gfp_t gfp) __attribute__((__malloc__));
void kfree(const void *object);

#define kmalloc(size, gfp)	shim_alloc(size, gfp)
#define kzalloc(size, gfp)	shim_alloc(size, (gfp) | __GFP_ZERO)
#define kvzalloc(size, gfp)	kzalloc(size, gfp)
#define kzalloc_obj(object, ...)					\
	((typeof(object) *)kzalloc(sizeof(object),			\
				   SHIM_GFP(, ##__VA_ARGS__, GFP_KERNEL)))
#define SHIM_GFP(none, gfp, ...) gfp
#define kcalloc(n, size, gfp)	kzalloc(size_mul(n, size), gfp)
#define kvfree(object)		kfree(object)

#endif
