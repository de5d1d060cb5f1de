# SPDX-License-Identifier: GPL-2.0-only
"""
What the list is to reach, and what it does in one run of the bench. Ratios are within the
run: times tell about the machine.
"""
import json
import os


RETPOLINE_CELLS = ["1,1,none", "4,1,none", "8,8,none", "1024,8,none", "1,1,all", "256,8,all",
                   "1024,8,all"]


class Run:
    """
    What one run of scripts/bench left in a directory. @cells: {(op, state, n, g, atc, nest,
    threads, layout): cell}; @retpolines: the same without indirect branches; @fences:
    {(what, way): value}.
    """

    def __init__(self, directory):
        self.cells = {}
        self.retpolines = {}
        for cell in self.load(directory, "bench"):
            key = (cell["op"], cell["state"], cell["n"], cell["g"], cell["atc"],
                   cell["nest"], cell["threads"], cell["layout"])
            # Readers of the kernel's RCU cost nothing, as those of QSBR.
            if cell["rcu"] == "qsbr":
                self.cells.setdefault(key, cell).update(
                    {field: value for field, value in cell.items() if value is not None})
            elif cell["rcu"] == "qsbr, retpolines":
                self.retpolines[key] = cell
        self.fences = {(row["what"], row["way"]): next(row[unit] for unit in ("ns", "us", "MB")
                                                      if unit in row)
                       for row in self.load(directory, "fences")}

    @staticmethod
    def load(directory, name):
        with open(os.path.join(directory, name + ".json"), encoding="utf-8") as file:
            return json.load(file)

    def get(self, op, state, n, g, atc, layout="alist", threads=1):
        return self.cells[op, state, n, g, atc, False, threads, layout]

    def ns(self, *key, **kwargs):
        return self.get(*key, **kwargs)["ns"]

    def to_floor(self, *key):
        return self.get(*key)["floor_ratio"]

    def to_best(self, *key):
        return self.get(*key)["best_peer_ratio"]

    def to(self, layout, *key):
        return self.ns(*key) / self.ns(*key, layout=layout)

    def retpoline_to_best(self, op, n, g, atc):
        return self.retpolines[op, "hot", n, g, atc, False, 1, "alist"]["best_peer_ratio"]


def at_most(bound, *values, form="%.2f"):
    return ", ".join(form % value for value in values), max(values) <= bound


def at_least(bound, *values, form="%.2f"):
    return ", ".join(form % value for value in values), min(values) >= bound


def measured(run):
    """[(cell, target, measured, met)]"""
    # To the floor: a machine's clock is not the same from cell to cell.
    flat = [run.to_floor("walk", "hot", n, 8, "none") for n in (8, 1024, 4096)]
    smmuv3 = run.ns("attach", "hot", 4096, 64, "all", layout="smmuv3")
    attach = run.ns("attach", "hot", 4096, 64, "all")
    # Two CPUs may be one core, and do less than twice the work whatever it is.
    scale, floor_scale = (run.ns("walk", "threads", 4, 1, "all", layout=layout) /
                          run.ns("walk", "threads", 4, 1, "all", layout=layout, threads=2)
                          for layout in ("alist", "floor"))
    results = [
        ("walk hot, N=1 and 4, no ATC", "1.25 x floor",
         at_most(1.25, *(run.to_floor("walk", "hot", n, 1, "none") for n in (1, 4)))),
        ("walk hot, N=1 and 4, ATC", "1.25 x floor",
         at_most(1.25, *(run.to_floor("walk", "hot", n, 1, "all") for n in (1, 4)))),
        ("flush hot, N=1 and 4, no ATC", "1.35 x floor",
         at_most(1.35, *(run.to_floor("flush", "hot", n, 1, "none") for n in (1, 4)))),
        ("flush hot, 8,8 and 1024,8, no ATC", "2 x floor",
         at_most(2, *(run.to_floor("flush", "hot", n, 8, "none") for n in (8, 1024)))),
        ("flush hot, 256,8 and 1024,8, ATC", "1.8 x floor",
         at_most(1.8, *(run.to_floor("flush", "hot", n, 8, "all") for n in (256, 1024)))),
        ("the same", "1.1 x SMMUv3",
         at_most(1.1, *(run.to("smmuv3", "flush", "hot", n, 8, "all") for n in (256, 1024)))),
        ("walk and flush cold-l2, 64,8, ATC", "1.1 x SMMUv3",
         at_most(1.1, *(run.to("smmuv3", op, "cold-l2", 64, 8, "all")
                        for op in ("walk", "flush")))),
        ("drain during a flush that hangs elsewhere", "1 ms",
         at_most(1, run.fences["iommu_attach_drain(), a flush hangs elsewhere", "list"] / 1000,
                 form="%.3f ms")),
        ("16k new groups while a flush hangs", "1.2 x no hang",
         at_most(1.2, run.fences["most memory, 16k new groups, a flush hangs", "list"] /
                 run.fences["most memory, 16k new groups", "list"])),
        ("flush and find_tag after 16k groups are gone", "1.2 x a new list",
         at_most(1.2, *(run.fences[op + ", list whose 16k groups are gone", "list"] /
                        run.fences[op + ", new list", "list"] for op in ("flush", "find_tag")))),
        ("walk hot, G=8, no ATC", "2 x floor",
         at_most(2, run.to_floor("walk", "hot", 8, 8, "none"))),
        ("the same, N=1024 and 4096 to N=8", "within 15%",
         at_most(15, *(100 * abs(ratio / flat[0] - 1) for ratio in flat[1:]),
                 form="%.0f%%")),
        ("walk hot, N=256 and 1024, ATC", "3.2 x floor",
         at_most(3.2, *(run.to_floor("walk", "hot", n, 8, "all") for n in (256, 1024)))),
        ("the same", "1 x best peer",
         at_most(1, *(run.to_best("walk", "hot", n, 8, "all") for n in (256, 1024)))),
        ("walk cold-l2, one group, N=1 and 4", "1.3 x floor",
         at_most(1.3, *(run.to_floor("walk", "cold-l2", n, 1, "none") for n in (1, 4)))),
        ("walk cold-l2, 64,8, ATC, a device", "40 ns",
         at_most(40, run.ns("walk", "cold-l2", 64, 8, "all") / 64, form="%.0f ns")),
        ("two walkers, 4,1, ATC, scaled: floor 2", "1.9 x one",
         at_least(1.9, 2 * scale / floor_scale)),
        ("attach, 4,1, no ATC", "31 ns",
         at_most(31, run.ns("attach", "hot", 4, 1, "none"), form="%.0f ns")),
        ("attach, 4096,64, ATC", "94 ns", at_most(94, attach, form="%.0f ns")),
        ("the same, SMMUv3 to the list", "100 x", at_least(100, smmuv3 / attach, form="%.0f")),
        ("detach, 4096,64, ATC", "100 ns",
         at_most(100, run.ns("detach", "hot", 4096, 64, "all"), form="%.0f ns")),
    ]
    if run.retpolines:
        results += [
            ("flush hot, %d,%d, %s, retpolines" % (n, g, "ATC" if atc == "all" else "no ATC"),
             "%g x best peer" % bound, at_most(bound, run.retpoline_to_best("flush", n, g, atc)))
            for n, g, atc, bound in [(1, 1, "none", 1.4), (8, 8, "none", 1.5),
                                     (256, 8, "all", 1.1)]]
    counts = [run.get("flush", "hot", n, 1, "none").get("instructions") for n in (1, 4)]
    if all(counts):
        results.append(("flush hot, N=1 and 4, no ATC", "90 instructions",
                        at_most(90, *counts, form="%.0f")))
    return [(cell, target, text, met) for cell, target, (text, met) in results]
