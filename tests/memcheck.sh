#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Each program without an error or a leak in valgrind's memcheck. The library
# keeps a thread for deferred frees until the end, which valgrind takes for possibly lost.
set -eu
command -v valgrind >/dev/null || { echo "skipped: no valgrind"; exit 77; }
for program; do
	valgrind --quiet --error-exitcode=99 --leak-check=full \
		--show-leak-kinds=definite,indirect \
		--errors-for-leak-kinds=definite,indirect "$program"
done
