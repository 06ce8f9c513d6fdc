"""Whole mixtures written with plain tensor operations: the published residual (RED), softmax, and sparse top-k."""
import torch
import torch.nn.functional as F

import layout
from layout import leaf


def cases():
    for combiner in ("residual", "softmax", "uniform", "residual_sum"):
        yield f"mixture_{combiner}", dense(combiner)
    yield "mixture_top_2", sparse(k=2)
    yield "mixture_top_1", sparse(k=1)


def dense(combiner, n=9, d=6, experts=5, outputs=4, scale=0.1):
    """z = B(h) + s sum_i a_i E_i(h) (residual, residual_sum: a_i = 1, uniform: 1/e); softmax: z = sum_i a_i E_i(h)."""
    torch.manual_seed(800)
    h, parameters = leaf(torch.randn(n, d)), {}
    for name, out in [("router", experts), ("base", outputs)] + [(f"experts.{i}", outputs) for i in range(experts)]:
        parameters[f"{name}.weight"], parameters[f"{name}.bias"] = leaf(torch.randn(out, d)), leaf(torch.randn(out))
    labels = torch.randint(outputs, (n,))

    def apply(name):
        return F.linear(h, parameters[f"{name}.weight"], parameters[f"{name}.bias"])

    gates = {"uniform": torch.full((n, experts), 1.0 / experts),
             "residual_sum": torch.ones(n, experts)}.get(combiner, apply("router").softmax(dim=1))
    mixed = sum(gates[:, i:i + 1] * apply(f"experts.{i}") for i in range(experts))
    y = mixed if combiner == "softmax" else apply("base") + scale * mixed
    loss = F.cross_entropy(y, labels)
    loss.backward()
    return {"x": h, "scale": scale, "labels": labels, "gates": gates, "y": y, "loss": loss, "dx": h.grad} | written(parameters)


def sparse(k, n=17, d=6, hidden=8, experts=4):
    """y = sum over the k best experts of softmax(their k logits) * W2 relu(W1 x + b1) + b2."""
    torch.manual_seed(810 + k)
    x, parameters = leaf(torch.randn(n, d)), {"router.weight": leaf(torch.randn(experts, d)), "router.bias": leaf(torch.randn(experts))}
    for i in range(experts):
        for layer, out, inputs in (("up", hidden, d), ("down", d, hidden)):
            parameters[f"experts.{i}.{layer}.weight"] = leaf(torch.randn(out, inputs))
            parameters[f"experts.{i}.{layer}.bias"] = leaf(torch.randn(out))
    logits = F.linear(x, parameters["router.weight"], parameters["router.bias"])
    best = logits.topk(k, dim=1)
    weights = best.values.softmax(dim=1)
    y = torch.zeros(n, d)
    for i in range(experts):
        p = {name: parameters[f"experts.{i}.{name}"] for name in ("up.weight", "up.bias", "down.weight", "down.bias")}
        out = F.linear(F.relu(F.linear(x, p["up.weight"], p["up.bias"])), p["down.weight"], p["down.bias"])
        y = y + (weights * (best.indices == i)).sum(dim=1, keepdim=True) * out
    dy = torch.randn(n, d)
    y.backward(dy)
    return {"x": x, "k": k, "indices": best.indices, "weights": weights, "y": y, "dy": dy, "dx": x.grad} | written(parameters)


def written(parameters):
    """Parameters and their gradients in modx's layout; the gradient of an unused one is 0."""
    out = {}
    for name, value in parameters.items():
        gradient = torch.zeros_like(value) if value.grad is None else value.grad
        turn = layout.linear if name.endswith("weight") else (lambda v: v)
        out[name], out[f"d{name}"] = turn(value), turn(gradient)
    return out
