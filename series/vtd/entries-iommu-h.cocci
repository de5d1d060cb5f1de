// SPDX-License-Identifier: GPL-2.0-only
// The list takes the place of devices, dev_pasids and s1_domains.

@dmar_domain__fields@
@@
  struct dmar_domain {
	...
	union {
-		struct {
-			spinlock_t	s1_lock;
-			struct list_head s1_domains;
-		};
		struct {
			struct dmar_domain *s2_domain;
			struct iommu_hwpt_vtd_s1 s1_cfg;
-			struct list_head s2_link;
		};
		...
	};
  };
