# SPDX-License-Identifier: GPL-2.0-only
"""
What the boots said, stock beside alist: report.json and report.md in build/lab.

A cell is what one workload did with N devices on one kernel of one machine; it may have been
measured in several boots, one for commands, one for instructions, one for sections with
interrupts off. Commands, syncs and stale pages are per operation; so is what is printed.

The report fails where a boot did not come through, a kernel complained, QEMU counted something
else than the kernel, memory was stale, the list costs more than stock, or a difference to
stock is not explained in differences.toml.
"""
import json
import os
import re
import shutil
import subprocess
import tomllib

from kernels import CACHE, LAB, OUT, PROJECT

COMMANDS = ["iotlb", "atc", "sync"]
KEYS = ["machine", "workload", "kernel", "n", "ops", "iotlb", "atc", "sync", "instructions",
        "irqsoff_us", "stale", "splats"]

# What a detach may cost of stock's instructions, and an unmap on top of stock's stack.
DETACH_LIMIT = 1.2
STACK_LIMIT = 256

# The drivers on the list: a prefix for figures, the file and the struct that has a domain's
# containers; and what they share.
DRIVERS = [("vtd_", "drivers/iommu/intel", "iommu.h", "struct dmar_domain {"),
           ("amd_", "drivers/iommu/amd", "amd_iommu_types.h", "struct protection_domain {"),
           ("smmuv3_", "drivers/iommu/arm/arm-smmu-v3", "arm-smmu-v3.h",
            "struct arm_smmu_domain {"),
           ("riscv_", "drivers/iommu/riscv", "iommu.c", "struct riscv_iommu_domain {")]
CORE = ["include/linux/iommu-alist.h", "drivers/iommu/iommu-alist.c",
        "drivers/iommu/iommu-alist-priv.h"]


def per_operation(total, ops):
    """As an integer where it is one."""
    return total // ops if total % ops == 0 else round(total / ops, 2)


def merge(results):
    """One dictionary for each (machine, workload, n, kernel), in the order of the boots."""
    merged = {}
    for result in results:
        for cell in result["cells"]:
            key = result["machine"], cell["workload"], cell["n"], result["kernel"]
            row = merged.setdefault(key, dict.fromkeys(KEYS))
            row.update(machine=key[0], workload=key[1], n=key[2], kernel=key[3])
            row["splats"] = (row["splats"] or 0) + len(result["splats"])
            ops = cell.get("ops")
            for name in COMMANDS:
                if name in cell:
                    row["ops"] = ops
                    row[name] = per_operation(cell[name], ops)
            for name in ("instructions", "stale"):
                if name in cell:
                    row[name] = cell[name]
            if "irqsoff" in cell:
                row["irqsoff_us"] = cell["irqsoff"] / 1000
    return merged


def pairs(merged):
    """(stock, alist) of each cell that both kernels have."""
    for (machine, workload, n, kernel), row in merged.items():
        other = merged.get((machine, workload, n, "alist"))
        if kernel == "stock" and other:
            yield row, other


def explain(differences, stock, name):
    """The text for a difference in a figure of that name, or None."""
    for entry in differences:
        if name in entry["figures"] and re.fullmatch(entry["machine"], stock["machine"]) and \
                re.fullmatch(entry["workload"], stock["workload"]):
            return entry["reason"]
    return None


def judge(results, merged, differences):
    """What is wrong, as a list of sentences; and the explanations that were used."""
    failures, used = [], {}
    for result in results:
        # A suite that did not run has no failure, either.
        if result["workload"] in ("kunit", "selftests") and \
                "ok" not in result["ktap"].values():
            failures.append(f"{result['boot']}: no test passed")
        failures += [f"{result['boot']}: {error}" for error in result["errors"]]
        failures += [f"{result['boot']}: {splat}" for splat in result["splats"]]
        failures += [f"{result['boot']}: {name}: not ok"
                     for name, state in result["ktap"].items()
                     if state == "not ok" and result["workload"] == "kunit"]
    for stock, alist in pairs(merged):
        where = f"{stock['machine']} {stock['workload']} n={stock['n']}"
        for name in COMMANDS + ["irqsoff_us", "instructions"]:
            if stock[name] is None or alist[name] is None or stock[name] == alist[name]:
                continue
            if name in COMMANDS:
                reason = explain(differences, stock, name)
                if reason:
                    used.setdefault(reason, []).append(f"{where}: {name} {stock[name]} → "
                                                       f"{alist[name]}")
                else:
                    failures.append(f"{where}: {name} {stock[name]} → {alist[name]}: "
                                    "not explained in differences.toml")
            # Attach and detach are no hot path; a detach must not wait for a grace period.
            if name == "instructions" and stock["workload"] == "detach" and \
                    alist[name] > stock[name] * DETACH_LIMIT:
                failures.append(f"{where}: {alist[name]} instructions, stock {stock[name]}: "
                                f"more than {DETACH_LIMIT} times")
            if alist[name] > stock[name] and \
                    (name in COMMANDS or stock["workload"].startswith("unmap")):
                failures.append(f"{where}: {name}: {alist[name]}, stock {stock[name]}")
    failures += judge_bounds(results)
    # What a test of the kernel's own does on stock is not ours to judge.
    ours = [result for result in results if result["kernel"] == "alist"]
    for result in ours:
        for other in results:
            if result["workload"] != "selftests" or other["kernel"] != "stock" or \
                    (other["machine"], other["workload"]) != \
                    (result["machine"], result["workload"]):
                continue
            failures += [f"{result['boot']}: {name} fails, and not on stock"
                         for name, state in result["ktap"].items()
                         if state == "not ok" and other["ktap"].get(name) == "ok"]
            failures += [f"{result['boot']}: {name} did not run"
                         for name, state in other["ktap"].items()
                         if state == "ok" and name not in result["ktap"]]
    return failures, used


def judge_bounds(results):
    """
    A bound that nothing is above shows nothing: over more than two units, stock has to wait for more
    than the slowest one. Over two, some of its drivers do not.
    """
    failures = []
    for result in results:
        waits = [case for case in result.get("cases", [])
                 if "bound_of_slowest" in case and case.get("units", 1) > 2]
        if waits and result["kernel"] == "stock" and \
                all(case["of_slowest"] <= case["bound_of_slowest"] for case in waits):
            failures.append(f"{result['boot']}: no wait over more than two units is above its "
                            "bound: the bound shows nothing")
    return failures


def cases_of(results):
    """{machine: {case: {figure: {kernel: value}}}}."""
    machines = {}
    for result in results:
        for case in result.get("cases", []):
            figures = machines.setdefault(result["machine"], {}).setdefault(case["case"], {})
            for name, value in case.items():
                if name != "case" and not name.startswith("bound_"):
                    figures.setdefault(name, {})[result["kernel"]] = value
    return machines


def cases_markdown(results):
    """Each case of each machine: stock beside alist."""
    text = []
    for machine, cases in cases_of(results).items():
        rows = []
        for case, figures in cases.items():
            for number, (name, value) in enumerate(figures.items()):
                rows.append([case if not number else "", name.replace("_", " "),
                             value.get("stock"), value.get("alist")])
        text += [f"### {machine}\n", table(["case", "figure", "stock", "alist"], rows)]
    return text


def chart_units(results):
    """
    hw-units.svg: what an unmap over several units takes, by guest/hw_wait.c on the machine that
    has most of them. Return: is there one? Not without gnuplot, and not of what was not measured.
    """
    machines = {}
    for result in results:
        for case in result.get("cases", []):
            if "units" in case:
                machines.setdefault(result["machine"], {}).setdefault(
                    result["kernel"], []).append((case["units"], case["of_slowest"]))
    lines = max(machines.values(), default={},
                key=lambda lines: max(max(points) for points in lines.values()))
    if not lines or not shutil.which("gnuplot"):
        return False
    name = os.path.join(OUT, "hw-units")
    with open(name + ".dat", "w", encoding="utf-8") as file:
        for kernel, points in lines.items():
            file.write(f'"{kernel}"\n' + "".join(f"{x} {y}\n" for x, y in points) + "\n\n")
    subprocess.run(["gnuplot", "-e", f"name='{name}'; title='An unmap over several units'; "
                    "xlabel='units, 40 ms per command'; "
                    "ylabel='time, relative to the slowest unit alone'; "
                    f"nr={len(lines)}; styles='0 1'; thick=1",
                    os.path.join(PROJECT, "bench", "chart.gp")], check=True)
    return True


def lines_of(path):
    """How many a file has; 0 without the file."""
    if not os.path.exists(path):
        return 0
    with open(path, encoding="utf-8") as file:
        return sum(1 for _ in file)


def driver_figures(tree):
    """Of each driver: lines, containers and locks of its domain; lines of the list, and in all."""
    figures = {}
    for prefix, *where in DRIVERS:
        for name, value in one_driver(tree, *where).items():
            figures[prefix + name] = value
    figures["list_lines"] = sum(lines_of(os.path.join(tree, path)) for path in CORE)
    figures["lines_in_all"] = sum(value for name, value in figures.items()
                                  if name.endswith("_lines"))
    return figures


def one_driver(tree, directory, domain, begin):
    """The figures of one driver, from its source without its tests."""
    directory = os.path.join(tree, directory)
    lines = sum(lines_of(os.path.join(directory, name)) for name in os.listdir(directory)
                if re.search(r"(?<!kunit)(?<!test)\.[ch]$", name))
    with open(os.path.join(directory, domain), encoding="utf-8") as file:
        struct = file.read().partition(begin)[2].partition("\n};")[0]
    lists = len(re.findall(r"struct iommu_attach_list\s+\w+;", struct))
    # A list_head that is a link in somebody else's list is no container. What RCU protects is
    # SMMUv3's array.
    containers = len(re.findall(
        r"struct (?:(?:list_head|xarray)\s+(?!\w*link)|\w+ __rcu\s+\*)\w+;", struct))
    locks = len(re.findall(r"(?:spinlock_t|rwlock_t|struct mutex)\s+\w+;", struct))
    return {"lines": lines, "containers": containers + lists, "locks": locks + lists}


def unmap_stack(kind):
    """Bytes of the frames of an unmap, from the build of the kernel without debugging; or None."""
    path = os.path.join(CACHE, "obj", f"{kind}-x86-64", "stack")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return int(file.read())


def table(header, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join("" if value is None else str(value) for value in row) + " |"
              for row in rows]
    return "\n".join(lines) + "\n"


def both(stock, alist, name):
    """Stock's figure and ours in one field."""
    if stock[name] is None and alist[name] is None:
        return None
    return f"{stock[name]} → {alist[name]}"


def markdown(results, merged, driver, failures, used):
    """The report for people."""
    text = ["# The lab's report\n",
            "Stock → alist, for one operation. IOTLB, ATC and sync: commands that QEMU and "
            "the kernel both counted. Instructions: the mean. Interrupts off: the longest "
            "section of a flush, in µs at one instruction a nanosecond.\n"]
    for machine in dict.fromkeys(key[0] for key in merged):
        rows = [[stock["workload"], stock["n"],
                 *(both(stock, alist, name) for name in COMMANDS + ["instructions",
                                                                    "irqsoff_us"])]
                for stock, alist in pairs(merged) if stock["machine"] == machine and
                any(stock[name] is not None for name in COMMANDS + ["instructions",
                                                                    "irqsoff_us"])]
        if rows:
            text += [f"## {machine}\n", table(["operation", "devices", "IOTLB", "ATC", "sync",
                                               "instructions", "interrupts off, µs"], rows)]
    cases = cases_markdown(results)
    if cases:
        text += ["## Hardware that QEMU does not have\n",
                 "What `lab/hw` and the programs of `lab/guest/hw_*.c` saw: see doc/hw.md. "
                 "\"Stale\" and \"wrong\" are faults; \"fired\" is an oracle that was shown "
                 "one.\n", *cases]
        if chart_units(results):
            text += ["![An unmap over several units](hw-units.svg)\n"]
    text += ["## Differences\n"]
    text += [f"* {reason}\n" + "".join(f"  * {where}\n" for where in wheres)
             for reason, wheres in used.items()] or ["None.\n"]
    if driver:
        text += ["## The driver\n", table(
            ["", *driver], [[name.replace("_", " "),
                             *(figures.get(name) for figures in driver.values())]
                            for name in next(iter(driver.values()))])]
    text += ["## Boots\n", table(
        ["machine", "workload", "kernel", "tests passed", "stale", "splats", "begun again",
         "errors"],
        [[result["machine"], result["workload"], result["kernel"],
          list(result["ktap"].values()).count("ok") or None,
          next((cell["stale"] for cell in result["cells"] if cell["workload"] == "stale"), None),
          len(result["splats"]), "yes" if result["again"] else None,
          len(result["errors"])] for result in results])]
    again = [f"* {result['boot']}: {reason}\n" for result in results for reason in result["again"]]
    if again:
        text += ["## Begun again\n", *again]
    text += ["## Failures\n"] + ([f"* {failure}\n" for failure in failures] or ["None.\n"])
    return "\n".join(text)


def write(name, results, trees):
    """Leaves the report; returns what is wrong."""
    with open(os.path.join(LAB, "differences.toml"), "rb") as file:
        differences = tomllib.load(file).get("difference", [])
    merged = merge(results)
    failures, used = judge(results, merged, differences)
    driver = {kind: {**driver_figures(path), "unmap_stack_bytes": unmap_stack(kind)}
              for kind, path in trees.paths.items()}
    stack = [figures["unmap_stack_bytes"] for figures in driver.values()]
    if len(stack) == 2 and None not in stack and stack[1] > stack[0] + STACK_LIMIT:
        failures.append(f"unmap: {stack[1]} bytes of stack, stock {stack[0]}: "
                        f"more than {STACK_LIMIT} on top")
    with open(os.path.join(OUT, name + ".json"), "w", encoding="utf-8") as file:
        json.dump({"cells": list(merged.values()), "driver": driver, "boots": results,
                   "differences": used, "failures": failures}, file, indent=1)
    with open(os.path.join(OUT, name + ".md"), "w", encoding="utf-8") as file:
        file.write(markdown(results, merged, driver, failures, used))
    return failures
