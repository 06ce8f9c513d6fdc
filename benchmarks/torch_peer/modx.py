"""Runs modx's Google Benchmark programs and reads their rates per second of wall clock."""
import json
import os
import subprocess

TO_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


class programs:
    """The programs `kernels` and `train_step` under BUILD/benchmarks; a benchmark that does not exist measures as None."""

    def __init__(self, build_dir, report=print):
        self.folder, self.report, self.context, self.warned = os.path.join(build_dir, "benchmarks"), report, {}, {}
        self.names = {program: self._list(program) for program in ("kernels", "train_step")}

    def has(self, program, benchmark, threads):
        return self._name(program, benchmark, threads) is not None

    def rate(self, program, benchmark, threads, items_per_step, counter_name, seconds):
        """Items per wall-clock second of a benchmark whose iteration is one step."""
        entry = self._run(program, benchmark, threads, seconds)
        if entry is None:
            return None
        wall = items_per_step / (entry["real_time"] * TO_SECONDS[entry["time_unit"]])
        counter = entry.get(counter_name)
        if counter is not None and not 0.95 < counter / wall < 1.05:
            self._warn(entry["name"], f"{entry['name']}: {counter_name} {counter:.4g} is not {items_per_step:g} per iteration of wall clock "
                       f"({wall:.4g}); the smaller one is used")
        return wall if counter is None else min(wall, counter)

    def fma_peak(self, threads, seconds):
        """FLOP/s of the FMA probe, by its own counter."""
        entry = self._run("kernels", "fma_peak", threads, seconds)
        return None if entry is None else entry["FLOPS"]

    def _path(self, program):
        return os.path.join(self.folder, program)

    def _list(self, program):
        if not os.access(self._path(program), os.X_OK):
            return []
        result = subprocess.run([self._path(program), "--benchmark_list_tests=true"], capture_output=True, text=True, check=True)
        return result.stdout.split()

    def _name(self, program, benchmark, threads):
        """The registered name; the library may have added suffixes such as /real_time."""
        wanted = f"{benchmark}/threads:{threads}"
        return next((name for name in self.names[program] if name == wanted or name.startswith(wanted + "/")), None)

    def _run(self, program, benchmark, threads, seconds):
        name = self._name(program, benchmark, threads)
        if name is None:
            return None
        command = [self._path(program), f"--benchmark_filter=^{name}$", "--benchmark_format=json", f"--benchmark_min_time={seconds}"]
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
