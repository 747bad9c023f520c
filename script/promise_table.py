#!/usr/bin/env python3
"""Writes the promise bench's results beside the figures to be reached.

    promise_table.py RESULTS.json...          into docs/promise.md and README.md
    promise_table.py --print RESULTS.json...  to standard output
"""
import json
import os
import sys

# scenario: kept_as_told at least, interval score at most (minutes), broken at most.
TARGETS = {
    "base-0.7": (.98, 5, .005),
    "base-0.85": (.95, 8, .005),
    "base-1.0": (.88, 18, .005),
    "base-1.15": (.77, 22, .005),
    "base-1.3": (.63, 25, .005),
    "reach-0.9": (.88, 8, .005),
    "churn-0.9": (.90, 15, .005),
    "drift-0.9": (.88, 20, .005),
    "rush-0.9": (.77, 8, .005),
    "loss-0.9": (.80, 60, .02),
    "surge-0.9": (.85, 40, .02),
    "dst-fall": (.85, 18, .005),
    "dst-spring": (.85, 18, .005),
    "zones-0.9": (.95, 10, .005),
    "small-0.8": (.95, 15, .005),
    "large-1.0": (.93, 8, .005),
}
PROMISE_HIT = .97
# Share of the seeds in which the live calls must have had what they are to have.
KEPT_LIVE = .8
BEGIN, END = "<!-- promise:begin -->", "<!-- promise:end -->"

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def fail(reason):
    sys.exit("promise_table.py: " + reason)


def load(paths):
    """Runs of the server and of the reference by scenario: {name: [(seed, figures)]}."""
    runs, references = {}, {}
    for path in paths:
        try:
            with open(path) as f:
                results = json.load(f)
        except (OSError, ValueError) as error:
            fail("%s: %s" % (path, error))
        for key, figures in results.items():
            scenario, seed, policy = key.split("|")
            into = runs if policy == "external" else references
            into.setdefault(scenario, []).append((int(seed), figures))
    if not runs:
        fail("no run of the server in " + ", ".join(paths))
    return runs, references


def mark(value, good):
    return "%s %s" % (value, "✓" if good else "✗")


def mean_of(runs, key):
    return sum(figures[key] for _, figures in runs) / len(runs) if runs else None


def row(name, runs, reference):
    mean = lambda key: mean_of(runs, key)
    gates = [figures["gates"] for _, figures in runs]
    live = sum(g["inbound"] and g["abandon"] for g in gates)
    told, score, hit, broken = (mean(k) for k in ("kept_as_told", "interval_score", "promise_hit", "broken"))
    violations = sum(figures["violations"] for _, figures in runs)
    least, most, breaks = TARGETS.get(name, (None, None, .005))
    reference = mean_of(reference, "kept_as_told")
    dash = lambda value, text: "–" if value is None else text % value
    good = [told >= (least or 0), most is None or score <= most, hit >= PROMISE_HIT, broken <= breaks,
            violations == 0, live >= KEPT_LIVE * len(runs)]
    # Where nothing is to be reached, nothing is judged.
    judged = lambda text, target, fits: text if target is None else mark(text, fits)
    cells = [name, dash(reference, "%.2f"), dash(least, "≥ %.2f"), judged("%.3f" % told, least, good[0]),
             dash(most, "≤ %g"), judged("%.1f" % score, most, good[1]), mark("%.3f" % hit, good[2]),
             mark("%.2f %%" % (100 * broken), good[3]), mark(violations, good[4]),
             mark("%d/%d" % (live, len(runs)), good[5])]
    return "| " + " | ".join(cells) + " |", all(good)


def table(runs, references):
    lines = ["| scenario | reference kept as told | to reach | **reached** | interval score to reach, min | **reached** "
             "| promise hit | broken | violations | live targets kept |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    reached = 0
    order = [n for n in TARGETS if n in runs] + sorted(n for n in runs if n not in TARGETS)
    for name in order:
        line, good = row(name, runs[name], references.get(name))
        lines.append(line)
        reached += good
    return "\n".join(lines), reached, len(order)


def seeds_of(runs):
    by = {}
    for name, each in runs.items():
        by.setdefault(",".join(str(s) for s, _ in sorted(each)), []).append(name)
    longest = max(by, key=lambda seeds: len(by[seeds]))
    others = ["%s: %s" % (", ".join(sorted(names)), seeds) for seeds, names in sorted(by.items()) if seeds != longest]
    return "Means over seeds %s%s." % (longest, "".join("; " + other for other in others))


def whole(reached, rows):
    return "All of a row's figures are reached in %d of %d scenarios." % (reached, rows)


def page(text, reached, rows, seeds):
    return """# Promises kept: the planner on the promise bench

Written by `script/promise`; do not edit. %s

%s

%s ✓ reached, ✗ not.

- *Reference* is the bench's best reference policy, `edf+`, on the same days.
- *Kept as told*: share of the customers who could be reached that were connected inside their window and first dialled
  inside the promise given at booking.
- *Interval score*: length of the promise plus 20 times the distance by which the first dial missed it, minutes.
- *Promise hit*: share of the accepted first dialled inside the promise, at least %.2f. *Broken*: accepted and not dialled
  inside the window, at most 0.5 %% (2 %% in loss and surge). *Violations* of the bench's rules: none.
- *Live targets kept*: seeds in which the live calls were answered in time and did not give up more often than allowed, at
  least %d in 5.

To repeat it: `PROMISE_BENCH=<directory of the bench> script/promise`. The bench talks to `ringback simulate --stdio` line
by line, so the planner never sees what has not happened yet.
""" % (seeds, text, whole(reached, rows), PROMISE_HIT, KEPT_LIVE * 5)


def main(arguments):
    only_print = "--print" in arguments
    paths = [a for a in arguments if a != "--print"]
    if not paths:
        fail("which results?")
    runs, references = load(paths)
    text, reached, rows = table(runs, references)
    seeds = seeds_of(runs)
    if only_print:
        print(text + "\n\n" + seeds)
        return
    missing = [name for name in TARGETS if name not in runs]
    if missing:
        fail("nothing is written, because these scenarios are missing: " + ", ".join(missing))
    readme = os.path.join(ROOT, "README.md")
    with open(readme) as f:
        old = f.read()
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        fail("README.md has no %s and %s" % (BEGIN, END))
    with open(os.path.join(ROOT, "docs", "promise.md"), "w") as f:
        f.write(page(text, reached, rows, seeds))
    with open(readme, "w") as f:
        f.write(before + begin + "\n" + text + "\n\n" + seeds + " " + whole(reached, rows)
                + " More in [docs/promise.md](docs/promise.md).\n" + end + after)
    print(text + "\n\n" + seeds)


if __name__ == "__main__":
    main(sys.argv[1:])
