"""Runs modx's Google Benchmark programs and reads their rates per second of wall clock."""
import json
import os
import re
import subprocess

TO_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
SPECIAL = r"[][().+*?^$|{}\\]"  # characters of an extended regular expression


class programs:
    """The programs `floor`, `kernels`, `qwen3` and `train_step` under BUILD/benchmarks; a benchmark that does not exist measures as None."""

    def __init__(self, build_dir, report=print):
        self.folder, self.report, self.context, self.warned = os.path.join(build_dir, "benchmarks"), report, {}, {}
        self.names = {program: self._list(program) for program in ("floor", "kernels", "qwen3", "train_step")}

    def find(self, benchmarks, threads):
        """(program, registered name) of the first of these benchmarks that exists, as B/threads:N or B/N plus suffixes such as /real_time."""
        for program in self.names:
            for wanted in (f"{b}/{prefix}{threads}" for b in benchmarks for prefix in ("threads:", "")):
                for name in self.names[program]:
                    if name == wanted or name.startswith(wanted + "/"):
                        return program, name
        return None

    def rate(self, where, items_per_step, counter_name, seconds):
        """Items per wall-clock second of a benchmark whose iteration is one step; `where` is what find() returned."""
        entry = self._run(where, seconds)
        if entry is None:
            return None
        wall = items_per_step / (entry["real_time"] * TO_SECONDS[entry["time_unit"]])
        counter = entry.get(counter_name)
        if counter is not None and not 0.95 < counter / wall < 1.05:
            self._warn(entry["name"], f"{entry['name']}: {counter_name} {counter:.4g} is not {items_per_step:g} per iteration of wall clock "
                       f"({wall:.4g}); the smaller one is used")
        return wall if counter is None else min(wall, counter)

    def fma_peak(self, threads, seconds):
        """FLOP/s of the FMA probe, by its own counter, or of the probe that a product's benchmark takes beside itself."""
        entry = self._run(self.find(("fma_peak",), threads), seconds)
        if entry is not None:
            return entry["FLOPS"]
        entry = self._run(self.find(("multiply/64x1024x1024",), threads), 0.01)
        return None if entry is None else 1e9 * entry["peak"]

    def read_bandwidth(self, threads, seconds):
        """Bytes/s at which this machine reads memory in order."""
        entry = self._run(self.find(("memory_read",), threads), seconds)
        return None if entry is None else entry["bytes_per_second"]

    def _path(self, program):
        return os.path.join(self.folder, program)

    def _list(self, program):
        if not os.access(self._path(program), os.X_OK):
            return []
        result = subprocess.run([self._path(program), "--benchmark_list_tests=true"], capture_output=True, text=True, check=True)
        return result.stdout.split()

    def _run(self, where, seconds):
        if where is None:
            return None
        program, name = where
        pattern = re.sub(SPECIAL, r"\\\g<0>", name)
        command = [self._path(program), f"--benchmark_filter=^{pattern}$", "--benchmark_format=json", f"--benchmark_min_time={seconds}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{program} {name} ended with {result.returncode}: {result.stderr.strip()[-400:]}")
        answer = json.loads(result.stdout)
        self.context = {k: answer["context"].get(k) for k in ("library_build_type", "mhz_per_cpu") if k in answer["context"]}
        entries = [b for b in answer["benchmarks"] if b.get("run_type", "iteration") == "iteration"]
        failed = [b for b in entries if b.get("error_occurred")]
        if failed or not entries:
            raise RuntimeError(f"{program} {name}: {failed[0].get('error_message', 'error') if failed else 'no result'}")
        return entries[0]

    def _warn(self, name, message):
        if name not in self.warned:
            self.warned[name] = message
            self.report(f"  warning: {message}")
