#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# replay.sh TORTURE TORTURE-BROKEN TURNS: with --serial a seed replays: the same turns, and
# the same failure; another seed does something else.
set -eu

digest()
{
	"$torture" --only=list --serial="$turns" --round=60 --duration=1 --seed="$1" |
		sed -n 's/.*digest //p' | head -n 1
}

failure()
{
	TORTURE_FAULT=no-drain "$broken" --only=list --serial="$turns" --seed="$1" 2>&1 |
		grep -m 1 FAILED
}

torture=$1 broken=$2 turns=$3
first=$(digest 7) again=$(digest 7) other=$(digest 8)
echo "seed 7: $first, again $again; seed 8: $other"
[ "$first" ] && [ "$first" = "$again" ] && [ "$first" != "$other" ]

first=$(failure 7)
again=$(failure 7)
echo "$first"
[ "$first" ] && [ "$first" = "$again" ]
