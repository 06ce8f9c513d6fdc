"""Measures one work item in interleaved rounds: modx, tuned peer, plain-Eigen floor, default peer, FMA probe."""
import statistics
import time
from dataclasses import dataclass

import machine

QUIET = 0.92  # a round is noisy when the FMA probe shows less than this share of its best
FOREIGN = 0.10  # or when other processes hold more than this many cores while nothing of ours runs


def summary(values):
    """Median and range; None when there is nothing."""
    values = [v for v in values if v is not None]
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "values": values}


@dataclass
class fma_probe:
    """The machine's FMA peak by modx's `kernels` program; remembers the best it has seen."""

    programs: object
    threads: int
    best: float = 0.0

    def __call__(self):
        rate = self.programs.fma_peak(self.threads, 0.1)
        self.best = max(self.best, rate or 0.0)
        return rate


def run(item, probe, programs, default, tuned, env, rounds, seconds):
    """One row: `default` and `tuned` are open peers, `env` what was found best for this item.

    Noisy rounds are repeated, at most `rounds` times; they count only when too few quiet ones were had.
    """
    ours, floor = programs.find(item.benchmarks, probe.threads), programs.find(item.floor, probe.threads)
    seen = []
    while len(seen) < 2 * rounds and sum(quiet(r, probe) for r in seen) < rounds:
        time.sleep(0.3)  # idle threads of the peer's BLAS spin on for 0.1 s
        seen.append({"foreign": machine.busy_cores(0.1), "peak": probe(),
                     "read": programs.read_bandwidth(probe.threads, 0.5) if item.bytes else None,
                     "ours": programs.rate(ours, item.step, item.counter, seconds),
                     "tuned": tuned.measure(item.work, seconds, env.variant),
                     "floor": programs.rate(floor, item.step, item.counter, seconds),
                     "default": default.measure(item.work, seconds / 2)})
    kept = [r for r in seen if quiet(r, probe)]
    noisy = len(seen) - len(kept)
    used = kept if len(kept) > rounds // 2 else seen
    row = {"item": item.name, "title": item.title, "threads": probe.threads, "unit": item.unit, "flops_per_item": item.flops, "bytes_per_item": item.bytes,
           "environment": str(env), "rounds": len(seen), "noisy": noisy, "noisy_used": noisy if used is seen else 0}
    return row | {key: summary([r[key] for r in used]) for key in ("ours", "tuned", "floor", "default", "peak", "read", "foreign")}


def quiet(r, probe):
    return r["foreign"] <= FOREIGN and (r["peak"] is None or r["peak"] >= QUIET * probe.best)


def finish(row, best_peak):
    """Adds ratios and shares once the best FMA probe of the whole run at these threads is known."""
    ours = row["ours"]
    for key in ("tuned", "default", "floor"):
        row[f"ratio_{key}"] = ours["median"] / row[key]["median"] if ours and row[key] else None
    pairs = [a / b for a, b in zip(ours["values"], row["tuned"]["values"])] if ours else []
    row["ratio_range"] = [min(pairs), max(pairs)] if pairs else None
    for key in ("ours", "tuned"):
        row[f"gflops_{key}"] = row[key]["median"] * row["flops_per_item"] / 1e9 if row[key] else None
        row[f"share_{key}"] = row[f"gflops_{key}"] * 1e9 / best_peak if row[key] and best_peak else None


def notes(rows):
    """What a reader must know before believing the rows."""
    for row in rows:
        where = f"{row['item']}, {row['threads']} thread(s)"
        if row["ours"] is None:
            yield f"{where}: modx's program has no such benchmark"
        if row["noisy_used"]:
            yield (f"NOISY MACHINE: {where}: in {row['noisy_used']} of the {row['rounds']} rounds the FMA probe was below {QUIET:.0%} "
                   f"of its best or other processes held more than {FOREIGN} cores; the figures are not to be published")
        fewer = [r for r in rows if r["item"] == row["item"] and r["threads"] < row["threads"]]
        if any(r["tuned"]["median"] > row["tuned"]["median"] for r in fewer):
            yield (f"{where}: the peer is slower than with fewer threads (spinning threads on a busy machine do that), "
                   "so its ratio flatters modx and is not to be published")
