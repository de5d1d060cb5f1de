#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
When the lab takes a kernel tree for changed, and what it says of a boot.

usage: tests/lab.py
"""
import os
import sys
import tempfile
from types import SimpleNamespace

from tap import check, end

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "lab"))
import report                   # pylint: disable=wrong-import-position
import vm                       # pylint: disable=wrong-import-position
from kernels import hash_tree   # pylint: disable=wrong-import-position


def judgement():
    """Figures of simulated hardware."""
    def wrong(kind, **figures):
        return list(vm.judge_cases(kind, [{"case": "x", **figures}]))

    check("a stale page is a fault of alist", wrong("alist", stale_agents=1) and
          wrong("alist", wrong=1) and not wrong("alist", stale=0, wrong=0, ms=7))
    check("and no judgement on stock", not wrong("stock", stale=1, wrong=2))
    check("an oracle that does not fire is one on both", wrong("alist", fired=0) and
          wrong("stock", fired_agents=0) and not wrong("stock", fired=1))
    check("a bound is of another figure", wrong("alist", ms=3, bound_ms=2) and
          not wrong("alist", ms=2, bound_ms=2) and not wrong("stock", ms=3, bound_ms=2))

    def waits(kind, *of_slowest):
        return report.judge_bounds([{"boot": "b", "kernel": kind, "cases": [
            {"case": "x", "units": units, "of_slowest": value, "bound_of_slowest": 1.15}
            for units, value in enumerate(of_slowest, 1)]}])
    check("a bound that stock keeps shows nothing", waits("stock", 1.0, 1.9, 1.0, 1.15))
    check("one that stock exceeds does", not waits("stock", 1.0, 1.0, 1.9, 1.0))
    check("one or two units are no case of it", not waits("stock", 1.0, 1.0))
    check("alist is to keep it", not waits("alist", 1.0, 1.0, 1.0))


def late():
    """What a host can cause that has no time for the hardware, and what it cannot."""
    boot = SimpleNamespace(hardware=SimpleNamespace(starved=lambda kind: kind == "alist"),
                           kernel=SimpleNamespace(kind="alist"))

    def again(*complaints):
        return vm.may_be_late(boot, {"errors": list(complaints), "splats": []})
    check("a timeout may be the host's fault", again("DMAR: timeout"))
    check("nothing is wrong", not again())
    for line in ("BUG: KASAN: slab-use-after-free in x", "x: stale: 1",
                 "WARNING: possible circular locking dependency", "list_add corruption."):
        check(f"no host causes this: {line}", not again("DMAR: timeout", line))


def main():
    """All of it."""
    judgement()
    late()
    with tempfile.TemporaryDirectory(prefix="lab-") as tree:
        def write(name, text):
            with open(os.path.join(tree, name), "w", encoding="utf-8") as file:
                file.write(text)

        write("Makefile", "all:\n")
        before = hash_tree(tree)
        write(".checkpatch-camelcase.date.202611152230", "camelCase\n")
        check("what checkpatch leaves is no change", hash_tree(tree) == before)
        write("Kconfig", "config X\n")
        added = hash_tree(tree)
        check("a new file is", added != before)
        write("Kconfig", "config XY\n")
        check("another size is", hash_tree(tree) != added)
    end()


if __name__ == "__main__":
    main()
