#!/usr/bin/env python3
"""Times the same work in modx and in a tuned PyTorch, interleaved in one run, and prints both with ratios and floors.

    compare_torch.py {mlp,cnn,moe,gemm,lm,qwen3,bf16,mnist,all} [--threads 1 2] [--json FILE] [--markdown FILE]

modx's side: BUILD/benchmarks/{train_step,kernels,qwen3} and, for mnist, BUILD/examples/red_mnist (preset cpu).
The peer is probed under several environments (BLAS library and kernel, malloc, denormals, vector width, memory format)
and the fastest is used for each item; the default environment is reported beside it.  `bf16` has modx's products in bfloat16, on AMX;
`all` leaves it out where there is none.
Exit status: 0 measured, 77 PyTorch is not installed, 2 something needed is missing, 1 a program failed.
"""
import argparse
import json
import os
import platform
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, "benchmarks", "torch_peer"))

import machine
import mnist_race
import modx
import peer as peers
import race
import table
from items import GROUPS, ITEMS


def say(message):
    print(message, file=sys.stderr, flush=True)


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("work", choices=GROUPS + ("mnist", "all"))
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rounds", type=int, default=5, help="interleaved rounds per item, at least 5 for a figure to publish")
    p.add_argument("--seconds", type=float, default=0.5, help="length of one measurement")
    p.add_argument("--probe-seconds", type=float, default=0.3, help="length of one measurement while looking for the best environment")
    p.add_argument("--build-dir", default=os.path.join(SOURCE, "build", "cpu"))
    p.add_argument("--data-dir", default=os.environ.get("MODX_DATA_DIR", os.path.join(SOURCE, "data", "mnist")), help="for mnist")
    p.add_argument("--mnist-rounds", type=int, default=1, help="one round of the peer takes many minutes")
    p.add_argument("--mnist-modx-args", default="", help="more arguments for red_mnist, separated by blanks")
    p.add_argument("--mnist-peer-args", default="", help="more arguments for the peer, e.g. --max-epochs-router=2")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--markdown", metavar="FILE")
    chosen = p.parse_args()
    if min(chosen.threads) < 1 or chosen.rounds < 1 or chosen.mnist_rounds < 1 or not chosen.seconds > 0:
        p.error("threads, rounds and seconds must be positive")
    return chosen


def missing(o, items):
    """What the build folder or the data folder lacks for this work."""
    needed = [os.path.join("benchmarks", program) for program in ("kernels", "qwen3", "train_step") if items]
    if o.work in ("mnist", "all"):
        needed.append(os.path.join("examples", "red_mnist"))
        if not os.path.isdir(o.data_dir):
            yield f"the folder with the MNIST files (--data-dir {o.data_dir})"
    for name in needed:
        if not os.access(os.path.join(o.build_dir, name), os.X_OK):
            yield f"{name} under {o.build_dir} (cmake --preset cpu && cmake --build --preset cpu)"


def measure(o, interpreter, items, programs):
    """All rows of the step and kernel benchmarks, and what the FMA probe saw at each number of threads."""
    rows, peaks = [], {}
    for threads in o.threads:
        say(f"{threads} thread(s): looking for the fastest environment of the peer ...")
        best = peers.tuner(interpreter, threads, o.probe_seconds, report=say).best(items)
        opened, probe = {}, race.fma_probe(programs, threads)
        for _ in range(5):
            probe()
        try:
            for i in items:
                for env in (peers.environment(), best[i.name].process()):
                    if env not in opened:
                        opened[env] = peers.peer(interpreter, env, threads)
                default, tuned = opened[peers.environment()], opened[best[i.name].process()]
                row = race.run(i, probe, programs, default, tuned, best[i.name], o.rounds, o.seconds)
                say(f"  {i.name}: modx {table.human(table.median(row['ours']))}, peer {table.human(table.median(row['tuned']))} "
                    f"{i.unit} [{row['environment']}]")
                rows.append(row)
        finally:
            for p in opened.values():
                p.close()
        own = [row for row in rows if row["threads"] == threads]
        seen = race.summary([v for row in own if row["peak"] for v in row["peak"]["values"]])
        if seen:
            peaks[str(threads)] = {"best": probe.best, "median": seen["median"]}
        for row in own:
            race.finish(row, probe.best)
    return rows, peaks


def race_mnist(o, interpreter):
    rows = []
    for threads in o.threads:
        say(f"mnist, {threads} thread(s): looking for the fastest environment of the peer ...")
        env = peers.tuner(interpreter, threads, o.probe_seconds, report=say).best([ITEMS["cnn_forward"]])["cnn_forward"]
        rows.append(mnist_race.run(threads, o.build_dir, o.data_dir, interpreter, env, o.mnist_rounds,
                                   o.mnist_modx_args.split(), o.mnist_peer_args.split()))
    return rows


def notes(result, programs):
    if not [name for name in peers.libraries() if name.startswith(("openblas", "mkl", "blis"))]:
        yield "no optimised BLAS is installed, so the peer is NOT tuned: install libopenblas0-openmp or libopenblas0-pthread"
    yield from race.notes(result["rows"])
    if not result["peak"] and result["rows"]:
        yield "no FMA probe in the kernels program: shares of the peak and noise are unknown"
    yield from programs.warned.values()


def main():
    o = options()
    interpreter = peers.python()
    if interpreter is None:
        print("skipped: no Python with PyTorch was found (Debian: python3-torch)")
        return 77
    items = [i for i in ITEMS.values() if o.work == i.group or o.work == "all" and (i.group != "bf16" or "amx_bf16" in machine.cpu_flags())]
    lacking = list(missing(o, items))
    if lacking:
        say("compare_torch.py: missing: " + "; ".join(lacking))
        return 2
    programs = modx.programs(o.build_dir, report=say)
    result = {"format": 1, "machine": machine.describe(SOURCE), "rounds": o.rounds, "seconds": o.seconds, "peak": {}, "rows": [], "mnist": [],
              "versions": {"python": platform.python_version(), "torch": peers.torch_version(interpreter),
                           "system_blas": peers.system_library()}}
    if items:
        result["rows"], result["peak"] = measure(o, interpreter, items, programs)
    if o.work in ("mnist", "all"):
        result["mnist"] = race_mnist(o, interpreter)
    result["versions"]["benchmark"] = programs.context
    result["notes"] = list(notes(result, programs))
    print(table.text(result))
    for path, content in ((o.json, json.dumps(result, indent=1)), (o.markdown, table.text(result, markdown=True))):
        if path:
            with open(path, "w", encoding="utf-8") as file:
                file.write(content + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, ValueError) as error:
        say(f"compare_torch.py: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
