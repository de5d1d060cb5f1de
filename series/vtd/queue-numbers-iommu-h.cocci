// SPDX-License-Identifier: GPL-2.0-only
// Status words hold numbers instead of states.

@enum__qi_status@
@@
- enum {
-	QI_FREE,
-	QI_IN_USE,
-	QI_DONE,
-	QI_ABORT
- };
