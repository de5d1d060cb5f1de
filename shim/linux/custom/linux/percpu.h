/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What each thread has of its own, as each CPU has in the kernel
 *
 * A thread that counts, locks or reads for the first time gets a block of memory, and
 * gives it back when it ends, with what it has counted; the next new thread counts on
 * from there. What alloc_percpu() returns is an offset into all blocks. Block 0 is shared
 * by threads that could not get one.
 */
#ifndef _LINUX_PERCPU_H
#define _LINUX_PERCPU_H

#include <linux/compiler.h>
#include <linux/types.h>

#define __percpu

#define SHIM_BLOCK_SIZE	(1UL << 20)	/* reserved; what is not counted in takes no memory */

/* At the begin of each block. Written by the thread, read by all. */
struct shim_thread {
	unsigned long rcu;		/* read-side sections, see rcupdate.h */
	unsigned long busy;		/* fork() waits, see shim_busy_begin() */
};

extern __thread struct shim_thread *shim_thread;	/* NULL: none yet */

/* Barriers between threads that are seldom waited for and those that wait for them. */
extern bool shim_has_membarrier;
void shim_barrier_all(void);		/* a full one in all threads */

static inline void shim_barrier_light(void)
{
#ifdef SHIM_TSAN
	__smp_mb();
#else
	if (likely(READ_ONCE(shim_has_membarrier)))
		barrier();
	else
		__smp_mb();
#endif
}

bool shim_take_block(void);
void *shim_alloc_percpu(size_t size, size_t limit);
void free_percpu(void *ptr);
int shim_percpu_blocks(void);
char *shim_percpu_at(int block);
void shim_percpu_add(uintptr_t offset, unsigned long value);

/*
 * What a child of fork() needs whole: in between, no other thread forks. Nests; the child
 * of a thread that forks in between may only exec.
 */
void shim_busy_begin(void);
void shim_busy_end(void);
bool shim_busy(void);

#define alloc_percpu(type)	((type *)shim_alloc_percpu(sizeof(type), SHIM_BLOCK_SIZE))
#define per_cpu_ptr(ptr, cpu)						\
	((typeof(ptr))(void *)(shim_percpu_at(cpu) + (uintptr_t)(ptr)))
#define for_each_possible_cpu(cpu)					\
	for ((cpu) = 0; (cpu) < shim_percpu_blocks(); (cpu)++)

/* Where ThreadSanitizer meets those who have counted: it does not see through barriers. */
extern char shim_percpu_counted;

#ifdef SHIM_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define shim_tsan_acquire(addr)	__tsan_acquire(addr)
#define shim_tsan_release(addr)	__tsan_release(addr)
#else
#define shim_tsan_acquire(addr)	((void)(addr))
#define shim_tsan_release(addr)	((void)(addr))
#endif

/*
 * Adds in the block of the calling thread, which is not NULL. Whole with regard to signals.
 * Only the thread itself writes to its block.
 */
static inline void shim_block_add(struct shim_thread *thread, uintptr_t offset,
				  unsigned long value)
{
	unsigned long *counter = (unsigned long *)(void *)((char *)thread + offset);

#if defined(__x86_64__) && !defined(SHIM_TSAN)
	__asm__ __volatile__("addq %1, %0" : "+m"(*counter) : "er"(value) : "cc");
#else
	__atomic_fetch_add(counter, value, __ATOMIC_ACQ_REL);
#endif
}

static inline void shim_this_cpu_add(uintptr_t offset, unsigned long value)
{
	struct shim_thread *thread = shim_thread;

	/* The fence that counts it meets it in shim_percpu_blocks(). */
	shim_tsan_release(&shim_percpu_counted);
	if (likely(thread))
		shim_block_add(thread, offset, value);
	else
		shim_percpu_add(offset, value);
}

/* Of an unsigned long, which all are. */
#define this_cpu_add(counter, value)					\
do {									\
	_Static_assert(sizeof(counter) == sizeof(unsigned long), "");	\
	shim_this_cpu_add((uintptr_t)&(counter), value);		\
} while (0)
#define this_cpu_inc(counter)	this_cpu_add(counter, 1)

#endif
