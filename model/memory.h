/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest's memory as the hardware reads and writes it: 64 bits at a time, with the
 * ordering that DMA has on x86. What lies outside reads as 0, and is not written.
 */
#ifndef MODEL_MEMORY_H
#define MODEL_MEMORY_H

#include "model.h"

static inline bool memory_has(const struct model_memory *memory, uint64_t addr, size_t size)
{
	addr -= memory->start;		/* below it: beyond the end */
	return addr % size == 0 && addr < memory->size && size <= memory->size - addr;
}

static inline void *memory_at(const struct model_memory *memory, uint64_t addr)
{
	return memory->base + (addr - memory->start);
}

static inline uint64_t memory_load(const struct model_memory *memory, uint64_t addr)
{
	if (!memory_has(memory, addr, sizeof(uint64_t)))
		return 0;
	return __atomic_load_n((uint64_t *)memory_at(memory, addr), __ATOMIC_ACQUIRE);
}

/* Sets bits unless the word has changed meanwhile. */
static inline void memory_set_bits(const struct model_memory *memory, uint64_t addr,
				   uint64_t have, uint64_t bits)
{
	if (memory_has(memory, addr, sizeof(uint64_t)))
		__atomic_compare_exchange_n((uint64_t *)memory_at(memory, addr), &have,
					    have | bits, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED);
}

/* After all that was done before it. */
static inline void memory_store32(const struct model_memory *memory, uint64_t addr,
				  uint32_t value)
{
	if (memory_has(memory, addr, sizeof(value)))
		__atomic_store_n((uint32_t *)memory_at(memory, addr), value, __ATOMIC_RELEASE);
}

static inline void memory_store64(const struct model_memory *memory, uint64_t addr,
				  uint64_t value)
{
	if (memory_has(memory, addr, sizeof(value)))
		__atomic_store_n((uint64_t *)memory_at(memory, addr), value, __ATOMIC_RELEASE);
}

#endif /* MODEL_MEMORY_H */
