/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flushes beside attaches, detaches, fences and drains
 *
 * The protocol of iommu-alist.c with all its interleavings: two walkers, which flush again
 * and again; two writers, which do OPS operations in all, whatever they like, on three
 * attachments: attach with or without an ATC, detach, enable and disable the ATC; and which
 * fence or drain when they like. The order of memory is sequential here: the litmus tests are about
 * the rest.
 *
 * One step is one store or one load that another process could see. One step with it is
 * what makes no difference to the others, so that fewer states say the same:
 *   - what a writer does to its own memory, or under the lock to what walkers do not read;
 *   - to choose an operation and to begin it, since nobody sees the choice;
 *   - to take the lock and to store for the first time, to store for the last time and to
 *     release it, since who waits for the lock can do nothing in between;
 *   - to write the page table, to enter the read section and to load the table. In between
 *     what the hardware has cached can only become less, and what comes to be used then
 *     has the new page table or is seen by the load;
 *   - to store a target's number and its block's, and to load them: a walk that loads the
 *     block's looks at the other one only if that is too high, and it never becomes lower.
 *
 * What the list is for is checked as the hardware would show it. When an unmap begins,
 * each tag that has been used and not flushed since, and each ATC in use, has the page: they
 * are stale for this walker. A command makes them clean when it completes, as late as that;
 * an ATC that is enabled before can have fetched the page from the IOTLB. So a walk that
 * misses a permanent attachment, or one of which the hardware began to make use too early,
 * ends with something stale that is in use.
 *
 * Walker 0 sends ATC commands when the IOTLB part has completed, walker 1 with the IOTLB
 * commands and again, for who came in between, when those have completed. A pass with ATC
 * commands enters the fence before it looks for targets and leaves its read section before
 * it waits; one without enters the fence at the end of its read section. There is one IOMMU,
 * and its fence is a set here: those inside when a fence begins have left when it ends. That
 * the counters do this is what fence.pml shows.
 *
 * A pass with ATC commands may time out, once a flush: nothing of it has been done then. The
 * walker leaves the fence at once, enters it again through a group that is live, and sends
 * anew. It does so in one go: the core asks the targets one by one, behind the IOTLB
 * commands, which makes no difference to who waits for the fence.
 *
 * Memory: objects are freed, and used again, as soon as the last walker that was inside its
 * read section has left. What a walker touches must not be free.
 *
 * Three worlds, by key and ATC target of the attachments:
 *   WORLD=1: one group, three targets: slots, their reuse, blocks
 *   WORLD=2: two equal attachments, and a group with one
 *   WORLD=3: three groups: tables
 *
 * What stands for a statement of the core names it, as in a litmus test.
 *
 * What is run. One walker, the second one, and three operations take seconds; two walkers
 * take longer. Twins have a fault each and must be found out, with one walker and with two.
 *
 * proof WORLD=1
 * proof WORLD=2
 * proof WORLD=3
 * long WORLD=1 WALKERS=2 OPS=2
 * long WORLD=2 WALKERS=2 OPS=2
 * long WORLD=3 WALKERS=2 OPS=2
 *
 * twin TABLE_FREED_AT_ONCE WORLD=3
 * twin GROUP_FREED_AT_ONCE WORLD=3
 * twin SLOTS_FREED_AT_ONCE WORLD=1
 * twin TABLE_IN_PLACE WORLD=3
 * twin GROUP_COPIED WORLD=3 OPS=2
 * twin GROUP_HANDED_OVER WORLD=2
 * twin COUNT_NOT_SHARED WORLD=2 OPS=2
 * twin SLOT_MOVED WORLD=1
 * twin NUMBER_FIRST WORLD=1
 * twin NUMBER_UNCHECKED WORLD=1
 * twin NUMBER_LATE WORLD=1
 * twin ONE_PASS WORLD=1
 * twin DECIDED_EARLY WORLD=1
 * twin DRAIN_MISSES_A_WALKER WORLD=1
 * twin DRAIN_FIRST WORLD=1
 * twin FENCE_MISSES_A_WALKER WORLD=1
 * twin FENCE_LATE WORLD=1
 * twin FENCE_LEFT_EARLY WORLD=1
 * twin PASS_UNFENCED WORLD=1
 * twin SEARCH_UNFENCED WORLD=1
 * twin SEARCH_WITHOUT_IOTLB WORLD=1
 * twin DRAIN_WITHOUT_FENCE WORLD=3
 * twin TAG_REVIVED WORLD=1
 */

#ifndef OPS
#define OPS 3
#endif
#ifndef WORLD
#define WORLD 1
#endif
#ifndef WALKERS
#define WALKERS 1
#endif

#if WORLD == 1
#define KEY(a)		1
#define TARGET(a)	(a)
#elif WORLD == 2
#define KEY(a)		((a) == 2)
#define TARGET(a)	((a) == 2)
#else
#define KEY(a)		(2 - (a))
#define TARGET(a)	(a)
#endif

#define NR	3		/* attachments, keys, targets */
#define GROUPS	4		/* the first one is inside the list */
#define TABLES	4		/* the first one stands for none */
#define BLOCKS	4		/* the first one stands for none */
#define ROOM	2		/* slots of a block */
#define NONE	7

#define BIT(n)	(1 << (n))

/* What has one of the attachments in @set. */
#define KEYS(set)	((((set) & 1) * BIT(KEY(0))) | (((set) >> 1 & 1) * BIT(KEY(1))) | \
			 (((set) >> 2 & 1) * BIT(KEY(2))))
#define TARGETS(set)	((((set) & 1) * BIT(TARGET(0))) | (((set) >> 1 & 1) * BIT(TARGET(1))) | \
			 (((set) >> 2 & 1) * BIT(TARGET(2))))

/*
 * Memory and grace periods
 */

#define FREE		0
#define USED		BIT(7)

#define GROUP(i)	(i)
#define TABLE(i)	(4 + (i))
#define BLOCK(i)	(8 + (i))
#define OBJECTS		12

byte memory[OBJECTS];		/* FREE, USED, or the walkers that its end waits for */
byte reading;			/* walkers inside a read section */
byte drain_waits[2];		/* of each writer, for walkers */
byte inside;			/* walkers in the fence */
byte fence_waits[2];

#define die(o)		memory[o] = reading

/*
 * The list
 */

bit locked;
bit tags;			/* the driver's: attaches beside a last detach and its flush */
byte table;			/* 0: the first group is all there is */
byte atc_seq, nr_atc;

byte group_key[GROUPS] = NONE;
byte users[GROUPS];
byte blocks[GROUPS];		/* the first block */

byte table_nr[TABLES];
byte table_group[12];		/* TABLES * NR */

byte block_next[BLOCKS], block_seq[BLOCKS], block_nr[BLOCKS], block_used[BLOCKS];
byte slot[8];			/* BLOCKS * ROOM: target + 1, or 0 */
byte number[8];

byte elm_group[NR] = NONE;	/* NONE: not on the list */
byte elm_block[NR];		/* 0: no target */
byte elm_slot[NR];
byte busy[2];			/* the attachment that a writer works at */
byte ops;			/* that were begun */

/*
 * The hardware
 */

byte hw_on, hw_atc;		/* attachments: the IOMMU translates, ATS requests too */
byte tagged;			/* keys of which the IOTLB may have entries */
byte served, served_atc;	/* attachments that have not been drained */
byte undrained[2], undrained_atc[2];	/* of each writer */
byte stale_iotlb[2];	/* keys */
byte stale_atc[2];	/* targets */
byte sent_iotlb[2];	/* keys and targets with a command on its way */
byte sent_atc[2];
byte yielded[2];		/* targets sent to that have not been added anew */
byte latched[2];		/* what was read from a slot, unless added anew */


#define old_nr		(table -> table_nr[table] : 1)
#define old_group(i)	(table -> table_group[table * NR + (i)] : 0)

/*
 * Walkers
 */

/* The group at @i of the walker's table. */
inline get_group()
{
	if
	:: my_table ->
		assert(memory[TABLE(my_table)] != FREE);
		g = table_group[my_table * NR + i]
	:: else -> g = 0
	fi;
	assert(memory[GROUP(g)] != FREE)
}

/* The block after @next, or the next group, or the end of the pass. */
inline get_block(next)
{
	b = next;
	if
	:: b -> step = END
	:: else -> next_group()
	fi
}

inline next_group()
{
	if
	:: i < nr -> step = FIRST_BLOCK
	:: else -> i = 0; found = 0; pass = 0; step = SENT
	fi
}

inline next_slot()
{
	s++;
	if
	:: s < end -> step = SLOT
	:: else -> s = 0; end = 0; step = NEXT_BLOCK
	fi
}

inline leave()
{
	reading = reading & ~BIT(w);
	drain_waits[0] = drain_waits[0] & ~BIT(w);
	drain_waits[1] = drain_waits[1] & ~BIT(w);
	for (i : 0 .. 11) {
		memory[i] = memory[i] & ~BIT(w)
	}
	i = 0
}

/* __iommu_attach_enter() and __iommu_attach_fence_enter(), and __iommu_attach_leave() */
inline enter_fence()
{
	inside = inside | BIT(w)
}

inline leave_fence()
{
	inside = inside & ~BIT(w);
	fence_waits[0] = fence_waits[0] & ~BIT(w);
	fence_waits[1] = fence_waits[1] & ~BIT(w)
}

/* What is looked at next. */
mtype = { IDLE, ANY_ATC, UNTIL, ENTER, TAG, FIRST_BLOCK, END, SLOT, NUMBER, NEXT_BLOCK, SENT, COMPLETED,
	  SEARCH, LIVE, AGAIN, STILL_ATC, UNTIL_NOW, LEAVE, LATE, DONE };

/* An option is a step. */
proctype walker(byte w)
{
	mtype step = IDLE;
	byte my_table, nr, i, g, b, s, end, value, number_is;
	byte after, until;	/* numbers of the targets that the pass sends to */
	byte first;		/* group in use, if found */
	byte pass;		/* targets that the pass has sent to */
	bit found, second, fenced, timed_out;
#ifdef DECIDED_EARLY
	byte early;
#endif

	do
	:: d_step { step == IDLE ->
		/* The page is taken out of the page table. */
		stale_iotlb[w] = tagged;
		stale_atc[w] = TARGETS(hw_atc);
		/* __iommu_attach_flush(): if (with_atc && unlikely(READ_ONCE(alist->nr_atc))) */
		fenced = (w == 1 && nr_atc);
		step = ANY_ATC }

	:: d_step { step == ANY_ATC ->
		/* __iommu_attach_pass(): rcu_read_lock(); */
		reading = reading | BIT(w);
		/* __iommu_attach_send(): __iommu_attach_load(alist, &groups); */
		my_table = table;
		nr = old_nr;
		step = (fenced -> UNTIL : (second -> FIRST_BLOCK : TAG)) }

	:: d_step { step == UNTIL ->
		/* __iommu_attach_send(): flush->until = atomic64_read_acquire(&alist->atc_seq); */
#ifdef DECIDED_EARLY
		until = (second -> until : atc_seq);
#else
		until = atc_seq;
#endif
		step = ENTER }

	/* Whether any group is in use makes no difference: no fence is too much. */
	:: d_step { step == ENTER ->
#ifndef PASS_UNFENCED
#ifndef FENCE_LATE
		/* __iommu_attach_send(): sent->entered = __iommu_attach_enter(group->fence); */
		enter_fence();
#endif
#endif
		step = (second -> FIRST_BLOCK : TAG) }

	:: d_step { step == TAG ->
		get_group();
		if
		/* __iommu_attach_send(): live = group; */
		:: users[g] ->
			assert(KEYS(served) & BIT(group_key[g]));
			assert(!(sent_iotlb[w] & BIT(group_key[g])));
			/* __iommu_attach_send(): ops->iotlb(group, arg); */
			sent_iotlb[w] = sent_iotlb[w] | BIT(group_key[g]);
			first = (until && !found -> i : first);
			found = until > 0
		:: else
		fi;
		i++;
		g = 0;
		if
		:: i == nr ->
			i = (found -> first : 0);
			step = (found -> FIRST_BLOCK : SENT);
			first = 0
		:: else
		fi }

	/* The pass over targets begins with the first group that is found in use. */
	:: d_step { step == FIRST_BLOCK ->
		get_group();
		if
		/* __iommu_attach_send(): __iommu_attach_send_atcs(*pos, flush, ops, arg, after, */
		/* __iommu_attach_send_atcs(): hlist_for_each_entry_rcu(slots, &group->slots, item) */
		:: found -> i++; get_block(blocks[g])
		:: !found && users[g] -> found = 1
		:: else -> i++; next_group()
		fi;
		g = 0 }

	:: d_step { step == END ->
		assert(memory[BLOCK(b)] != FREE);
		/* __iommu_attach_slots_end(): READ_ONCE(slots->end) */
		end = block_nr[b];
		step = (end -> SLOT : NEXT_BLOCK) }

	:: d_step { step == SLOT ->
		assert(memory[BLOCK(b)] != FREE);
		/* __iommu_attach_target(): atomic64_read_acquire(slot) */
		value = slot[b * ROOM + s];
		if
		:: value -> latched[w] = BIT(value - 1); step = NUMBER
		:: else -> next_slot()
		fi }

	:: d_step { step == NUMBER ->
		assert(memory[BLOCK(b)] != FREE);
		value--;
#ifdef NUMBER_UNCHECKED
		number_is = after + 1;
#else
		/* __iommu_attach_target(): seq = atomic64_read(&slots->seq); */
		number_is = block_seq[b];
		if
		/* __iommu_attach_target(): if (unlikely(after || seq > until)) */
		/* __iommu_attach_target(): seq = atomic64_read(&slot[slots->capacity]); */
		:: after || number_is > until -> number_is = number[b * ROOM + s]
		:: else
		fi;
#endif
		if
		/* __iommu_attach_target(): if (seq <= after || seq > until) */
		:: number_is > after && number_is <= until ->
			assert(TARGETS(served_atc) & BIT(value));
			assert(!(pass & BIT(value)));
			assert(!(yielded[w] & BIT(value)));
			pass = pass | BIT(value);
			yielded[w] = yielded[w] | latched[w];
			/* __iommu_attach_send_atcs(): ops->atc( */
			sent_atc[w] = sent_atc[w] | BIT(value)
		:: else
		fi;
		latched[w] = 0;
		value = 0;
		number_is = 0;
		next_slot() }

	:: d_step { step == NEXT_BLOCK ->
		assert(memory[BLOCK(b)] != FREE);
		get_block(block_next[b]) }

	/* The read section ends before what is in flight. */
	:: d_step { step == SENT ->
#ifdef DECIDED_EARLY
		early = atc_seq;
		step = LEAVE }
	:: d_step { step == LEAVE ->
#endif
#ifdef FENCE_LATE
		/* Not before the read section has ended. */
		leave();
		step = LATE }
	:: d_step { step == LATE ->
		enter_fence();
#else
		if
		/* __iommu_attach_pass(): rcu_read_unlock(); */
		:: !fenced -> enter_fence()
		/* __iommu_attach_pass(): __iommu_attach_fence_enter(done, end - done); */
		:: else
		fi;
		leave();
#endif
#ifdef FENCE_LEFT_EARLY
		leave_fence();
#endif
		my_table = 0; nr = 0;
		step = COMPLETED }

	/* The hardware has done all of it, and that has been read. */
	:: d_step { step == COMPLETED ->
		/* __iommu_attach_flush_slow(): flush->ops->wait( */
		stale_iotlb[w] = stale_iotlb[w] & ~sent_iotlb[w];
		stale_atc[w] = stale_atc[w] & ~sent_atc[w];
		sent_iotlb[w] = 0;
		sent_atc[w] = 0;
		/* flush_leave(): __iommu_attach_leave(sent->entered); */
		leave_fence();
		step = (second -> DONE : STILL_ATC) }

	/* Or none of it: a device does not answer. Its IOMMU is not held meanwhile. */
	:: d_step { step == COMPLETED && fenced && !timed_out ->
		timed_out = 1;
		yielded[w] = yielded[w] & ~sent_atc[w];
		sent_iotlb[w] = 0;
		sent_atc[w] = 0;
		/* flush_finish(): flush_leave(&sent[i]); */
		leave_fence();
		step = SEARCH }

	:: d_step { step == SEARCH ->
		/* __iommu_attach_flush_slow(): flush_recover(flush, sent, nr, ret) */
		/* recover_step(): if (!flush_enter(alist, sent)) */
		/* flush_enter(): rcu_read_lock(); */
		reading = reading | BIT(w);
		/* flush_enter(): __iommu_attach_load(alist, &groups); */
		my_table = table;
		nr = old_nr;
		step = LIVE }

	:: d_step { step == LIVE ->
		get_group();
		if
		/* flush_next_group(): __iommu_attach_live(group) */
		:: users[g] ->
#ifndef SEARCH_UNFENCED
			/* flush_enter(): sent->entered = __iommu_attach_enter(group->fence); */
			enter_fence();
#endif
			/* flush_enter(): rcu_read_unlock(); */
			leave();
			my_table = 0; nr = 0;
			step = AGAIN
		:: else ->
			i++;
			if
			:: i == nr ->
				/* All was detached: there is nothing to search. */
				leave();
				my_table = 0; nr = 0;
				step = (second -> DONE : STILL_ATC)
			:: else
			fi
		fi;
		g = 0 }

	:: d_step { step == AGAIN ->
		/* recover_step(): more = recover_begin(flush, alist, sent, recovery, ret); */
		/* flush_again(): rcu_read_lock(); */
		reading = reading | BIT(w);
		/* flush_again(): __iommu_attach_load(alist, &groups); */
		my_table = table;
		nr = old_nr;
#ifdef SEARCH_WITHOUT_IOTLB
		step = FIRST_BLOCK }
#else
		/* recover_begin(): flush_again(flush, alist, sent, what) */
		/* recover_go_on(): recover_next(flush, alist, sent, recovery, ret) */
		step = (second -> FIRST_BLOCK : TAG) }
#endif

	:: d_step { step == STILL_ATC ->
		/* __iommu_attach_load_atcs(): !READ_ONCE(alist->nr_atc) */
#ifdef ONE_PASS
		step = (w == 1 || !nr_atc -> DONE : UNTIL_NOW)
#else
		step = (!nr_atc -> DONE : UNTIL_NOW)
#endif
		}

	:: d_step { step == UNTIL_NOW ->
		second = 1;
		fenced = 1;
		/* __iommu_attach_flush(): after = flush->until; */
		after = until;
#ifdef DECIDED_EARLY
		until = early;
		early = 0;
#else
		/* __iommu_attach_load_atcs(): *until = atomic64_read_acquire(&alist->atc_seq); */
		until = atc_seq;
#endif
		/* __iommu_attach_flush(): unlikely(flush->until != after) */
		step = (until == after -> DONE : ANY_ATC) }

	:: d_step { step == DONE ->
		/* Nothing stale is in use. */
		assert(!(stale_iotlb[w] & KEYS(hw_on)));
		assert(!(stale_atc[w] & TARGETS(hw_atc)));
		stale_iotlb[w] = 0;
		stale_atc[w] = 0;
		yielded[w] = 0;
		fenced = 0;
		my_table = 0; nr = 0; after = 0; until = 0; second = 0; timed_out = 0;
		step = IDLE }
	od
}

/*
 * Writers
 */

/* @g, or NONE. */
inline find_group()
{
	g = NONE;
	for (i : 0 .. 2) {
		if
		:: i < old_nr && group_key[old_group(i)] == KEY(a) -> g = old_group(i)
		:: else
		fi
	}
	i = 0
}

/* One that is free, of three. There is always one: there are no more operations. */
#define is_free(o)	(memory[o] == FREE)
#define any_free(OF)	(is_free(OF(1)) || is_free(OF(2)) || is_free(OF(3)))
#define find_free(OF)	(is_free(OF(1)) -> 1 : (is_free(OF(2)) -> 2 : 3))

inline new_group()
{
	assert(any_free(GROUP) && any_free(TABLE));
	g = find_free(GROUP);
	memory[GROUP(g)] = USED;
	group_key[g] = KEY(a);
	users[g] = 0;
	blocks[g] = 0
}

#ifdef GROUP_COPIED
#define MOVE(e)	elm_group[e] = (elm_group[e] == from -> to : elm_group[e])

/* The old one is left to the old table. */
inline copy_group()
{
	to = find_free(GROUP);
	memory[GROUP(to)] = USED;
	group_key[to] = group_key[from];
	users[to] = users[from];
	blocks[to] = blocks[from];
	MOVE(0);
	MOVE(1);
	MOVE(2);
	table_group[b * NR + n] = to;
	die(GROUP(from))
}
#endif

inline publish_group()
{
	b = find_free(TABLE);
	memory[TABLE(b)] = USED;
	n = 0;
	s = 0;
	for (i : 0 .. 2) {
		if
		:: i < old_nr && group_key[old_group(i)] > KEY(a) && !s ->
			table_group[b * NR + n] = g;
			n++;
			s = 1
		:: else
		fi;
		if
		/* part_add_group(): if (i < nr_old && (!idle || table_keeps(olds, nr_old, i, &run))) */
		:: i < old_nr && users[old_group(i)] ->
			table_group[b * NR + n] = old_group(i);
#ifdef GROUP_COPIED
			from = old_group(i);
			if
			:: from -> copy_group()
			:: else
			fi;
			from = 0; to = 0;
#endif
			n++
		:: else
		fi
	}
	if
	:: !s -> table_group[b * NR + n] = g; n++
	:: else
	fi;
	table_nr[b] = n;
	/* Published. What the old one has alone goes with it. */
	/* part_add_group(): rcu_assign_pointer(alist->table, new); */
	for (i : 0 .. 2) {
		if
		/* part_add_group(): if (table_keeps(olds, nr_old, i, &run)) */
		/* part_add_group(): kvfree_rcu(olds[i], rcu); */
		:: i < old_nr && old_group(i) && !users[old_group(i)] ->
			n = old_group(i);
#ifdef GROUP_FREED_AT_ONCE
			memory[GROUP(n)] = FREE
#else
			die(GROUP(n))
#endif
		:: else
		fi
	}
	if
	/* part_add_group(): kvfree_rcu(old, rcu); */
	:: table ->
#ifdef TABLE_FREED_AT_ONCE
		memory[TABLE(table)] = FREE
#else
		die(TABLE(table))
#endif
	:: else
	fi;
	table = b;
	b = 0; s = 0; i = 0; n = 0
}

inline count_user()
{
	elm_group[a] = g;
	/* part_add(): smp_store_release(&group->users, users + 1); */
	users[g] = users[g] + 1
}

inline unlock()
{
	locked = 0;
	tags = (has_tags -> 0 : tags);
	has_tags = 0;
	g = 0;
	b = 0;
	s = 0
}

#define shares(o)	((o) != a && elm_block[o] && elm_group[o] == g && TARGET(o) == TARGET(a))
#define shared		(shares(0) || shares(1) || shares(2))
#define has_room(b)	((b) && block_used[b] < ROOM)
#define first_block	blocks[g]
#define next_block	block_next[first_block]	/* there are two at most */
#define room		(has_room(first_block) || first_block && has_room(next_block))

inline share_target(o)
{
	elm_block[a] = elm_block[o];
	elm_slot[a] = elm_slot[o];
	unlock()
}

inline take_slot()
{
	/* part_add_target(): while (atomic64_read(&slots->slot[i])) */
	s = (slot[b * ROOM] -> 1 : 0);
	assert(!slot[b * ROOM + s]);
	block_used[b] = block_used[b] + 1;
	elm_block[a] = b;
	elm_slot[a] = s;
	if
	/* part_add_target(): WRITE_ONCE(slots->end, i + 1); */
	:: s == block_nr[b] -> block_nr[b] = s + 1
	:: else
	fi
}

inline set_number()
{
	/* part_add_target(): atomic64_set(&slots->slot[slots->capacity + i], seq); */
	number[b * ROOM + s] = atc_seq + 1;
	/* part_add_target(): atomic64_set(&slots->seq, seq); */
	block_seq[b] = atc_seq + 1
}

inline add_target()
{
	if
	/* part_add_target(): other = find_target(alist, group, elm->atc); */
	:: d_step { shares(0) -> share_target(0) }
	:: d_step { shares(1) -> share_target(1) }
	:: d_step { shares(2) -> share_target(2) }
	:: else ->
		if
		:: d_step { room ->
			b = (has_room(first_block) -> first_block : next_block);
			take_slot() }
		:: d_step { !room ->
			assert(any_free(BLOCK));
			b = find_free(BLOCK);
			memory[BLOCK(b)] = USED;
			block_nr[b] = 0;
			block_seq[b] = 0;
			block_used[b] = 0;
			block_next[b] = blocks[g];
			/* part_add_target(): add_slots(group, slots); */
			/* add_slots(): hlist_add_head_rcu(&slots->item, &group->slots); */
			blocks[g] = b };
			d_step { take_slot() }
		fi;
#ifdef NUMBER_FIRST
		d_step { atc_seq++; number[b * ROOM + s] = atc_seq; block_seq[b] = atc_seq };
#else
#ifndef NUMBER_LATE
		d_step { set_number() };
#endif
#endif
		d_step {
			/* part_add_target(): endpoint_join(elm); */
			/* endpoint_join(): atomic64_set_release(slot, elm->atc | IOMMU_ATTACH_LIVE); */
			slot[b * ROOM + s] = TARGET(a) + 1;
			/* It is another one from here on than what had a command before. */
			for (i : 0 .. 1) {
				yielded[i] = yielded[i] & ~BIT(TARGET(a));
				latched[i] = latched[i] & ~BIT(TARGET(a))
			}
			i = 0
		};
#ifdef NUMBER_LATE
		d_step { set_number() };
#endif
		/* part_add_target(): WRITE_ONCE(alist->nr_atc, alist->nr_atc + 1); */
		nr_atc++;
		d_step {
#ifndef NUMBER_FIRST
			/* part_add_target(): atomic64_set_release(&alist->atc_seq, seq); */
			atc_seq++;
#endif
			unlock()
		}
	fi
}

inline drop_slot()
{
	/* del_target(): WRITE_ONCE(slots->end, nr); */
	/* del_target(): slots->nr_used-- */
	block_nr[b] = (slot[b * ROOM + 1] -> 2 : (slot[b * ROOM] -> 1 : 0));
	block_used[b] = block_used[b] - 1
}

inline del_target()
{
	if
#ifndef COUNT_NOT_SHARED
	/* del_target(): if (find_target(alist, group, atc)) */
	:: d_step { shared ->
		elm_block[a] = 0;
		elm_slot[a] = 0 }
#endif
	:: else ->
		d_step {
			b = elm_block[a];
			s = elm_slot[a];
			elm_block[a] = 0;
			elm_slot[a] = 0;
			/* del_target(): atomic64_set(&slots->slot[elm->slot], 0); */
			slot[b * ROOM + s] = 0
		}
#ifdef SLOT_MOVED
		if
		:: d_step { s == 0 && slot[b * ROOM + 1] ->
			slot[b * ROOM] = slot[b * ROOM + 1];
			number[b * ROOM] = number[b * ROOM + 1];
			for (i : 0 .. 2) {
				if
				:: elm_block[i] == b && elm_slot[i] == 1 -> elm_slot[i] = 0
				:: else
				fi
			}
			i = 0;
			slot[b * ROOM + 1] = 0 }
		:: else
		fi;
#endif
		/* del_target(): WRITE_ONCE(alist->nr_atc, alist->nr_atc - 1); */
		nr_atc--;
		if
		:: d_step { block_used[b] > 1 -> drop_slot() }
		:: d_step { block_used[b] == 1 -> drop_slot() };
			d_step {
				if
				/* del_target(): hlist_del_rcu(&slots->item); */
				/* del_target(): kvfree_rcu(slots, rcu); */
				:: first_block == b -> first_block = block_next[b]
				:: else ->
					assert(next_block == b);
					next_block = block_next[b]
				fi;
#ifdef SLOTS_FREED_AT_ONCE
				memory[BLOCK(b)] = FREE
#else
				die(BLOCK(b))
#endif
			}
		fi
	fi
}

inline begin_fence()
{
	fence_waits[id] = inside;
#ifdef FENCE_MISSES_A_WALKER
	fence_waits[id] = fence_waits[id] & 1;
#endif
}

inline begin_drain()
{
	drain_waits[id] = reading;
#ifdef DRAIN_MISSES_A_WALKER
	drain_waits[id] = drain_waits[id] & 1;
#endif
}

/* No ATC command for them is on its way, and none will be. */
inline now_fenced()
{
	served_atc = served_atc & ~(undrained[id] | undrained_atc[id]);
	undrained_atc[id] = 0;
	assert(!((sent_atc[0] | sent_atc[1]) & ~TARGETS(served_atc)))
}

/* Nor any other. */
inline drained()
{
	now_fenced();
	served = served & ~undrained[id];
	undrained[id] = 0;
	assert(!((sent_iotlb[0] | sent_iotlb[1]) & ~KEYS(served)))
}

inline hardware_on()
{
	hw_on = hw_on | BIT(a);
	tagged = tagged | BIT(KEY(a))
}

inline hardware_atc_off()
{
	hw_atc = hw_atc & ~BIT(a);
	/* The driver has flushed the ATC. */
	stale_atc[0] = stale_atc[0] & TARGETS(hw_atc);
	stale_atc[1] = stale_atc[1] & TARGETS(hw_atc)
}

/* It may fetch at once what is in the IOTLB. */
inline hardware_atc_on()
{
	hw_atc = hw_atc | BIT(a);
	for (i : 0 .. 1) {
		if
		:: stale_iotlb[i] & BIT(KEY(a)) ->
			stale_atc[i] = stale_atc[i] | BIT(TARGET(a))
		:: else
		fi
	}
	i = 0
}

inline flush_tag()
{
	tagged = tagged & (~BIT(KEY(a)) | KEYS(hw_on));
	stale_iotlb[0] = stale_iotlb[0] & ~BIT(KEY(a));
	stale_iotlb[1] = stale_iotlb[1] & ~BIT(KEY(a))
}

inline serve_atc()
{
	served_atc = served_atc | BIT(a);
	undrained_atc[0] = undrained_atc[0] & ~BIT(a);
	undrained_atc[1] = undrained_atc[1] & ~BIT(a)
}

inline finish()
{
	busy[id] = 0;
	a = 0;
	atc = 0
}

/* On the list first, and the hardware last. */
inline begin_attach(with_atc)
{
	atc = with_atc;
	tags = 1;
	has_tags = 1;
	locked = 1;
	served = served | BIT(a);
	if
	:: atc -> serve_atc()
	:: else
	fi;
	find_group()
}

inline attach()
{
	if
#ifdef TABLE_IN_PLACE
	:: d_step { g == NONE && table -> new_group(); i = old_nr };
		do
		:: d_step { i && group_key[old_group(i - 1)] > KEY(a) ->
			table_group[table * NR + i] = table_group[table * NR + i - 1];
			i-- }
		:: else -> break
		od;
		atomic {
			table_group[table * NR + i] = g;
			table_nr[table] = table_nr[table] + 1;
			i = 0
		}
	:: d_step { g == NONE && !table -> new_group(); publish_group() }
#else
	:: d_step { g == NONE -> new_group(); publish_group() }
#endif
	:: g != NONE
	fi;
	if
	:: d_step { atc -> count_user() };
		add_target();
		d_step { hardware_on() };
		d_step { hardware_atc_on(); finish() }
	:: d_step { !atc -> count_user(); unlock() };
		d_step { hardware_on(); finish() }
	fi
}

/* The hardware first, and the list last. */
inline begin_detach()
{
	hw_on = hw_on & ~BIT(a);
	hardware_atc_off()
}

inline detach()
{
#ifdef DRAIN_FIRST
	d_step { begin_drain() };
	!drain_waits[id];
	d_step { begin_fence() };
	!fence_waits[id];
#endif
#ifdef TAG_REVIVED
	d_step { !tags && !locked -> locked = 1; g = elm_group[a] };
#else
	d_step { !tags && !locked -> tags = 1; locked = 1; g = elm_group[a] };
#endif
	if
	/* del_locked(): del_target(elm); */
	:: elm_block[a] -> del_target()
	:: else
	fi;
#ifdef GROUP_HANDED_OVER
	d_step { n = users[g]; users[g] = 0 };
	users[g] = n;
	n = 0;
#endif
	d_step {
		elm_group[a] = NONE;
		/* del_locked(): WRITE_ONCE(group->users, group->users - 1); */
		users[g] = users[g] - 1;
		n = users[g];
		locked = 0
	}
	d_step {
		if
		:: !n -> flush_tag()	/* it was the last one */
		:: else
		fi;
		n = 0; g = 0; b = 0; s = 0;
#ifndef TAG_REVIVED
		tags = 0;
#endif
		undrained[id] = undrained[id] | BIT(a);
		undrained_atc[id] = undrained_atc[id] | BIT(a);
		finish();
#ifdef DRAIN_FIRST
		drained()
#endif
	}
}

inline begin_enable()
{
	locked = 1;
	serve_atc();
	g = elm_group[a]
}

inline enable_atc()
{
	add_target();
	d_step { hardware_atc_on(); finish() }
}

inline disable_atc()
{
	d_step { !locked -> locked = 1; g = elm_group[a] };
	del_target();
	d_step { unlock(); undrained_atc[id] = undrained_atc[id] | BIT(a); finish() }
}

/*
 * Writers are alike. Of two that have nothing under way, the first one goes first: what
 * the other one would do is the same with their names exchanged.
 */
#define is_new(id)	!(busy[id] | undrained[id] | undrained_atc[id])
#define in_use		(busy[0] | busy[1] | undrained[0] | undrained[1])
#define may_take(a)	(ops < OPS && !(in_use & BIT(a)) && !(id == 1 && is_new(0) && is_new(1)))

inline take(x)
{
	a = x;
	busy[id] = BIT(x);
	ops++
}

#define is_off(a)	(elm_group[a] == NONE)

proctype writer(byte id)
{
	byte a, g, b, s, i, n;
	bit atc, has_tags;
#ifdef GROUP_COPIED
	byte from, to;
#endif

idle:	atomic {
		if
		:: d_step { may_take(0) -> take(0) }
		:: d_step { may_take(1) -> take(1) }
		:: d_step { may_take(2) -> take(2) }
		:: d_step { undrained[id] -> begin_drain() };
			goto draining
		:: d_step { undrained_atc[id] -> begin_fence() };
			goto fencing
		fi;
		if
		:: d_step { is_off(a) && !tags && !locked -> begin_attach(0) };
			goto attaching
		:: d_step { is_off(a) && !tags && !locked -> begin_attach(1) };
			goto attaching
		:: d_step { !is_off(a) -> begin_detach() };
			goto detaching
		:: d_step { !is_off(a) && !elm_block[a] && !locked -> begin_enable() };
			goto enabling
		:: d_step { !is_off(a) && elm_block[a] -> hardware_atc_off() };
			goto disabling
		fi
	};

attaching:
	attach();
	goto idle;
detaching:
	detach();
	goto idle;
enabling:
	enable_atc();
	goto idle;
disabling:
	disable_atc();
	goto idle;
draining:
	/* iommu_attach_drain(): synchronize_rcu(); */
#ifdef DRAIN_WITHOUT_FENCE
	atomic { !drain_waits[id] -> drained() };
#else
	atomic { !drain_waits[id] -> begin_fence() };
	/* iommu_attach_drain(): iommu_attach_fence(fence); */
	atomic { !fence_waits[id] -> drained() };
#endif
	goto idle;
fencing:
	atomic { !fence_waits[id] -> now_fenced() };
	goto idle
}

init
{
	d_step {
		/* The first one has its ATC in use; the second one has if it is the first one's equal. */
		memory[GROUP(0)] = USED;
		group_key[0] = KEY(0);
		users[0] = 1;
		blocks[0] = 1;
		memory[BLOCK(1)] = USED;
		block_nr[1] = 1;
		block_used[1] = 1;
		block_seq[1] = 1;
		slot[ROOM] = TARGET(0) + 1;
		number[ROOM] = 1;
		atc_seq = 1;
		nr_atc = 1;
		elm_group[0] = 0;
		elm_block[0] = 1;
		elm_group[2] = NONE;
		hw_on = 3;
		hw_atc = 1;
#if WORLD == 3
		elm_group[1] = 1;
		memory[GROUP(1)] = USED;
		group_key[1] = KEY(1);
		users[1] = 1;
		memory[TABLE(1)] = USED;
		table_nr[1] = 2;
		table_group[NR] = 1;
		table_group[NR + 1] = 0;
		table = 1;
#else
		elm_group[1] = 0;
		users[0] = 2;
#endif
#if WORLD == 2
		elm_block[1] = 1;
		hw_atc = 3;
#endif
		tagged = KEYS(hw_on);
		served = hw_on;
		served_atc = hw_atc
	}
	atomic {
#if WALKERS == 2
		run walker(0);
#endif
		run walker(1);
		run writer(0);
		run writer(1)
	}
}
