// SPDX-License-Identifier: GPL-2.0-only
// A status word holds a number, and a cache_tag is what an event shows.

@enum__qi_status@
@@
- enum {
-	QI_FREE,
-	QI_IN_USE,
-	QI_DONE,
-	QI_ABORT
- };

@cache_tag__node@
@@
  struct cache_tag {
-	struct list_head node;
	...
  };
