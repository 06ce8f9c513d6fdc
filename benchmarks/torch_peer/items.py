"""The work that both sides do: its size, FLOPs and the names of modx's benchmarks for it."""
from dataclasses import dataclass, replace

MLP = (784, 256, 256, 10)
BATCH = 128
MOE = {"tokens": 1024, "d": 256, "f": 1024, "experts": 8, "k": 2}

LM = {"blocks": 4, "d": 256, "f": 1024, "heads": 4, "vocabulary": 8192, "sequences": 8, "length": 128}
QWEN = {"blocks": 28, "d": 1024, "f": 3072, "heads": 16, "kv_heads": 8, "head_dim": 128, "vocabulary": 151936, "base": 1e6, "eps": 1e-6}

MLP_FORWARD = 2 * sum(a * b for a, b in zip(MLP, MLP[1:]))
MLP_STEP = 3 * MLP_FORWARD - 2 * MLP[0] * MLP[1]  # no gradient for the images
CNN_FIRST = 2 * 28 * 28 * 9 * 32
CNN_FORWARD = CNN_FIRST + 2 * (14 * 14 * 9 * 32 * 64 + 3136 * 128 + 128 * 10)
CNN_STEP = 3 * CNN_FORWARD - CNN_FIRST
MOE_FORWARD = MOE["k"] * 2 * 2 * MOE["d"] * MOE["f"]  # per token, router left out
LM_FORWARD = 2 * (LM["blocks"] * (4 * LM["d"] ** 2 + 2 * LM["d"] * LM["f"] + LM["length"] * LM["d"]) + LM["d"] * LM["vocabulary"])  # per token
_heads = QWEN["heads"] * QWEN["head_dim"]
_qkv = _heads + 2 * QWEN["kv_heads"] * QWEN["head_dim"]
QWEN_BLOCKS = 2 * QWEN["blocks"] * (QWEN["d"] * (_qkv + _heads) + 3 * QWEN["d"] * QWEN["f"])  # per token, attention left out
QWEN_HEAD = 2 * QWEN["d"] * QWEN["vocabulary"]


@dataclass(frozen=True)
class item:
    """One row of the table; `step` items (samples, tokens or FLOP) are done per iteration of the benchmark."""

    name: str
    title: str
    group: str
    unit: str
    step: float
    flops: float  # per sample, token, or 1 where the unit is FLOP/s itself
    benchmarks: tuple  # modx's, without the number of threads; the first that exists is measured
    floor: tuple = ()  # plain-Eigen benchmarks of the same work, likewise
    variants: tuple = ()  # ways of writing the peer's code that are tried beside the plain one
    tuned_on: str = ""  # of an item of seconds a step: the cheap one that finds the best kernel of each BLAS library
    bytes: float = 0  # least memory traffic per sample or token, of an item that memory bounds

    @property
    def work(self):
        """What the peer does: in float, as its bfloat16 has no AMX where a virtual machine hides the palette (it dies there)."""
        return self.name.removesuffix("_bf16")

    @property
    def counter(self):
        return "FLOPS" if self.unit == "FLOP/s" else "items_per_second"


def in_bf16(i):
    """The same with modx's products in bfloat16: on AMX, or slower than in float."""
    return replace(i, name=f"{i.name}_bf16", title=f"{i.title}, products in bfloat16 (PyTorch: float)", group="bf16",
                   benchmarks=tuple(f"{b}_bf16" for b in i.benchmarks), floor=())


def gemm(m, k, n, experts=1):
    shape, flops = f"{m}x{k}x{n}", 2.0 * experts * m * k * n
    if experts == 1:
        return item(f"gemm/{shape}", f"GEMM {shape}", "gemm", "FLOP/s", flops, 1.0, (f"gemm/{shape}", f"multiply/{shape}"),
                    (f"eigen_gemm/{shape}", f"eigen/{shape}"))
    many, grouped = f"{experts}x{shape}", f"{experts}x({shape})"
    return item(f"experts/{many}", f"{experts} experts {shape}", "gemm", "FLOP/s", flops, 1.0, (f"experts/{many}", f"multiply/{grouped}"),
                (f"eigen_gemm/{many}", f"eigen_experts/{many}", f"eigen/{grouped}"))


_mlp = "MLP 784-256-256-10 train step, batch 128"
_cnn = "CNN 32-64 conv, 3136-128-10, batch 128"
_moe = "MoE layer T=1024 d=256 f=1024 e=8 k=2"
_images = ("channels_last",)
_large = "gemm/512x1024x1024"

ITEMS = {i.name: i for i in (
    item("mlp_sgd", f"{_mlp}, SGD", "mlp", "samples/s", BATCH, MLP_STEP, ("mlp_sgd",), ("eigen_mlp_sgd",)),
    item("mlp_adamw", f"{_mlp}, AdamW", "mlp", "samples/s", BATCH, MLP_STEP, ("mlp_adamw",), ("eigen_mlp_adamw",), ("foreach",)),
    item("cnn_sgd", f"{_cnn}, train step, SGD", "cnn", "samples/s", BATCH, CNN_STEP, ("cnn_sgd",), ("eigen_cnn_sgd",), _images),
    item("cnn_adamw", f"{_cnn}, train step, AdamW", "cnn", "samples/s", BATCH, CNN_STEP, ("cnn_adamw",), ("eigen_cnn_adamw",), _images),
    item("cnn_forward", f"{_cnn}, forward", "cnn", "samples/s", BATCH, CNN_FORWARD, ("cnn_forward",), ("eigen_cnn_forward",), _images),
    item("moe_forward", f"{_moe}, forward", "moe", "tokens/s", MOE["tokens"], MOE_FORWARD, ("moe_forward",), ("eigen_moe_forward",)),
    item("moe_forward_backward", f"{_moe}, forward + backward", "moe", "tokens/s", MOE["tokens"], 3 * MOE_FORWARD,
         ("moe_forward_backward",), ("eigen_moe_forward_backward",)),
    item("lm_adamw", "Transformer LM step, 4 blocks d=256 V=8192, 8 x 128 tokens, AdamW", "lm", "tokens/s",
         LM["sequences"] * LM["length"], 3 * LM_FORWARD, ("lm_adamw",), (), ("foreach",)),
    item("qwen3_encode", "Qwen3-0.6B shape, hidden states of 16 x 32 tokens", "qwen3", "tokens/s", 512, QWEN_BLOCKS, ("qwen3_encode",),
         tuned_on=_large),
    item("qwen3_prefill", "Qwen3-0.6B shape, prefill 512 tokens", "qwen3", "tokens/s", 512, QWEN_BLOCKS + QWEN_HEAD / 512,
         ("qwen3_prefill",), tuned_on=_large),
    item("qwen3_decode", "Qwen3-0.6B shape, decode 64 tokens", "qwen3", "tokens/s", 64, QWEN_BLOCKS + QWEN_HEAD, ("qwen3_decode",),
         tuned_on=_large, bytes=QWEN_BLOCKS + QWEN_HEAD),  # two FLOP and two bytes a weight in bfloat16
    gemm(64, 1024, 1024), gemm(512, 1024, 1024), gemm(64, 256, 1024, experts=8))}
ITEMS |= {i.name: i for i in map(in_bf16, (ITEMS[name] for name in ("moe_forward", "qwen3_encode", "qwen3_prefill", "qwen3_decode")))}
GROUPS = ("mlp", "cnn", "moe", "gemm", "lm", "qwen3", "bf16")
