// One device at work: streams, memory, pinned staging, what kernels report, and steps recorded as graphs.  Everything is
// ordered by one stream; products may fan out to more and come back.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <modx/backend/cuda/check.cuh>
#include <modx/owned.hpp>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace modx::gpu {

/// Where a kernel reports an id out of range: token << 32 | id of the first such token, all ones for none.
using report_slot = unsigned long long;
inline constexpr report_slot nothing_to_report = ~report_slot(0);

/// What CUDA hands out and `close` takes back.
template <auto close>
struct closes {
  template <class P>
  void operator()(P* p) const noexcept {
    (void)close(p);
  }
};
template <class H, auto close>
using handle = std::unique_ptr<std::remove_pointer_t<H>, closes<close>>;

/// The blocks of a launch and their threads.
struct geometry {
  dim3 grid, block;
};

/// An operation that may report.
struct report {
  const char *where, *noun;
  std::size_t limit;
};

class context;
/// A step as a graph, with the tables that its kernels read and the slots that they report to.
struct recorded {
  context* on = nullptr;
  handle<cudaGraphExec_t, cudaGraphExecDestroy> graph;
  std::byte* tables = nullptr;
  std::size_t table_bytes = 0, report_count = 0;  // room for
  std::vector<std::byte> image;  // what goes to `tables`
  report_slot* slots = nullptr;
  std::vector<report> reports;

  recorded() = default;
  recorded(recorded&& o) noexcept;
  recorded& operator=(recorded&& o) = delete;
  ~recorded();
};

class context {
 public:
  static constexpr std::size_t lanes = 4;  // streams that products may use

 private:
  static constexpr std::size_t report_slots = 256;
  enum class mode : unsigned char { plain, rehearsing, recording };
  /// A stream with its own cuBLAS handle and workspace, so that its products have the same bits every time.
  struct lane {
    handle<cudaStream_t, cudaStreamDestroy> stream;
    handle<cublasHandle_t, cublasDestroy> blas;
    handle<cudaEvent_t, cudaEventDestroy> done;
    void* workspace = nullptr;
  };

  int device_;
  handle<cudaMemPool_t, cudaMemPoolDestroy> pool_;
  std::array<lane, lanes> lanes_;
  handle<cudaEvent_t, cudaEventDestroy> fork_;
  std::unique_ptr<std::byte, closes<cudaFreeHost>> pinned_;
  std::byte* staged_ = nullptr;  // device side of pinned_
  std::size_t staging_ = 0, staging_used_ = 0;
  void* scratch_ = nullptr;
  std::size_t scratch_bytes_ = 0;
  report_slot* slots_ = nullptr;
  std::unique_ptr<report_slot, closes<cudaFreeHost>> found_;  // pinned copy of slots_
  std::vector<report> reports_;
  std::size_t allocations_ = 0;
  mode mode_ = mode::plain;
  std::size_t table_bytes_ = 0, report_count_ = 0;  // since the last rehearsal began
  owned<recorded> recorded_;                        // being made
  std::size_t recordings_ = 0;                      // alive
  std::vector<recorded*> replayed_;                 // since the last look at the reports
  std::vector<void*> retired_;                      // memory that recordings may still use

  template <class P>
  P* pinned(std::size_t bytes) {
    void* p = nullptr;
    ++allocations_;
    MODX_CUDA_CHECK(cudaMallocHost(&p, bytes));
    return static_cast<P*>(p);
  }
  void open(lane& l) {
    if (l.blas) return;
    if (!l.stream) {
      cudaStream_t s = nullptr;
      MODX_CUDA_CHECK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
      l.stream.reset(s);
    }
    cudaEvent_t e = nullptr;
    MODX_CUDA_CHECK(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    l.done.reset(e);
    if (!l.workspace) l.workspace = allocate(product_workspace);
    if (&l != &lanes_[0]) wait_for_main(l.stream.get());  // the memory is there
    cublasHandle_t h = nullptr;
    MODX_CUDA_CHECK(cublasCreate(&h));
    l.blas.reset(h);
    MODX_CUDA_CHECK(cublasSetStream(h, l.stream.get()));
    MODX_CUDA_CHECK(cublasSetWorkspace(h, l.workspace, product_workspace));
  }
  static std::size_t rounded(std::size_t bytes) { return (bytes + 255) & ~std::size_t(255); }
  /// A recorded step is a fixed list of kernels.
  void needs_plain_work(const char* what) const {
    if (mode_ == mode::plain) return;
    throw error("cuda, a recorded step", "kernels and products only",
                std::string(what) + " (top-k routing and losses that read counts can't be recorded)");
  }
  /// Copies to pinned memory; returns the place.
  std::size_t stage(const void* from, std::size_t bytes) {
    const std::size_t size = rounded(bytes);
    if (size > staging_) {
      synchronize();
      deallocate(std::exchange(staged_, nullptr));
      pinned_.reset();
      staging_ = 0;
      pinned_.reset(pinned<std::byte>(2 * size));
      staged_ = static_cast<std::byte*>(allocate(2 * size));
      staging_ = 2 * size, staging_used_ = 0;
    }
    if (staging_used_ + size > staging_) {
      synchronize();  // what was staged has been read
      staging_used_ = 0;
    }
    const std::size_t at = std::exchange(staging_used_, staging_used_ + size);
    if (bytes) std::memcpy(pinned_.get() + at, from, bytes);
    return at;
  }
  void copy_staged(void* to, std::size_t at, std::size_t bytes) {
    MODX_CUDA_CHECK(cudaMemcpyAsync(to, pinned_.get() + at, bytes, cudaMemcpyHostToDevice, stream()));
  }
  void wait_for_main(cudaStream_t s) {
    MODX_CUDA_CHECK(cudaEventRecord(fork_.get(), stream()));
    MODX_CUDA_CHECK(cudaStreamWaitEvent(s, fork_.get(), 0));
  }
  void release() noexcept {
    (void)cudaSetDevice(device_);
    for (auto& l : lanes_)
      if (l.stream) (void)cudaStreamSynchronize(l.stream.get());
    for (auto& l : lanes_)
      if (l.workspace) deallocate(std::exchange(l.workspace, nullptr));
    for (void* p : {static_cast<void*>(staged_), scratch_, static_cast<void*>(slots_)})
      if (p) deallocate(p);
    for (void* p : retired_) deallocate(p);
    if (lanes_[0].stream) (void)cudaStreamSynchronize(stream());
  }
  struct releaser {  // after a constructor that throws, too
    context* self;
    ~releaser() {
      if (self) self->release();
    }
  };

 public:
  /// `probe`: any kernel of this program, to see whether it has code for the device.
  template <class K>
  context(int device, K* probe) : device_(device) {
    int count = 0;
    MODX_CUDA_CHECK(cudaGetDeviceCount(&count));
    if (device < 0 || device >= count)
      throw error("cuda, number of the device", "0 <= device < " + std::to_string(count), std::to_string(device));
    MODX_CUDA_CHECK(cudaSetDevice(device));
    cudaFuncAttributes attributes{};
    MODX_CUDA_CHECK(cudaFuncGetAttributes(&attributes, probe));
    cudaStream_t s = nullptr;
    MODX_CUDA_CHECK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    lanes_[0].stream.reset(s);
    cudaEvent_t e = nullptr;
    MODX_CUDA_CHECK(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    fork_.reset(e);
    cudaMemPoolProps props{};
    props.allocType = cudaMemAllocationTypePinned;
    props.location.type = cudaMemLocationTypeDevice;
    props.location.id = device;
    cudaMemPool_t pool = nullptr;
    MODX_CUDA_CHECK(cudaMemPoolCreate(&pool, &props));
    pool_.reset(pool);
    std::uint64_t keep = std::numeric_limits<std::uint64_t>::max();  // memory stays with the pool
    MODX_CUDA_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep));
    releaser guard{this};
    staging_ = staging_bytes;
    pinned_.reset(pinned<std::byte>(staging_));
    staged_ = static_cast<std::byte*>(allocate(staging_));
    found_.reset(pinned<report_slot>(2 * report_slots * sizeof(report_slot)));
    slots_ = static_cast<report_slot*>(allocate(report_slots * sizeof(report_slot)));
    forget_reports();
    reports_.reserve(report_slots);
    open(lanes_[0]);
    guard.self = nullptr;
  }
  context(const context&) = delete;
  context& operator=(const context&) = delete;
  ~context() { release(); }

  int device() const { return device_; }
  /// Makes the device the calling thread's: a thread starts with device 0.
  void enter() const { MODX_CUDA_CHECK(cudaSetDevice(device_)); }
  cudaStream_t stream() const { return lanes_[0].stream.get(); }
  /// Device and pinned blocks asked for so far.
  std::size_t allocations() const { return allocations_; }

  // -- memory
  void* allocate(std::size_t bytes) {
    void* p = nullptr;
    if (mode_ == mode::recording) needs_plain_work("an allocation");
    ++allocations_;
    enter();
    MODX_CUDA_CHECK(cudaMallocFromPoolAsync(&p, std::max<std::size_t>(bytes, 1), pool_.get(), stream()));
    return p;
  }
  void deallocate(void* p) noexcept {
    if (!p) return;
    if (mode_ == mode::recording) return retired_.push_back(p);
    (void)cudaSetDevice(device_);
    (void)cudaFreeAsync(p, stream());
  }
  /// n uninitialised T for the operation at hand; the next call gets the same memory.
  template <class T>
  T* scratch(std::size_t n) {
    const std::size_t bytes = n * sizeof(T);
    if (bytes > scratch_bytes_) {
      if (recordings_) {
        retired_.push_back(std::exchange(scratch_, nullptr));
      } else {
        deallocate(std::exchange(scratch_, nullptr));
      }
      scratch_bytes_ = 0;
      const std::size_t size = std::max<std::size_t>(bytes + bytes / 2, 4096);
      scratch_ = allocate(size);
      scratch_bytes_ = size;
    }
    return static_cast<T*>(scratch_);
  }

  /// A copy of `table` on the device, made in stream order; valid for the next few operations.
  template <class T>
  const T* table(std::span<const T> entries) {
    static_assert(std::is_trivially_copyable_v<T>);
    enter();
    if (mode_ == mode::recording) return reinterpret_cast<const T*>(recorded_table(entries.data(), entries.size_bytes()));
    table_bytes_ += rounded(entries.size_bytes());
    const std::size_t at = stage(entries.data(), entries.size_bytes());
    std::byte* const device = staged_ + at;
    if (!entries.empty()) copy_staged(device, at, entries.size_bytes());
    return reinterpret_cast<const T*>(device);
  }
  void upload(void* device, const void* host, std::size_t bytes) {
    needs_plain_work("an upload");
    if (bytes == 0) return;
    enter();
    if (bytes <= staging_ / 8) return copy_staged(device, stage(host, bytes), bytes);  // needn't wait
    MODX_CUDA_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream()));
    synchronize();
  }
  /// Waits for the device; throws what its kernels have reported.
  void download(void* host, const void* device, std::size_t bytes) {
    needs_plain_work("a download");
    enter();
    if (bytes) MODX_CUDA_CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream()));
    settle();
  }
  void synchronize() { MODX_CUDA_CHECK(cudaStreamSynchronize(stream())); }

  // -- reports of kernels
  /// A slot for one operation `where` that reads a `noun` below `limit` for each token.
  report_slot* reporter(const char* where, std::size_t limit, const char* noun = "id") {
    if (mode_ == mode::recording) {
      auto& r = *recorded_;
      if (r.reports.size() == r.report_count) throw error("cuda, a recorded step", "the rehearsed work", "more");
      r.reports.push_back({where, noun, limit});
      return r.slots + (r.reports.size() - 1);
    }
    ++report_count_;
    if (reports_.size() == report_slots) collect();
    reports_.push_back({where, noun, limit});
    return slots_ + (reports_.size() - 1);
  }
  /// Waits, and throws the first report.
  void settle() {
    needs_plain_work("a wait");
    collect();
  }

  // -- steps of fixed shapes
  /// In a rehearsal, or being recorded?
  bool step_is_fixed() const { return mode_ != mode::plain; }
  void begin_rehearsal() {
    needs_plain_work("another recorded step");
    table_bytes_ = report_count_ = 0;
    mode_ = mode::rehearsing;
  }
  /// Bytes of tables, and reports.
  std::pair<std::size_t, std::size_t> end_rehearsal() {
    mode_ = mode::plain;
    return {table_bytes_, report_count_};
  }
  void begin_recording(std::size_t table_bytes, std::size_t reports) {
    needs_plain_work("another recorded step");
    if (reports > report_slots)
      throw error("cuda, a recorded step", "at most " + std::to_string(report_slots) + " operations that check ids",
                  std::to_string(reports));
    recorded_ = make_owned<recorded>();
    auto& r = *recorded_;
    r.on = this, ++recordings_;
    r.tables = static_cast<std::byte*>(allocate(table_bytes));
    r.slots = static_cast<report_slot*>(allocate(reports * sizeof(report_slot)));
    MODX_CUDA_CHECK(cudaMemsetAsync(r.slots, 0xff, reports * sizeof(report_slot), stream()));
    r.table_bytes = table_bytes, r.report_count = reports;
    r.image.reserve(table_bytes), r.reports.reserve(reports);
    MODX_CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    mode_ = mode::recording;
  }
  recorded end_recording() {
    mode_ = mode::plain;
    const owned<recorded> r(std::move(recorded_));
    cudaGraph_t graph = nullptr;
    MODX_CUDA_CHECK(cudaStreamEndCapture(stream(), &graph));
    const handle<cudaGraph_t, cudaGraphDestroy> keeper(graph);
    cudaGraphExec_t ready = nullptr;
    MODX_CUDA_CHECK(cudaGraphInstantiate(&ready, graph, 0));
    r->graph.reset(ready);
    upload(r->tables, r->image.data(), r->image.size());
    return std::move(*r);
  }
  void abandon_step() noexcept {
    if (std::exchange(mode_, mode::plain) == mode::rehearsing) return;
    cudaGraph_t graph = nullptr;
    (void)cudaStreamEndCapture(stream(), &graph);
    (void)cudaGetLastError();
    if (graph) (void)cudaGraphDestroy(graph);
    recorded_ = {};
  }
  void replay(recorded& r) {
    needs_plain_work("a replay");
    enter();
    std::size_t pending = r.reports.size();
    bool known = false;
    for (const auto* p : replayed_) pending += p->reports.size(), known = known || p == &r;
    if (!known && pending > report_slots) collect();
    if (!known) replayed_.push_back(&r);
    MODX_CUDA_CHECK(cudaGraphLaunch(r.graph.get(), stream()));
  }
  void forget(recorded& r) noexcept {
    std::erase(replayed_, &r);
    deallocate(r.tables), deallocate(r.slots);
    if (--recordings_ == 0) {
      for (void* p : retired_) deallocate(p);
      retired_.clear();
    }
  }
  void moved(recorded* from, recorded* to) noexcept { std::replace(replayed_.begin(), replayed_.end(), from, to); }

  // -- products
  cublasHandle_t blas(std::size_t i = 0) {
    enter();
    open(lanes_[i]);
    return lanes_[i].blas.get();
  }
  /// The first n lanes start where the main stream is ...
  void fork(std::size_t n) {
    enter();
    for (std::size_t i = 1; i < n; ++i) open(lanes_[i]);
    for (std::size_t i = 1; i < n; ++i) wait_for_main(lanes_[i].stream.get());
  }
  /// ... and the main stream goes on when they are done.
  void join(std::size_t n) {
    for (std::size_t i = 1; i < n; ++i) {
      MODX_CUDA_CHECK(cudaEventRecord(lanes_[i].done.get(), lanes_[i].stream.get()));
      MODX_CUDA_CHECK(cudaStreamWaitEvent(stream(), lanes_[i].done.get(), 0));
    }
  }

  // -- kernels
  template <class... P, class... A>
  void launch(void (*kernel)(P...), const geometry& on, const A&... args) {
    enter();
    check(start(kernel, on.grid, on.block, stream(), args...), "a kernel's launch");
  }

 private:
  /// Looks at what kernels have reported; throws the first.
  void collect() {
    enter();
    std::size_t n = 0;
    const auto copy = [&](const report_slot* from, std::size_t count) {
      if (count)
        MODX_CUDA_CHECK(cudaMemcpyAsync(found_.get() + n, from, count * sizeof(report_slot), cudaMemcpyDeviceToHost, stream()));
      n += count;
    };
    copy(slots_, reports_.size());
    for (const auto* r : replayed_) copy(r->slots, r->reports.size());
    synchronize();
    n = 0;
    const auto look = [&](const std::vector<report>& list) {
      for (const report& r : list) {
        const report_slot slot = found_.get()[n++];
        if (slot == nothing_to_report) continue;
        const report said = r;
        forget_reports();
        throw error(std::string(said.where) + ", " + said.noun + " of token " + std::to_string(slot >> 32),
                    "0 <= " + std::string(said.noun) + " < " + std::to_string(said.limit),
                    std::to_string(static_cast<std::int32_t>(slot & 0xffffffffu)));
      }
    };
    look(reports_);
    for (const auto* r : replayed_) look(r->reports);
    reports_.clear(), replayed_.clear();
  }
  void forget_reports() {
    for (auto* r : replayed_)
      MODX_CUDA_CHECK(cudaMemsetAsync(r->slots, 0xff, r->reports.size() * sizeof(report_slot), stream()));
    reports_.clear(), replayed_.clear();
    MODX_CUDA_CHECK(cudaMemsetAsync(slots_, 0xff, report_slots * sizeof(report_slot), stream()));
  }
  std::byte* recorded_table(const void* from, std::size_t bytes) {
    auto& r = *recorded_;
    const std::size_t at = r.image.size();
    if (at + rounded(bytes) > r.table_bytes) throw error("cuda, a recorded step", "the rehearsed work", "more");
    r.image.resize(at + rounded(bytes));
    if (bytes) std::memcpy(r.image.data() + at, from, bytes);
    return r.tables + at;
  }
};

inline recorded::recorded(recorded&& o) noexcept
    : on(std::exchange(o.on, nullptr)), graph(std::move(o.graph)), tables(o.tables), table_bytes(o.table_bytes),
      report_count(o.report_count), image(std::move(o.image)), slots(o.slots), reports(std::move(o.reports)) {
  if (on) on->moved(&o, this);
}
inline recorded::~recorded() {
  if (on) on->forget(*this);
}

}  // namespace modx::gpu
