"""Starts peer processes in chosen environments and finds the fastest environment for each work item."""
import atexit
import functools
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace

from items import ITEMS
from machine import cpu_flags

HERE = os.path.dirname(os.path.abspath(__file__))
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "268435456"}
TUNING_VARIABLES = ("OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "OMP_WAIT_POLICY", *MALLOC)


@dataclass(frozen=True)
class environment:
    """What one peer runs under; the default one sets nothing but the number of threads."""

    blas: str = ""  # name of a key of libraries(), "" = the system's
    variables: tuple = ()
    flush_denormal: bool = False
    variant: str = ""  # of the code, see items.py

    def __str__(self):
        malloc = all(pair in self.variables for pair in MALLOC.items())
        words = [f"libblas={self.blas}"] if self.blas else []
        words += [f"{k}={v}" for k, v in self.variables if not (malloc and k in MALLOC)]
        words += ["malloc kept"] * malloc + ["flush-denormal"] * self.flush_denormal + ([self.variant] if self.variant else [])
        return ", ".join(words) or "default"

    def process(self):
        return replace(self, variant="")


@functools.lru_cache
def libraries():
    """Folders with a libblas.so.3 to run PyTorch on: those of Debian's packages, and MKL by a link of that name."""
    found = {}
    for path in sorted(glob.glob("/usr/lib/*/*/libblas.so.3")):
        found.setdefault(os.path.basename(os.path.dirname(path)), os.path.dirname(path))
    mkl = sorted(glob.glob("/usr/lib/*/libmkl_rt.so*")) + sorted(glob.glob("/opt/intel/oneapi/mkl/latest/lib/libmkl_rt.so*"))
    if mkl:
        folder = tempfile.mkdtemp(prefix="modx-mkl-as-blas-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.symlink(mkl[0], os.path.join(folder, "libblas.so.3"))
        found["mkl"] = folder
    found.pop("blas", None)  # the reference implementation: never the fastest
    return found


def system_library():
    """The name of what libblas.so.3 is without any setting, e.g. openblas-pthread; blas is the slow reference."""
    found = glob.glob("/usr/lib/*/libblas.so.3")
    return os.path.basename(os.path.dirname(os.path.realpath(found[0]))) if found else "unknown"


def python():
    """An interpreter that has PyTorch, or None."""
    for candidate in dict.fromkeys((sys.executable, "/usr/bin/python3", "python3")):
        try:
            if subprocess.run([candidate, "-c", "import torch"], capture_output=True, check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    return None


def torch_version(interpreter):
    return subprocess.run([interpreter, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True, check=True).stdout.strip()


def variables(env, threads):
    """The process environment of a peer: tuning variables of the caller's shell do not leak into it."""
    out = {k: v for k, v in os.environ.items() if k not in TUNING_VARIABLES}
    out |= {name: str(threads) for name in THREAD_VARIABLES} | dict(env.variables)
    if env.blas:
        out["LD_LIBRARY_PATH"] = ":".join([libraries()[env.blas]] + [v for v in [os.environ.get("LD_LIBRARY_PATH")] if v])
    return out


class peer:
    """One open peer process."""

    def __init__(self, interpreter, env, threads):
        command = [interpreter, os.path.join(HERE, "work.py"), "--threads", str(threads)] + ["--flush-denormal"] * env.flush_denormal
        self.env = env
        self.process = subprocess.Popen(command, env=variables(env, threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.hello = self._answer()

    def measure(self, item, seconds, variant="", cold=False):
        self.process.stdin.write(json.dumps({"item": item, "seconds": seconds, "variant": variant, "cold": cold}) + "\n")
        self.process.stdin.flush()
        return self._answer()["items_per_second"]

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer under [{self.env}] ended: {self.process.stderr.read().strip()[-400:] or 'no message'}")
        return json.loads(line)

    def close(self):
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        self.process.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@dataclass
class tuner:
    """Finds the fastest environment per item at one thread count: BLAS first, then malloc, denormals, vector width, code.

    An item that takes seconds a step has one candidate a BLAS library: the fastest for the cheap item that it is tuned on.
    """

    interpreter: str
    threads: int
    seconds: float = 0.3
    report: object = print
    failed: list = field(default_factory=list)

    def best(self, items):
        blas = list(self._blas_candidates())
        fastest = self._fastest(blas, [i for i in items if not i.tuned_on])
        for name in dict.fromkeys(i.tuned_on for i in items if i.tuned_on):
            one_each = [self._fastest([env for env in blas if env.blas == library], [ITEMS[name]])
                        for library in dict.fromkeys(env.blas for env in blas)]
            fastest |= self._fastest([found[name][1] for found in one_each if found], [i for i in items if i.tuned_on == name])
        chosen = {name: env for name, (_, env) in fastest.items()}
        for base in dict.fromkeys(chosen.values()):
            own = [i for i in items if chosen[i.name] == base]
            further = list(self._further_candidates(base))
            again = self._fastest(further, [i for i in own if not i.tuned_on])
            again |= self._fastest(further[1:], [i for i in own if i.tuned_on])
            for name, (rate, env) in again.items():
                if rate > fastest[name][0]:
                    fastest[name] = (rate, env)
        return {name: env for name, (_, env) in fastest.items()}

    def _fastest(self, candidates, items):
        out = {}
        for env in candidates if items else ():
            try:
                with peer(self.interpreter, env, self.threads) as p:
                    for i in items:
                        for variant in ("",) + i.variants if env.flush_denormal else ("",):
                            rate = max(p.measure(i.work, self.seconds, variant, bool(i.tuned_on)) for _ in range(1 if i.tuned_on else 2))
                            if rate > out.get(i.name, (0, None))[0]:
                                out[i.name] = (rate, replace(env, variant=variant))
            except (RuntimeError, OSError) as error:  # e.g. a library that does not load: not a candidate here
                self.failed.append(f"{env}: {error}")
                self.report(f"  candidate [{env}] left out: {error}")
        return out

    def _blas_candidates(self):
        flags = cpu_flags()
        cores = [name for name, flag in (("SkylakeX", "avx512f"), ("Haswell", "avx2"), ("Zen", "avx2")) if flag in flags]
        yield environment()
        for name in libraries():
            yield environment(blas=name)
            if name.startswith("openblas"):
                yield from (environment(blas=name, variables=(("OPENBLAS_CORETYPE", core),)) for core in cores)

    def _further_candidates(self, base):
        flags = cpu_flags()
        kept = replace(base, variables=base.variables + tuple(MALLOC.items()))
        flushed = replace(kept, flush_denormal=True)
        yield kept
        yield flushed
        more = [("ATEN_CPU_CAPABILITY", name) for name in ("avx512", "avx2") if "avx512f" in flags]
        if self.threads > 1:  # waiting threads that sleep: better where something else needs a core
            more.append(("OMP_WAIT_POLICY", "passive"))
        yield from (replace(flushed, variables=flushed.variables + (pair,)) for pair in more)
