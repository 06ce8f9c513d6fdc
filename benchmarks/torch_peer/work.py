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

from items import BATCH, ITEMS, LM, MLP, MOE, QWEN


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


class block(nn.Module):
    """The pre-norm block of GPT-2, with one product for queries, keys and values."""

    def __init__(self, d, f, heads, length):
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out, self.up, self.down = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Linear(d, f), nn.Linear(f, d)
        self.register_buffer("mask", torch.full((length, length), float("-inf")).triu(1))

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).reshape(3, b * self.heads, n, -1)
        w = torch.baddbmm(self.mask, q, k.transpose(1, 2), alpha=q.shape[-1] ** -0.5).softmax(-1)
        y = torch.bmm(w, v).view(b, self.heads, n, -1).transpose(1, 2).reshape(b, n, d)
        x = x + self.out(y)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class language_model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.places = nn.Embedding(LM["vocabulary"], LM["d"]), nn.Parameter(torch.randn(LM["length"], LM["d"]) * 0.02)
        self.blocks = nn.Sequential(*[block(LM["d"], LM["f"], LM["heads"], LM["length"]) for _ in range(LM["blocks"])])
        self.norm, self.head = nn.LayerNorm(LM["d"]), nn.Linear(LM["d"], LM["vocabulary"], bias=False)

    def forward(self, ids):
        return self.head(self.norm(self.blocks(self.table(ids) + self.places))).flatten(0, 1)


def lm_adamw(variant):
    ids = torch.randint(LM["vocabulary"], (LM["sequences"], LM["length"]))
    labels = torch.randint(LM["vocabulary"], (ids.numel(),))
    model = language_model()
    extra = {"foreach": True} if variant == "foreach" else {}
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4, **extra)

    def step():
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(model(ids), labels).backward()
        optimiser.step()

    return step


class qwen3:
    """Qwen3 with random weights in float: fused products for queries, keys and values and for gate and up, a cache for decoding."""

    def __init__(self):
        d, f, h, k, w = QWEN["d"], QWEN["f"], QWEN["heads"], QWEN["kv_heads"], QWEN["head_dim"]
        draw = lambda *shape: torch.randn(*shape) * 0.02
        self.table = draw(QWEN["vocabulary"], d)
        self.blocks = [(draw((h + 2 * k) * w, d), draw(d, h * w), draw(2 * f, d), draw(d, f)) for _ in range(QWEN["blocks"])]
        self.speed = QWEN["base"] ** (-torch.arange(0, w, 2) / w)

    @staticmethod
    def norm(x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + QWEN["eps"])

    def turn(self, x, at):
        angle = (at + torch.arange(x.shape[2]))[:, None] * self.speed
        c, s = torch.cos(angle), torch.sin(angle)
        a, b = x.chunk(2, -1)
        return torch.cat([a * c - b * s, b * c + a * s], -1)

    def hidden(self, ids, cache=None, at=0):
        h, k, w, share = QWEN["heads"], QWEN["kv_heads"], QWEN["head_dim"], QWEN["heads"] // QWEN["kv_heads"]
        (b, n), x = ids.shape, self.table[ids]
        mask = torch.full((n, at + n), float("-inf")).triu(at + 1) if n > 1 else 0.0
        for i, (qkv, out, up, down) in enumerate(self.blocks):
            q, key, v = F.linear(self.norm(x), qkv).view(b, n, h + 2 * k, w).transpose(1, 2).split([h, k, k], 1)
            q, key = self.turn(self.norm(q), at), self.turn(self.norm(key), at)
            if cache is not None:
                cache[i][0][:, :, at:at + n], cache[i][1][:, :, at:at + n] = key, v
                key, v = cache[i][0][:, :, : at + n], cache[i][1][:, :, : at + n]
            q = q.reshape(b, k, share * n, w)  # the queries of a key head below each other: no copies of keys
            m = mask.repeat(share, 1) if n > 1 else 0.0
            y = torch.matmul((torch.matmul(q, key.transpose(2, 3)) * w ** -0.5 + m).softmax(-1), v)
            x = x + F.linear(y.view(b, h, n, w).transpose(1, 2).reshape(b, n, h * w), out)
            g, u = F.linear(self.norm(x), up).chunk(2, -1)
            x = x + F.linear(F.silu(g) * u, down)
        return self.norm(x)

    shared = None

    @classmethod
    def one(cls):
        cls.shared = cls.shared or cls()
        return cls.shared


def qwen3_encode(variant):
    model, ids = qwen3.one(), torch.randint(QWEN["vocabulary"], (16, 32))

    def step():
        with torch.inference_mode():
            model.hidden(ids)

    return step


def qwen3_prefill(variant):
    model, ids = qwen3.one(), torch.randint(QWEN["vocabulary"], (1, 512))

    def step():
        with torch.inference_mode():
            F.linear(model.hidden(ids)[:, -1], model.table)

    return step


def qwen3_decode(variant):
    model = qwen3.one()
    cache = [(torch.empty(1, QWEN["kv_heads"], 65, QWEN["head_dim"]), torch.empty(1, QWEN["kv_heads"], 65, QWEN["head_dim"]))
             for _ in range(QWEN["blocks"])]

    def step():
        with torch.inference_mode():
            token = torch.tensor([[7]])
            for at in range(64):
                token = F.linear(model.hidden(token, cache, at)[:, -1:], model.table).argmax(-1)

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
            "cnn_forward": cnn_forward, "moe_forward": moe_forward, "moe_forward_backward": moe_forward_backward,
            "lm_adamw": lm_adamw, "qwen3_encode": qwen3_encode, "qwen3_prefill": qwen3_prefill, "qwen3_decode": qwen3_decode}


def measure(step, seconds, items, warm, long):
    """Mean rate over at least `seconds` and three steps, after two to warm up; of a long one, one step is enough, and one `warm`s it up."""
    for _ in range(1 - warm if long else 2):
        step()
    steps, begin = 0, time.perf_counter()
    while True:
        step()
        steps += 1
        passed = time.perf_counter() - begin
        if passed >= seconds and (long or steps >= 3):
            return {"items_per_second": items * steps / passed, "steps": steps}


def serve():
    built = {}
    for line in sys.stdin:
        request = json.loads(line)
        name, variant = request["item"], request.get("variant", "")
        warm = request.get("cold", False) or (name, variant) in built
        if (name, variant) not in built:
            torch.manual_seed(1)
            built[name, variant] = (BUILDERS.get(name) or products(name))(variant)
        answer = measure(built[name, variant], request["seconds"], ITEMS[name].step, warm, bool(ITEMS[name].tuned_on))
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
