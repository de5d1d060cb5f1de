/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_GRACE_H
#define BENCH_GRACE_H

/* One RCU; what a thread does to be known to it, or NULL. */
struct grace_rcu {
	const char *name;
	void (*begin_thread)(void);
	void (*end_thread)(void);
	void (*lock)(void);
	void (*unlock)(void);
	void (*synchronize)(void);
};

/* liburcu's. */
extern const struct grace_rcu grace_memb, grace_bp;

#endif /* BENCH_GRACE_H */
