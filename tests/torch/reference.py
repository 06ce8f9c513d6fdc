#!/usr/bin/env python3
"""Writes what PyTorch computes in float64 (inputs, values, gradients, optimiser steps) to one JSON file.

    reference.py OUT.json        exit status 77 when PyTorch is not installed

{"case": {"name": {"shape": [..], "data": [..]}}}, row-major; doubles are written so that they read back exactly.
Everything is in modx's layouts: images are NHWC rows (n x h*w*c), a convolution's weight is [kernel*kernel*cin][cout]
with the tap (dy, dx) slowest and cin next, a linear weight is [in][out]. `dNAME` is the gradient of NAME, `dy` the
gradient that was fed in. Scalars (eps, lr, steps ...) have shape [] and are part of the case.
"""
import json
import os
import sys
import tempfile

sys.dont_write_bytecode = True
try:
    import torch
except ImportError as missing:
    print(f"skipped: PyTorch cannot be imported ({missing})")
    sys.exit(77)

import images
import layers
import losses
import mixtures
import steps


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: reference.py OUT.json")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    cases = {}
    for part in (layers, losses, images, mixtures, steps):
        for name, case in part.cases():
            if name in cases:
                sys.exit(f"reference.py: two cases are called {name}")
            cases[name] = {key: entry(value) for key, value in case.items()}
    write(sys.argv[1], cases)


def entry(value):
    """One tensor or scalar as shape and row-major data; everything must be finite."""
    tensor = torch.as_tensor(value).detach()
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        sys.exit("reference.py: a value is not finite")
    return {"shape": list(tensor.shape), "data": tensor.contiguous().reshape(-1).tolist()}


def write(path, cases):
    """The file appears complete or not at all."""
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as out:
        json.dump(cases, out, allow_nan=False, separators=(",", ":"))
    os.replace(out.name, path)
    print(f"{len(cases)} cases from PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
