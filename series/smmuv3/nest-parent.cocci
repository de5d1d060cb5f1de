// SPDX-License-Identifier: GPL-2.0-only
// What a flush has to do for nests depends on how a device is attached, not on the domain alone.

@arm_smmu_master_build_invs@
identifier master, ssid, smmu_domain, nesting;
@@
  arm_smmu_master_build_invs(struct arm_smmu_master *master, bool ats_enabled,
-		ioasid_t ssid, struct arm_smmu_domain *smmu_domain)
+		ioasid_t ssid, struct iommu_domain *domain)
  {
-	const bool nesting = smmu_domain->nest_parent;
+	struct arm_smmu_domain *smmu_domain = to_smmu_domain_devices(domain);
+	const bool nesting = domain->type == IOMMU_DOMAIN_NESTED;
	...
  }

@arm_smmu_attach_prepare_invs@
identifier state, new_domain, old_smmu_domain, new_smmu_domain, master, ssid;
@@
  arm_smmu_attach_prepare_invs(struct arm_smmu_attach_state *state,
			       struct iommu_domain *new_domain)
  {
	<+...
(
	arm_smmu_master_build_invs(master, state->ats_enabled, ssid,
-		new_smmu_domain
+		new_domain
	)
|
	arm_smmu_master_build_invs(master, master->ats_enabled, ssid,
-		old_smmu_domain
+		state->old_domain
	)
)
	...+>
  }

@arm_smmu_attach_prepare_invs__export@
@@
  arm_smmu_attach_prepare_invs(...) { ... }
+EXPORT_SYMBOL_IF_KUNIT(arm_smmu_attach_prepare_invs);
