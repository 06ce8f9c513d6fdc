"""MNIST from raw IDX files (optionally .gz) as normalised float images n x 1 x 28 x 28 and integer labels."""
import gzip
import os
import struct

import torch

MEAN, DEVIATION = 0.1307, 0.3081


def read_mnist(folder, part, limit=0):
    """`part` is train or t10k; ValueError names the file when a header or a size is wrong."""
    pixels, (count, height, width) = read_idx(os.path.join(folder, f"{part}-images-idx3-ubyte"), 3)
    labels, (label_count,) = read_idx(os.path.join(folder, f"{part}-labels-idx1-ubyte"), 1)
    if count != label_count:
        raise ValueError(f"{part}: {count} images but {label_count} labels")
    images = pixels.reshape(count, 1, height, width).float().div(255).sub(MEAN).div(DEVIATION)
    kept = limit or count
    return images[:kept].contiguous(), labels.long()[:kept]


def read_idx(path, rank):
    if not os.path.exists(path) and os.path.exists(path + ".gz"):
        path += ".gz"
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        data = file.read()
    if len(data) < 4 + 4 * rank or struct.unpack(">I", data[:4])[0] != 0x800 + rank:
        raise ValueError(f"{path}: not an IDX file of {rank} dimensions of bytes")
    shape = struct.unpack(f">{rank}I", data[4:4 + 4 * rank])
    values = torch.frombuffer(bytearray(data), dtype=torch.uint8)[4 + 4 * rank:]
    expected = 1
    for extent in shape:
        expected *= extent
    if values.numel() != expected:
        raise ValueError(f"{path}: {values.numel()} bytes behind the header, {expected} expected")
    return values, shape
