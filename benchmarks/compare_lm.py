#!/usr/bin/env python3
"""Trains every mode of moe_lm at equal parameters and at equal compute, on the same tokens, and prints a table.

    compare_lm.py --data-dir FOLDER [--out runs/compare-lm] [--markdown FILE]

Modes without hyperedges get MLPs of such a width that they equal hgnn in parameters, or in multiply-adds a token.  A run
that is there already is not run again.  Exit status: 0 done, 1 a run failed, 2 something needed is missing.
"""
import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODES = ("dense", "topk", "uncoupled", "gnn", "hgnn", "orthogonal", "ghost")
FILES = {"wikitext2": "wikitext2_valid.txt", "shakespeare": "tinyshakespeare.txt"}
SAME_IN_BOTH = ("hgnn", "orthogonal")  # what the others are matched to


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--program", default=os.path.join(SOURCE, "build", "cpu", "examples", "moe_lm"))
    p.add_argument("--tasks", nargs="+", default=["generated", "wikitext2"], choices=("generated", *FILES))
    p.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    p.add_argument("--match", nargs="+", default=["parameters", "compute"], choices=("parameters", "compute"))
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    p.add_argument("--data-dir", default="data/text", help="folder with the files of the tasks")
    p.add_argument("--out", default="runs/compare-lm")
    p.add_argument("--options", default="--width 32 --batch-tokens 512 --steps 400 --texts 3000 --valid-tokens 20000 --threads 1",
                   help="more options for every run, separated by blanks")
    p.add_argument("--markdown", metavar="FILE")
    return p.parse_args()


def runs(o):
    for task, seed, match, mode in itertools.product(o.tasks, o.seeds, o.match, o.modes):
        if mode not in SAME_IN_BOTH or match == o.match[0]:
            yield task, match, mode, seed


def folder(o, task, match, mode, seed):
    return os.path.join(o.out, f"{task}-{o.match[0] if mode in SAME_IN_BOTH else match}-{mode}-{seed}")


def train(o, task, match, mode, seed):
    to = folder(o, task, match, mode, seed)
    if os.path.exists(os.path.join(to, "metrics.json")):
        return
    command = [o.program, "--mode", mode, "--match", match, "--task", task, "--data-dir", o.data_dir, "--seed", str(seed),
               "--eval-every", "1000000", "--save-every", "1000000", "--quiet", "--save-dir", to, *o.options.split()]
    if os.path.exists(os.path.join(to, "config.json")):
        command = [o.program, "--resume", "--quiet", "--save-dir", to]
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"compare_lm.py: {' '.join(command)}: exit status {done.returncode}")
    print(f"{task}, {match}, {mode}, seed {seed}", file=sys.stderr, flush=True)


def spread(values, digits):
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def table(o):
    """One task after the other; losses are in nats a token, and beside them stands what they are beyond another mode's, seed by seed."""
    others = [mode for mode in ("dense", "uncoupled") if mode in o.modes]
    out = ["| task | equal | mode | parameters | multiply-adds a token | loss | perplexity |" + "".join(f" beyond {m} |" for m in others),
           "|---|---|---|---:|---:|---:|---:|" + "---:|" * len(others)]

    def metrics(*run):
        with open(os.path.join(folder(o, *run), "metrics.json"), encoding="utf-8") as file:
            return json.load(file)

    seen = {}  # tokens of each task and seed: all modes train on the same
    for task, match, mode in itertools.product(o.tasks, o.match, o.modes):
        found = [metrics(task, match, mode, seed) for seed in o.seeds]
        for seed, m in zip(o.seeds, found):
            if seen.setdefault((task, seed), m["tokens"]) != m["tokens"]:
                sys.exit(f"compare_lm.py: {task}, seed {seed}: {mode} has trained on other tokens than the modes before it")
        row = [task, match, mode, f"{found[0]['parameters']:,}", f"{found[0]['products_per_token'] / 1000:,.0f} k",
               spread([m["valid_loss"] for m in found], 3), spread([m["perplexity"] for m in found], 2)]
        for other in others:
            beyond = [m["valid_loss"] - metrics(task, match, other, seed)["valid_loss"] for seed, m in zip(o.seeds, found)]
            row.append(spread(beyond, 3) if other != mode else "")
        out.append("| " + " | ".join(row) + " |")
    return "\n".join(out)


def main():
    o = options()
    lacking = [f"{FILES[t]} in {o.data_dir}" for t in o.tasks
               if t in FILES and not os.path.exists(os.path.join(o.data_dir, FILES[t]))]
    if not os.access(o.program, os.X_OK):
        lacking.append(f"{o.program} (cmake --preset cpu && cmake --build --preset cpu)")
    if lacking:
        print("compare_lm.py: missing: " + "; ".join(lacking), file=sys.stderr)
        return 2
    os.makedirs(o.out, exist_ok=True)
    for run in runs(o):
        train(o, *run)
    text = table(o)
    print(text)
    if o.markdown:
        with open(o.markdown, "w", encoding="utf-8") as file:
            file.write(text + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError, KeyError) as error:
        print(f"compare_lm.py: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
