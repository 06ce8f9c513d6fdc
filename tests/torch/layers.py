"""Linear, activations, layer norm, softmax: y and the gradients for a random dy."""
import math

import torch
import torch.nn.functional as F

import layout
from layout import leaf


def cases():
    yield from linear()
    yield from activations()
    yield from norms()
    yield from softmaxes()


def linear():
    for n, inputs, outputs in ((1, 1, 1), (9, 7, 5), (17, 33, 16), (128, 20, 10)):
        torch.manual_seed(100 + n)
        x, w, b = (leaf(torch.randn(*s)) for s in ((n, inputs), (outputs, inputs), (outputs,)))
        dy = torch.randn(n, outputs)
        y = F.linear(x, w, b)
        y.backward(dy)
        yield f"linear_{n}x{inputs}x{outputs}", {
            "x": x, "weight": layout.linear(w), "bias": b, "y": y, "dy": dy,
            "dx": x.grad, "dweight": layout.linear(w.grad), "dbias": b.grad}


def activations():
    torch.manual_seed(200)
    special = torch.tensor([[0.0, -0.0, 1e-3, -1e-3, 1e-9, 0.5, -0.5], [1.0, -1.0, 3.0, -3.0, 8.0, -8.0, 2.0],
                            [20.0, -20.0, 40.0, -40.0, 5.5, -5.5, 0.75]])
    values = torch.cat([special, 3 * torch.randn(6, 7)])
    for name, f in (("relu", F.relu), ("gelu", F.gelu), ("silu", F.silu), ("tanh", torch.tanh)):
        x, dy = leaf(values), torch.randn(*values.shape)
        y = f(x)
        y.backward(dy)
        yield name, {"x": x, "y": y, "dy": dy, "dx": x.grad}


def norms():
    for n, d, shift in ((1, 2, 0.0), (5, 7, 0.0), (9, 33, 3.0), (4, 256, -100.0)):
        torch.manual_seed(300 + d)
        x, gain, bias = leaf(shift + torch.randn(n, d)), leaf(1 + 0.3 * torch.randn(d)), leaf(torch.randn(d))
        dy = torch.randn(n, d)
        y = F.layer_norm(x, (d,), gain, bias, eps=1e-5)
        y.backward(dy)
        yield f"layer_norm_{n}x{d}", {"x": x, "weight": gain, "bias": bias, "eps": 1e-5, "y": y, "dy": dy,
                                      "dx": x.grad, "dweight": gain.grad, "dbias": bias.grad}


def softmaxes():
    for n, d, scale in ((1, 1, 1.0), (6, 5, 1.0), (7, 33, 10.0)):
        torch.manual_seed(400 + d)
        values, dy = scale * torch.randn(n, d), torch.randn(n, d)
        for name, f in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
            x = leaf(values)
            y = f(x, dim=1)
            y.backward(dy)
            yield f"{name}_{n}x{d}", {"x": x, "y": y, "dy": dy, "dx": x.grad}
    x = leaf(torch.tensor([[50.0, -50.0, 0.0], [-50.0, -50.0, -50.0], [700.0, 699.0, -700.0]]))
    y = F.log_softmax(x, dim=1)
    dy = torch.tensor([[1.0, 0.5, -0.25], [math.pi, 0.0, 1.0], [1.0, -1.0, 0.0]])
    y.backward(dy)
    yield "log_softmax_extreme", {"x": x, "y": y, "dy": dy, "dx": x.grad}
