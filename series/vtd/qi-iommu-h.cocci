// SPDX-License-Identifier: GPL-2.0-only
// What qi.c keeps, and what it offers.

@q_inval__fields@
@@
  struct q_inval {
	...
	int free_cnt;
+	/* Descriptors behind the last wait descriptor. */
+	unsigned int unwaited;
+	/* Number of the last submission, and of the last that had a bad descriptor. */
+	u32 seq;
+	u32 bad_seq;
+	/* Timeouts that aborted what was pending. */
+	u16 aborts;
  };

@qi_batch__fields@
@@
  struct qi_batch {
	...
	unsigned int index;
+	/* There was more, which is queued, and q_inval.aborts then. */
+	bool queued;
+	u16 aborts;
+	/* Nanoseconds, if latency is sampled. */
+	u64 start;
  };

@qi_submit_sync__decl@
typedef u16, u32, u64, bool;
@@
- int qi_submit_sync(...);
+ int qi_submit_sync(struct intel_iommu *iommu, struct qi_desc *desc,
+ 		   unsigned int count, unsigned long options);
+ void qi_batch_queue(struct intel_iommu *iommu, struct qi_batch *batch);
+ u64 qi_batch_submit(struct intel_iommu *iommu, struct qi_batch *batch);
+ int qi_wait(struct intel_iommu *iommu, u64 cookie);
+ bool qi_device_gone(struct intel_iommu *iommu, u16 sid);
+ void qi_dump_fault(struct intel_iommu *iommu, u32 fault);
+
+ /* All of a batch is for one IOMMU. */
+ static inline void qi_batch_add(struct intel_iommu *iommu, struct qi_batch *batch,
+ 				const struct qi_desc *desc)
+ {
+ 	batch->descs[batch->index++] = *desc;
+ 	if (unlikely(batch->index == ARRAY_SIZE(batch->descs)))
+ 		qi_batch_queue(iommu, batch);
+ }
