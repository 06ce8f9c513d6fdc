"""What the table says about the machine and the software: nothing that names a user, a host or a folder."""
import datetime
import os
import platform
import subprocess
import time


def cpu_info(key):
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == key:
                    return value.strip()
    except OSError:
        pass
    return ""


def cpu_flags():
    return frozenset(cpu_info("flags").split())


def describe(source_folder):
    flags = cpu_flags()
    return {"cpu": cpu_info("model name") or platform.processor() or "unknown",
            "family_model": f"{cpu_info('cpu family')}/{cpu_info('model')}", "cores": os.cpu_count(),
            "vector": [f for f in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if f in flags],
            "system": distribution(), "kernel": platform.release(), "load_before": [round(v, 2) for v in os.getloadavg()],
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "modx": revision(source_folder)}


def distribution():
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except (OSError, AttributeError):
        return platform.system()


def revision(folder):
    """Short commit, with + when the tree has changes; empty outside git."""
    def git(*arguments):
        return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout.strip()
    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def busy_cores(seconds):
    """Cores in use by all processes over a short sleep: other people's work, when called while ours is idle."""
    def busy():
        with open("/proc/stat", encoding="utf-8") as file:
            user, nice, system, _, _, irq, softirq, steal, *_ = (int(v) for v in file.readline().split()[1:])
        return user + nice + system + irq + softirq + steal
    try:
        before, begin = busy(), time.monotonic()
        time.sleep(seconds)
        return (busy() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begin)
    except (OSError, ValueError):
        return 0.0
