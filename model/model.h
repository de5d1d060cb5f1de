/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IOMMU hardware in software.
 *
 * A model is what a driver sees of an IOMMU and what a device sees of it:
 *
 *   driver side   a command queue in memory with the specification's own
 *                 encodings, a doorbell, a head register, completion words that
 *                 the hardware writes; context entries; page tables in memory
 *   device side   DMA through ATC, IOTLB, walk cache and page tables, each of
 *                 which is filled on a miss and emptied by commands only
 *
 * What the model is for is the oracle: model_dma() says whether the translation
 * that it used is one that the tables no longer give.
 *
 *   device --> ATC (per device, if ATS is on)
 *                |miss
 *              IOTLB (per IOMMU; keyed by tag, PASID and page as the real one)
 *                |miss
 *              walk cache (table pointers; survives leaf-only invalidation)
 *                |miss
 *              page table, or S1 over S2
 *
 * The model knows nothing of attach lists, and no part of it may include them.
 *
 * Locking: each IOMMU has one internal lock over its caches and context
 * entries. Page tables are read by the hardware without a lock, with atomic
 * loads, while the driver writes them. All functions may be called from any
 * thread. The log callback runs with no lock held.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_PAGE_SHIFT	12
#define MODEL_PAGE_SIZE		(UINT64_C(1) << MODEL_PAGE_SHIFT)
#define MODEL_NO_PASID		UINT32_MAX	/* requests without PASID */
#define MODEL_CMD_WORDS		4		/* widest command: VT-d, 256 bits */

enum model_vendor {
	MODEL_VTD,		/* Intel VT-d 4.x, queued invalidation */
	MODEL_SMMUV3,		/* Arm SMMUv3.x, CMDQ */
	MODEL_AMD,		/* AMD I/O Virtualization 3.x, command buffer */
	MODEL_RISCV,		/* RISC-V IOMMU 1.0, CQ */
	MODEL_VENDORS,
};

/* What a command does, whatever the vendor calls it. */
enum model_class {
	MODEL_IOTLB,		/* invalidates IOTLB entries */
	MODEL_ATC,		/* invalidates the ATC of one device */
	MODEL_SYNC,		/* completion wait */
	MODEL_CONFIG,		/* invalidates cached context entries */
	MODEL_OTHER,		/* prefetch and the like */
	MODEL_CLASSES,
};

const char *model_vendor_name(enum model_vendor vendor);
/* Words of 64 bits in one command of this vendor: 2, or 4 for VT-d. */
unsigned int model_cmd_words(enum model_vendor vendor);
/* Class of a raw command; -1 where the opcode is not of the vendor. */
int model_classify(enum model_vendor vendor, const uint64_t *cmd);
/* Writes a readable form of a raw command, always terminated, to @buf. */
void model_decode(enum model_vendor vendor, const uint64_t *cmd, char *buf,
		  size_t size);

/*
 * Page tables: radix tables of 512 entries, leaves of 4 KiB, 2 MiB and 1 GiB.
 * One writer at a time (the caller's lock); any number of hardware walkers.
 */
struct model_pt;

/* @levels: 3 (39 bits of address), 4 (48) or 5 (57). NULL on ENOMEM. */
struct model_pt *model_pt_create(unsigned int levels);
/* No hardware may reach the tables any more: if it does, it reads stale ones. */
void model_pt_destroy(struct model_pt *pt);
/*
 * Maps [iova, iova + size) to paddr onwards with the largest leaves that the
 * alignment and the tables in place allow. Addresses and size are multiples of
 * 4 KiB.
 * Return: 0, -EEXIST where something is mapped in the range (nothing changed),
 * -EINVAL, -ERANGE beyond the address width, -ENOMEM (nothing changed).
 */
int model_pt_map(struct model_pt *pt, uint64_t iova, uint64_t paddr,
		 uint64_t size, bool writable);

/* What an unmap did; collected over several unmaps until they are flushed. */
struct model_unmapped {
	uint64_t bytes;		/* unmapped */
	uint64_t leaf;		/* size of the leaves cleared; 0 if of several sizes */
	void *tables;		/* tables cut off; still readable by the hardware */
};

/*
 * Clears [iova, iova + size) and cuts off every table that the range covers
 * entirely, as the Linux drivers do. A large leaf that is covered in part is
 * refused: -EINVAL and nothing changed. Adds to *@un, which starts zeroed.
 */
int model_pt_unmap(struct model_pt *pt, uint64_t iova, uint64_t size,
		   struct model_unmapped *un);
/*
 * The tables cut off may be used for something else from here on. A walk that
 * still enters one of them by way of a walk cache is a stale access.
 */
void model_pt_free_tables(struct model_unmapped *un);
/* The translation that the tables give now. Return: true if there is one. */
bool model_pt_lookup(struct model_pt *pt, uint64_t iova, uint64_t *paddr,
		     bool *writable);

/* The memory of a guest, at its physical addresses from @start on, a multiple of 4 KiB. */
struct model_memory {
	uint8_t *base;
	uint64_t size;
	uint64_t start;
};

/* An IOMMU instance. */
struct model_iommu;

struct model_config {
	enum model_vendor vendor;
	unsigned int queue_log2;	/* log2 of queue entries, 3..15; 0: 8 */
	unsigned int latency_ns;	/* time that the hardware takes a command */
	bool threaded;			/* own consumer thread; else the doorbell
					 * executes what was queued and returns */
	bool caches_absent;		/* VT-d CM, AMD NpCache: non-present
					 * translations of S2 are cached, too */
	/*
	 * An entry of the IOTLB or of the walk cache survives the first command that
	 * invalidates it; the second one takes it if a completion wait was executed
	 * between them. As on Tegra264, where invalidations race with traffic: there it
	 * takes TLBI, SYNC, TLBI, SYNC, and the ATC commands after that, or an ATC is
	 * filled again from what survived.
	 */
	bool erratum;
	/*
	 * VT-d, SMMUv3, AMD: an IOMMU of a guest. Context entries are read from its memory, below
	 * model_set_root() or the stream table, page tables have the format of the hardware,
	 * and completion words are written there. The memory outlives the IOMMU. NULL: none
	 * of this.
	 */
	const struct model_memory *memory;
};

struct model_iommu *model_iommu_create(const struct model_config *config);
/* Its devices are destroyed before. What is in the queue is not executed. */
void model_iommu_destroy(struct model_iommu *iommu);
enum model_vendor model_iommu_vendor(const struct model_iommu *iommu);
/*
 * A guest's VT-d: what the driver set as root table (11.4.5 RTADDR_REG, the mode in bits
 * 11:10 included); AMD: as device table (3.4.1, the size in bits 8:0 included). It drops
 * nothing from any cache.
 */
void model_set_root(struct model_iommu *iommu, uint64_t root);

/*
 * The queue as the driver sees it. Entry i is at words [i * model_cmd_words()].
 * Indices, head and tail count entries modulo the queue's size; tail == head is
 * empty, so one entry always stays free. model_doorbell() orders the entries
 * written before it. Completion words are written to the addresses given in the
 * commands: the address space is that of the process, or the guest's.
 */
uint64_t *model_queue(struct model_iommu *iommu);
unsigned int model_queue_entries(const struct model_iommu *iommu);
unsigned int model_head(struct model_iommu *iommu);
void model_doorbell(struct model_iommu *iommu, unsigned int tail);

/*
 * The registers of the queue and of its errors, 32 bits at a time, at the offsets of
 * the specification. Others read as 0, and writes to them are ignored.
 *
 *   VT-d     FSTS 0x34, ICS 0x9c: write 1 to clear; IQH 0x80, IQT 0x88;
 *            IQERCD 0xb0, 0xb4 (source of ITE, kind of IQE)        11.4.7, 11.4.9
 *   SMMUv3   GERROR 0x60, toggled by an error; GERRORN 0x64, toggled to
 *            acknowledge it; CMDQ_PROD 0x98; CMDQ_CONS 0x9c (with ERR); a guest's
 *            STRTAB_BASE 0x80, 0x84, STRTAB_BASE_CFG 0x88               6.3, 7.1
 *   AMD      control 0x18 (CmdBufEn, EventLogEn), command head 0x2000 (writable
 *            while processing has stopped) and tail 0x2008, event log head
 *            0x2010 and tail 0x2018, status 0x2020: write 1 to clear      3.4
 *   RISC-V   cqh 32, cqt 36; cqcsr 72, ipsr 84: write 1 to clear          5
 *
 * The queue is on from the start. A command that the hardware refuses stops it:
 * VT-d FSTS.IQE, SMMUv3 GERROR.CMDQ_ERR, AMD ILLEGAL_COMMAND_ERROR in the event log
 * and CmdBufRun off, RISC-V cqcsr.cmd_ill. The head stays at the command. When the
 * error is cleared (AMD: CmdBufEn written), it is fetched again: software repairs it
 * first, or stops at it again.
 */
uint32_t model_reg_read(struct model_iommu *iommu, unsigned int offset);
void model_reg_write(struct model_iommu *iommu, unsigned int offset, uint32_t value);
/*
 * AMD: the event log, of entries of two words (2.5). The first one of an event is written
 * last, and software may clear it. NULL for the other vendors.
 */
#define MODEL_EVENTS	16
uint64_t *model_events(struct model_iommu *iommu);

/*
 * Time. It does not pass by itself: model_advance() makes it, and while either setting
 * is not 0 each model_head() and model_reg_read() is a step, so that a driver that polls
 * gets on. Both are 0 at first.
 *
 * @latency: steps from when a command is first in the queue until it takes effect.
 * @atc_timeout: steps after which an ATC command to a device that does not answer has
 * failed. Until then:
 *
 *   VT-d     fetches further descriptors, up to eight wait descriptors that do not
 *            complete. Then FSTS.ITE, with the device in IQERCD.ITESID. Every wait that was
 *            fetched is aborted, also those for other commands; the head is behind them.
 *            Nothing is fetched until ITE is cleared (6.5.2.11)
 *   SMMUv3   stalls at the next CMD_SYNC. Then CERROR_ATC_INV_SYNC at the CMD_SYNC, which
 *            names no device. Once acknowledged, it is executed again and completes
 *            (3.9.1.4)
 *   AMD      stalls at the next COMPLETION_WAIT. Then an IOTLB_INV_TIMEOUT event for each
 *            command, with the device, and the wait completes (2.5.8)
 *   RISC-V   stalls at the next IOFENCE.C. Then cqcsr.cmd_to with cqh at the fence, which
 *            names no device. Once cleared, the fence is executed again and completes (3.1.2)
 *
 * A fault, MODEL_ATC_TIMEOUT, is recorded with each. With an @atc_timeout of 0, that is
 * all that happens, and it happens at once.
 */
void model_set_time(struct model_iommu *iommu, unsigned int latency,
		    unsigned int atc_timeout);
void model_advance(struct model_iommu *iommu, unsigned long steps);
uint64_t model_now(struct model_iommu *iommu);

/*
 * Faults, whatever the vendor calls them. model_fault_clear() clears every error that
 * stops the queue and skips the command at the head if that was refused.
 */
enum model_fault {
	MODEL_OK,
	MODEL_BAD_OPCODE,
	MODEL_BAD_FIELD,	/* reserved bits set, field out of range */
	MODEL_ATC_TIMEOUT,	/* ATC command to a device that does not answer: it
				 * is gone, is silent, or has ATS off */
};
struct model_fault_record {
	enum model_fault fault;
	uint64_t cmd[MODEL_CMD_WORDS];
	const char *reason;	/* a string literal */
	unsigned long count;	/* faults so far */
};
/* Copies the latest fault. Return: number of faults so far. */
unsigned long model_faults(struct model_iommu *iommu,
			   struct model_fault_record *last);
void model_fault_clear(struct model_iommu *iommu);

/*
 * Watching and disturbing. The log callback gets each command just before it
 * takes effect, on the thread that executes it; it may call any function here
 * but model_iommu_destroy() and model_doorbell() of the same IOMMU.
 */
typedef void (*model_log_fn)(struct model_iommu *iommu, enum model_class class,
			     const uint64_t *cmd, void *arg);
void model_set_log(struct model_iommu *iommu, model_log_fn fn, void *arg);
/* Commands executed so far, by class; the one being executed included. */
unsigned long model_count(const struct model_iommu *iommu,
			  enum model_class class);
/*
 * The next @n commands of @class are taken from the queue without effect: not
 * executed, not counted, not logged.
 */
void model_withhold(struct model_iommu *iommu, enum model_class class,
		    unsigned long n);
/*
 * Stops and restarts the consumer (both modes); restart executes the backlog.
 * No command takes effect after a stop returned, but the one whose log callback
 * called it.
 */
void model_pause(struct model_iommu *iommu, bool paused);
void model_set_latency(struct model_iommu *iommu, unsigned int latency_ns);

/*
 * Devices and context entries. A context entry (VT-d context or PASID entry,
 * SMMUv3 STE and CD, AMD DTE, RISC-V DC and PC) is cached by the IOMMU at its
 * first use and dropped by the vendor's configuration command only.
 */
enum model_mode {
	MODEL_BLOCKED,
	MODEL_S1,		/* s1 alone */
	MODEL_S2,		/* s2 alone */
	MODEL_NESTED,		/* s1 (addresses of s2) over s2 */
};

struct model_context {
	enum model_mode mode;
	uint32_t tag;		/* VT-d DID, SMMUv3 ASID, AMD DomainID, RISC-V PSCID */
	uint32_t vm_tag;	/* SMMUv3 VMID, RISC-V GSCID; else 0 */
	struct model_pt *s1;
	struct model_pt *s2;
	/*
	 * Translation requests and translated requests of the device are refused
	 * (VT-d 9.3 TT and 9.6 DTE, SMMUv3 STE.EATS, AMD DTE.I, RISC-V EN_ATS): it
	 * goes on without its ATC. A blocked entry refuses all requests.
	 */
	bool no_ats;
};

struct model_dev;

/*
 * @rid: requester id (SMMUv3: StreamID). NULL where the IOMMU has a device of
 * that id already, or on ENOMEM.
 */
struct model_dev *model_dev_create(struct model_iommu *iommu, uint32_t rid,
				   bool ats_capable);
/* Unplugs the device: later ATC commands for it time out. */
void model_dev_destroy(struct model_dev *dev);
uint32_t model_dev_rid(const struct model_dev *dev);
struct model_iommu *model_dev_iommu(const struct model_dev *dev);
/* Writes the context entry of (device, PASID or MODEL_NO_PASID). Not with a guest's memory. */
void model_dev_set_context(struct model_dev *dev, uint32_t pasid,
			   const struct model_context *context);
/*
 * The same word by word, for drivers that write entries so: the fields of @context that
 * are in @word. The hardware reads the word with the mode first, so that is the one to
 * write last, and to clear first.
 */
enum model_context_word {
	MODEL_WORD_MODE,	/* mode, no_ats */
	MODEL_WORD_TAGS,	/* tag, vm_tag */
	MODEL_WORD_S1,
	MODEL_WORD_S2,
	MODEL_CONTEXT_WORDS,
};

void model_dev_set_context_word(struct model_dev *dev, uint32_t pasid,
				enum model_context_word word,
				const struct model_context *context);
/*
 * Called before each word of an entry is read, with no lock held: a test writes a word,
 * sends a command or rings the doorbell there, and DMA fetches what comes of it. A
 * configuration command for an entry that is being fetched makes the fetch begin again.
 */
typedef void (*model_fetch_fn)(struct model_dev *dev, uint32_t pasid,
			       enum model_context_word word, void *arg);
void model_set_fetch(struct model_iommu *iommu, model_fetch_fn fn, void *arg);
/* Turning ATS off empties the ATC. Return: 0, -ENODEV if not capable. */
int model_dev_set_ats(struct model_dev *dev, bool on);
bool model_dev_ats(struct model_dev *dev);
/*
 * A silent device does not answer ATC commands, nor does it obey them: its DMA goes on
 * with what its ATC has. When it is silent no longer, it obeys and answers those that
 * have not timed out.
 */
void model_dev_set_silent(struct model_dev *dev, bool silent);
/* A function-level reset: ATS is off, the ATC empty; what it was asked is forgotten. */
void model_dev_reset(struct model_dev *dev);
/*
 * Surprise removal: no DMA any more, and what it was asked will not be answered. The
 * context entries stay until model_dev_destroy().
 */
void model_dev_unplug(struct model_dev *dev);

/* One DMA, and the oracle. */
enum model_source { MODEL_FROM_ATC, MODEL_FROM_IOTLB, MODEL_FROM_WALK };

struct model_access {
	bool fault;		/* no translation, or no permission */
	enum model_source source;
	uint64_t paddr;		/* valid if !fault */
	bool stale;		/* the translation used is not what the context
				 * entry and the tables in memory give now, or a
				 * freed table was walked */
	bool torn;		/* the context entry used is one that there never was:
				 * words of it were written while it was fetched */
};
/*
 * Translates as the device would, fills the caches on the way. Stale is meant
 * literally: an access between a driver's unmap and the completion of its flush
 * is one, too. While others write the tables, ask about stable addresses.
 * Return: true unless the access was stale or torn.
 */
bool model_dma(struct model_dev *dev, uint32_t pasid, uint64_t iova, bool write,
	       struct model_access *access);
/*
 * Looks at everything that the IOMMU (IOTLB, walk cache, context entries) and
 * the ATCs of its devices have cached and counts what memory no longer gives:
 * the oracle for a whole machine at rest. Translations under a tag that no
 * context entry has cannot be reached and do not count.
 */
unsigned long model_stale_entries(struct model_iommu *iommu);
/* Cached translations now, by cache. */
unsigned long model_cached(struct model_iommu *iommu, enum model_source cache);

#ifdef __cplusplus
}
#endif
#endif /* MODEL_H */
