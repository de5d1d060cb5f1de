// SPDX-License-Identifier: GPL-2.0-only
// One list in a domain, and what attach.c offers.

@iommu__include@
@@
  #include <linux/iommu.h>
+ #include <linux/iommu-alist.h>

@xarray__include@
@@
- #include <linux/xarray.h>

@dmar_domain__fields@
@@
  struct dmar_domain {
	...
-	spinlock_t lock;
-	struct list_head devices;
-	struct list_head dev_pasids;
-	spinlock_t cache_lock;
-	struct list_head cache_tags;
-	struct qi_batch *qi_batch;
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

@device_domain_info__link@
typedef u32;
@@
  struct device_domain_info {
-	struct list_head link;
-	u32 segment;
+	u32 segment;
	...
  };

@dev_pasid_info__elms@
@@
  struct dev_pasid_info {
-	struct list_head link_domain;
-	struct device *dev;
+	/* Of a domain that is no nest, only s1 is on a list. */
+	struct iommu_attach_nest elms;
+	struct device *dev;
	...
  };

@iommu_domain_info__gone@
@@
- struct iommu_domain_info { ... };

@domain_id_iommu__inline@
typedef u16;
@@
- static inline u16 domain_id_iommu(...) { ... }

@iommu_domain_did__dead@
@@
- static inline u16 iommu_domain_did(...) { ... }

@domain_attach_iommu__decl@
typedef u8, u16, bool;
@@
- int domain_attach_iommu(...);
+ u16 domain_id_iommu(struct dmar_domain *domain, struct intel_iommu *iommu);
+ struct device_domain_info *domain_lookup_dev_info(struct dmar_domain *domain,
+ 						  struct intel_iommu *iommu,
+ 						  u8 bus, u8 devfn);
+ void domain_enforce_page_snoop(struct dmar_domain *domain);
+ bool intel_iommu_enforce_cache_coherency_fs(struct iommu_domain *domain);
+ bool intel_iommu_enforce_cache_coherency_ss(struct iommu_domain *domain);
+ int intel_iommu_set_dirty_tracking(struct iommu_domain *domain, bool enable);

@domain_detach_iommu__decl@
@@
- void domain_detach_iommu(...);

@cache_tag_assign__decl@
@@
- int cache_tag_assign(...);
+ int domain_enable_atc(struct dmar_domain *domain, struct device *dev);

@cache_tag_assign_domain__decl@
@@
- int cache_tag_assign_domain(...);

@cache_tag_unassign_domain__decl@
@@
- void cache_tag_unassign_domain(...);
