# SPDX-License-Identifier: GPL-2.0-only
"""The device tree of a machine: the one that QEMU makes, changed as text."""
import os

from kernels import run


def make(command, dtc, directory, edit, wrap=list):
    """
    The tree that QEMU makes for this command, as edit returns it for its text; what is in between
    stays in directory. wrap: makes of a command what is run. Return: the file.
    """
    where = command.index("-machine") + 1
    made, text, tree, log = (os.path.join(directory, name)
                             for name in ("made.dtb", "dts", "dtb", "dtb.log"))
    dump = [*command[:where], f"{command[where]},dumpdtb={made}", *command[where + 1:]]
    for step in (dump, [dtc, "-q", "-I", "dtb", "-O", "dts", "-o", text, made]):
        run(wrap(step), log, "device tree")
    with open(text, encoding="utf-8") as file:
        source = edit(file.read())
    with open(text, "w", encoding="utf-8") as file:
        file.write(source)
    run(wrap([dtc, "-q", "-I", "dts", "-O", "dtb", "-o", tree, text]), log, "device tree")
    return tree
