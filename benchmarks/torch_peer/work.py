#!/usr/bin/env python3
"""The peer process: does the work items in PyTorch; one JSON request a line in, one JSON answer a line out.

    {"item": "mlp_sgd", "seconds": 0.5, "variant": ""}  ->  {"items_per_second": 81234.5, "steps": 320}

It is kept open between measurements, so every figure comes from a warm process; between requests it sleeps.
"""
import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from items import BATCH, ITEMS, MLP, MOE


def mlp(optimiser):
    def build(variant):
        model = nn.Sequential(*[layer for a, b in zip(MLP, MLP[1:]) for layer in (nn.Linear(a, b), nn.ReLU())][:-1])
        return trainer(model, torch.randn(BATCH, MLP[0]), optimiser, variant)
    return build


def convolutional():
    return nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn(optimiser):
    def build(variant):
        model, x = formatted(convolutional(), variant)
        return trainer(model, x, optimiser, variant)
    return build


def cnn_forward(variant):
    model, x = formatted(convolutional(), variant)

    def step():
        with torch.inference_mode():
            model(x)

    return step


def formatted(model, variant):
    x = torch.randn(BATCH, 1, 28, 28)
    if variant == "channels_last":
        return model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    return model, x


def trainer(model, x, name, variant):
    labels = torch.randint(10, (BATCH,))
    extra = {"foreach": True} if variant == "foreach" else {}
    parameters = list(model.parameters())
    optimiser = torch.optim.SGD(parameters, lr=0.01) if name == "sgd" else torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-4, **extra)

    def step():
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), labels).backward()
        optimiser.step()

    return step


class experts_layer(nn.Module):
    """y = sum over the k best experts of softmax(their logits) * W2 relu(W1 x): a loop with index_select and index_add."""

    def __init__(self):
        super().__init__()
        d, f = MOE["d"], MOE["f"]
        self.router = nn.Linear(d, MOE["experts"])
        self.up = nn.ModuleList(nn.Linear(d, f) for _ in range(MOE["experts"]))
        self.down = nn.ModuleList(nn.Linear(f, d) for _ in range(MOE["experts"]))

    def forward(self, x):
        best = self.router(x).topk(MOE["k"], dim=1)
        weights = best.values.softmax(dim=1)
        y = torch.zeros_like(x)
        for i in range(MOE["experts"]):
            token, slot = torch.where(best.indices == i)
            h = self.down[i](F.relu(self.up[i](x.index_select(0, token))))
            y = y.index_add(0, token, h * weights[token, slot].unsqueeze(1))
        return y


def moe_forward(variant):
    model, x = experts_layer(), torch.randn(MOE["tokens"], MOE["d"])

    def step():
        with torch.inference_mode():
            model(x)

    return step


def moe_forward_backward(variant):
    model, x = experts_layer(), torch.randn(MOE["tokens"], MOE["d"], requires_grad=True)
    dy = torch.randn(MOE["tokens"], MOE["d"])

    def step():
        model.zero_grad(set_to_none=True)
        x.grad = None
        model(x).backward(dy)

    return step


def products(name):
    """gemm/MxKxN or experts/ExMxKxN: a loop of mm into a given result."""
    sizes = [int(v) for v in name.split("/")[1].split("x")]
    m, k, n = sizes[-3:]

    def build(variant):
        triples = [(torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)) for _ in range(sizes[0] if len(sizes) == 4 else 1)]

        def step():
            with torch.inference_mode():
                for a, b, c in triples:
                    torch.mm(a, b, out=c)

        return step

    return build


BUILDERS = {"mlp_sgd": mlp("sgd"), "mlp_adamw": mlp("adamw"), "cnn_sgd": cnn("sgd"), "cnn_adamw": cnn("adamw"),
            "cnn_forward": cnn_forward, "moe_forward": moe_forward, "moe_forward_backward": moe_forward_backward}


def measure(step, seconds, items):
    """Mean rate over at least `seconds` and three steps, after two steps to warm up."""
    step(), step()
    steps, begin = 0, time.perf_counter()
    while True:
        step()
        steps += 1
        passed = time.perf_counter() - begin
        if passed >= seconds and steps >= 3:
            return {"items_per_second": items * steps / passed, "steps": steps}


def serve():
    built = {}
    for line in sys.stdin:
        request = json.loads(line)
        name, variant = request["item"], request.get("variant", "")
        if (name, variant) not in built:
            torch.manual_seed(1)
            built[name, variant] = (BUILDERS.get(name) or products(name))(variant)
        answer = measure(built[name, variant], request["seconds"], ITEMS[name].step)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--flush-denormal", action="store_true")
    chosen = parser.parse_args()
    torch.set_flush_denormal(chosen.flush_denormal)  # before any worker thread exists: they inherit it
    torch.set_num_threads(chosen.threads)
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    serve()
