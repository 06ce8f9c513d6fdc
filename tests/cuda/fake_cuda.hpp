// A stand-in for the CUDA runtime and cuBLAS on the emulator: the backend's own host code runs unchanged on it.
// It checks what a driver would (and more): launch sizes, pointers, leading dimensions, streams that nobody joins.
// Device memory is out of reach outside kernels and copies, so host code that reads it crashes.
#pragma once
#include <sys/mman.h>

#include <cmath>
#include <cstdlib>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <string_view>
#include <tuple>
#include <type_traits>

#include <modx/backend/bfloat16.hpp>

#include "emulator.hpp"

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorInvalidDeviceFunction = 98,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorUnsupportedPtxVersion = 222,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorIllegalAddress = 700,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaErrorStreamCaptureUnjoined = 904,
  cudaErrorStreamCaptureIsolation = 905
};
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum cublasStatus_t { CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_NOT_INITIALIZED = 1, CUBLAS_STATUS_INVALID_VALUE = 7 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold = 4 };
enum cudaMemAllocationType { cudaMemAllocationTypePinned = 1 };
enum cudaMemLocationType { cudaMemLocationTypeDevice = 1 };
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrComputeCapabilityMinor = 76 };
struct cudaMemLocation {
  cudaMemLocationType type;
  int id;
};
struct cudaMemPoolProps {
  cudaMemAllocationType allocType;
  cudaMemLocation location;
};
struct cudaFuncAttributes {
  int numRegs;
};
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;
#define CUDART_VERSION 13000

namespace emu {

// ---- device memory
// ---------------------------------------------------------------------------------------------------

/// Blocks of one reserved range of addresses, with a guard behind each; hidden from the host between calls.
class device_memory {
  static constexpr std::size_t reserve = std::size_t(4) << 30, guard = 256;
  struct piece {
    std::size_t size;
    bool live;
  };
  std::byte* base_;
  std::map<std::size_t, piece> pieces_;  // by offset
  std::size_t top_ = 0, open_ = 0;

  static std::size_t rounded(std::size_t n) { return (n + 255) & ~std::size_t(255); }
  void protect(int how) {
    if (top_ && mprotect(base_, (top_ + 4095) & ~std::size_t(4095), how)) throw fault("emulator: mprotect");
  }
  [[maybe_unused]] void shadow([[maybe_unused]] std::size_t at, [[maybe_unused]] std::size_t n,
                               [[maybe_unused]] bool poisoned) {
#if defined(__SANITIZE_ADDRESS__)
    if (poisoned) __asan_poison_memory_region(base_ + at, n);
    if (!poisoned) __asan_unpoison_memory_region(base_ + at, n);
#endif
  }
  void pattern(std::size_t at, std::size_t n, int value) {
    shadow(at, n, false);
    std::memset(base_ + at, value, n);
  }

 public:
  bool hidden = true;  // out of the host's reach between calls

  device_memory() {
    void* p = mmap(nullptr, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw fault("emulator: mmap");
    base_ = static_cast<std::byte*>(p);
  }
  void open() {
    if (open_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    if (--open_ == 0 && hidden) protect(PROT_NONE);
  }
  void* allocate(std::size_t n) {
    const std::size_t want = rounded(n) + guard;
    std::size_t at = top_;
    for (auto it = pieces_.begin(); it != pieces_.end(); ++it)
      if (!it->second.live && rounded(it->second.size) == rounded(n)) {
        at = it->first;
        break;
      }
    if (at == top_) {
      if (top_ + want > reserve) return nullptr;
      top_ += want;
      if (open_) protect(PROT_READ | PROT_WRITE);
    }
    pieces_[at] = {n, true};
    open();
    pattern(at, want, 0xa5);
    std::memset(base_ + at, 0xff, n);  // NaN
    shadow(at + n, want - n, true);
    close();
    return base_ + at;
  }
  /// Throws when the guard behind the block has been written to.
  void check(std::size_t at) {
    const piece& p = pieces_.at(at);
    const std::size_t want = rounded(p.size) + guard;
    open();
    shadow(at + p.size, want - p.size, false);
    bool whole = true;
    for (std::size_t i = p.size; i < want; ++i) whole = whole && base_[at + i] == std::byte(0xa5);
    shadow(at + p.size, want - p.size, true);
    close();
    if (!whole) throw fault("emulator: a kernel has written behind a block of " + std::to_string(p.size) + " bytes");
  }
  void check() {
    for (const auto& [at, p] : pieces_)
      if (p.live) check(at);
  }
  bool release(void* p) {
    const auto it = pieces_.find(std::size_t(static_cast<std::byte*>(p) - base_));
    if (it == pieces_.end() || !it->second.live) return false;
    check(it->first);
    it->second.live = false;
    open();
    pattern(it->first, rounded(it->second.size) + guard, 0xdd);
    shadow(it->first, rounded(it->second.size) + guard, true);
    close();
    while (!pieces_.empty() &&
           !pieces_.rbegin()->second.live) {  // what is in use stays short: mprotect takes time by page
      top_ = pieces_.rbegin()->first;
      pieces_.erase(top_);
    }
    return true;
  }
  bool inside(const void* p) const {
    const auto* b = static_cast<const std::byte*>(p);
    return b >= base_ && b < base_ + reserve;
  }
  /// Do n bytes from p lie within one live block?
  bool holds(const void* p, std::size_t n) const {
    if (n == 0) return true;
    if (!inside(p)) return false;
    const std::size_t at = std::size_t(static_cast<const std::byte*>(p) - base_);
    auto it = pieces_.upper_bound(at);
    if (it == pieces_.begin()) return false;
    --it;
    return it->second.live && at + n <= it->first + it->second.size;
  }
  std::size_t live() const {
    std::size_t n = 0;
    for (const auto& [at, p] : pieces_) n += p.live;
    return n;
  }
};
inline device_memory& memory() {
  static device_memory m;
  return m;
}
/// Device memory in reach.
struct in_reach {
  in_reach() { memory().open(); }
  ~in_reach() { memory().close(); }
  in_reach(const in_reach&) = delete;
};

// ---- streams
// ---------------------------------------------------------------------------------------------------------

struct event;
struct stream;
inline thread_local int current_device = 0;

/// A recorded graph: what is done, and after what.
struct graph {
  struct node {
    std::function<void()> work;
    std::vector<std::size_t> after;
  };
  std::vector<node> nodes;
  std::vector<stream*> streams;  // that take part, the origin first
  bool valid = true;

  /// Does all of it in an order that the schedule chooses among those that the edges allow.
  void run() const {
    std::vector<char> done(nodes.size());
    std::uint32_t random = current_schedule.seed;
    for (std::size_t left = nodes.size(); left > 0; --left) {
      std::vector<std::size_t> ready;
      for (std::size_t i = 0; i < nodes.size(); ++i)
        if (!done[i] && std::all_of(nodes[i].after.begin(), nodes[i].after.end(), [&](std::size_t j) { return done[j]; }))
          ready.push_back(i);
      random = random * 1664525u + 1013904223u;
      const std::size_t pick = current_schedule.how == schedule::order::forward   ? ready.front()
                               : current_schedule.how == schedule::order::reverse ? ready.back()
                                                                                  : ready[(random >> 8) % ready.size()];
      done[pick] = 1;
      nodes[pick].work();
    }
  }
};

/// What has been asked of a stream; in lazy mode it is done when somebody waits for it, and no sooner.
struct stream {
  std::deque<std::function<void()>> queue;
  std::size_t done = 0;  // operations taken from the queue so far
  int device = current_device;
  graph* in = nullptr;             // being recorded
  std::vector<std::size_t> after;  // what the next recorded operation waits for
};
struct event {
  stream* on = nullptr;
  std::size_t at = 0;  // complete when `on` has done that many
  graph* in = nullptr;
  std::vector<std::size_t> after;
};

struct driver_state {
  bool lazy = false;
  int devices = 1, driver_version = 13000, major = 9, minor = 0;
  std::size_t capacity = std::size_t(1) << 30, used = 0;
  std::map<std::string_view, std::size_t> calls;
  std::map<std::string_view, int> failures;  // the next call of that name returns this
  std::map<void*, std::size_t> sizes, pinned;
  int compute = 0, math = 0;  // what the last product was asked to use
  std::size_t launches = 0, streams = 0, events = 0, pools = 0, handles = 0, graphs = 0;
  graph* recording = nullptr;

  driver_state() {
    const char* how = std::getenv("MODX_EMULATOR");
    const std::string_view text = how ? how : "";
    if (text.starts_with("reverse")) current_schedule.how = schedule::order::reverse;
    if (text.starts_with("random")) current_schedule.how = schedule::order::random;
    if (const auto colon = text.find(':'); colon != text.npos)
      current_schedule.seed = std::uint32_t(std::atoi(how + colon + 1));
    lazy = text.ends_with("lazy");
  }
};
inline driver_state& driver() {
  static driver_state d;
  return d;
}

inline void drain(stream& s, std::size_t until = std::numeric_limits<std::size_t>::max()) {
  while (!s.queue.empty() && s.done < until) {
    const auto next = std::move(s.queue.front());
    s.queue.pop_front();
    ++s.done;
    next();
  }
}
inline void enqueue(stream* s, std::function<void()> f) {
  if (!s) throw fault("emulator: the default stream");
  if (s->in) {
    s->in->nodes.push_back({std::move(f), s->after});
    s->after = {s->in->nodes.size() - 1};
    return;
  }
  s->queue.push_back(std::move(f));
  if (!driver().lazy) drain(*s);
}
/// Counts a call; not 0 when it is to fail.
inline int called(std::string_view name) {
  auto& d = driver();
  ++d.calls[name];
  const auto it = d.failures.find(name);
  if (it == d.failures.end()) return 0;
  const int code = it->second;
  d.failures.erase(it);
  return code;
}

/// What may not be done while a graph is recorded spoils it.
inline int unrecorded(std::string_view name) {
  if (const int code = called(name)) return code;
  if (!driver().recording) return 0;
  driver().recording->valid = false;
  return cudaErrorStreamCaptureUnsupported;
}

/// A pointer that a kernel gets must be null or lie within a live block.
template <class P>
bool valid_argument(const P& p) {
  if constexpr (std::is_pointer_v<P>) {
    return !p || memory().holds(p, 1);
  } else {
    return true;
  }
}

}  // namespace emu

using cudaStream_t = emu::stream*;
using cudaEvent_t = emu::event*;
struct emulated_pool {};
using cudaMemPool_t = emulated_pool*;

#define EMULATED_CALL(name) \
  if (const int code = emu::called(name)) return cudaError_t(code)
#define EMULATED_WAIT(name) \
  if (const int code = emu::unrecorded(name)) return cudaError_t(code)

inline const char* cudaGetErrorName(cudaError_t) { return "cudaErrorEmulated"; }
inline const char* cudaGetErrorString(cudaError_t e) {
  return e == cudaErrorInvalidConfiguration ? "invalid configuration argument" : "emulated error";
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* n) {
  EMULATED_CALL("cudaGetDeviceCount");
  *n = emu::driver().devices;
  return *n ? cudaSuccess : cudaErrorNoDevice;
}
inline cudaError_t cudaDriverGetVersion(int* v) {
  *v = emu::driver().driver_version;
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
  EMULATED_CALL("cudaSetDevice");
  if (device < 0 || device >= emu::driver().devices) return cudaErrorInvalidDevice;
  emu::current_device = device;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = emu::current_device;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* v, cudaDeviceAttr a, int) {
  *v = a == cudaDevAttrComputeCapabilityMajor ? emu::driver().major : emu::driver().minor;
  return cudaSuccess;
}
template <class F>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* a, F*) {
  EMULATED_CALL("cudaFuncGetAttributes");
  *a = {1};
  return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = emu::driver().capacity, *free = *total - emu::driver().used;
  return cudaSuccess;
}
inline cudaError_t cudaMemPoolCreate(cudaMemPool_t* p, const cudaMemPoolProps*) {
  EMULATED_CALL("cudaMemPoolCreate");
  ++emu::driver().pools;
  *p = new emulated_pool;
  return cudaSuccess;
}
inline cudaError_t cudaMemPoolDestroy(cudaMemPool_t p) {
  --emu::driver().pools;
  delete p;
  return cudaSuccess;
}
inline cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
  EMULATED_CALL("cudaMemPoolSetAttribute");
  return cudaSuccess;
}
inline cudaError_t cudaMallocFromPoolAsync(void** p, std::size_t n, cudaMemPool_t, cudaStream_t) {
  EMULATED_WAIT("cudaMallocFromPoolAsync");
  auto& d = emu::driver();
  if (n == 0) return cudaErrorInvalidValue;
  if (d.used + n > d.capacity || !(*p = emu::memory().allocate(n))) return cudaErrorMemoryAllocation;
  d.used += n, d.sizes[*p] = n;
  return cudaSuccess;
}
inline cudaError_t cudaFreeAsync(void* p, cudaStream_t s) {
  EMULATED_WAIT("cudaFreeAsync");
  auto& d = emu::driver();
  if (const auto it = d.sizes.find(p); it != d.sizes.end())
    d.used -= it->second, d.sizes.erase(it);
  else
    throw emu::fault("emulator: memory freed that is not allocated");
  emu::enqueue(s, [p] { emu::memory().release(p); });
  return cudaSuccess;
}
inline cudaError_t cudaMallocHost(void** p, std::size_t n) {
  EMULATED_WAIT("cudaMallocHost");
  *p = std::malloc(n);
  emu::driver().pinned[*p] = n;
  return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void* p) {
  emu::driver().pinned.erase(p);
  std::free(p);
  return cudaSuccess;
}
/// From or to pinned memory a copy waits its turn; from other memory it is done at once, as the driver stages it.
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t n, cudaMemcpyKind kind, cudaStream_t s) {
  EMULATED_CALL("cudaMemcpyAsync");
  auto& d = emu::driver();
  const void* host = kind == cudaMemcpyHostToDevice ? from : to;
  const void* device = kind == cudaMemcpyHostToDevice ? to : from;
  if (!emu::memory().holds(device, n) || emu::memory().inside(host)) return cudaErrorInvalidValue;
  bool pinned = false;
  for (const auto& [p, size] : d.pinned)
    pinned = pinned || (host >= p && host < static_cast<const std::byte*>(p) + size);
  if (!pinned && s->in) return cudaError_t(emu::unrecorded("cudaMemcpyAsync, pageable"));
  if (!pinned) emu::drain(*s);
  const auto copy = [=] {
    const emu::in_reach reach;
    std::memcpy(to, from, n);
  };
  if (pinned)
    emu::enqueue(s, copy);
  else
    copy();
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* p, int value, std::size_t n, cudaStream_t s) {
  EMULATED_CALL("cudaMemsetAsync");
  if (!emu::memory().holds(p, n)) return cudaErrorInvalidValue;
  emu::enqueue(s, [=] {
    const emu::in_reach reach;
    std::memset(p, value, n);
  });
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
  EMULATED_CALL("cudaStreamCreateWithFlags");
  ++emu::driver().streams;
  *s = new emu::stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t s) {
  --emu::driver().streams;
  emu::drain(*s);
  delete s;
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  EMULATED_WAIT("cudaStreamSynchronize");
  emu::drain(*s);
  return cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
  EMULATED_CALL("cudaEventCreateWithFlags");
  ++emu::driver().events;
  *e = new emu::event;
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t e) {
  --emu::driver().events;
  delete e;
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  e->on = s, e->at = s->done + s->queue.size();
  e->in = s->in, e->after = s->after;
  return cudaSuccess;
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned = 0) {
  if (e->in || s->in) {
    if (!e->in || (s->in && s->in != e->in)) return cudaErrorStreamCaptureIsolation;
    if (!s->in) s->in = e->in, s->after.clear(), e->in->streams.push_back(s);
    s->after.insert(s->after.end(), e->after.begin(), e->after.end());
    return cudaSuccess;
  }
  if (e->on) emu::enqueue(s, [on = e->on, at = e->at] { emu::drain(*on, at); });
  return cudaSuccess;
}

// ---- graphs

using cudaGraph_t = emu::graph*;
struct emulated_exec {
  emu::graph graph;
};
using cudaGraphExec_t = emulated_exec*;

inline cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  EMULATED_CALL("cudaStreamBeginCapture");
  if (emu::driver().recording) return cudaErrorStreamCaptureUnsupported;
  ++emu::driver().graphs;
  emu::driver().recording = s->in = new emu::graph;
  s->in->streams = {s}, s->after.clear();
  return cudaSuccess;
}
/// Every stream that took part must have been waited for.
inline cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* graph) {
  *graph = nullptr;
  const int failed = emu::called("cudaStreamEndCapture");
  emu::graph* const g = std::exchange(emu::driver().recording, nullptr);
  if (!g || g->streams[0] != s) return cudaErrorStreamCaptureUnsupported;
  std::vector<char> reached(g->nodes.size());
  for (const auto i : s->after) reached[i] = 1;
  for (std::size_t i = g->nodes.size(); i-- > 0;)
    if (reached[i])
      for (const auto j : g->nodes[i].after) reached[j] = 1;
  bool joined = true;
  for (const char r : reached) joined = joined && r;
  for (auto* t : g->streams) t->in = nullptr, t->after.clear();
  g->streams.clear();
  if (failed || !g->valid || !joined) {
    const bool valid = g->valid;
    --emu::driver().graphs;
    delete g;
    return failed ? cudaError_t(failed) : valid ? cudaErrorStreamCaptureUnjoined : cudaErrorStreamCaptureInvalidated;
  }
  *graph = g;
  return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t g, unsigned long long) {
  EMULATED_CALL("cudaGraphInstantiate");
  ++emu::driver().graphs;
  *exec = new emulated_exec{*g};
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s) {
  EMULATED_CALL("cudaGraphLaunch");
  emu::enqueue(s, [g = exec->graph] { g.run(); });
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t g) {
  --emu::driver().graphs;
  delete g;
  return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  --emu::driver().graphs;
  delete exec;
  return cudaSuccess;
}

// ---- cuBLAS: column-major, plain loops
// --------------------------------------------------------------------------------

enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cublasMath_t { CUBLAS_DEFAULT_MATH = 0, CUBLAS_TF32_TENSOR_OP_MATH = 3 };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_64F = 70, CUBLAS_COMPUTE_32F_FAST_TF32 = 77 };
enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16BF = 14 };
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT = -1 };
struct emulated_handle {
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
};
using cublasHandle_t = emulated_handle*;

inline const char* cublasGetStatusString(cublasStatus_t) { return "emulated status"; }
inline cublasStatus_t cublasCreate(cublasHandle_t* h) {
  if (const int e = emu::called("cublasCreate")) return cublasStatus_t(e);
  ++emu::driver().handles;
  *h = new emulated_handle;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasDestroy(cublasHandle_t h) {
  --emu::driver().handles;
  delete h;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasSetStream(cublasHandle_t h, cudaStream_t s) {
  h->stream = s, h->workspace = nullptr;  // as cuBLAS does
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasSetWorkspace(cublasHandle_t h, void* p, std::size_t n) {
  if (!emu::memory().holds(p, n)) return CUBLAS_STATUS_INVALID_VALUE;
  h->workspace = p;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t mode) {
  emu::driver().math = mode;
  return CUBLAS_STATUS_SUCCESS;
}

namespace emu {

/// Is a rows x cols column-major matrix with this leading dimension within one block?
template <class T>
bool matrix_fits(const T* p, int rows, int cols, int ld) {
  if (ld < std::max(1, rows)) return false;
  return rows == 0 || cols == 0 ||
         memory().holds(p, (std::size_t(cols - 1) * std::size_t(ld) + std::size_t(rows)) * sizeof(T));
}
template <class A, class T>
bool product_fits(cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, const A* a, int lda, const A* b,
                  int ldb, const T* c, int ldc) {
  if (m < 0 || n < 0 || k < 0) return false;
  return matrix_fits(a, ta ? k : m, ta ? m : k, lda) && matrix_fits(b, tb ? n : k, tb ? k : n, ldb) &&
         matrix_fits(c, m, n, ldc);
}
inline double number(double x) { return x; }
inline double number(std::uint16_t bits) { return double(modx::from_bf16(bits)); }
/// c (m x n) = alpha op(a) op(b) + beta c, every sum in double and in order; A: T, or bfloat16.
template <class A, class T>
void product(cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, T alpha, const A* a, int lda, const A* b,
             int ldb, T beta, T* c, int ldc) {
  const in_reach reach;
  const auto M = std::size_t(m), N = std::size_t(n), K = std::size_t(k);
  const std::size_t a_row = ta ? std::size_t(lda) : 1, a_step = ta ? 1 : std::size_t(lda);
  const std::size_t b_col = tb ? 1 : std::size_t(ldb), b_step = tb ? std::size_t(ldb) : 1;
  for (std::size_t j = 0; j < N; ++j)
    for (std::size_t i = 0; i < M; ++i) {
      double sum = 0;
      for (std::size_t l = 0; l < K; ++l) sum += number(a[i * a_row + l * a_step]) * number(b[j * b_col + l * b_step]);
      T& out = c[j * std::size_t(ldc) + i];
      out = T(double(alpha) * sum + (beta != T(0) ? double(beta) * double(out) : 0.0));
    }
}

}  // namespace emu

inline cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                                   const void* alpha, const void* a, cudaDataType_t at, int lda, const void* b,
                                   cudaDataType_t bt, int ldb, const void* beta, void* c, cudaDataType_t ct, int ldc,
                                   cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (const int e = emu::called("cublasGemmEx")) return cublasStatus_t(e);
  if (h->stream && h->stream->device != emu::current_device) return CUBLAS_STATUS_INVALID_VALUE;
  emu::driver().compute = compute;
  const bool rounded = at == CUDA_R_16BF && ct == CUDA_R_32F && compute == CUBLAS_COMPUTE_32F;
  if (!h->stream || !h->workspace || at != bt || (at != ct && !rounded)) return CUBLAS_STATUS_INVALID_VALUE;
  if ((at == CUDA_R_64F) != (compute == CUBLAS_COMPUTE_64F)) return CUBLAS_STATUS_INVALID_VALUE;
  const auto run = [=]<class A, class T>(A, T one, T scale) {
    const auto *x = static_cast<const A*>(a), *y = static_cast<const A*>(b);
    auto* z = static_cast<T*>(c);
    if (!emu::product_fits(ta, tb, m, n, k, x, lda, y, ldb, z, ldc)) return CUBLAS_STATUS_INVALID_VALUE;
    emu::enqueue(h->stream, [=] { emu::product(ta, tb, m, n, k, one, x, lda, y, ldb, scale, z, ldc); });
    return CUBLAS_STATUS_SUCCESS;
  };
  if (at == CUDA_R_64F) return run(0.0, *static_cast<const double*>(alpha), *static_cast<const double*>(beta));
  const float one = *static_cast<const float*>(alpha), scale = *static_cast<const float*>(beta);
  return rounded ? run(std::uint16_t(0), one, scale) : run(0.f, one, scale);
}

namespace emu {
template <class T>
cublasStatus_t grouped(cublasHandle_t h, const cublasOperation_t* ta, const cublasOperation_t* tb, const int* m,
                       const int* n, const int* k, const T* alpha, const T* const* a, const int* lda, const T* const* b,
                       const int* ldb, const T* beta, T* const* c, const int* ldc, int groups, const int* size) {
  if (const int e = called("cublasGemmGroupedBatched")) return cublasStatus_t(e);
  if (!h->stream || !h->workspace || groups <= 0) return CUBLAS_STATUS_INVALID_VALUE;
  std::size_t at = 0;
  for (int g = 0; g < groups; ++g) {
    const auto count = std::size_t(size[g]);
    if (size[g] <= 0 || !memory().holds(a + at, count * sizeof *a) || !memory().holds(b + at, count * sizeof *b) ||
        !memory().holds(c + at, count * sizeof *c))
      return CUBLAS_STATUS_INVALID_VALUE;
    enqueue(h->stream, [=, ta = ta[g], tb = tb[g], m = m[g], n = n[g], k = k[g], alpha = alpha[g], beta = beta[g],
                        lda = lda[g], ldb = ldb[g], ldc = ldc[g]] {
      const in_reach reach;
      for (std::size_t i = at; i < at + count; ++i) {
        if (!product_fits(ta, tb, m, n, k, a[i], lda, b[i], ldb, c[i], ldc))
          throw fault("emulator: a grouped product with a leading dimension or pointer that is wrong");
        product(ta, tb, m, n, k, alpha, a[i], lda, b[i], ldb, beta, c[i], ldc);
      }
    });
    at += count;
  }
  return CUBLAS_STATUS_SUCCESS;
}
}  // namespace emu

inline cublasStatus_t cublasSgemmGroupedBatched(cublasHandle_t h, const cublasOperation_t ta[],
                                                const cublasOperation_t tb[], const int m[], const int n[],
                                                const int k[], const float alpha[], const float* const a[],
                                                const int lda[], const float* const b[], const int ldb[],
                                                const float beta[], float* const c[], const int ldc[], int groups,
                                                const int size[]) {
  return emu::grouped(h, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, groups, size);
}
inline cublasStatus_t cublasDgemmGroupedBatched(cublasHandle_t h, const cublasOperation_t ta[],
                                                const cublasOperation_t tb[], const int m[], const int n[],
                                                const int k[], const double alpha[], const double* const a[],
                                                const int lda[], const double* const b[], const int ldb[],
                                                const double beta[], double* const c[], const int ldc[], int groups,
                                                const int size[]) {
  return emu::grouped(h, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, groups, size);
}

// ---- the platform of modx/backend/cuda
// ----------------------------------------------------------------------------------

#define MODX_SHARED(T, name, size) auto& name = emu::shared<T, (size)>()

namespace modx::gpu {

inline constexpr std::size_t product_workspace = 4096;   // bytes, for cuBLAS
inline constexpr std::size_t im2col_elements = 1 << 12;  // small, so that tests meet more than one part
inline constexpr std::size_t staging_bytes = 1 << 13;

template <class... P, class... A>
cudaError_t start(void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t stream, const A&... args) {
  EMULATED_CALL("launch");
  if (stream->device != emu::current_device) return cudaErrorInvalidResourceHandle;
  const std::size_t threads = std::size_t(block.x) * block.y * block.z;
  if (!grid.x || !grid.y || !grid.z || !threads || threads > emu::max_threads || block.z > 64 || grid.x > 0x7fffffffu ||
      grid.y > 65535 || grid.z > 65535)
    return cudaErrorInvalidConfiguration;
  static_assert((sizeof(P) + ... + 0) <= 4096, "a kernel takes at most 4096 bytes of arguments");
  ++emu::driver().launches;
  const std::tuple<P...> kept(static_cast<P>(args)...);
  if (!std::apply([](const auto&... p) { return (emu::valid_argument(p) && ...); }, kept))
    throw emu::fault("emulator: a kernel gets a pointer that is not device memory");
  emu::enqueue(stream, [=] {
    const emu::in_reach reach;
    std::apply([&](const P&... p) { emu::run(grid, block, [&] { kernel(p...); }); }, kept);
    emu::memory().check();
  });
  return cudaSuccess;
}

}  // namespace modx::gpu
#undef EMULATED_CALL
#undef EMULATED_WAIT
