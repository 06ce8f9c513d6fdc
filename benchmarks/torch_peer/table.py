"""The results as text for a terminal and as Markdown."""

HEADER = ("work", "thr", "modx", "min-max", "PyTorch tuned", "min-max", "ratio", "range", "PyTorch default", "ratio",
          "Eigen floor", "ratio", "modx GFLOP/s", "% peak", "peer % peak")


def human(value):
    """Three significant digits with k, M, G."""
    if value is None:
        return "-"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g}{letter}" if value / factor < 1000 else f"{value / factor:.0f}{letter}"
    return f"{value:.3g}"


def times(value):
    return "-" if value is None else f"{value:.2f}x"


def percent(value):
    return "-" if value is None else f"{100 * value:.0f}"


def span(part, write=human):
    return "-" if part is None else f"{write(part['min'])}-{write(part['max'])}"


def median(part):
    return None if part is None else part["median"]


def cells(row):
    reach = "-" if row["ratio_range"] is None else "-".join(f"{v:.2f}" for v in row["ratio_range"])
    return (f"{row['title']} ({row['unit']})", str(row["threads"]), human(median(row["ours"])), span(row["ours"]),
            human(median(row["tuned"])), span(row["tuned"]), times(row["ratio_tuned"]), reach, human(median(row["default"])),
            times(row["ratio_default"]), human(median(row["floor"])), times(row["ratio_floor"]),
            "-" if row["gflops_ours"] is None else f"{row['gflops_ours']:.1f}", percent(row["share_ours"]), percent(row["share_tuned"]))


def grid(header, rows, markdown):
    if markdown:
        lines = [header, ("---",) + ("---:",) * (len(header) - 1), *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    return "\n".join("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip()
                     for line in (header, *rows))


def mnist_rows(rows):
    for row in rows:
        accuracy = row["accuracy"]
        yield (str(row["threads"]), f"{median(row['ours']):.1f}", f"{median(row['tuned']):.1f}", times(row["ratio_tuned"]),
               *("/".join("-" if v is None else f"{v:.4f}" for v in (accuracy[m]["ours"], accuracy[m]["peer"])) for m in accuracy))


def facts(result):
    machine, versions = result["machine"], result["versions"]
    yield (f"{machine['cpu']} (family/model {machine['family_model']}), {machine['cores']} cores, {' '.join(machine['vector'])}; "
           f"{machine['system']}, Linux {machine['kernel']}; {machine['date']}")
    yield f"modx {machine['modx'] or 'outside git'}; PyTorch {versions['torch']}; Python {versions['python']}; load before {machine['load_before']}"
    for threads, peak in result["peak"].items():
        yield f"FMA peak, {threads} thread(s): best {peak['best'] / 1e9:.1f} GFLOP/s, median {peak['median'] / 1e9:.1f}"
    for row in result["rows"]:
        if row["ours"] and row["read"]:
            moved, best = median(row["ours"]) * row["bytes_per_item"], row["read"]["max"]
            yield (f"{row['item']}, {row['threads']} thread(s): {row['bytes_per_item'] / 1e9:.2f} GB of weights an item, {moved / 1e9:.1f} GB/s, "
                   f"{percent(moved / best)} % of the {best / 1e9:.1f} GB/s that memory_read reads")
    yield (f"default: only the number of threads is set, libblas={versions['system_blas']}; "
           "tuned: the fastest environment per item found by probing:")
    for row in result["rows"] + result["mnist"]:
        yield f"{row['item']}, {row['threads']} thread(s): {row['environment']}"


def text(result, markdown=False):
    """Everything, as one string; Markdown when asked."""
    bullet = "- " if markdown else ""
    parts = []
    if result["rows"]:
        parts.append(grid(HEADER, [cells(row) for row in result["rows"]], markdown))
    if result["mnist"]:
        header = ("thr", "modx s", "PyTorch s", "ratio", *(f"{m} acc modx/PyTorch" for m in result["mnist"][0]["accuracy"]))
        parts.append("MNIST, published protocol, one seed, wall clock\n" + ("\n" if markdown else "") +
                     grid(header, list(mnist_rows(result["mnist"])), markdown))
    parts.append("\n".join(f"{bullet}{line}" for line in facts(result)))
    if result["notes"]:
        parts.append("\n".join(f"{bullet}NOTE: {line}" for line in result["notes"]))
    return "\n\n".join(parts)
