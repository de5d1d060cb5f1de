/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accesses that races are allowed on are __atomic, so that ThreadSanitizer knows
 * them from the others. It does not know fences, and gets those that it does not warn of.
 */
#ifndef _LINUX_COMPILER_H
#define _LINUX_COMPILER_H

#include <sys/cdefs.h>			/* before its __always_inline is replaced */

#include <linux/kconfig.h>

#if defined(__SANITIZE_THREAD__)
#define SHIM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHIM_TSAN 1
#endif
#endif

#define __rcu
#define __private
#define ACCESS_PRIVATE(ptr, member)	((ptr)->member)
#define __acquires(lock)
#define __releases(lock)
#undef __counted_by			/* newer systems' own headers have one */
#define __counted_by(member)
#define noinline			__attribute__((__noinline__))
#undef __always_inline
#ifdef SHIM_COVERAGE			/* one copy of each branch */
#define __always_inline			inline
#else
#define __always_inline			inline __attribute__((__always_inline__))
#endif
#define fallthrough			__attribute__((__fallthrough__))

#define likely(x)			__builtin_expect(!!(x), 1)
#define unlikely(x)			__builtin_expect(!!(x), 0)
/* Of stack variables, where the compiler is told to clear those. */
#define __uninitialized
#define barrier()			__asm__ __volatile__("" : : : "memory")
#define OPTIMIZER_HIDE_VAR(var)	__asm__("" : "=r" (var) : "0" (var))

#define READ_ONCE(x)			__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value)						\
	__atomic_store_n(&(x), (typeof(x))(value), __ATOMIC_RELAXED)

#ifdef SHIM_TSAN
#define __smp_mb()			__sync_synchronize()
#define __smp_rmb()			__sync_synchronize()
#else
/* On x86 a locked instruction, as in the kernel: half the cost of mfence. */
#define __smp_mb()			__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define __smp_rmb()			__atomic_thread_fence(__ATOMIC_ACQUIRE)
#endif

#if defined(CONFIG_PROVE_LOCKING) && !defined(SHIM_LIBRARY)
extern void (*shim_mb_hook)(void);	/* see shim.h */
#define smp_mb()							\
do {									\
	if (unlikely(shim_mb_hook))					\
		shim_mb_hook();						\
	__smp_mb();							\
} while (0)
#else
#define smp_mb()			__smp_mb()
#endif
/* What a device has written, not only a model's thread: beyond the inner domain of CPUs. */
#if defined(__aarch64__)
#define dma_rmb()			__asm__ __volatile__("dmb oshld" : : : "memory")
#else
#define dma_rmb()			__smp_rmb()
#endif
#define smp_load_acquire(ptr)		__atomic_load_n(ptr, __ATOMIC_ACQUIRE)
#define smp_store_release(ptr, value)					\
	__atomic_store_n(ptr, (typeof(*(ptr)))(value), __ATOMIC_RELEASE)
#if defined(__x86_64__)
#define cpu_relax()			__builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax()			__asm__ __volatile__("yield" : : : "memory")
#else
#define cpu_relax()			barrier()
#endif

#endif
