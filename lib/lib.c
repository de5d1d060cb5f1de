// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the library has and the core has not
 *
 * Each function of the library is here. It looks at what a program may get wrong, and
 * tells it; then it calls the core's, or is what is inline in the core's header, so that
 * neither the layout of a list nor RCU is part of a program. For the same reason the
 * library has the flush as a function only: iommu_attach_flush_inline() would compile the
 * layout of lists, groups and slots into each program. And it has what the core leaves to
 * the kernel: memory that goes to free() or to a function of the program's.
 *
 * The core's functions are renamed, see names.h, and the inline ones here. Behind them
 * the library's header is seen without its types: so the compiler compares the two.
 */
#include <stdlib.h>

#define iommu_attach_elm_device		__iommu_alist_elm_device
#define iommu_attach_elm_set_device	__iommu_alist_elm_set_device
#define iommu_attach_empty		__iommu_alist_empty
#define iommu_attach_fence(fence)	__iommu_alist_fence(fence)	/* not the structure */
#define iommu_attach_lock		__iommu_alist_lock
#define iommu_attach_unlock		__iommu_alist_unlock
#define iommu_attach_walk_begin		__iommu_alist_walk_begin
#define iommu_attach_walk_end		__iommu_alist_walk_end
#include <linux/iommu-alist.h>
#include "nonames.h"

#include <linux/bug.h>
#include <linux/errno.h>

#include "lib/lib.h"

/* Of the same size, but not of the same type everywhere. */
#define uint64_t u64
#define IOMMU_ALIST_CORE
#pragma GCC visibility push(default)
#include "iommu-alist.h"
#pragma GCC visibility pop
#include "layout.h"

#define core(name)	__iommu_alist_##name

/*
 * What a thread is in the middle of: for messages, and to notice a signal handler that
 * comes in between. Flushes and walks may be interrupted by others, and are not noted.
 */
static __thread const char *current_call;

const char *lib_current_call(void)
{
	return current_call;
}

/* A handler's call ends before the one that it came in between. */
static void leave(const char **outer)
{
	current_call = *outer;
}

#define ENTER()	__attribute__((__cleanup__(leave))) const char *outer = current_call; \
	current_call = __func__

/* A handler that interrupts who may have a lock. */
#define INTERRUPTS()	(outer && !shim_rcu_in_callback())
#define BAD_HANDLER()							\
	WARN_ONCE(INTERRUPTS(), "called by a signal handler that interrupts the library")

/* What no function may be called from that takes the lock of a list or waits. */
#define BAD_PLACE()							\
	(BAD_HANDLER() ||						\
	 WARN_ONCE(shim_spins_held(), "called between iommu_attach_lock() and unlock()"))

/* And what waits for flushes and walks, from none of them. */
#define BAD_PLACE_TO_WAIT()						\
	(BAD_PLACE() ||							\
	 WARN_ONCE(shim_map_held, "called by a callback of a flush, which it would wait for") || \
	 WARN_ONCE(rcu_read_lock_held(), "called within a walk, which it would wait for"))

/* Lists */

/*
 * Behind what the core has in a list: of how many nests it is the S1 domain's list, in
 * the low half, and of how many the parent's. It must not be both, see lock_pair().
 */
#define PARENT	(1UL << 32)

static unsigned long *roles(struct iommu_attach_list *alist)
{
	_Static_assert(sizeof(*alist) <= 47 * sizeof(void *), "");
	return (unsigned long *)alist + 47;
}

/* IOMMU_ATTACH_LIST_INIT is in place of the table. */
static noinline bool init_static(struct iommu_attach_list *alist)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	sigset_t old;
	bool good;

	lib_lock(&lock, &old);
	good = alist->only == &alist->first;
	if (!good && !alist->only &&
	    (uintptr_t)READ_ONCE(alist->table) == IOMMU_ATTACH_LIST_STATIC) {
		RCU_INIT_POINTER(alist->table, NULL);
		spin_lock_init(&alist->lock);
		INIT_LIST_HEAD(&alist->all);
		smp_store_release(&alist->only, &alist->first);
		good = true;
	}
	lib_unlock(&lock, &old);
	return good;
}

/* An initialised list refers to itself. */
static inline bool good_list(struct iommu_attach_list *alist)
{
	return likely(alist && smp_load_acquire(&alist->only) == &alist->first) ||
	       (alist && init_static(alist));
}

#define BAD_LIST(alist)							\
	WARN_ONCE(!good_list(alist),					\
		  "the list was never initialised, or has been copied or moved")

void iommu_attach_init(struct iommu_attach_list *alist)
{
	if (WARN_ONCE(!alist, "the list is NULL"))
		return;
	core(init)(alist);
	*roles(alist) = 0;
}

void iommu_attach_destroy(struct iommu_attach_list *alist)
{
	ENTER();

	if (BAD_PLACE() || BAD_LIST(alist) ||
	    WARN_ONCE(!core(empty)(alist), "the list is not empty"))
		return;
	core(destroy)(alist);
}

bool iommu_attach_empty(const struct iommu_attach_list *alist)
{
	return BAD_LIST((struct iommu_attach_list *)alist) || core(empty)(alist);
}

/* After a change: all of what the core believes about the list. */
static void check(struct iommu_attach_list *alist)
{
	const char *fault;

	if (likely(!shim_checks))
		return;
	core(lock)(alist);
	fault = iommu_attach_check(alist);
	core(unlock)(alist);
	if (fault)
		lib_message(fault);
}

/* Attachments */

static char deleted;		/* marks those that wait for a grace period */

static void mark_deleted(struct iommu_attach_elm *elm)
{
	elm->rcu.object = &deleted;
	elm->rcu.next = (void *)get_state_synchronize_rcu();
}

static void call_free(struct rcu_head *head)
{
	free(head->object);
}

static void defer(struct rcu_head *head, void *object,
		  void (*call)(struct rcu_head *head))
{
	head->object = object;
	call_rcu(head, call);
}

/* An attachment that was deleted: @object goes to free(), or it is left to the program. */
static void let_go(struct iommu_attach_elm *elm, void *object)
{
	if (object)
		defer(&elm->rcu, object, call_free);
	else
		mark_deleted(elm);
}

/*
 * Behind what the core has in a fence, an endpoint and a walk: the address of it, once it is
 * initialised. What was not, or has been copied or moved, or is over, has another.
 */
#define MARK(object)							\
({									\
	_Static_assert(sizeof(*(object)) <= 14 * sizeof(void *), "");	\
	(void **)(object) + 15;						\
})
#define GOOD(object)	likely((object) && READ_ONCE(*MARK(object)) == (object))

/* Attachments whose groups refer to a fence. */
static unsigned long *fence_users(struct iommu_attach_fence *fence)
{
	return (unsigned long *)MARK(fence) - 1;
}

/* Of an attachment on a list, whose own field may have been written to. */
static struct iommu_attach_fence *fence_of(const struct iommu_attach_elm *elm)
{
	return elm->group->fence;
}

static void use_fence(struct iommu_attach_fence *fence, long nr)
{
	__atomic_fetch_add(fence_users(fence), nr, __ATOMIC_RELAXED);
}

/* Fields that are read only if an ATC is used. */
#define BAD_TARGET(elm)							\
	(WARN_ONCE((elm)->atc & IOMMU_ATTACH_STATE,			\
		   "the value of the ATC target is not below 2^61") ||	\
	 WARN_ONCE((elm)->endpoint && !GOOD((elm)->endpoint),		\
		   "the endpoint is not initialised"))

/* Return: 0 if it may be added, for which its fields have to be of use to the core. */
static int check_new(struct iommu_attach_elm *elm)
{
	if (WARN_ONCE(!elm, "the attachment is NULL"))
		return -EINVAL;
	if (WARN_ONCE(elm->alist, "the attachment is on a list"))
		return -EEXIST;
	if (WARN_ONCE(elm->rcu.object == &deleted &&
		      !poll_state_synchronize_rcu((unsigned long)elm->rcu.next),
		      "the attachment was deleted, and added again before a drain") ||
	    WARN_ONCE(elm->rcu.object && elm->rcu.object != &deleted,
		      "the attachment is deferred, or its opaque part is not zero"))
		return -EBUSY;
	if (WARN_ONCE(!elm->iommu_device, "the attachment has no IOMMU") ||
	    WARN_ONCE(!GOOD(elm->fence),
		      "the attachment has no fence, or one that is not initialised") ||
	    WARN_ONCE(READ_ONCE(elm->fence->iommu_device) &&
		      READ_ONCE(elm->fence->iommu_device) != elm->iommu_device,
		      "the fence is that of another IOMMU") ||
	    WARN_ONCE(elm->kind > IOMMU_ATTACH_NEST, "the kind is out of range") ||
	    (elm->using_atc && BAD_TARGET(elm)))
		return -EINVAL;
	elm->rcu.object = NULL;
	return 0;
}

/*
 * The core goes by what it was added with. Until it is deleted, by the caller if at all, it
 * keeps its group. But another thread may enable its ATC meanwhile.
 */
static void check_kept(const struct iommu_attach_elm *elm)
{
	if (!elm->alist)
		return;
	WARN_ONCE(elm->iommu_device != elm->group->iommu_device || elm->tag != elm->group->tag,
		  "the IOMMU or the tag was changed while attached");
	if (!READ_ONCE(elm->using_atc))
		return;
	core(lock)(elm->alist);
	WARN_ONCE(elm->slots && (atomic64_read(&elm->slots->slot[elm->slot]) &
				 ~IOMMU_ATTACH_STATE) != elm->atc,
		  "the value of the ATC target was changed while attached");
	core(unlock)(elm->alist);
}

void iommu_attach_elm_set_device(struct iommu_attach_elm *elm, struct device *dev)
{
	if (WARN_ONCE(!elm, "the attachment is NULL") ||
	    WARN_ONCE(elm->alist, "the attachment is on a list"))
		return;
	core(elm_set_device)(elm, dev);
}

int iommu_attach_add(struct iommu_attach_list *alist, struct iommu_attach_elm *elm)
{
	ENTER();
	int ret;

	if (BAD_PLACE())
		return -EDEADLK;
	if (BAD_LIST(alist))
		return -EINVAL;
	ret = check_new(elm);
	if (ret)
		return ret;
	shim_busy_begin();
	ret = core(add)(alist, elm);
	if (ret >= 0)
		use_fence(fence_of(elm), 1);
	shim_busy_end();
	check(alist);
	return ret;
}

int iommu_attach_add_array(struct iommu_attach_list *alist, struct iommu_attach_elm *elm,
			   unsigned int nr)
{
	ENTER();
	unsigned int i;
	int ret = 0;

	if (BAD_PLACE())
		return -EDEADLK;
	if (BAD_LIST(alist))
		return -EINVAL;
	if (WARN_ONCE(nr > IOMMU_ATTACH_ARRAY_MAX, "the array is too long"))
		return -EINVAL;
	for (i = 0; i < nr && !ret; i++) {
		ret = check_new(&elm[i]);
		if (!ret && WARN_ONCE(elm[i].iommu_device != elm->iommu_device ||
				      elm[i].fence != elm->fence || elm[i].tag != elm->tag ||
				      elm[i].kind != elm->kind ||
				      elm[i].using_atc != elm->using_atc,
				      "the array differs in more than the ATC targets"))
			ret = -EINVAL;
	}
	if (ret)
		return ret;
	shim_busy_begin();
	ret = core(add_array)(alist, elm, nr);
	for (i = 0; i < nr && ret >= 0; i++)
		use_fence(fence_of(&elm[i]), 1);
	shim_busy_end();
	check(alist);
	return ret;
}

static int add_nest(struct iommu_attach_list *s1, struct iommu_attach_list *s2,
		    struct iommu_attach_nest *nest)
{
	bool circle;
	int ret;

	/* Both first, then the look: of two that close a circle one sees the other. */
	circle = __atomic_fetch_add(roles(s1), 1, __ATOMIC_SEQ_CST) >= PARENT;
	circle |= (u32)__atomic_fetch_add(roles(s2), PARENT, __ATOMIC_SEQ_CST);
	if (WARN_ONCE(circle, "a list is the parent of one nest and the S1 domain of another"))
		ret = -ELOOP;
	else
		ret = core(add_nest)(s1, s2, nest);
	if (ret < 0) {
		__atomic_fetch_sub(roles(s1), 1, __ATOMIC_SEQ_CST);
		__atomic_fetch_sub(roles(s2), PARENT, __ATOMIC_SEQ_CST);
		return ret;
	}
	use_fence(fence_of(&nest->s1), 1);
	use_fence(fence_of(&nest->s2), 1);
	return ret;
}

int iommu_attach_add_nest(struct iommu_attach_list *s1, struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest)
{
	ENTER();
	int ret;

	if (BAD_PLACE())
		return -EDEADLK;
	if (BAD_LIST(s1) || BAD_LIST(s2) || WARN_ONCE(!nest, "the nest is NULL") ||
	    WARN_ONCE(s1 == s2, "a list is its own parent") ||
	    WARN_ONCE(nest->s1.iommu_device != nest->s2.iommu_device ||
		      nest->s1.fence != nest->s2.fence ||
		      nest->s1.using_atc != nest->s2.using_atc,
		      "the halves of the nest have two IOMMUs, fences or uses of an ATC"))
		return -EINVAL;
	ret = check_new(&nest->s1) ?: check_new(&nest->s2);
	if (ret)
		return ret;

	shim_busy_begin();
	ret = add_nest(s1, s2, nest);
	shim_busy_end();
	check(s1);
	check(s2);
	return ret;
}

/* Deletes, and gives @object to free(), or if it is NULL leaves the attachment to the program. */
static int del(struct iommu_attach_list *alist, struct iommu_attach_elm *elm, void *object)
{
	struct iommu_attach_fence *fence;
	int ret;

	if (WARN_ONCE(elm->alist != alist, "the attachment is not on this list") ||
	    WARN_ONCE(elm->nested, "the attachment is half of a nest"))
		return -ENOENT;
	check_kept(elm);
	fence = fence_of(elm);
	shim_busy_begin();
	ret = core(del)(alist, elm);
	if (ret >= 0) {
		use_fence(fence, -1);
		let_go(elm, object);
	}
	shim_busy_end();
	check(alist);
	return ret;
}

int iommu_attach_del(struct iommu_attach_list *alist, struct iommu_attach_elm *elm)
{
	ENTER();

	if (BAD_PLACE())
		return -EDEADLK;
	if (BAD_LIST(alist) || WARN_ONCE(!elm, "the attachment is NULL"))
		return -EINVAL;
	return del(alist, elm, NULL);
}

static int del_nest(struct iommu_attach_list *s1, struct iommu_attach_list *s2,
		    struct iommu_attach_nest *nest, void *object)
{
	struct iommu_attach_fence *fence[2];
	int ret;

	if (WARN_ONCE(nest->s1.alist != s1 || nest->s2.alist != s2 || !nest->s1.nested ||
		      !nest->s2.nested, "the nest is not on these lists"))
		return -ENOENT;
	check_kept(&nest->s1);
	check_kept(&nest->s2);
	fence[0] = fence_of(&nest->s1);
	fence[1] = fence_of(&nest->s2);
	shim_busy_begin();
	ret = core(del_nest)(s1, s2, nest);
	if (ret >= 0) {
		use_fence(fence[0], -1);
		use_fence(fence[1], -1);
		__atomic_fetch_sub(roles(s1), 1, __ATOMIC_SEQ_CST);
		__atomic_fetch_sub(roles(s2), PARENT, __ATOMIC_SEQ_CST);
		mark_deleted(&nest->s2);
		let_go(&nest->s1, object);
	}
	shim_busy_end();
	check(s1);
	check(s2);
	return ret;
}

int iommu_attach_del_nest(struct iommu_attach_list *s1, struct iommu_attach_list *s2,
			  struct iommu_attach_nest *nest)
{
	ENTER();

	if (BAD_PLACE())
		return -EDEADLK;
	if (BAD_LIST(s1) || BAD_LIST(s2) || WARN_ONCE(!nest, "the nest is NULL"))
		return -EINVAL;
	return del_nest(s1, s2, nest, NULL);
}

int iommu_attach_find_tag(struct iommu_attach_list *alist,
			  struct iommu_device *iommu_device, u64 *tag)
{
	ENTER();

	if (BAD_PLACE())
		return -EDEADLK;
	if (BAD_LIST(alist) || WARN_ONCE(!tag, "there is no place for the tag"))
		return -EINVAL;
	return core(find_tag)(alist, iommu_device, tag);
}

/* The other half of a nest, or the attachment itself. */
static struct iommu_attach_elm *other_half(struct iommu_attach_elm *elm)
{
	if (!elm->nested)
		return elm;
	if (elm->kind == IOMMU_ATTACH_OWN)
		return &container_of(elm, struct iommu_attach_nest, s1)->s2;
	return &container_of(elm, struct iommu_attach_nest, s2)->s1;
}

/*
 * Another thread may delete it meanwhile: only the core looks at what that changes, with the
 * lock held.
 */
int iommu_attach_enable_atc(struct iommu_attach_elm *elm)
{
	struct iommu_attach_list *lists[2];
	struct iommu_attach_elm *other;
	ENTER();
	int ret;

	if (BAD_PLACE())
		return -EDEADLK;
	if (WARN_ONCE(!elm, "the attachment is NULL"))
		return -EINVAL;
	other = other_half(elm);
	lists[0] = READ_ONCE(elm->alist);
	lists[1] = READ_ONCE(other->alist);
	if (!lists[0] || !lists[1])
		return -ENOENT;
	if (BAD_TARGET(elm) || BAD_TARGET(other))
		return -EINVAL;
	ret = core(enable_atc)(elm);
	check(lists[0]);
	if (other != elm)
		check(lists[1]);
	return ret;
}

void iommu_attach_disable_atc(struct iommu_attach_elm *elm)
{
	struct iommu_attach_elm *other;
	ENTER();

	if (BAD_PLACE() || WARN_ONCE(!elm || !elm->alist, "the attachment is on no list"))
		return;
	check_kept(elm);
	core(disable_atc)(elm);
	check(elm->alist);
	other = other_half(elm);
	if (other != elm)
		check(other->alist);
}

/* Fences */

#define BAD_FENCE(fence)	WARN_ONCE(!GOOD(fence), "the fence is not initialised")

int iommu_attach_fence_init(struct iommu_attach_fence *fence)
{
	ENTER();
	int ret;

	if (BAD_PLACE())
		return -EDEADLK;
	if (WARN_ONCE(!fence, "the fence is NULL"))
		return -EINVAL;
	shim_busy_begin();
	ret = core(fence_init)(fence);
	shim_busy_end();
	*fence_users(fence) = 0;
	*MARK(fence) = ret ? NULL : fence;
	return ret;
}

void iommu_attach_fence_destroy(struct iommu_attach_fence *fence)
{
	ENTER();

	if (BAD_PLACE() || WARN_ONCE(!fence, "the fence is NULL"))
		return;
	if (!*MARK(fence) && !fence->pair[0])
		return;		/* as an IOMMU is that could not be made */
	if (BAD_FENCE(fence) ||
	    WARN_ONCE(__atomic_load_n(fence_users(fence), __ATOMIC_RELAXED),
		      "attachments refer to the fence"))
		return;
	*MARK(fence) = NULL;
	core(fence_destroy)(fence);
}

/* A handler must not wait for the lock: two rounds that are to begin are always enough. */
unsigned long iommu_attach_fence_begin(struct iommu_attach_fence *fence)
{
	ENTER();

	if (BAD_FENCE(fence))
		return 0;
	if (unlikely(INTERRUPTS())) {
		__smp_mb();
		return READ_ONCE(fence->done) + 2;
	}
	return core(fence_begin)(fence);
}

bool iommu_attach_fence_poll(struct iommu_attach_fence *fence, unsigned long cookie)
{
	ENTER();

	(void)outer;
	return BAD_FENCE(fence) || core(fence_poll)(fence, cookie);
}

static void fence_wait(struct iommu_attach_fence *fence, unsigned long cookie)
{
	struct timespec begun;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	core(fence_wait)(fence, cookie);
	lib_count_fence(&begun);
}

void iommu_attach_fence_wait(struct iommu_attach_fence *fence, unsigned long cookie)
{
	ENTER();

	if (!BAD_PLACE_TO_WAIT() && !BAD_FENCE(fence))
		fence_wait(fence, cookie);
}

void iommu_attach_fence(struct iommu_attach_fence *fence)
{
	ENTER();

	if (!BAD_PLACE_TO_WAIT() && !BAD_FENCE(fence))
		fence_wait(fence, core(fence_begin)(fence));
}

void iommu_attach_drain(struct iommu_attach_fence *fence)
{
	ENTER();

	if (BAD_PLACE_TO_WAIT() || BAD_FENCE(fence))
		return;
	core(drain)(fence);
	lib_count_drain();
}

/* Endpoints */

#define BAD_ENDPOINT(endpoint)						\
	WARN_ONCE(!GOOD(endpoint), "the endpoint is not initialised")

void iommu_attach_endpoint_init(struct iommu_attach_endpoint *endpoint)
{
	if (WARN_ONCE(!endpoint, "the endpoint is NULL"))
		return;
	core(endpoint_init)(endpoint);
	*MARK(endpoint) = endpoint;
}

void iommu_attach_set_aside(struct iommu_attach_endpoint *endpoint)
{
	ENTER();

	if (!BAD_HANDLER() && !BAD_ENDPOINT(endpoint))
		core(set_aside)(endpoint);
}

void iommu_attach_blocked(struct iommu_attach_endpoint *endpoint)
{
	ENTER();

	if (!BAD_HANDLER() && !BAD_ENDPOINT(endpoint))
		core(blocked)(endpoint);
}

void iommu_attach_resume(struct iommu_attach_endpoint *endpoint)
{
	ENTER();

	if (!BAD_HANDLER() && !BAD_ENDPOINT(endpoint))
		core(resume)(endpoint);
}

bool iommu_attach_is_aside(struct iommu_attach_endpoint *endpoint)
{
	return !BAD_ENDPOINT(endpoint) && core(is_aside)(endpoint);
}

/* The flush, and walks */

/* Behind what the core has in them, see layout.h. */
static void *reserved(const struct iommu_attach_flush_ops *ops)
{
	_Static_assert(sizeof(*ops) <= 7 * sizeof(void *), "");
	return ((void *const *)ops)[7];
}

#define BAD_OPS(ops)							\
	(WARN_ONCE(!(ops) || !(ops)->iotlb || !(ops)->submit || !(ops)->wait, \
		   "the operations, or iotlb, submit or wait of them, are NULL") || \
	 WARN_ONCE(reserved(ops), "what is reserved in the operations is not NULL"))

int iommu_attach_flush(struct iommu_attach_list *alist,
		       const struct iommu_attach_flush_ops *ops, void *arg)
{
	if (BAD_LIST(alist) || BAD_OPS(ops))
		return -EINVAL;
	return core(flush)(alist, ops, arg);
}

int iommu_attach_flush_lists(struct iommu_attach_list *const *lists, unsigned int nr,
			     const struct iommu_attach_flush_ops *ops, void *arg)
{
	unsigned int i;

	if (BAD_OPS(ops) || WARN_ONCE(nr && !lists, "there are no lists"))
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		if (BAD_LIST(lists[i]))
			return -EINVAL;
	}
	return core(flush_lists)(lists, nr, ops, arg);
}

void iommu_attach_walk_begin(struct iommu_attach_walk *walk,
			     struct iommu_attach_list *alist)
{
	/* Nothing is ever on it. */
	static struct iommu_attach_list none = {
		.table = (void *)IOMMU_ATTACH_LIST_STATIC,
	};

	if (WARN_ONCE(!walk, "the walk is NULL"))
		return;
	if (BAD_LIST(alist)) {
		good_list(&none);
		alist = &none;
	}
	core(walk_begin)(walk, alist);
	*MARK(walk) = walk;
}

void iommu_attach_walk_end(struct iommu_attach_walk *walk)
{
	if (WARN_ONCE(!GOOD(walk) || !rcu_read_lock_held(),
		      "the walk was not begun, or has ended before"))
		return;
	*MARK(walk) = NULL;
	core(walk_end)(walk);
}

#define BAD_WALK(walk)							\
	WARN_ONCE(!GOOD(walk) || !rcu_read_lock_held(),			\
		  "the walk was not begun, or has ended")

const struct iommu_attach_group *
iommu_attach_first_group(struct iommu_attach_walk *walk)
{
	if (BAD_WALK(walk))
		return NULL;
	walk->groups.pos = walk->first;
	return iommu_attach_next_group(walk);
}

const struct iommu_attach_group *
iommu_attach_next_group(struct iommu_attach_walk *walk)
{
	const struct iommu_attach_group *group;

	return !BAD_WALK(walk) && __iommu_attach_next_group(walk, &group) ? group : NULL;
}

const struct iommu_attach_group *
iommu_attach_next_iommu(struct iommu_attach_walk *walk,
			const struct iommu_attach_group *group)
{
	return !BAD_WALK(walk) && __iommu_attach_next_iommu(walk, &group) ? group : NULL;
}

#define BAD_PLACE_FOR(atc)	WARN_ONCE(!(atc), "there is no place for the target")

const struct iommu_attach_group *
iommu_attach_first_atc(struct iommu_attach_walk *walk, u64 *atc)
{
	return !BAD_WALK(walk) && !BAD_PLACE_FOR(atc) && __iommu_attach_atc_begin(walk) ?
	       iommu_attach_next_atc(walk, atc) : NULL;
}

const struct iommu_attach_group *
iommu_attach_next_atc(struct iommu_attach_walk *walk, u64 *atc)
{
	const struct iommu_attach_group *group;

	return !BAD_WALK(walk) && !BAD_PLACE_FOR(atc) &&
	       __iommu_attach_next_atc(walk, &group, atc) ? group : NULL;
}

/* The structure around an attachment; NULL behind the last one, at any offset. */
static void *around(const struct iommu_attach_list *alist, struct list_head *item,
		    size_t offset)
{
	if (item == &alist->all)
		return NULL;
	return (char *)list_entry(item, struct iommu_attach_elm, all_item) - offset;
}

void *iommu_attach_first_all(struct iommu_attach_walk *walk, size_t offset)
{
	if (BAD_WALK(walk))
		return NULL;
	return around(walk->alist, rcu_dereference(walk->alist->all.next), offset);
}

void *iommu_attach_next_all(struct iommu_attach_walk *walk,
			    const struct iommu_attach_elm *elm, size_t offset)
{
	const struct iommu_attach_list *alist;
	struct list_head *next;

	if (BAD_WALK(walk) || WARN_ONCE(!elm, "the attachment is NULL"))
		return NULL;
	/* One that was deleted meanwhile leads to those behind it. */
	alist = READ_ONCE(elm->alist);
	next = rcu_dereference(elm->all_item.next);
	if (WARN_ONCE((alist && alist != walk->alist) || !next,
		      "the attachment is not on this list"))
		return NULL;
	return around(walk->alist, next, offset);
}

/* The locked view */

void iommu_attach_lock(struct iommu_attach_list *alist)
{
	ENTER();

	if (!BAD_PLACE() && !BAD_LIST(alist))
		core(lock)(alist);
}

#define NOT_LOCKED(alist)						\
	WARN_ONCE(!shim_spin_is_held(&(alist)->lock), "iommu_attach_lock() was not called")

void iommu_attach_unlock(struct iommu_attach_list *alist)
{
	ENTER();

	(void)outer;
	if (!BAD_LIST(alist) && !NOT_LOCKED(alist))
		core(unlock)(alist);
}

void *iommu_attach_first_locked(struct iommu_attach_list *alist, size_t offset)
{
	if (BAD_LIST(alist) || NOT_LOCKED(alist))
		return NULL;
	return around(alist, alist->all.next, offset);
}

void *iommu_attach_next_locked(struct iommu_attach_list *alist,
			       const struct iommu_attach_elm *elm, size_t offset)
{
	if (BAD_LIST(alist) || NOT_LOCKED(alist) ||
	    WARN_ONCE(!elm || elm->alist != alist, "the attachment is not on this list"))
		return NULL;
	return around(alist, elm->all_item.next, offset);
}

struct device *iommu_attach_elm_device(const struct iommu_attach_elm *elm)
{
	if (WARN_ONCE(!elm || !elm->alist, "the attachment is on no list") ||
	    NOT_LOCKED(elm->alist))
		return NULL;
	return core(elm_device)(elm);
}

struct iommu_attach_elm *iommu_attach_find_elm(struct iommu_attach_list *alist,
					       const struct device *dev, unsigned int pasid)
{
	struct iommu_attach_elm *elm;

	if (BAD_LIST(alist) || NOT_LOCKED(alist))
		return NULL;
	list_for_each_entry(elm, &alist->all, all_item) {
		if (core(elm_device)(elm) == dev && elm->pasid == pasid)
			return elm;
	}
	return NULL;
}

/* Memory */

static void call_release(struct rcu_head *head)
{
	void (*release)(struct iommu_attach_elm *elm) = head->object;

	head->object = NULL;
	release(container_of(head, struct iommu_attach_elm, rcu));
}

int iommu_attach_defer(struct iommu_attach_elm *elm,
		       void (*release)(struct iommu_attach_elm *elm))
{
	ENTER();
	void *object;

	if (BAD_PLACE())
		return -EDEADLK;
	if (WARN_ONCE(!elm, "the attachment is NULL") ||
	    WARN_ONCE(!release, "there is no function to release it"))
		return -EINVAL;
	if (WARN_ONCE(elm->alist, "the attachment is on a list"))
		return -EBUSY;
	/* Of two threads, too, one is refused, which has written nothing. */
	object = READ_ONCE(elm->rcu.object);
	if (WARN_ONCE((object && object != &deleted) ||
		      !__atomic_compare_exchange_n(&elm->rcu.object, &object, (void *)release,
						   false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED),
		      "the attachment is deferred already, or its opaque part is not zero"))
		return -EBUSY;
	defer(&elm->rcu, release, call_release);
	return 0;
}

void iommu_attach_barrier(void)
{
	ENTER();

	if (BAD_PLACE_TO_WAIT() ||
	    WARN_ONCE(shim_rcu_in_callback(), "called by a release function, which it would wait for"))
		return;
	rcu_barrier();
}

int iommu_attach_del_free_at(struct iommu_attach_list *alist,
			     struct iommu_attach_elm *elm, size_t offset)
{
	ENTER();

	if (BAD_PLACE())
		return -EDEADLK;
	if (BAD_LIST(alist) || WARN_ONCE(!elm, "the attachment is NULL"))
		return -EINVAL;
	return del(alist, elm, (char *)elm - offset);
}

int iommu_attach_del_nest_free_at(struct iommu_attach_list *s1,
				  struct iommu_attach_list *s2,
				  struct iommu_attach_nest *nest, size_t offset)
{
	ENTER();

	if (BAD_PLACE())
		return -EDEADLK;
	if (BAD_LIST(s1) || BAD_LIST(s2) || WARN_ONCE(!nest, "the nest is NULL"))
		return -EINVAL;
	return del_nest(s1, s2, nest, (char *)nest - offset);
}

/* Counters */

void iommu_attach_read_counters(struct iommu_attach_list *alist,
				struct iommu_attach_counters *counters)
{
	if (WARN_ONCE(!counters, "there is no place for the counters"))
		return;
	*counters = (struct iommu_attach_counters){};
	if (!alist || !BAD_LIST(alist))
		lib_read_counters(alist, counters);
}

unsigned int iommu_attach_version(void)
{
	return IOMMU_ALIST_VERSION;
}
