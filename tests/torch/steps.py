"""Whole training steps: an MLP and a small CNN before and after steps of AdamW and SGD, with and without clipping."""
import torch
import torch.nn.functional as F

import layout
from layout import leaf

ADAMW = {"lr": 1e-2, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
SGD = {"lr": 1e-1, "momentum": 0.9, "weight_decay": 1e-2}  # the decay is added to the gradient, as PyTorch does
CLIP = 0.5  # gradients are scaled by min(1, CLIP / (norm over all parameters + 1e-6))


def cases():
    for name, settings in (("adamw", ADAMW), ("sgd", SGD)):
        for clip in (0.0, CLIP):
            yield f"train_step_mlp_{name}{'_clip' if clip else ''}", train(mlp(), name, settings, clip)
    yield "train_step_cnn_adamw", train(cnn(), "adamw", ADAMW, 0.0)
    yield "train_step_cnn_sgd_clip", train(cnn(), "sgd", SGD, CLIP)


def train(problem, name, settings, clip, steps=(1, 3)):
    """`step0.P`, `step1.P`, `step3.P` are parameter P after that many steps; `losses` and `norms` are before each."""
    parameters, forward, x, images, labels, write = problem
    optimiser = optimiser_for(name, list(parameters.values()), settings)
    out = settings | {"clip": clip, "x": layout.rows(x) if images else x, "labels": labels}
    out |= {f"step0.{key}": write(key, value).clone() for key, value in parameters.items()}
    losses, norms = [], []
    for step in range(1, max(steps) + 1):
        optimiser.zero_grad()
        loss = F.cross_entropy(forward(), labels)
        loss.backward()
        if step == 1:
            out |= {f"d{key}": write(key, value.grad).clone() for key, value in parameters.items()}
        norms.append(torch.cat([p.grad.reshape(-1) for p in parameters.values()]).norm().item())
        if clip:
            torch.nn.utils.clip_grad_norm_(list(parameters.values()), clip)
        losses.append(loss.item())
        optimiser.step()
        if step in steps:
            out |= {f"step{step}.{key}": write(key, value).detach().clone() for key, value in parameters.items()}
    if clip and not max(norms) > clip:
        raise AssertionError("the clipped case must clip at least once")
    return out | {"losses": losses, "norms": norms}


def optimiser_for(name, parameters, s):
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=s["lr"], betas=(s["beta1"], s["beta2"]), eps=s["eps"], weight_decay=s["weight_decay"])
    return torch.optim.SGD(parameters, lr=s["lr"], momentum=s["momentum"], weight_decay=s["weight_decay"])


def mlp():
    """7 -> 16 -> 5 with gelu, batch 9."""
    torch.manual_seed(900)
    p = {"0.weight": leaf(torch.randn(16, 7)), "0.bias": leaf(torch.randn(16)),
         "1.weight": leaf(torch.randn(5, 16)), "1.bias": leaf(torch.randn(5))}
    x, labels = torch.randn(9, 7), torch.randint(5, (9,))

    def forward():
        return F.linear(F.gelu(F.linear(x, p["0.weight"], p["0.bias"])), p["1.weight"], p["1.bias"])

    return p, forward, x, False, labels, lambda key, v: layout.linear(v) if key.endswith("weight") else v


def cnn():
    """8x8x1 -> conv 3x3 to 3, relu, pool 2 -> conv 3x3 to 4, relu, pool 2 -> linear 16 -> 5, batch 6."""
    torch.manual_seed(910)
    p = {"0.weight": leaf(0.5 * torch.randn(3, 1, 3, 3)), "0.bias": leaf(0.5 * torch.randn(3)),
         "1.weight": leaf(0.5 * torch.randn(4, 3, 3, 3)), "1.bias": leaf(0.5 * torch.randn(4)),
         "2.weight": leaf(0.5 * torch.randn(5, 16)), "2.bias": leaf(0.5 * torch.randn(5))}
    x, labels = torch.randn(6, 1, 8, 8), torch.randint(5, (6,))

    def forward():
        h = F.max_pool2d(F.relu(F.conv2d(x, p["0.weight"], p["0.bias"], padding=1)), 2)
        h = F.max_pool2d(F.relu(F.conv2d(h, p["1.weight"], p["1.bias"], padding=1)), 2)
        return F.linear(h.flatten(1), p["2.weight"], p["2.bias"])

    def write(key, value):
        if not key.endswith("weight"):
            return value
        return layout.linear_after_images(value, 4, 2, 2) if key == "2.weight" else layout.kernel(value)

    return p, forward, x, True, labels, write
