"""Joins what gpu_benchmark and torch_peer.py have printed into one table.

    python3 benchmarks/gpu/table.py --out DIR [--facts TEXT] [--compare CPU CUDA] [--checks FILE] RESULTS.jsonl...

Writes DIR/gpu.md and DIR/gpu.json: the fastest modx row of each precision and item, its share of the ceiling that was measured in
the same run (copy, or product in the same precision), and its speed as a multiple of each PyTorch way.
"""
import argparse
import json
import os
import sys


def read(files):
    rows, failures = [], []
    for name in files:
        with open(name, encoding="utf-8") as f:
            for line in f:
                if not line.startswith("{"):
                    continue
                row = json.loads(line)
                (failures if "failed" in row else rows).append(row)
    return rows, failures


def precision(row):
    for name in ("tf32", "bf16", "float"):
        if name in row["how"]:
            return name
    raise ValueError(f"no precision in {row['how']!r}")


def best(rows, **wanted):
    rows = [r for r in rows if all((precision(r) if k == "precision" else r[k]) == v for k, v in wanted.items())]
    return min(rows, key=lambda r: r["ms"]) if rows else None


def rate(row, what):
    return row[what] / row["ms"] * 1e3


def make(rows):
    """One line for each item and precision that modx has."""
    lines = []
    for item in dict.fromkeys(r["item"] for r in rows):
        for p in ("float", "tf32", "bf16"):
            own = best(rows, item=item, who="modx", precision=p)
            if not own:
                continue
            line = {"item": item, "precision": p, "how": own["how"], "ms": own["ms"], "least": own["least"], "most": own["most"]}
            if own["flops"]:
                line["tflops"] = rate(own, "flops") / 1e12
                # cuBLAS's best by either caller
                top = best(rows, item="gemm", precision=p)
                line["share"] = rate(own, "flops") / rate(top, "flops") if top else None
            if own["bytes"]:
                line["tb"] = rate(own, "bytes") / 1e12
                top = best(rows, item="copy", precision=p)
                line["share"] = rate(own, "bytes") / rate(top, "bytes") if top else None
            line["ratios"] = {r["how"]: r["ms"] / own["ms"] for r in rows if r["item"] == item and r["who"] == "torch"}
            lines.append(line)
    return lines


def markdown(lines, failures, facts, accuracies, checks):
    text = []
    if facts:
        text += [facts, ""]
    text += ["| work | precision, engine | ms | min-max | TFLOP/s or TB/s | share of ceiling | PyTorch's time / modx's |",
             "| --- | --- | ---: | ---: | ---: | ---: | --- |"]
    for l in lines:
        speed = f"{l['tflops']:.3g} TFLOP/s" if "tflops" in l else f"{l['tb']:.3g} TB/s" if "tb" in l else "-"
        share = f"{100 * l['share']:.0f} %" if l.get("share") else "-"
        ratios = "; ".join(f"{how} {r:.2f}x" for how, r in l["ratios"].items()) or "-"
        text.append(f"| {l['item']} | {l['how']} | {l['ms']:.4g} | {l['least']:.4g}-{l['most']:.4g} | {speed} | {share} | {ratios} |")
    if accuracies:
        text += ["", "| red_mnist, test accuracy | CPU | CUDA | difference |", "| --- | ---: | ---: | ---: |"]
        text += [f"| {a['mode']} | {a['cpu']:.4f} | {a['cuda']:.4f} | {a['cuda'] - a['cpu']:+.4f} |" for a in accuracies]
    if checks:
        text += ["", "| check | result |", "| --- | --- |"] + [f"| {c['name']} | {c['result']} |" for c in checks]
    text += [""] + [f"Failed: {f['item']}, {f['how']}: {f['failed']}" for f in failures]
    return "\n".join(text).rstrip() + "\n"


def compare(cpu_file, cuda_file, limit):
    """Test accuracies of two metrics.json, and the modes that differ by more than `limit`."""
    with open(cpu_file, encoding="utf-8") as a, open(cuda_file, encoding="utf-8") as b:
        cpu, cuda = json.load(a)["modes"], json.load(b)["modes"]
    if set(cpu) != set(cuda):
        raise ValueError(f"modes {sorted(cpu)} on the CPU and {sorted(cuda)} on CUDA")
    rows = [{"mode": m, "cpu": cpu[m]["test"]["acc"]["mean"], "cuda": cuda[m]["test"]["acc"]["mean"]} for m in cpu]
    return rows, [r["mode"] for r in rows if not abs(r["cpu"] - r["cuda"]) <= limit]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*")
    parser.add_argument("--out", required=True)
    parser.add_argument("--facts", default="")
    parser.add_argument("--compare", nargs=2, metavar=("CPU", "CUDA"), help="two metrics.json of red_mnist; status 1 where they differ")
    parser.add_argument("--limit", type=float, default=0.005)
    parser.add_argument("--checks", help="lines of a name, a tab and a result")
    o = parser.parse_args()
    rows, failures = read(o.results)
    accuracies, apart = compare(*o.compare, o.limit) if o.compare else ([], [])
    checks = []
    if o.checks:
        with open(o.checks, encoding="utf-8") as f:
            checks = [dict(zip(("name", "result"), line.rstrip("\n").split("\t", 1))) for line in f if "\t" in line]
    lines = make(rows)
    os.makedirs(o.out, exist_ok=True)
    with open(os.path.join(o.out, "gpu.json"), "w", encoding="utf-8") as f:
        json.dump({"facts": o.facts, "table": lines, "accuracies": accuracies, "checks": checks, "failed": failures, "rows": rows}, f, indent=1)
    with open(os.path.join(o.out, "gpu.md"), "w", encoding="utf-8") as f:
        f.write(markdown(lines, failures, o.facts, accuracies, checks))
    if apart:
        print(f"test accuracies differ by more than {o.limit}: {', '.join(apart)}", file=sys.stderr)
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
