/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What user space can do to the shim that the kernel's API has no word for.
 *
 * The shim is the part of the kernel's API that the core, its tests and the example
 * drivers use, on pthreads. Its headers are sorted by what they are:
 *
 *   linux/dup/     the semantics of the kernel, written anew (lists, bits)
 *   linux/stubs/   accepted and ignored (exports, module information)
 *   linux/custom/  changed on purpose: memory that can fail and is really freed,
 *                  locks that know their owner, RCU that knows its readers,
 *                  warnings that can be fatal
 */
#ifndef SHIM_H
#define SHIM_H

#include <stdbool.h>

/*
 * Allocations. The nth one from now fails, once; 0: none. Counted over all threads.
 */
void shim_fail_nth(unsigned long n);
unsigned long shim_allocs(void);	/* attempts so far */
bool shim_alloc_fails(void);		/* for those who allocate */
unsigned long shim_live(void);		/* objects allocated and not freed */
unsigned long shim_live_bytes(void);	/* in them */

/*
 * Warnings: WARN_ON() and the checks of locks and RCU. Built with
 * CONFIG_PANIC_ON_WARN, as all tests are, one that is not expected ends the process.
 */
void shim_warn_expect(bool on);
unsigned long shim_warnings(void);	/* so far */
void shim_warn_reset(void);		/* WARN_ON_ONCE() warns once more */

/*
 * Called at each smp_mb(), if set and built with CONFIG_PROVE_LOCKING. What is written
 * before a full barrier can be seen from here, what is read after it can be changed:
 * so a test can tell on which side of the barrier an access is. For tests of one
 * thread.
 */
extern void (*shim_mb_hook)(void);

/* The same after each atomic64_read(): what happens before the next access? */
extern void (*shim_read_hook)(void);

unsigned long shim_grace_periods(void);	/* waited for so far */

/* Waits until everything given to kfree_rcu() so far is freed. */
void shim_rcu_barrier(void);

#endif /* SHIM_H */
