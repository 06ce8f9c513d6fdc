#!/usr/bin/env python3
"""The published MNIST protocol of residual experts in PyTorch: base, five experts, router, plain mixture; prints JSON.

As published: the encoder runs in every step of every stage, the optimiser is built again each epoch, the best epoch is
chosen on the mean training loss (patience 3), experts are trained as residuals 0.1 * E_i on the base's logits, `all_fixed`
adds all of them, `router` weighs them with a router trained on domain labels, `moe` weighs them without base and factor.
In the peer's favour: images lie in memory as normalised tensors (no per-item loader) and the best weights are kept in
memory, not in files.
"""
import argparse
import copy
import json
import random
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from idx import read_mnist

DOMAINS, CLASSES, SCALE = 5, 10, 0.1


class network(nn.Module):
    """Two 3x3 convolutions with pooling, 3136 -> 128, a base head, one linear expert per domain, a linear router."""

    def __init__(self, hidden=128):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                     nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                     nn.Flatten(), nn.Linear(64 * 7 * 7, hidden), nn.ReLU())
        self.base = nn.Linear(hidden, CLASSES)
        self.experts = nn.ModuleList(nn.Linear(hidden, CLASSES) for _ in range(DOMAINS))
        self.router = nn.Linear(hidden, DOMAINS)

    def forward(self, x, mode):
        h = self.encoder(x)
        if mode == "base":
            return self.base(h)
        if mode == "domain":
            return self.router(h)
        if mode.startswith("expert_"):
            return self.base(h) + SCALE * self.experts[int(mode[7:])](h)
        outputs = torch.stack([expert(h) for expert in self.experts], dim=1)
        if mode == "all_fixed":
            return self.base(h) + SCALE * outputs.sum(dim=1)
        mixed = (self.router(h).softmax(dim=1).unsqueeze(2) * outputs).sum(dim=1)
        return mixed if mode == "moe" else self.base(h) + SCALE * mixed


def split(labels, seed, val_ratio, base_ratio):
    """Indices of train and of the base subset, with the published order of shuffles."""
    pairs = [(i, label // 2) for i, label in enumerate(labels)]
    random.Random(seed).shuffle(pairs)
    rng, train = random.Random(seed + 1), []
    for domain in range(DOMAINS):
        members = [pair for pair in pairs if pair[1] == domain]
        rng.shuffle(members)
        train += members[int(len(members) * val_ratio):]
    rng.shuffle(train)
    rng, base = random.Random(seed + 3), []
    for label in range(CLASSES):
        members = [i for i, _ in train if labels[i] == label]
        rng.shuffle(members)
        base += members[:max(1, int(len(members) * base_ratio))] if members else []
    rng.shuffle(base)
    return [i for i, _ in train], base


class stage_runner:
    """Trains one part of a model on some samples and keeps the time and epochs of every stage."""

    def __init__(self, options, images, labels):
        self.options, self.images, self.labels = options, images, labels
        self.stages = {}

    def run(self, name, model, part, samples, mode, lr, epochs, generator_seed):
        """Repeated one-epoch trainings with early stopping on the training loss; the best weights are put back."""
        begin = time.perf_counter()
        model.requires_grad_(False)
        for module in part:
            module.requires_grad_(True)
        index, generator = torch.tensor(samples), torch.Generator().manual_seed(generator_seed)
        best, kept, waited, done = float("inf"), None, 0, 0
        while done < epochs and waited < self.options.patience:
            loss, accuracy = self.epoch(model, index, mode, lr, generator)
            done += 1
            waited = 0 if loss < best else waited + 1
            if loss < best:
                best, kept = loss, copy.deepcopy(model.state_dict())
            if not self.options.quiet:
                print(f"{name} epoch {done}/{epochs} loss {loss:.4f} acc {accuracy:.4f}", file=sys.stderr, flush=True)
        if kept is not None:
            model.load_state_dict(kept)
        self.stages[name] = {"seconds": time.perf_counter() - begin, "epochs": done, "samples": done * len(samples), "best_loss": best}

    def epoch(self, model, index, mode, lr, generator):
        trained = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=lr, weight_decay=self.options.weight_decay)
        model.train()
        losses, right = [], 0
        for batch in index[torch.randperm(len(index), generator=generator)].split(self.options.batch_size):
            target = self.labels[batch]
            if mode == "domain":
                target = target.div(2, rounding_mode="floor")
            optimiser.zero_grad(set_to_none=True)
            logits = model(self.images[batch], mode)
            loss = F.cross_entropy(logits, target)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            right += (logits.detach().argmax(dim=1) == target).sum().item()
        return sum(losses) / len(losses), right / len(index)


def evaluate(model, mode, images, labels, batch=128):
    """Accuracy on all samples and per domain."""
    model.eval()
    with torch.no_grad():
        right = torch.cat([model(x, mode).argmax(dim=1) for x in images.split(batch)]) == labels
    domain = labels.div(2, rounding_mode="floor")
    return {"acc": right.double().mean().item(), "per_domain_acc": [right[domain == d].double().mean().item() for d in range(DOMAINS)]}


def run(o):
    images, labels = read_mnist(o.data_dir, "train", o.limit)
    test_images, test_labels = read_mnist(o.data_dir, "t10k", o.limit)
    begin = time.perf_counter()
    train, base = split(labels.tolist(), o.seed, o.val_ratio, o.base_ratio)
    torch.manual_seed(o.seed)
    red, stages = network(), stage_runner(o, images, labels)
    if o.channels_last:
        red = red.to(memory_format=torch.channels_last)
    stages.run("base", red, (red.encoder, red.base), base, "base", o.lr_base, o.max_epochs_base, o.seed + 13)
    untrained = copy.deepcopy(red.router.state_dict())
    for d in range(DOMAINS):
        own = [i for i in train if labels[i] // 2 == d]
        stages.run(f"expert_{d}", red, (red.experts[d],), own, f"expert_{d}", o.lr_expert, o.max_epochs_expert, o.seed + 100 + d)
    moe = copy.deepcopy(red)  # the second model: base and experts as trained, router as it was initialised
    moe.router.load_state_dict(untrained)
    stages.run("router", red, (red.router,), train, "domain", o.lr_router, o.max_epochs_router, o.seed + 10)
    stages.run("moe", moe, (moe.router,), train, "moe", o.lr_moe, o.max_epochs_moe, o.seed + 10)
    trained = time.perf_counter() - begin
    test = {mode: evaluate(model, mode, test_images, test_labels)
            for mode, model in (("base", red), ("all_fixed", red), ("router", red), ("moe", moe))}
    return {"stages": stages.stages, "train_seconds": trained, "total_seconds": time.perf_counter() - begin, "test": test,
            "sizes": {"train": len(train), "base": len(base), "test": len(test_labels)}, "seed": o.seed, "threads": o.threads,
            "parameters": sum(p.numel() for p in red.parameters()) + 1, "torch": torch.__version__}


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--data-dir", required=True, help="folder with the four raw MNIST IDX files")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seed", type=int, default=42)
    for stage, epochs in (("base", 2), ("expert", 30), ("router", 30), ("moe", 30)):
        p.add_argument(f"--max-epochs-{stage}", type=int, default=epochs)
    for stage, lr in (("base", 1e-3), ("expert", 3e-3), ("router", 1e-3), ("moe", 1e-3)):
        p.add_argument(f"--lr-{stage}", type=float, default=lr)
    p.add_argument("--weight-decay", type=float, default=1e-4)
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--patience", type=int, default=3)
    p.add_argument("--val-ratio", type=float, default=0.1)
    p.add_argument("--base-ratio", type=float, default=0.1)
    p.add_argument("--limit", type=int, default=0, help="read only so many images of each file (0: all)")
    p.add_argument("--flush-denormal", action="store_true")
    p.add_argument("--channels-last", action="store_true", help="the memory format that is faster on some CPUs")
    p.add_argument("--quiet", action="store_true", help="no line per epoch on the error stream")
    return p.parse_args()


if __name__ == "__main__":
    chosen = options()
    torch.set_num_threads(chosen.threads)
    torch.set_flush_denormal(chosen.flush_denormal)
    print(json.dumps(run(chosen)))
