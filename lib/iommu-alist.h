/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libiommu-alist: the list of every place that may cache a domain's translations
 *
 * This is the kernel's API, by the same names, on the same structures, for programs:
 * what is private is storage here, what is inline in the kernel is a function, and
 * RCU stays inside of the library. Nothing but C99 or C++11 is needed, and no name
 * is taken that does not begin with iommu_ or IOMMU_, save struct device.
 *
 * struct iommu_device and struct device are the program's own, whatever they are:
 * the list compares the addresses of the former and hands back those of the latter.
 *
 * libiommu-alist(7) is the guide. Each function has a manual page.
 */
#ifndef IOMMU_ALIST_H
#define IOMMU_ALIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#if defined(__GNUC__)
/* A function and a structure share a name, as stat() and struct stat do. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
#endif

/*
 * The program's own types of an IOMMU and of a device. By default they are of these names;
 * define one of the macros to have another, such as a class in a namespace, or void.
 */
#ifndef IOMMU_ATTACH_IOMMU
struct iommu_device;
#define IOMMU_ATTACH_IOMMU	struct iommu_device
#endif
#ifndef IOMMU_ATTACH_DEVICE
struct device;
#define IOMMU_ATTACH_DEVICE	struct device
#endif

/* This header's version, and as a number to compare; see iommu_attach_version(). */
#define IOMMU_ALIST_VERSION_MAJOR	0
#define IOMMU_ALIST_VERSION_MINOR	2
#define IOMMU_ALIST_VERSION_PATCH	0
#define IOMMU_ALIST_VERSION		(IOMMU_ALIST_VERSION_MAJOR << 16 |	\
					 IOMMU_ALIST_VERSION_MINOR << 8 |	\
					 IOMMU_ALIST_VERSION_PATCH)

#define IOMMU_ATTACH_LIST_STATIC	0x616c69737467657aULL

/* What iommu_attach_set_debug() turns on. */
#define IOMMU_ATTACH_DEBUG_CHECK	1	/* the expensive checks */
#define IOMMU_ATTACH_DEBUG_FATAL	2	/* a message ends the program */

/* What was done so far, see iommu_attach_read_counters(3). */
struct iommu_attach_counters {
	uint64_t flushes;
	uint64_t iotlb;			/* calls of the callbacks */
	uint64_t atc;
	uint64_t submits;
	uint64_t errors;		/* flushes that failed */
	uint64_t drains;		/* in sum only, as what follows */
	uint64_t fences;
	uint64_t fence_ns;		/* what they took */
	uint64_t fence_ns_max;
	uint64_t reserved[7];
};

/* The library's own build has all types and macros from the core. */
#ifndef IOMMU_ALIST_CORE

/* The PASID of a device that is attached as a whole. */
#define IOMMU_NO_PASID	0

/* Whose tag a group is about: the domain's own, or that of a nest on it. */
enum iommu_attach_kind {
	IOMMU_ATTACH_OWN,
	IOMMU_ATTACH_NEST,
};

/* Which groups an add created or a delete emptied: the domain's, a nest's on its parent. */
#define IOMMU_ATTACH_GROUP_DOMAIN	1
#define IOMMU_ATTACH_GROUP_PARENT	2

/* One in each IOMMU: the flushes that are under way on it. The storage has room to grow. */
struct iommu_attach_fence {
	void *opaque[16];
};

/* One in each device that may stop answering. The storage has room to grow. */
struct iommu_attach_endpoint {
	void *opaque[16];
};

/*
 * The attachments of a domain that share (IOMMU, kind, tag): what one IOTLB command
 * is sent for. Made by the library, which has more in it than is seen here.
 */
struct iommu_attach_group {
	IOMMU_ATTACH_IOMMU *iommu_device;
	uint64_t tag;
	uint8_t kind;			/* enum iommu_attach_kind */
};

/* One in each domain. The storage has room to grow. */
struct iommu_attach_list {
	void *opaque[48];
};

/* For a list that is not given to iommu_attach_init(), such as a static one. */
#define IOMMU_ATTACH_LIST_INIT	{ { (void *)IOMMU_ATTACH_LIST_STATIC } }

/*
 * One attachment of a device to a domain. The program sets all but what is the list's
 * and what is opaque, which is zero, and leaves it alone while it is on a list.
 */
struct iommu_attach_elm {
	IOMMU_ATTACH_IOMMU *iommu_device;
	struct iommu_attach_fence *fence;	/* that IOMMU's */
	uint64_t tag;			/* the domain's on this IOMMU */
	uint64_t atc;			/* what an ATC command needs; below 2^61 */
	struct iommu_attach_endpoint *endpoint;	/* NULL: cannot be set aside */
	unsigned int pasid;
	bool using_atc;			/* the list's while it is on a list */
	bool nested;			/* half of a nest; set by the list */
	uint8_t kind;			/* NEST: a parent's half that stands alone */
	void *opaque[14];
};

/* A device attached to an S1 domain that is nested on an S2 parent. */
struct iommu_attach_nest {
	struct iommu_attach_elm s1;	/* on the list of the S1 domain */
	struct iommu_attach_elm s2;	/* on the parent's, by the nest's tag there */
};

/*
 * How what a flush found is sent; see iommu_attach_flush(3). As all functions that the library
 * calls, these must return: no exceptions, no longjmp().
 */
struct iommu_attach_flush_ops {
	void (*iotlb)(const struct iommu_attach_group *group, void *arg);
	void (*atc)(const struct iommu_attach_group *group, uint64_t atc, void *arg);
	uint64_t (*submit)(IOMMU_ATTACH_IOMMU *iommu_device, void *arg);
	int (*wait)(IOMMU_ATTACH_IOMMU *iommu_device, uint64_t cookie, void *arg);
	void (*silent)(IOMMU_ATTACH_IOMMU *iommu_device, uint64_t atc, void *arg);
	void (*aside)(IOMMU_ATTACH_IOMMU *iommu_device, uint64_t atc, void *arg);
	bool wait_before_nest;
	bool wait_before_atc;
	void *reserved;			/* NULL */
};

/* A pass over a list, on the stack of the walker. The storage has room to grow. */
struct iommu_attach_walk {
	void *opaque[16];
};

#endif /* IOMMU_ALIST_CORE */

/* Lists */
void iommu_attach_init(struct iommu_attach_list *alist);
void iommu_attach_destroy(struct iommu_attach_list *alist);
bool iommu_attach_empty(const struct iommu_attach_list *alist);

/* Attach */
void iommu_attach_elm_set_device(struct iommu_attach_elm *elm, IOMMU_ATTACH_DEVICE *dev);
int iommu_attach_find_tag(struct iommu_attach_list *alist,
			  IOMMU_ATTACH_IOMMU *iommu_device, uint64_t *tag);
int iommu_attach_add(struct iommu_attach_list *alist, struct iommu_attach_elm *elm);
/* How many attachments an array may have. */
#define IOMMU_ATTACH_ARRAY_MAX		4096

int iommu_attach_add_array(struct iommu_attach_list *alist, struct iommu_attach_elm *elm,
			   unsigned int nr);
int iommu_attach_add_nest(struct iommu_attach_list *s1, struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest);

/* Detach */
int iommu_attach_del(struct iommu_attach_list *alist, struct iommu_attach_elm *elm);
int iommu_attach_del_nest(struct iommu_attach_list *s1, struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest);

/* Waiting for flushes and walks after a detach */
int iommu_attach_fence_init(struct iommu_attach_fence *fence);
void iommu_attach_fence_destroy(struct iommu_attach_fence *fence);
void iommu_attach_fence(struct iommu_attach_fence *fence);
unsigned long iommu_attach_fence_begin(struct iommu_attach_fence *fence);
bool iommu_attach_fence_poll(struct iommu_attach_fence *fence, unsigned long cookie);
void iommu_attach_fence_wait(struct iommu_attach_fence *fence, unsigned long cookie);
void iommu_attach_drain(struct iommu_attach_fence *fence);

/* Freeing what was detached, without waiting */
int iommu_attach_defer(struct iommu_attach_elm *elm,
		       void (*release)(struct iommu_attach_elm *elm));
void iommu_attach_barrier(void);
int iommu_attach_del_free_at(struct iommu_attach_list *alist,
			     struct iommu_attach_elm *elm, size_t offset);
int iommu_attach_del_nest_free_at(struct iommu_attach_list *s1,
				  struct iommu_attach_list *s2,
				  struct iommu_attach_nest *nest, size_t offset);

/* ATS while attached */
int iommu_attach_enable_atc(struct iommu_attach_elm *elm);
void iommu_attach_disable_atc(struct iommu_attach_elm *elm);

/* Devices that do not answer */
void iommu_attach_endpoint_init(struct iommu_attach_endpoint *endpoint);
void iommu_attach_set_aside(struct iommu_attach_endpoint *endpoint);
void iommu_attach_blocked(struct iommu_attach_endpoint *endpoint);
void iommu_attach_resume(struct iommu_attach_endpoint *endpoint);
bool iommu_attach_is_aside(struct iommu_attach_endpoint *endpoint);

/* The flush */
int iommu_attach_flush(struct iommu_attach_list *alist,
		       const struct iommu_attach_flush_ops *ops, void *arg);
int iommu_attach_flush_lists(struct iommu_attach_list *const *lists, unsigned int nr,
			     const struct iommu_attach_flush_ops *ops, void *arg);

/* Walks */
void iommu_attach_walk_begin(struct iommu_attach_walk *walk,
			     struct iommu_attach_list *alist);
void iommu_attach_walk_end(struct iommu_attach_walk *walk);
const struct iommu_attach_group *
iommu_attach_first_group(struct iommu_attach_walk *walk);
const struct iommu_attach_group *
iommu_attach_next_group(struct iommu_attach_walk *walk);
const struct iommu_attach_group *
iommu_attach_next_iommu(struct iommu_attach_walk *walk,
			const struct iommu_attach_group *group);
const struct iommu_attach_group *
iommu_attach_first_atc(struct iommu_attach_walk *walk, uint64_t *atc);
const struct iommu_attach_group *
iommu_attach_next_atc(struct iommu_attach_walk *walk, uint64_t *atc);
void *iommu_attach_first_all(struct iommu_attach_walk *walk, size_t offset);
void *iommu_attach_next_all(struct iommu_attach_walk *walk,
			    const struct iommu_attach_elm *elm, size_t offset);

/* The locked view */
void iommu_attach_lock(struct iommu_attach_list *alist);
void iommu_attach_unlock(struct iommu_attach_list *alist);
void *iommu_attach_first_locked(struct iommu_attach_list *alist, size_t offset);
void *iommu_attach_next_locked(struct iommu_attach_list *alist,
			       const struct iommu_attach_elm *elm, size_t offset);
IOMMU_ATTACH_DEVICE *iommu_attach_elm_device(const struct iommu_attach_elm *elm);
struct iommu_attach_elm *iommu_attach_find_elm(struct iommu_attach_list *alist,
					       const IOMMU_ATTACH_DEVICE *dev, unsigned int pasid);

/* Counters, and what the library says */
void iommu_attach_read_counters(struct iommu_attach_list *alist,
				struct iommu_attach_counters *counters);
void iommu_attach_set_message(void (*message)(const char *text, void *arg), void *arg);
void iommu_attach_set_debug(unsigned int flags);
unsigned int iommu_attach_version(void);

#ifndef IOMMU_ALIST_CORE

/* Where @member is in what @pos points to; @pos is not evaluated. */
#define IOMMU_ATTACH_OFFSET(pos, member) offsetof(__typeof__(*(pos)), member)

/* Deletes, and gives @pos to free() when no walk looks at it any more. */
#define iommu_attach_del_free(alist, pos, member)			\
	iommu_attach_del_free_at(alist, &(pos)->member,			\
				 IOMMU_ATTACH_OFFSET(pos, member))

/* The same for a nest. */
#define iommu_attach_del_nest_free(s1list, s2list, pos, member)		\
	iommu_attach_del_nest_free_at(s1list, s2list, &(pos)->member,	\
				      IOMMU_ATTACH_OFFSET(pos, member))

/* Each group of a walk: sorted by IOMMU, of one IOMMU own tags first. */
#define iommu_attach_for_each_group(group, walk)			\
	for ((group) = iommu_attach_first_group(walk); (group);		\
	     (group) = iommu_attach_next_group(walk))

/* The first group of each IOMMU of a walk. */
#define iommu_attach_for_each_iommu(group, walk)			\
	for ((group) = iommu_attach_first_group(walk); (group);		\
	     (group) = iommu_attach_next_iommu(walk, group))

/* Each ATC target of a walk, and its group; begin when the IOTLB part is done. */
#define iommu_attach_for_each_atc(group, atc, walk)			\
	for ((group) = iommu_attach_first_atc(walk, &(atc)); (group);	\
	     (group) = iommu_attach_next_atc(walk, &(atc)))

/* Each attachment of a walk: @pos is the program's structure around it. */
#define iommu_attach_for_each_all(pos, walk, member)			\
	for ((pos) = (__typeof__(pos))iommu_attach_first_all(walk,	\
			IOMMU_ATTACH_OFFSET(pos, member)); (pos);	\
	     (pos) = (__typeof__(pos))iommu_attach_next_all(walk,	\
			&(pos)->member, IOMMU_ATTACH_OFFSET(pos, member)))

/* Each attachment of a list that iommu_attach_lock() holds. */
#define iommu_attach_for_each_locked(pos, alist, member)		\
	for ((pos) = (__typeof__(pos))iommu_attach_first_locked(alist,	\
			IOMMU_ATTACH_OFFSET(pos, member)); (pos);	\
	     (pos) = (__typeof__(pos))iommu_attach_next_locked(alist,	\
			&(pos)->member, IOMMU_ATTACH_OFFSET(pos, member)))

#endif /* IOMMU_ALIST_CORE */

#ifdef __cplusplus
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
}
#endif

#endif /* IOMMU_ALIST_H */
