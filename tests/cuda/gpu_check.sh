#!/usr/bin/env bash
# shellcheck disable=SC2016 # stubs expand later
# Tests scripts/gpu_check.sh without a GPU: what it says where there is none, and its whole course with stubs for the driver,
# nvcc, cmake and the programs on the device; the benchmark's rows are the emulator's.
#   gpu_check.sh ROOT PYTHON BENCHMARK
set -euo pipefail
root=$1 python=$2 benchmark=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}
stub() { # NAME, its lines from stdin
  { echo '#!/usr/bin/env bash'; cat; } >"$1"
  chmod +x "$1"
}
mkdir -p "$folder/bin" "$folder/modx/benchmarks"
cp -r "$root/scripts" "$folder/modx/"
cp -r "$root/benchmarks/gpu" "$folder/modx/benchmarks/"
cd "$folder/modx"
ln -s "$python" "$folder/bin/python3"
export PATH=$folder/bin:$PATH OUT=$folder/out CUDA_PATH=$folder/none

# expect STATUS SENTENCE ARGUMENTS...: ends with it and says so on stderr, in one line unless the status is 1
expect() {
  local status=$1 sentence=$2 found=0
  shift 2
  scripts/gpu_check.sh "$@" >"$folder/stdout" 2>"$folder/stderr" || found=$?
  [ $found -eq "$status" ] || fail "$*: expected status $status, found $found: $(cat "$folder/stderr")"
  grep -qF -- "$sentence" "$folder/stderr" "$folder/stdout" || fail "$*: expected '$sentence', found: $(cat "$folder/stderr" "$folder/stdout")"
  [ "$status" -lt 2 ] || [ "$(wc -l <"$folder/stderr")" -eq 1 ] || fail "$*: expected one line, found: $(cat "$folder/stderr")"
}
expect 0 "--out DIR" --help
expect 2 "unknown argument --nonsense" --nonsense
expect 2 "--out needs a value" --out
stub "$folder/bin/nvidia-smi" <<<'echo "Stub GPU, 1.0, 1 MiB"'
if ! PATH=/usr/bin:/bin command -v nvcc >/dev/null; then
  PATH=$folder/bin:/usr/bin:/bin expect 3 "gpu_check: no nvcc here"
fi
stub "$folder/bin/nvcc" <<<'echo "Cuda compilation tools, release 99.9, V99.9.0"'
stub "$folder/bin/nvidia-smi" <<<'echo "NVIDIA-SMI has failed" >&2; exit 9'
expect 3 "gpu_check: no NVIDIA GPU here"
[ ! -e "$OUT" ] || fail "something was written without a GPU"

# everything at hand
stub "$folder/bin/nvidia-smi" <<<'echo "Stub GPU, 1.0, 1 MiB"'
stub "$folder/bin/cmake" <<<'if [ "$1" = --version ]; then echo "cmake version 9.9"; fi; echo "cmake $*" >>"$OUT/cmake.calls"'
stub "$folder/bin/compute-sanitizer" <<<'[ "$1" = --tool ] || exit 8; echo "$2" >>"$OUT/tools"; shift 4; exec "$@"'
mkdir -p build/cuda/tests/cuda build/cuda/benchmarks build/cuda/examples data/mnist
stub build/cuda/tests/cuda/modx_gpu_tests <<<'echo "there is a device"'
"$benchmark" small >"$folder/small.jsonl"
stub build/cuda/benchmarks/gpu_benchmark <<<"[ \"\$1\" = --check ] || cat '$folder/small.jsonl'"
stub build/cuda/examples/red_mnist <<'STUB'
device=$2
while [ "$1" != --save-dir ]; do shift; done
mkdir -p "$2"
[ "$device" = cpu ] && acc=0.95 || acc=${CUDA_ACCURACY:-0.953}
echo "{\"modes\": {\"red\": {\"test\": {\"acc\": {\"mean\": $acc}}}}}" >"$2/metrics.json"
STUB
sed -i 's/^mnist_verify() {/mnist_verify() { return 0;/' scripts/lib.sh
# a peer that is always there; the real one is run by itself below
sed -i 's/^def main():/def main():\n    print(json.dumps(dict(item="moe\/test\/forward", who="torch", how="eager loop, float", ms=1e9, least=1, most=1, flops=1, bytes=0)))\n    return 0/; s/^    import torch$/    pass/; s/^    import torch\..*$//; s/^class red(.*/class red:/; s/^GROUPED = .*/GROUPED = None/' benchmarks/gpu/torch_peer.py
expect 0 "| red | 0.9500 | 0.9530 | +0.0030 |" --no-install
[ "$(cat "$OUT/tools")" = $'memcheck\nracecheck\ninitcheck' ] || fail "the tools: $(cat "$OUT/tools")"
grep -q "preset cuda .*-DMODX_BENCHMARKS=ON" "$OUT/cmake.calls" || fail "cmake was not asked for the preset: $(cat "$OUT/cmake.calls")"
for text in "| copy | float |" "| gemm | tf32 |" "| moe/test/forward+backward | float, " "| step/red | float" "eager loop, float" \
  "Stub GPU, 1.0, 1 MiB; CUDA 99.9; modx " "| compute-sanitizer racecheck on the kernel tests | passed"; do
  grep -qF -- "$text" "$OUT/gpu.md" || fail "no '$text' in gpu.md: $(cat "$OUT/gpu.md")"
done
"$python" - "$OUT/gpu.json" <<'CHECK'
import json, sys
t = {(l["item"], l["precision"]): l for l in json.load(open(sys.argv[1]))["table"]}
assert t["gemm", "float"]["share"] == 1 and 0 < t["moe/test/forward", "float"]["share"], t
assert t["moe/test/forward", "float"]["ratios"]["eager loop, float"] > 1, t
CHECK

# what fails is named, the rest goes on, and the status says it
CUDA_ACCURACY=0.93 expect 1 "test accuracies differ by more than 0.005: red" --no-install --no-sanitizer
grep -qF "| compute-sanitizer | not wanted |" "$OUT/gpu.md" || fail "the sanitizer: $(cat "$OUT/gpu.md")"
stub build/cuda/benchmarks/gpu_benchmark <<<'[ "$1" = --check ] || exit 7'
expect 1 "| benchmarks: modx | FAILED with status 7, see modx.jsonl |" --no-install
stub build/cuda/tests/cuda/modx_gpu_tests <<<'echo "modx: cuda: expected a CUDA device, found none"'
expect 1 "modx::cuda does not start here" --no-install

# the real peer on this machine's CPU
found=0
"$python" "$root/benchmarks/gpu/torch_peer.py" --device cpu --shapes test --rounds 1 >"$folder/torch.jsonl" 2>"$folder/stderr" || found=$?
if [ $found -eq 77 ]; then
  echo "torch_peer.py was not run: $(cat "$folder/stderr")"
elif [ $found -ne 0 ] || grep -q failed "$folder/torch.jsonl" || [ "$(grep -c '"moe/test' "$folder/torch.jsonl")" -ne 4 ]; then
  fail "torch_peer.py ended with $found: $(cat "$folder/torch.jsonl" "$folder/stderr")"
fi
