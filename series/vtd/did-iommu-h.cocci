// SPDX-License-Identifier: GPL-2.0-only
// The DID of a domain on an IOMMU is found on its list.

@xarray__include@
@@
- #include <linux/xarray.h>

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
typedef u16;
@@
- int domain_attach_iommu(...);
+ u16 domain_id_iommu(struct dmar_domain *domain, struct intel_iommu *iommu);

@domain_detach_iommu__decl@
@@
- void domain_detach_iommu(...);
