#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# control.sh TORTURE-BROKEN FAULT WORLD PATTERN [ARG...]: the oracle, or a sanitizer, reports the
# fault in the words of PATTERN, and the exit status says so.
set -u
program=$1 fault=$2 world=$3 pattern=$4
shift 4

# What is broken on purpose may hang once the oracle has spoken: the words count.
out=$(TORTURE_FAULT=$fault timeout -k 5 110 "$program" --only="$world" --duration=90 --round=3 \
	"$@" 2>&1)
status=$?
if [ $status = 0 ]; then
	echo "FAILED: $fault on $world: not found in 90 s"
	exit 1
fi
if ! printf '%s\n' "$out" | grep -E "$pattern"; then
	printf '%s\n' "$out"
	echo "FAILED: $fault on $world: exit status $status, and nothing about: $pattern"
	exit 1
fi
