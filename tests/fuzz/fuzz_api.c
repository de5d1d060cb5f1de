// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzing the list's API: bytes are operations
 *
 * Each input is a row of attaches, nests, detaches, toggles of ATS, removals of IOMMUs,
 * failing allocations, flushes, devices that do not answer, IOMMUs that are slow or abort,
 * fences, and attaches and detaches in the middle of a flush, on
 * four lists. The reference is that of the KUnit suite: an array of facts, in which
 * everything is looked for every time. It judges the commands of each flush and
 * their order, what is told of first and last groups, the tags found, the walks.
 *
 * There is one thread, so grace periods are no matter of luck: what is to be freed
 * after one is freed as soon as no walk is running, that is at the end of the flush.
 * A byte too late to look at it is a use after free.
 */
#include <stdlib.h>

/* The reference comes with KUnit's expectations; kunit.c's main() is not called. */
#include "../../kernel/drivers/iommu/tests/iommu_alist_judge.h"
#include "fuzz.h"
#include "shim.h"

#define MAX_FACTS	48

/* kunit.c looks for suites. */
static struct kunit_suite no_suite;
kunit_test_suite(no_suite);

static struct kunit test = { .name = "fuzz_api" };
static struct world *world;

static const u8 *bytes, *bytes_end;

static u8 next_byte(void)
{
	return bytes < bytes_end ? *bytes++ : 0;
}

/*
 * Grace periods
 */

void __wrap_shim_free_rcu(struct rcu_head *head, void *object);
void __wrap_synchronize_rcu(void);

struct freed {
	void *object;
	struct freed *next;
};

static struct freed *freed;

static void end_grace_period(void)
{
	struct freed *item;

	while ((item = freed)) {
		freed = item->next;
		kfree(item->object);
		free(item);
	}
}

void __wrap_shim_free_rcu(struct rcu_head *head, void *object)
{
	struct freed *item = malloc(sizeof(*item));

	(void)head;
	if (!item)
		abort();
	*item = (struct freed){ object, freed };
	freed = item;
	if (!rcu_read_lock_held())
		end_grace_period();
}

void __wrap_synchronize_rcu(void)
{
	if (rcu_read_lock_held())
		abort();
	end_grace_period();
}

/*
 * Operations
 */

/* Most of them behind few IOMMUs, but more than a flush waits for at a time. */
static u32 next_iommu(void)
{
	u8 byte = next_byte();

	return byte < 192 ? byte % 4 : byte % NR_IOMMUS;
}

static u64 next_atc(void)
{
	u8 byte = next_byte();

	return byte & 1 ? NO_ATC : byte >> 1 & 15;
}

static struct thing *next_new(bool nest)
{
	u8 list = next_byte(), tags = next_byte();
	u32 iommu = next_iommu();
	u64 atc = next_atc();

	if (nest)
		return new_nest(world, &world->list[list % 2], &world->list[2 + list / 2 % 2],
				iommu, tags % 4, tags / 4 % 4, atc);
	return new_thing(world, &world->list[list % NR_LISTS], iommu, tags % 4, atc);
}

static struct thing *next_thing(void)
{
	return world->nr ? world->fact[next_byte() % world->nr].thing : NULL;
}

/* Out of memory at the @nth allocation, if there are that many. */
static void attach_or_fail(struct thing *thing, u32 nth)
{
	int ret;

	world->fail_at = world->allocs + nth;
	ret = try_attach(world, thing);
	KUNIT_EXPECT_EQ(&test, ret < 0, world->allocs >= world->fail_at);
	world->fail_at = 0;
	if (ret < 0)
		kfree(thing);
}

static void enable_or_fail(struct thing *thing, u32 nth)
{
	int ret;

	world->fail_at = nth ? world->allocs + nth : 0;
	ret = enable_atc(thing);
	KUNIT_EXPECT_EQ(&test, ret != 0, nth && world->allocs >= world->fail_at);
	world->fail_at = 0;
	if (!ret)
		note_atc_use(world, thing, true);
}

/* All that is behind an IOMMU, on all lists: then it goes. */
static void remove_iommu(u32 iommu)
{
	u32 i = 0;

	while (i < world->nr) {
		if (world->fact[i].iommu_device != fake_iommu(iommu)) {
			i++;
			continue;
		}
		detach(world, world->fact[i].thing);
		i = 0;
	}
	iommu_attach_drain(&fake_fences[iommu]);
}

/* The device of an attachment: it stops or begins to answer, its driver does this or that. */
static void set_device(u8 what)
{
	struct thing *thing = next_thing();
	struct iommu_attach_elm *elm;
	u32 iommu;

	if (!thing)
		return;
	elm = &thing->nest.s1;
	iommu = iommu_number(elm->iommu_device);
	switch (what % 6) {
	case 0:
		state_of(world, iommu, elm->atc)->dead = true;
		return;
	case 1:
		state_of(world, iommu, elm->atc)->dead = false;
		resume(world, iommu, elm->atc);
		return;
	case 2:
		set_aside(world, iommu, elm->atc);
		return;
	case 3:
		block(world, iommu, elm->atc);
		return;
	case 4:
		world->hardware[iommu].slow = next_byte() % 4;
		return;
	default:
		world->hardware[iommu].aborts = next_byte() % 4;
	}
}

/*
 * What happens in the middle of a flush
 */

/* It may be seen, or not; a newcomer's ATC perhaps after all others. */
static void mark_beside(const struct thing *thing, bool beside, bool late)
{
	u32 i;

	for (i = 0; i < world->nr; i++) {
		if (world->fact[i].thing == thing) {
			world->fact[i].beside = beside;
			world->fact[i].atc_late = beside && late;
		}
	}
}

/* Has the flush come to the part in which it looks up who uses an ATC? */
static bool knows_atcs(const struct record *record)
{
	u32 i;

	if (!(record->mode & NEST_WAITS))
		return true;
	for (i = 0; i < record->nr; i++) {
		if (record->event[i].call == CALL_ATC ||
		    (record->event[i].call == CALL_IOTLB && record->event[i].kind))
			return true;
	}
	return false;
}

static void attach_beside(struct record *record)
{
	record->hook_data = record->hook_thing;
	if (try_attach(world, record->hook_thing) < 0)
		KUNIT_FAIL(&test, "attach beside a flush fails");
	mark_beside(record->hook_thing, true, knows_atcs(record));
}

static void detach_beside(struct record *record)
{
	record->hook_data = record->hook_thing;
	take_off(record->hook_thing);
}

/* Is there an equal one? Then what leaves may come back, or stays. */
static bool has_equal(struct thing *thing)
{
	u32 half, i;

	for (half = 0; half < thing->nr; half++) {
		struct fact fact = fact_of(thing, half);

		for (i = 0; i < world->nr; i++) {
			if (world->fact[i].thing != thing &&
			    same_group(&world->fact[i], &fact))
				return true;
		}
	}
	return false;
}

static void flush(struct iommu_attach_list *alist, u32 mode)
{
	flush_into(&world->record, alist, mode);
	end_grace_period();
	EXPECT_FAULT(&world->record, alist, FINE, "mode %u", mode);
}

static void nothing_fails(void)
{
	u32 i, j;

	memset(world->hardware, 0, sizeof(world->hardware));
	for (i = 0; i < NR_IOMMUS; i++) {
		for (j = 0; j < NR_ENDPOINTS; j++)
			world->device[i][j].dead = false;
	}
}

/* The judge tells of equal ones beside a flush nothing: only others come and go. */
static void flush_beside(u8 what)
{
	struct iommu_attach_list *alist = &world->list[what % NR_LISTS];
	u32 mode = what / 4 % NR_MODES, at = 1 + next_byte() % 32;
	bool comes = what & 64;
	struct record *record = &world->record;
	struct thing *thing = comes ? next_new(what & 128) : next_thing();

	if (!thing || has_equal(thing) || world->nr + 2 > MAX_FACTS) {
		if (comes)
			kfree(thing);
		return;
	}
	/* Nor does it of what is sent again to who came meanwhile. */
	nothing_fails();
	record->hook = comes ? attach_beside : detach_beside;
	record->hook_at = at;
	record->hook_thing = thing;
	record->hook_data = NULL;
	if (!comes)
		mark_beside(thing, true, false);
	flush(alist, mode);
	record->hook = NULL;
	if (!comes && record->hook_data)
		forget_thing(world, thing);
	else if (comes && !record->hook_data)
		kfree(thing);
	else
		mark_beside(thing, false, false);
}

static void operate(void)
{
	u8 what = next_byte();
	struct thing *thing;

	switch (what % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		if (world->nr + 2 <= MAX_FACTS)
			attach(world, next_new(what % 16 > 2));
		return;
	case 5:
		if (world->nr + 2 <= MAX_FACTS)
			attach_or_fail(next_new(what & 16), 1 + what / 32);
		return;
	case 6:
	case 7:
		thing = next_thing();
		if (thing)
			detach(world, thing);
		return;
	case 8:
		set_device(what / 16);
		return;
	case 9:
	case 10:
		thing = next_thing();
		if (thing)
			enable_or_fail(thing, what / 16 % 8);
		return;
	case 11:
		thing = next_thing();
		if (thing)
			disable_atc(world, thing);
		return;
	case 12:
		if (what & 128)
			remove_iommu(next_iommu());
		else
			iommu_attach_fence(&fake_fences[next_iommu()]);
		return;
	case 13:
		flush_beside(next_byte());
		return;
	case 14:
		flush(&world->list[what / 16 % NR_LISTS], what / 64);
		return;
	default:
		verify(world, &world->list[what / 16 % NR_LISTS]);
	}
}

static void set_up(void)
{
	u32 i;

	if (!world) {
		kunit_current = &test;
		if (alist_test_init(&test))
			abort();
		world = new_world(&test, MAX_FACTS);
	}
	world->nr = 0;
	world->fail_at = 0;
	memset(world->device, 0, sizeof(world->device));
	memset(world->hardware, 0, sizeof(world->hardware));
	for (i = 0; i < NR_IOMMUS * NR_ENDPOINTS; i++)
		iommu_attach_endpoint_init(&fake_endpoints[i / NR_ENDPOINTS][i % NR_ENDPOINTS]);
	for (i = 0; i < NR_LISTS; i++)
		iommu_attach_init(&world->list[i]);
}

static void run_input(void)
{
	unsigned long live = shim_live();
	u32 i;

	while (bytes < bytes_end && test.status != KUNIT_FAILURE)
		operate();
	if (test.status != KUNIT_FAILURE)
		verify_all(world);
	detach_all(world);
	for (i = 0; i < NR_LISTS; i++)
		iommu_attach_destroy(&world->list[i]);
	KUNIT_EXPECT_EQ_MSG(&test, shim_live(), live, "objects lost");
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	set_up();
	bytes = data;
	bytes_end = data + size;
	if (!setjmp(test.abort))
		run_input();
	else
		test.status = KUNIT_FAILURE;
	if (test.status == KUNIT_FAILURE) {
		fflush(stdout);
		abort();
	}
	return 0;
}
