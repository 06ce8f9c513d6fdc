"""The work of benchmarks/gpu/main.cpp in PyTorch: a JSON object a line.

    python3 benchmarks/gpu/torch_peer.py [--device cuda] [--shapes tiny,olmoe] [--rounds 10]

The MoE layer is written four ways: a loop over experts that asks for each expert's tokens (eager), a loop over tokens sorted
once (sorted), torch's grouped_mm, and that compiled.  Every one is checked against float64 on the first tokens before it is
timed.  Exit status 77: no PyTorch here.
"""
import argparse
import json
import math
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("torch_peer: no PyTorch here (Debian: python3-torch)", file=sys.stderr)
    sys.exit(77)

SHAPES = {"test": (256, 64, 96, 8, 2), "tiny": (4096, 512, 1024, 8, 2), "mixtral": (8192, 4096, 14336, 8, 2),
          "olmoe": (32768, 2048, 1024, 64, 8), "qwen3": (32768, 2048, 768, 128, 8), "dsv3": (32768, 7168, 2048, 32, 1)}


def route(x, router, k):
    p = torch.softmax(x.float() @ router.float(), -1)
    weight, expert = torch.topk(p, k, -1)
    return weight / weight.sum(-1, keepdim=True), expert


def swiglu(x, up, down):
    gate, value = (x @ up).chunk(2, -1)
    return (F.silu(gate) * value) @ down


def eager(x, router, up, down, k):
    weight, expert = route(x, router, k)
    y = torch.zeros_like(x)
    for e in range(up.shape[0]):
        token, slot = torch.where(expert == e)
        if token.numel():
            y = y.index_add(0, token, swiglu(x[token], up[e], down[e]) * weight[token, slot, None].to(x.dtype))
    return y


def by_expert(expert, count):
    _, order = torch.sort(expert.reshape(-1), stable=True)
    return order, torch.bincount(expert.reshape(-1), minlength=count)


def combine(rows, order, weight):
    n, k = weight.shape
    place = torch.empty_like(order)
    place[order] = torch.arange(order.numel(), device=order.device)
    return (rows[place].view(n, k, -1) * weight[..., None].to(rows.dtype)).sum(1)


def sorted_loop(x, router, up, down, k):
    weight, expert = route(x, router, k)
    order, count = by_expert(expert, up.shape[0])
    parts = torch.split(x[order // k], count.tolist())
    return combine(torch.cat([swiglu(p, up[e], down[e]) for e, p in enumerate(parts)]), order, weight)


GROUPED = getattr(F, "grouped_mm", None) or getattr(torch, "_grouped_mm", None)


def grouped(x, router, up, down, k):
    weight, expert = route(x, router, k)
    order, count = by_expert(expert, up.shape[0])
    ends = torch.cumsum(count, 0).to(torch.int32)
    gate, value = GROUPED(x[order // k], up, offs=ends).chunk(2, -1)
    return combine(GROUPED((F.silu(gate) * value).contiguous(), down, offs=ends), order, weight)


class bench:
    def __init__(self, device, rounds):
        self.device, self.rounds = device, rounds

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def round(self, work, n):
        self.wait()
        start = time.perf_counter()
        for _ in range(n):
            work()
        self.wait()
        return (time.perf_counter() - start) * 1e3

    def __call__(self, item, how, flops, size, work, error=None):
        self.round(work, 3)
        n, least = 1, 20 if self.rounds > 1 else 0
        while n < 4096 and self.round(work, n) < least:
            n *= 2
        ms = sorted(self.round(work, n) / n for _ in range(self.rounds))
        print(json.dumps({"item": item, "who": "torch", "how": how, "ms": ms[len(ms) // 2], "least": ms[0], "most": ms[-1],
                          "flops": flops, "bytes": size, "error": error}), flush=True)


def layer(b, name, dtype, how, tf32):
    n, d, f, e, k = SHAPES[name]
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = tf32
    make = lambda scale, *s: (torch.randn(*s, device=b.device) / math.sqrt(scale)).to(dtype).requires_grad_()
    x, router, up, down = make(1, n, d), make(d, d, e), make(d, e, d, 2 * f), make(f, e, f, d)
    ways = {"eager loop": eager, "sorted loop": sorted_loop}
    if b.device == "cuda" and dtype == torch.bfloat16 and GROUPED:
        ways["grouped_mm"] = grouped
        ways["compiled grouped_mm"] = torch.compile(grouped)
    m = min(n, 256)
    with torch.no_grad():  # the experts that the low precision chose, in float64
        weight, expert = route(x[:m], router, k)
        want = torch.zeros(m, d, dtype=torch.float64, device=b.device)
        for i in range(e):
            token, slot = torch.where(expert == i)
            part = swiglu(x[:m][token].double(), up[i].double(), down[i].double())
            want.index_add_(0, token, part * weight[token, slot, None].double())
    for way, work in ways.items():
        try:
            with torch.no_grad():
                error = ((work(x[:m], router, up, down, k).double() - want).norm() / want.norm()).item()
            if not error < (2e-2 if dtype == torch.bfloat16 else 5e-3):
                raise RuntimeError(f"relative error {error:.3g} against float64")

            def forward():
                with torch.no_grad():
                    work(x, router, up, down, k)

            def both():
                for t in (x, router, up, down):
                    t.grad = None
                work(x, router, up, down, k).float().mean().backward()

            flops = 6 * n * k * d * f
            b(f"moe/{name}/forward", f"{way}, {how}", flops, 0, forward, error)
            b(f"moe/{name}/forward+backward", f"{way}, {how}", 3 * flops, 0, both, error)
        except Exception as problem:
            print(json.dumps({"item": f"moe/{name}", "who": "torch", "how": f"{way}, {how}",
                              "failed": f"{type(problem).__name__}: {str(problem)[:200]}"}), flush=True)


class red(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.router = torch.nn.Linear(128, 10), torch.nn.Linear(128, 5)
        self.experts = torch.nn.ModuleList(torch.nn.Linear(128, 10) for _ in range(5))

    def forward(self, x):
        a = torch.softmax(self.router(x), -1)
        return self.base(x) + 0.1 * (a[..., None] * torch.stack([e(x) for e in self.experts], 1)).sum(1)


def steps(b):
    nn = torch.nn
    cnn = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1),
                        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for item, net, x in (("step/cnn", cnn, torch.randn(128, 1, 28, 28)), ("step/red", red(), torch.randn(128, 128))):
        net = net.to(b.device)
        label = 7 * torch.arange(128) % 10
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(x.to(b.device)), label.to(b.device))
            loss.backward()
            optimizer.step()
            return loss.item()

        b(item, "eager, float", 0, 0, step)


def ceilings(b, n, values):
    x, y = torch.randn(values, device=b.device), torch.empty(values, device=b.device)
    b("copy", "float", 0, 8 * values, lambda: y.copy_(x))
    for dtype, how, tf32 in ((torch.float32, "float", False), (torch.float32, "tf32", True), (torch.bfloat16, "bf16", False)):
        if b.device == "cpu" and how != "float":
            continue
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, w = (torch.randn(n, n, device=b.device).to(dtype) for _ in range(2))
        out = torch.empty(n, n, device=b.device, dtype=dtype)
        b("gemm", how, 2 * n ** 3, 0, lambda: torch.mm(a, w, out=out))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--shapes", default="tiny,mixtral,olmoe,qwen3,dsv3")
    parser.add_argument("--rounds", type=int, default=10)
    o = parser.parse_args()
    if o.device == "cuda" and not torch.cuda.is_available():
        print("torch_peer: this PyTorch sees no CUDA device", file=sys.stderr)
        return 77
    b = bench(o.device, o.rounds)
    small = o.device == "cpu"
    ceilings(b, 64 if small else 8192, 1 << (12 if small else 28))
    steps(b)
    for name in o.shapes.split(","):
        layer(b, name, torch.float32, "float", False)
        if not small:
            layer(b, name, torch.float32, "tf32", True)
            layer(b, name, torch.bfloat16, "bf16", False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
