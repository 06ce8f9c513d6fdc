"""Convolution (stride 1), max-pooling and their fusion with bias and ReLU, converted to modx's NHWC rows."""
import torch
import torch.nn.functional as F

import layout
from layout import leaf

# name, n, height, width, cin, cout, kernel, pad
CONVOLUTIONS = (
    ("1x1", 2, 3, 4, 3, 5, 1, 0), ("1x1_pad", 1, 2, 3, 2, 3, 1, 1), ("3x3", 2, 6, 7, 1, 4, 3, 0),
    ("3x3_pad", 3, 5, 5, 3, 16, 3, 1), ("3x3_pad2", 1, 4, 3, 2, 3, 3, 2), ("3x3_wide", 2, 7, 9, 16, 33, 3, 1),
    ("5x5_pad2", 2, 8, 7, 3, 6, 5, 2), ("5x5", 1, 5, 5, 2, 3, 5, 0), ("2x2", 2, 5, 4, 3, 2, 2, 0),
    ("one_pixel", 1, 1, 1, 1, 1, 1, 0), ("mnist_first", 2, 28, 28, 1, 32, 3, 1))

# name, n, height, width, channels, window
POOLS = (("2", 2, 6, 8, 3, 2), ("2_odd", 3, 7, 5, 4, 2), ("3", 1, 9, 6, 2, 3), ("3_odd", 2, 10, 8, 5, 3), ("one", 1, 2, 2, 1, 2))

# as CONVOLUTIONS, with the pooling window last
FUSED = (("3x3_2", 2, 8, 8, 1, 4, 3, 1, 2), ("3x3_2_odd", 3, 7, 9, 3, 16, 3, 1, 2), ("5x5_3", 2, 11, 10, 2, 3, 5, 1, 3),
         ("3x3_no_pad_2", 2, 6, 6, 16, 8, 3, 0, 2), ("mnist_second", 2, 14, 14, 32, 64, 3, 1, 2))


def cases():
    for name, n, h, w, cin, cout, size, pad in CONVOLUTIONS:
        yield f"conv2d_{name}", convolution(n, h, w, cin, cout, size, pad, pool=0)
    for name, n, h, w, cin, cout, size, pad, pool in FUSED:
        yield f"conv_relu_pool_{name}", convolution(n, h, w, cin, cout, size, pad, pool)
    for name, n, h, w, channels, window in POOLS:
        torch.manual_seed(700 + h * w)
        yield f"max_pool_{name}", pooling(torch.randn(n, channels, h, w), window)
    torch.manual_seed(790)  # small integers: most windows hold ties, the first in row-major order wins
    yield "max_pool_ties", pooling(torch.randint(3, (2, 3, 6, 6)).double(), 2)


def convolution(n, h, w, cin, cout, size, pad, pool):
    torch.manual_seed(600 + 10 * h + size + cin)
    x, weight, bias = leaf(torch.randn(n, cin, h, w)), leaf(torch.randn(cout, cin, size, size)), leaf(torch.randn(cout))
    y = F.conv2d(x, weight, bias, padding=pad)
    if pool:
        y = F.max_pool2d(F.relu(y), pool)
    dy = torch.randn(*y.shape)
    y.backward(dy)
    return {"n": n, "height": h, "width": w, "cin": cin, "cout": cout, "kernel": size, "pad": pad, "pool": max(pool, 1),
            "x": layout.rows(x), "weight": layout.kernel(weight), "bias": bias, "y": layout.rows(y), "dy": layout.rows(dy),
            "dx": layout.rows(x.grad), "dweight": layout.kernel(weight.grad), "dbias": bias.grad}


def pooling(images, window):
    x = leaf(images)
    y = F.max_pool2d(x, window)
    dy = torch.randn(*y.shape)
    y.backward(dy)
    n, channels, h, w = images.shape
    return {"n": n, "height": h, "width": w, "channels": channels, "pool": window,
            "x": layout.rows(x), "y": layout.rows(y), "dy": layout.rows(dy), "dx": layout.rows(x.grad)}
