#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
When the lab takes a kernel tree for changed.

usage: tests/lab.py
"""
import os
import sys
import tempfile

from tap import check, end

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "lab"))
from kernels import hash_tree   # pylint: disable=wrong-import-position


def main():
    """All of it."""
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
