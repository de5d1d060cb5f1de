// SPDX-License-Identifier: GPL-2.0-only
// In a crash kernel, ATS is on before the entry is made.

@context_entry_set_pasid_table@
identifier info;
expression context;
@@
  context_entry_set_pasid_table(...)
  {
	<+...
-	if (info->ats_supported)
+	if (info->ats_enabled)
		context_set_sm_dte(context);
	...+>
  }
