#!/usr/bin/env python3
"""Writes small random Qwen3 models as Hugging Face folders, with what PyTorch computes for them in float64.

    qwen3_reference.py FOLDER        exit status 77 when PyTorch is not installed

The model is written here from the architecture's definition (arXiv 2505.09388; RMS norms before attention and SwiGLU,
grouped key heads, RMS-normalised queries and keys, rotary positions on halves of a head), for one sequence at a time and
without a cache. FOLDER/<case>/ gets config.json, weights (one file or shards with an index; F32, F16 or BF16) and
expected.safetensors: ids (all sequences, one behind the other), lengths, hidden.0 ... hidden.<blocks + 1>, logits.
"""
import json
import math
import os
import struct
import sys

sys.dont_write_bytecode = True
try:
    import torch
except ImportError as missing:
    print(f"skipped: PyTorch cannot be imported ({missing})")
    sys.exit(77)

NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int32: "I32"}

CASES = {
    "heads_4_2": dict(d=32, f=48, blocks=3, heads=4, kv=2, hd=8, tied=True, dtype=torch.float32, shards=1),
    "heads_8_8_untied": dict(d=32, f=40, blocks=2, heads=8, kv=8, hd=4, tied=False, dtype=torch.float32, shards=3),
    "wide_heads_bf16": dict(d=24, f=32, blocks=2, heads=4, kv=1, hd=16, tied=True, dtype=torch.bfloat16, shards=1),
    "half_untied": dict(d=16, f=24, blocks=1, heads=2, kv=1, hd=8, tied=False, dtype=torch.float16, shards=2),
}
VOCABULARY, BASE, EPS = 61, 1e6, 1e-6
LENGTHS = [7, 1, 12, 30]


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: qwen3_reference.py FOLDER")
    torch.set_num_threads(1)
    for index, (name, case) in enumerate(CASES.items()):
        write_case(os.path.join(sys.argv[1], name), case, index)
    print(f"{len(CASES)} models from PyTorch {torch.__version__}")


def write_case(folder, case, seed):
    os.makedirs(folder, exist_ok=True)
    random = torch.Generator().manual_seed(seed)
    weights = {}

    def draw(name, *shape, mean=0.0, sd=0.1):
        weights[name] = (mean + sd * torch.randn(shape, generator=random)).to(case["dtype"])

    d, f, heads, kv, hd = case["d"], case["f"], case["heads"], case["kv"], case["hd"]
    draw("model.embed_tokens.weight", VOCABULARY, d, sd=1.0)
    for i in range(case["blocks"]):
        at = f"model.layers.{i}."
        for key, count in (("q", heads), ("k", kv), ("v", kv)):
            draw(f"{at}self_attn.{key}_proj.weight", count * hd, d, sd=d ** -0.5)
        draw(f"{at}self_attn.o_proj.weight", d, heads * hd, sd=(heads * hd) ** -0.5)
        for key in ("q_norm", "k_norm"):
            draw(f"{at}self_attn.{key}.weight", hd, mean=1.0)
        for key, shape in (("gate", (f, d)), ("up", (f, d)), ("down", (d, f))):
            draw(f"{at}mlp.{key}_proj.weight", *shape, sd=shape[1] ** -0.5)
        for key in ("input_layernorm", "post_attention_layernorm"):
            draw(f"{at}{key}.weight", d, mean=1.0)
    draw("model.norm.weight", d, mean=1.0)
    if not case["tied"]:
        draw("lm_head.weight", VOCABULARY, d, sd=d ** -0.5)

    config = {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 0,
        "eos_token_id": 1, "head_dim": hd, "hidden_act": "silu", "hidden_size": d, "initializer_range": 0.02,
        "intermediate_size": f, "max_position_embeddings": 64, "max_window_layers": case["blocks"], "model_type": "qwen3",
        "num_attention_heads": heads, "num_hidden_layers": case["blocks"], "num_key_value_heads": kv, "rms_norm_eps": EPS,
        "rope_scaling": None, "rope_theta": BASE, "sliding_window": None, "tie_word_embeddings": case["tied"],
        "torch_dtype": str(case["dtype"]).split(".")[-1], "use_cache": True, "use_sliding_window": False,
        "vocab_size": VOCABULARY}
    with open(os.path.join(folder, "config.json"), "w") as out:
        json.dump(config, out, indent=2)
    names = sorted(weights)
    if case["shards"] == 1:
        write(os.path.join(folder, "model.safetensors"), weights)
    else:
        count, placed = case["shards"], {}
        for s in range(count):
            file = f"model-{s + 1:05}-of-{count:05}.safetensors"
            part = {n: weights[n] for n in names[s::count]}
            placed.update({n: file for n in part})
            write(os.path.join(folder, file), part)
        total = sum(w.numel() * w.element_size() for w in weights.values())
        with open(os.path.join(folder, "model.safetensors.index.json"), "w") as out:
            json.dump({"metadata": {"total_size": total}, "weight_map": placed}, out)

    exact = {name: w.double() for name, w in weights.items()}
    ids = [torch.randint(VOCABULARY, (n,), generator=random) for n in LENGTHS]
    states, logits = zip(*(forward(exact, case, sequence) for sequence in ids))
    expected = {"ids": torch.cat(ids).int(), "lengths": torch.tensor(LENGTHS, dtype=torch.int32),
                "logits": torch.cat(logits)}
    for i in range(case["blocks"] + 2):
        expected[f"hidden.{i}"] = torch.cat([s[i] for s in states])
    write(os.path.join(folder, "expected.safetensors"), expected)


def norm(x, gain):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPS) * gain


def turn(x):
    """x: length x heads x hd; the pair (j, j + hd / 2) turns by place * BASE^(-2 j / hd)."""
    length, _, hd = x.shape
    angle = torch.arange(length).double()[:, None] * BASE ** (-torch.arange(0, hd, 2).double() / hd)
    c, s = torch.cos(angle)[:, None, :], torch.sin(angle)[:, None, :]
    a, b = x[..., : hd // 2], x[..., hd // 2:]
    return torch.cat([a * c - b * s, b * c + a * s], dim=-1)


def forward(w, case, ids):
    heads, kv, hd, n = case["heads"], case["kv"], case["hd"], len(ids)
    x = w["model.embed_tokens.weight"][ids]
    states = [x]
    for i in range(case["blocks"]):
        p = {key[len(f"model.layers.{i}."):-len(".weight")]: v for key, v in w.items() if key.startswith(f"model.layers.{i}.")}
        h = norm(x, p["input_layernorm"])
        q = turn(norm((h @ p["self_attn.q_proj"].T).view(n, heads, hd), p["self_attn.q_norm"]))
        k = turn(norm((h @ p["self_attn.k_proj"].T).view(n, kv, hd), p["self_attn.k_norm"]))
        v = (h @ p["self_attn.v_proj"].T).view(n, kv, hd)
        out = torch.zeros(n, heads, hd, dtype=torch.float64)
        for t in range(n):
            for head in range(heads):
                g = head // (heads // kv)
                weight = torch.softmax(k[: t + 1, g] @ q[t, head] / math.sqrt(hd), dim=0)
                out[t, head] = weight @ v[: t + 1, g]
        x = x + out.reshape(n, heads * hd) @ p["self_attn.o_proj"].T
        h = norm(x, p["post_attention_layernorm"])
        gate = h @ p["mlp.gate_proj"].T
        x = x + (gate * torch.sigmoid(gate) * (h @ p["mlp.up_proj"].T)) @ p["mlp.down_proj"].T
        states.append(x)
    x = norm(x, w["model.norm.weight"])
    states.append(x)
    return states, x @ (w["model.embed_tokens.weight"] if case["tied"] else w["lm_head.weight"]).T


def write(path, tensors):
    """A safetensors file: length of the header, header, data."""
    header, blobs, at = {}, [], 0
    for name in sorted(tensors):
        t = tensors[name].contiguous()
        raw = t.view(torch.int16) if t.dtype == torch.bfloat16 else t
        blob = raw.numpy().tobytes()
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


if __name__ == "__main__":
    main()
