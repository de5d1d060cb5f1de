/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fences beside flushes
 *
 * The counters, pairs and rounds of iommu-alist.c with all their interleavings: flushes
 * enter and leave on any of two CPUs, in between they read the slots of two targets; two
 * writers each take their target away, wait for a fence, and put it back. They share the
 * rounds: whoever gets the lock takes the round that is under way forward.
 *
 * One step is one load or store that another process could see; each counter is one. The
 * order of memory is sequential here: the litmus tests fence-* are about the rest.
 *
 * What the fence is for: when it ends, no flush has a command on its way to the target, and
 * none sends one until the target is put back.
 *
 * What stands for a statement of the core names it, as in a litmus test.
 *
 * proof FLUSHES=2 FENCES=3
 * proof FLUSHES=3 FENCES=2
 * long FLUSHES=3 FENCES=3
 *
 * twin ONE_PAIR FLUSHES=2 FENCES=3
 * twin NO_LAST_PAIR FLUSHES=2 FENCES=2
 * twin NO_FLIP FLUSHES=2 FENCES=3
 * twin JOINS_A_ROUND FLUSHES=2 FENCES=2
 * twin ENTRIES_FIRST FLUSHES=3 FENCES=2
 * twin LATE_ENTRY FLUSHES=2 FENCES=2
 * twin EARLY_LEAVE FLUSHES=2 FENCES=2
 * twin OTHER_LEAVE FLUSHES=3 FENCES=3
 * twin UNLOCKED FLUSHES=2 FENCES=3
 */

#ifndef FLUSHES
#define FLUSHES 2		/* of both flushers */
#endif
#ifndef FENCES
#define FENCES 2		/* of both writers */
#endif

#define BIT(n)	(1 << (n))

mtype = { FENCE_IDLE, FENCE_OTHER, FENCE_LAST };

bit cur;
byte enter[4], leave[4];	/* by pair and CPU */
mtype state = FENCE_IDLE;
byte done;
bit locked;

byte slots = 3;			/* targets */
byte fenced;			/* targets that no command may be for */
byte sent[2];			/* commands on their way, of each flusher */
byte flushes, fences;

#define ctr(pair, cpu)	((pair) * 2 + (cpu))

inline look_at_slot(n)
{
	if
	:: slots & BIT(n) ->
		assert(!(fenced & BIT(n)));
		sent[id] = sent[id] | BIT(n)
	:: else
	fi
}

inline count_entry()
{
	if
	/* __iommu_attach_enter(): this_cpu_inc(fence->pair[cur]->enter); */
	:: d_step { enter[ctr(pair, 0)] = enter[ctr(pair, 0)] + 1 }
	:: d_step { enter[ctr(pair, 1)] = enter[ctr(pair, 1)] + 1 }
	fi
}

proctype flusher(bit id)
{
	bit pair;

end:	do
	:: d_step { flushes < FLUSHES ->
		flushes++;
		/* __iommu_attach_enter(): READ_ONCE(fence->cur); */
		pair = cur };
#ifndef LATE_ENTRY
		count_entry();
#endif
		/* __iommu_attach_send(): __iommu_attach_send_atcs( */
		/* __iommu_attach_target(): atomic64_read_acquire(slot) */
		d_step { look_at_slot(0) };
		d_step { look_at_slot(1) };
#ifdef LATE_ENTRY
		count_entry();
#endif
#ifndef EARLY_LEAVE
		/* __iommu_attach_pass(): ops->wait( */
		d_step { sent[id] = 0 };
#endif
#ifdef OTHER_LEAVE
		pair = cur;
#endif
		if
		/* __iommu_attach_leave(): this_cpu_inc(__iommu_attach_fence_of(entered)->pair[entered & 1]->leave); */
		:: d_step { leave[ctr(pair, 0)] = leave[ctr(pair, 0)] + 1; pair = 0 }
		:: d_step { leave[ctr(pair, 1)] = leave[ctr(pair, 1)] + 1; pair = 0 }
		fi;
#ifdef EARLY_LEAVE
		d_step { sent[id] = 0 }
#endif
	od
}

inline sum_leaves()
{
	/* fence_idle(): left += READ_ONCE(per_cpu_ptr(pair, cpu)->leave); */
	d_step { total = total - leave[ctr(pair, 0)] };
	d_step { total = total - leave[ctr(pair, 1)] }
}

inline sum_entries()
{
	/* fence_idle(): entered += READ_ONCE(per_cpu_ptr(pair, cpu)->enter); */
	d_step { total = total + enter[ctr(pair, 0)] };
	d_step { total = total + enter[ctr(pair, 1)] }
}

/* @total: entries less leaves */
inline fence_idle()
{
#ifdef ENTRIES_FIRST
	sum_entries();
	sum_leaves();
#else
	sum_leaves();
	sum_entries();
#endif
	/* fence_idle(): return entered == left; */
}

inline fence_advance()
{
	if
	/* fence_advance(): if (fence->state == FENCE_IDLE) */
	:: d_step { state == FENCE_IDLE -> state = FENCE_OTHER }
	:: else
	fi;
	if
	/* fence_advance(): if (fence->state == FENCE_OTHER) */
	:: state == FENCE_OTHER ->
		d_step { pair = !cur; total = 0 };
#ifndef ONE_PAIR
		/* fence_advance(): if (!fence_idle(fence->pair[other])) */
		fence_idle();
#endif
		if
		:: d_step { total == 0 ->
#ifndef NO_FLIP
			/* fence_advance(): WRITE_ONCE(fence->cur, other); */
			cur = !cur;
#endif
			/* fence_advance(): fence->state = FENCE_LAST; */
			state = FENCE_LAST }
		:: else
		fi
	:: else
	fi;
	if
	:: state == FENCE_LAST ->
		d_step { pair = !cur; total = 0 };
#ifndef NO_LAST_PAIR
		/* fence_advance(): if (!fence_idle(fence->pair[other])) */
		fence_idle();
#endif
		if
		:: d_step { total == 0 ->
			/* fence_advance(): fence->state = FENCE_IDLE; */
			state = FENCE_IDLE;
			/* fence_advance(): smp_store_release(&fence->done, fence->done + 1); */
			done++ }
		:: else
		fi
	:: else
	fi
}

proctype writer(bit id)
{
	byte cookie;
	short total;
	bit pair;

end:	do
	:: d_step { fences < FENCES ->
		fences++;
		/* del_target(): atomic64_set(&slots->slot[elm->slot], 0); */
		slots = slots & ~BIT(id) };
		d_step { !locked ->
			/* iommu_attach_fence_begin(): raw_spin_lock_irqsave(&fence->lock, flags); */
			/* iommu_attach_fence_begin(): cookie = fence->done + (fence->state == FENCE_IDLE ? 1 : 2); */
#ifdef JOINS_A_ROUND
			cookie = done + 1
#else
			cookie = done + (state == FENCE_IDLE -> 1 : 2)
#endif
		};
		do
		/* iommu_attach_fence_poll(): done = smp_load_acquire(&fence->done) */
		:: d_step { done >= cookie ->
			assert(!((sent[0] | sent[1]) & BIT(id)));
			fenced = fenced | BIT(id);
			cookie = 0 };
			break
		/* iommu_attach_fence_poll(): raw_spin_trylock_irqsave(&fence->lock, flags) */
#ifdef UNLOCKED
		:: done < cookie ->
#else
		:: d_step { done < cookie && !locked -> locked = 1 };
#endif
			/* iommu_attach_fence_poll(): fence_advance(fence); */
			fence_advance();
			/* iommu_attach_fence_poll(): raw_spin_unlock_irqrestore(&fence->lock, flags); */
			d_step { locked = 0; total = 0; pair = 0 }
		od;
		/* It is put back. */
		true;
		d_step { fenced = fenced & ~BIT(id); slots = slots | BIT(id) }
	od
}

init
{
	atomic {
		run flusher(0);
		run flusher(1);
		run writer(0);
		run writer(1)
	}
}
