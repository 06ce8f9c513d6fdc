#!/usr/bin/env python3
"""Recomputes what reference.py wrote by plain loops in modx's layout, without PyTorch: a wrong conversion is found here.

    check_reference.py REFERENCE.json        exit status 1 and the differing values when one is wrong
"""
import json
import math
import sys


def main():
    cases = {name: {key: (v["data"] if v["shape"] else v["data"][0]) for key, v in case.items()}
             for name, case in json.load(open(sys.argv[1])).items()}
    checked = 0
    for name, case in cases.items():
        if name.startswith("linear_"):
            checked += equal(name, "y", linear(case["x"], case["weight"], case["bias"]), case["y"])
        if name.startswith(("conv2d_", "conv_relu_pool_")) and "mnist" not in name:
            checked += convolution(name, case)
        if name.startswith("max_pool_"):
            y, winner = max_pool(case, case["x"], case["channels"], case["height"], case["width"])
            checked += equal(name, "y", y, case["y"]) + equal(name, "dx", scatter(winner, case["dy"], len(case["x"])), case["dx"])
        if name.startswith("train_step_") and name.endswith("adamw"):
            checked += adamw(name, case)
        if name.startswith("train_step_") and "sgd" in name:
            checked += sgd(name, case)
    checked += cnn_loss(cases["train_step_cnn_adamw"])
    print(f"{checked} arrays agree")
    if checked < 60:
        sys.exit("check_reference.py: cases are missing")


def equal(name, key, found, expected):
    if len(found) != len(expected):
        sys.exit(f"{name}.{key}: {len(found)} values, {len(expected)} expected")
    for i, (a, b) in enumerate(zip(found, expected)):
        if not abs(a - b) <= 1e-10 * (1 + abs(b)):
            sys.exit(f"{name}.{key}[{i}]: loops give {a!r}, the file says {b!r}")
    return 1


def linear(x, weight, bias):
    outputs = len(bias)
    inputs = len(weight) // outputs
    return [bias[j] + sum(x[row + i] * weight[i * outputs + j] for i in range(inputs))
            for row in range(0, len(x), inputs) for j in range(outputs)]


def taps(n, h, w, cin, cout, size, pad):
    """Every (output, input, weight) index triple of a convolution over NHWC rows and a tap-major weight."""
    ho, wo = h + 2 * pad - size + 1, w + 2 * pad - size + 1
    for s in range(n):
        for oy in range(ho):
            for ox in range(wo):
                for dy in range(max(0, pad - oy), min(size, h + pad - oy)):
                    for dx in range(max(0, pad - ox), min(size, w + pad - ox)):
                        source = ((s * h + oy + dy - pad) * w + ox + dx - pad) * cin
                        for c in range(cin):
                            for o in range(cout):
                                yield ((s * ho + oy) * wo + ox) * cout + o, source + c, ((dy * size + dx) * cin + c) * cout + o


def convolve(case, x, weight, bias):
    n, h, w, cin, cout, size, pad = (int(case[k]) for k in ("n", "height", "width", "cin", "cout", "kernel", "pad"))
    y = list(bias) * (n * (h + 2 * pad - size + 1) * (w + 2 * pad - size + 1))
    for o, i, k in taps(n, h, w, cin, cout, size, pad):
        y[o] += x[i] * weight[k]
    return y


def convolution(name, case):
    """Forward, and from the gradient at the convolution's output all three gradients, by their definition."""
    n, h, w, cin, cout, size, pad = (int(case[k]) for k in ("n", "height", "width", "cin", "cout", "kernel", "pad"))
    before = y = convolve(case, case["x"], case["weight"], case["bias"])
    gradient = case["dy"]
    if name.startswith("conv_relu_pool_"):
        y, winner = max_pool(case, [max(v, 0.0) for v in before], cout, h + 2 * pad - size + 1, w + 2 * pad - size + 1)
        gradient = [g if v > 0 else 0.0 for g, v in zip(scatter(winner, case["dy"], len(before)), before)]
    dx, dweight, dbias = [0.0] * len(case["x"]), [0.0] * len(case["weight"]), [0.0] * cout
    for o, i, k in taps(n, h, w, cin, cout, size, pad):
        dx[i] += gradient[o] * case["weight"][k]
        dweight[k] += gradient[o] * case["x"][i]
    for o, g in enumerate(gradient):
        dbias[o % cout] += g
    return (equal(name, "y", y, case["y"]) + equal(name, "dx", dx, case["dx"]) + equal(name, "dweight", dweight, case["dweight"])
            + equal(name, "dbias", dbias, case["dbias"]))


def max_pool(case, x, channels, h, w):
    """Values and, for each, the index of its first maximum in row-major window order."""
    window, y, winner = int(case["pool"]), [], []
    for s in range(len(x) // (h * w * channels)):
        for oy in range(h // window):
            for ox in range(w // window):
                for c in range(channels):
                    inside = [((s * h + oy * window + dy) * w + ox * window + dx) * channels + c
                              for dy in range(window) for dx in range(window)]
                    winner.append(max(inside, key=lambda i: x[i]))  # max keeps the first
                    y.append(x[winner[-1]])
    return y, winner


def scatter(winner, dy, count):
    dx = [0.0] * count
    for i, g in zip(winner, dy):
        dx[i] += g
    return dx


def adamw(name, case):
    """The first step: moments are (1-beta) g and (1-beta) g^2, so the corrected ones are g and g^2."""
    for key in [k[6:] for k in case if k.startswith("step0.")]:
        expected = [p * (1 - case["lr"] * case["weight_decay"]) - case["lr"] * g / (abs(g) + case["eps"])
                    for p, g in zip(case[f"step0.{key}"], case[f"d{key}"])]
        equal(name, f"step1.{key}", expected, case[f"step1.{key}"])
    return 1


def sgd(name, case):
    """The first step: the momentum buffer starts as clipped gradient + decay * parameter."""
    factor = min(1.0, case["clip"] / (case["norms"][0] + 1e-6)) if case["clip"] else 1.0
    for key in [k[6:] for k in case if k.startswith("step0.")]:
        expected = [p - case["lr"] * (factor * g + case["weight_decay"] * p) for p, g in zip(case[f"step0.{key}"], case[f"d{key}"])]
        equal(name, f"step1.{key}", expected, case[f"step1.{key}"])
    return 1


def cnn_loss(case):
    """The CNN's loss from the converted weights only: also checks the linear layer behind the flattened images."""
    first = {"n": 6, "height": 8, "width": 8, "cin": 1, "cout": 3, "kernel": 3, "pad": 1, "pool": 2}
    second = first | {"height": 4, "width": 4, "cin": 3, "cout": 4}
    h = convolve(first, case["x"], case["step0.0.weight"], case["step0.0.bias"])
    h = max_pool(first, [max(v, 0.0) for v in h], 3, 8, 8)[0]
    h = convolve(second, h, case["step0.1.weight"], case["step0.1.bias"])
    h = max_pool(second, [max(v, 0.0) for v in h], 4, 4, 4)[0]
    z = linear(h, case["step0.2.weight"], case["step0.2.bias"])
    rows = [z[i:i + 5] for i in range(0, len(z), 5)]
    loss = sum(math.log(sum(map(math.exp, row))) - row[int(c)] for row, c in zip(rows, case["labels"])) / len(rows)
    return equal("train_step_cnn_adamw", "losses", [loss], case["losses"][:1])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_reference.py REFERENCE.json")
    main()
