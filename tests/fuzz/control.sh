#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# control.sh PROGRAM CORPUS PATTERN: the program fails on the corpus, and says PATTERN.
set -u

if out=$("$1" "$2" 2>&1); then
	echo "$1 finds nothing wrong with what is"
	exit 1
fi
printf '%s\n' "$out" | grep -E "$3"
