#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# page.sh SCDOC: a manual page from standard input. The first line has man run tbl, for
# the tables.
printf "'\\\\\" t\n"
exec "$1"
