#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# control.sh TORTURE-BROKEN FAULT WORLD PATTERN [ROUND]: the oracle, or a sanitizer, reports the
# fault in the words of PATTERN, and the exit status says so.
set -u

# What is broken on purpose may hang once the oracle has spoken: the words count.
out=$(TORTURE_FAULT=$2 timeout -k 5 60 "$1" --only="$3" --duration=30 --round="${5:-3}" 2>&1)
status=$?
if [ $status = 0 ]; then
	echo "$2 on $3: not found in 30 s"
	exit 1
fi
if ! printf '%s\n' "$out" | grep -E "$4"; then
	printf '%s\n' "$out"
	echo "$2 on $3: exit status $status, and nothing about: $4"
	exit 1
fi
