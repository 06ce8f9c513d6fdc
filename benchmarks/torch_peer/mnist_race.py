"""The published MNIST protocol as whole programs: modx's example against the PyTorch peer, by wall clock."""
import json
import os
import subprocess
import tempfile
import time

import peer as peers
from race import summary

MODES = {"base": "base", "all_fixed": "all_fixed", "red": "router", "moe": "moe"}  # modx's name: the peer's


def run(threads, build_dir, data_dir, interpreter, env, rounds, extra_ours, extra_theirs):
    """One row: wall seconds of both (whole process), accuracies, the peer's stages."""
    seen = {"ours": [], "tuned": []}
    for _ in range(rounds):
        seconds, metrics = ours(threads, build_dir, data_dir, extra_ours)
        seen["ours"].append(seconds)
        seconds, answer = theirs(threads, data_dir, interpreter, env, extra_theirs)
        seen["tuned"].append(seconds)
    row = {"item": "mnist", "threads": threads, "unit": "s", "environment": str(env)} | {k: summary(v) for k, v in seen.items()}
    row["ratio_tuned"] = row["tuned"]["median"] / row["ours"]["median"]
    row["accuracy"] = {mode: {"ours": accuracy(metrics, mode), "peer": answer["test"][theirs_name]["acc"]}
                       for mode, theirs_name in MODES.items()}
    row["stages"] = {name: {"peer_seconds": stage["seconds"], "peer_epochs": stage["epochs"],
                            "ours_seconds": metrics.get("timing", {}).get(name, {}).get("mean")}
                     for name, stage in answer["stages"].items()}
    row["arguments"] = {"ours": extra_ours, "peer": extra_theirs}
    return row


def accuracy(metrics, mode):
    try:
        return metrics["modes"][mode]["test"]["acc"]["mean"]
    except KeyError:
        return None


def ours(threads, build_dir, data_dir, extra):
    """Seconds and metrics.json of examples/red_mnist with the published profile and one seed."""
    with tempfile.TemporaryDirectory(prefix="modx-mnist-") as save:
        command = [os.path.join(build_dir, "examples", "red_mnist"), "--profile", "published", "--seeds", "1", "--run", "all",
                   "--threads", str(threads), "--data-dir", data_dir, "--save-dir", save, "--quiet", *extra]
        begin = time.perf_counter()
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begin
        if result.returncode != 0:
            raise RuntimeError(f"red_mnist ended with {result.returncode}: {result.stderr.strip()[-400:]}")
        with open(os.path.join(save, "metrics.json"), encoding="utf-8") as file:
            return seconds, json.load(file)


def theirs(threads, data_dir, interpreter, env, extra):
    """Seconds and JSON of mnist_protocol.py under the tuned environment; starting Python and PyTorch is not counted."""
    command = [interpreter, os.path.join(peers.HERE, "mnist_protocol.py"), "--quiet", "--threads", str(threads), "--data-dir", data_dir,
               *(["--flush-denormal"] * env.flush_denormal), *(["--channels-last"] * (env.variant == "channels_last")), *extra]
    result = subprocess.run(command, env=peers.variables(env, threads), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"the MNIST peer ended with {result.returncode}: {result.stderr.strip()[-400:]}")
    answer = json.loads(result.stdout)
    return answer["total_seconds"], answer
