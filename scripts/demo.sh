#!/usr/bin/env bash
# Fetches MNIST, builds modx and runs the residual-expert example; prints its table and where the report lies.
#
#   scripts/demo.sh [arguments of red_mnist]       e.g.  scripts/demo.sh --profile published --threads 2
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

# The value of an option among the arguments: --name VALUE or --name=VALUE.
value_of() {
  local name=$1
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      "$name") printf '%s\n' "${2:-}" && return ;;
      "$name"=*) printf '%s\n' "${1#*=}" && return ;;
    esac
    shift
  done
}

case " $* " in
  *" -h "* | *" --help "*)
    sed -n '2,4s/^# \{0,1\}//p' scripts/demo.sh
    [ ! -x build/cpu/examples/red_mnist ] || build/cpu/examples/red_mnist --help
    exit 0
    ;;
esac

ensure_build_packages
ensure_echarts build/cpu
arguments=() save=$(value_of --save-dir "$@")
if [ -z "$(value_of --data-dir "$@")" ]; then
  data=$(mnist_folder yes) || die "no MNIST"
  arguments+=(--data-dir "$data")
fi
if [ -z "$save" ]; then
  save=$PWD/runs/mnist-$(date +%Y%m%d-%H%M%S)
  arguments+=(--save-dir "$save")
fi

configure cpu >&2
build cpu --target red_mnist >&2
program=$PWD/build/cpu/examples/red_mnist
cd "$here"
"$program" "${arguments[@]}" "$@"
[ ! -f "$save/report.html" ] || printf '\nreport: %s\n' "$save/report.html"
