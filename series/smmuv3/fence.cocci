// SPDX-License-Identifier: GPL-2.0-only
// The lock that fences flushes is the domain's: it outlives the array that a flush has loaded.

@arm_smmu_invs_unref@
identifier invs, flags, num_invs;
@@
  arm_smmu_invs_unref(struct arm_smmu_invs *invs, ...)
  {
-	unsigned long flags;
	...
-	write_lock_irqsave(&invs->rwlock, flags);
	WRITE_ONCE(invs->num_invs, num_invs);
-	write_unlock_irqrestore(&invs->rwlock, flags);
  }

@arm_smmu_domain_inv_range@
identifier smmu_domain, invs, flags;
@@
  arm_smmu_domain_inv_range(struct arm_smmu_domain *smmu_domain, ...)
  {
	<+...
-	read_lock_irqsave(&invs->rwlock, flags);
+	read_lock_irqsave(&smmu_domain->ats_lock, flags);
+	/* What was loaded before may be older than a detach that has returned. */
+	invs = rcu_dereference(smmu_domain->invs);
	...
-	read_unlock_irqrestore(&invs->rwlock, flags);
+	read_unlock_irqrestore(&smmu_domain->ats_lock, flags);
	...+>
  }

@arm_smmu_domain_alloc@
identifier smmu_domain;
@@
  arm_smmu_domain_alloc(...)
  {
	...
	spin_lock_init(&smmu_domain->devices_lock);
+	rwlock_init(&smmu_domain->ats_lock);
	...
  }

@arm_smmu_install_old_domain_invs@
identifier state, invst, old_invs;
@@
  arm_smmu_install_old_domain_invs(struct arm_smmu_attach_state *state)
  {
	struct arm_smmu_inv_state *invst = &state->old_domain_invst;
+	struct arm_smmu_domain *smmu_domain =
+		to_smmu_domain_devices(state->old_domain);
	...
	arm_smmu_invs_unref(old_invs, invst->new_invs);
+	/*
+	 * No flush may send to the ATC from here on. One that began earlier may go through
+	 * any array that the domain has had. Its lock is held for as long as it takes.
+	 */
+	write_lock_irq(&smmu_domain->ats_lock);
+	write_unlock_irq(&smmu_domain->ats_lock);
	...
  }

@arm_smmu_domain_inv_range__export@
@@
  arm_smmu_domain_inv_range(...) { ... }
+EXPORT_SYMBOL_IF_KUNIT(arm_smmu_domain_inv_range);

@arm_smmu_domain_alloc__export@
@@
  arm_smmu_domain_alloc(...) { ... }
+EXPORT_SYMBOL_IF_KUNIT(arm_smmu_domain_alloc);

@arm_smmu_install_old_domain_invs__export@
@@
  arm_smmu_install_old_domain_invs(...) { ... }
+EXPORT_SYMBOL_IF_KUNIT(arm_smmu_install_old_domain_invs);

@arm_smmu_cmdq_init__export@
@@
  arm_smmu_cmdq_init(...) { ... }
+EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_init);
