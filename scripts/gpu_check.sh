#!/usr/bin/env bash
# Builds modx for the GPU at hand, tests it there, runs red_mnist on it and measures it; one table at the end.
#
#   scripts/gpu_check.sh [--out DIR] [--seeds N] [--shapes LIST] [--no-sanitizer] [--no-benchmarks] [--no-install]
#
#   --out DIR        where logs, gpu.md and gpu.json go; default: $OUT, else build/gpu
#   --seeds N        seeds of red_mnist on each device; default 1
#   --shapes LIST    MoE layers to measure; default tiny,mixtral,olmoe,qwen3
#   --no-sanitizer   without compute-sanitizer
#   --no-benchmarks  without the measurements
#   --no-install     install nothing (no apt-get); MNIST is used where it already is
#
#   Exit status: 0 all well; 1 something failed (the table says what); 2 wrong arguments; 3 no GPU or no nvcc here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

out=${OUT:-build/gpu} seeds=1 shapes=tiny,mixtral,olmoe,qwen3 sanitizer=yes benchmarks=yes install=yes
wrong() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
    --out | --seeds | --shapes)
      [ -n "${2:-}" ] || wrong "$1 needs a value"
      case $1 in --out) out=$2 ;; --seeds) seeds=$2 ;; --shapes) shapes=$2 ;; esac
      shift
      ;;
    --no-sanitizer) sanitizer=no ;;
    --no-benchmarks) benchmarks=no ;;
    --no-install) install=no ;;
    -h | --help)
      sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' scripts/gpu_check.sh
      exit 0
      ;;
    *) wrong "unknown argument $1 (--help lists them)" ;;
  esac
  shift
done

# nothing is written before both are there
toolkit=${CUDA_PATH:-/usr/local/cuda}
has nvcc || PATH=$PATH:$toolkit/bin
absent() {
  printf 'gpu_check: %s\n' "$*" >&2
  exit 3
}
has nvcc || absent "no nvcc here (install the CUDA toolkit, or set CUDA_PATH to its folder)"
gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -n 1) || gpu=
[ -n "$gpu" ] || absent "no NVIDIA GPU here (nvidia-smi finds none)"

mkdir -p "$out"
out=$(cd "$out" && pwd)
checks=$out/checks.txt status=0
: >"$checks"
python=$(command -v python3) || die "python3 is needed for the table"

# step NAME LOG COMMAND...: runs it with its output in LOG, and notes whether it went well.
step() {
  local name=$1 log=$out/$2 code=0 start=$SECONDS
  shift 2
  say "$name"
  "$@" >"$log" 2>&1 </dev/null || code=$?
  if [ $code -eq 0 ]; then
    printf '%s\tpassed in %d s\n' "$name" $((SECONDS - start)) >>"$checks"
  else
    printf '%s\tFAILED with status %d, see %s\n' "$name" $code "${log##*/}" >>"$checks"
    tail -n 20 "$log" >&2
    status=1
    return 1
  fi
}
note() { printf '%s\t%s\n' "$1" "$2" >>"$checks"; }
finish() {
  local code=$?
  [ $code -eq 0 ] || status=1
  exit $status
}
trap finish EXIT

[ $install = no ] || ensure_build_packages
build_all() {
  configure cuda -DCMAKE_CUDA_ARCHITECTURES=native -DMODX_BENCHMARKS=ON &&
    build cuda --target modx_gpu_tests red_mnist gpu_benchmark
}
step "build" build.log build_all || die "the build failed: $out/build.log"
tests=build/cuda/tests/cuda/modx_gpu_tests

# a device that the driver shows and the backend can't use is a failure, not a skip
device_is_used() { "$tests" "[device]" | tee /dev/stderr | grep -q "^there is a device"; }
step "backend starts on $gpu" device.log device_is_used || die "modx::cuda does not start here: $out/device.log"
step "parity, laws, training and graphs on the device" tests.log "$tests" || true
step "MoE layer beside the CPU's" layer.log build/cuda/benchmarks/gpu_benchmark --check || true

if [ $sanitizer = no ]; then
  note compute-sanitizer "not wanted"
elif ! has compute-sanitizer; then
  note compute-sanitizer "not run: it is not here"
else
  for tool in memcheck racecheck initcheck; do
    step "compute-sanitizer $tool on the kernel tests" "$tool.log" \
      compute-sanitizer --tool "$tool" --error-exitcode 9 "$tests" "[parity],[graphs]" || true
  done
fi

compared=()
if MODX_DATA_DIR=$(mnist_folder "$install"); then
  run_red_mnist() {
    rm -rf "${out:?}/red_mnist-$1"
    build/cuda/examples/red_mnist --device "$1" --seeds "$seeds" --data-dir "$MODX_DATA_DIR" --save-dir "$out/red_mnist-$1"
  }
  cpu_metrics=$out/red_mnist-cpu/metrics.json cuda_metrics=$out/red_mnist-cuda/metrics.json
  if step "red_mnist on the CPU" red_mnist-cpu.log run_red_mnist cpu && step "red_mnist on the GPU" red_mnist-cuda.log run_red_mnist cuda; then
    compared=(--compare "$cpu_metrics" "$cuda_metrics")
    step "red_mnist: accuracies within 0.005 of the CPU's" accuracies.log \
      "$python" benchmarks/gpu/table.py --out "$out/accuracies" "${compared[@]}" || true
  fi
else
  note red_mnist "not run: no MNIST here"
fi

results=()
if [ $benchmarks = yes ]; then
  # shellcheck disable=SC2086
  step "benchmarks: modx" modx.jsonl build/cuda/benchmarks/gpu_benchmark ${shapes//,/ } && results+=("$out/modx.jsonl")
  step "benchmarks: PyTorch" torch.jsonl "$python" benchmarks/gpu/torch_peer.py --shapes "$shapes" && results+=("$out/torch.jsonl")
fi
facts="$gpu; $(nvcc --version | sed -n 's/.*release \([^,]*\),.*/CUDA \1/p'); modx $(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown); $(date -u '+%Y-%m-%d %H:%M UTC')"
"$python" benchmarks/gpu/table.py --out "$out" --facts "$facts" --checks "$checks" "${compared[@]}" "${results[@]}" || status=1
cat "$out/gpu.md"
say "the table: $out/gpu.md and $out/gpu.json"
