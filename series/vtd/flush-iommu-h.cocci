// SPDX-License-Identifier: GPL-2.0-only
// No cache tag is on a list, and a batch belongs to one flush.

@cache_tag__node@
@@
  struct cache_tag {
-	struct list_head node;
	...
  };

@cache_tag_assign__decl@
@@
- int cache_tag_assign(...);

@cache_tag_assign_domain__decl@
@@
- int cache_tag_assign_domain(...);

@cache_tag_unassign_domain__decl@
@@
- void cache_tag_unassign_domain(...);
