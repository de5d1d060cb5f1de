// SPDX-License-Identifier: GPL-2.0-only
/* liburcu's flavours, whose structures have the names of the shim's. */
#define URCU_NO_COMPAT_IDENTIFIERS
#include <urcu/urcu-bp.h>
#include <urcu/urcu-memb.h>

#include "grace.h"

const struct grace_rcu grace_memb = {
	"memb", urcu_memb_register_thread, urcu_memb_unregister_thread,
	urcu_memb_read_lock, urcu_memb_read_unlock, urcu_memb_synchronize_rcu,
};

const struct grace_rcu grace_bp = {
	"bp", NULL, NULL, urcu_bp_read_lock, urcu_bp_read_unlock, urcu_bp_synchronize_rcu,
};
