#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Each program without an error or a leak in valgrind's memcheck: not even a thread is left.
set -eu
command -v valgrind >/dev/null || { echo "skipped: no valgrind"; exit 77; }
for program; do
	valgrind --quiet --error-exitcode=99 --leak-check=full \
		--errors-for-leak-kinds=definite,indirect,possible "$program"
done
