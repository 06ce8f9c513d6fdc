// One device at work: everything is ordered by one stream; products may fan out to more and come back; steps of fixed shapes are
// recorded as graphs.
#pragma once
#include <modx/backend/cuda/lanes.cuh>
#include <modx/backend/cuda/reports.cuh>
#include <modx/backend/cuda/staging.cuh>
#include <modx/owned.hpp>
#include <span>

namespace modx::gpu {

/// The blocks of a launch and their threads.
struct geometry {
  dim3 grid, block;
};

class context;
/// A step as a graph, with the tables that its kernels read and the slots that they report to.
struct recorded {
  context* on = nullptr;
  handle<cudaGraphExec_t, cudaGraphExecDestroy> graph;
  std::byte* tables = nullptr;
  std::size_t table_bytes = 0, report_count = 0;  // room for
  std::vector<std::byte> image;                   // what goes to `tables`
  report_list reports;

  recorded() = default;
  recorded(recorded&& o) noexcept;
  recorded& operator=(recorded&& o) = delete;
  ~recorded();
};

class context {
 public:
  static constexpr std::size_t lanes = product_lanes::count;

 private:
  enum class mode : unsigned char { plain, rehearsing, recording };
  int device_;
  handle<cudaStream_t, cudaStreamDestroy> stream_;
  device_memory memory_;
  staging staging_;
  report_board reports_;
  product_lanes lanes_;
  mode mode_ = mode::plain;
  std::size_t table_bytes_ = 0, report_count_ = 0;  // since the last rehearsal began
  owned<recorded> recorded_;                        // being made

  /// The device's number, if it is there and the program has code for it; the calling thread's from now on.
  template <class K>
  static int usable(int device, K* probe) {
    int count = 0;
    MODX_CUDA_CHECK(cudaGetDeviceCount(&count));
    if (device < 0 || device >= count)
      throw error("cuda, number of the device", "0 <= device < " + std::to_string(count), std::to_string(device));
    MODX_CUDA_CHECK(cudaSetDevice(device));
    cudaFuncAttributes attributes{};
    MODX_CUDA_CHECK(cudaFuncGetAttributes(&attributes, probe));
    return device;
  }
  void needs_plain_work(const char* what) const {
    if (mode_ != mode::plain) fail_recorded(what);
  }
  void change(mode m) {
    mode_ = m;
    memory_.recording = m == mode::recording;
  }
  std::byte* recorded_table(const void* from, std::size_t bytes) {
    auto& r = *recorded_;
    const std::size_t at = r.image.size();
    if (at + staging::rounded(bytes) > r.table_bytes) throw error("cuda, a recorded step", "the rehearsed work", "more");
    r.image.resize(at + staging::rounded(bytes));
    if (bytes) std::memcpy(r.image.data() + at, from, bytes);
    return r.tables + at;
  }

 public:
  /// `probe`: any kernel of this program, to see whether it has code for the device.
  template <class K>
  context(int device, K* probe)
      : device_(usable(device, probe)), stream_(new_stream()), memory_(device, stream()), staging_(memory_, stream()),
        reports_(memory_, stream()), lanes_(memory_, stream()) {
    lanes_.blas();
  }
  context(const context&) = delete;
  context& operator=(const context&) = delete;
  ~context() {
    (void)cudaSetDevice(device_);
    (void)cudaStreamSynchronize(stream());
  }

  int device() const { return device_; }
  void enter() const { memory_.enter(); }
  cudaStream_t stream() const { return stream_.get(); }

  // -- memory
  std::size_t allocations() const { return memory_.allocations(); }
  void* allocate(std::size_t bytes) { return memory_.allocate(bytes); }
  void deallocate(void* p) noexcept { memory_.deallocate(p); }
  template <class T>
  T* scratch(std::size_t n) {
    return memory_.scratch<T>(n);
  }
  /// A copy of `table` on the device, made in stream order; valid for the next few operations.
  template <class T>
  const T* table(std::span<const T> entries) {
    static_assert(std::is_trivially_copyable_v<T>);
    enter();
    const std::size_t bytes = entries.size_bytes();
    if (mode_ == mode::recording) return reinterpret_cast<const T*>(recorded_table(entries.data(), bytes));
    table_bytes_ += staging::rounded(bytes);
    const std::size_t at = staging_.put(entries.data(), bytes);
    if (bytes) staging_.copy(staging_.device(at), at, bytes);
    return reinterpret_cast<const T*>(staging_.device(at));
  }
  void upload(void* device, const void* host, std::size_t bytes) {
    needs_plain_work("an upload");
    if (bytes == 0) return;
    enter();
    if (bytes <= staging_.size() / 8) return staging_.copy(device, staging_.put(host, bytes), bytes);  // needn't wait
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
      if (r.reports.reports.size() == r.report_count) throw error("cuda, a recorded step", "the rehearsed work", "more");
      r.reports.reports.push_back({where, noun, limit});
      return r.reports.slots + (r.reports.reports.size() - 1);
    }
    ++report_count_;
    enter();
    return reports_.next({where, noun, limit});
  }
  /// Waits, and throws the first report.
  void settle() {
    needs_plain_work("a wait");
    enter();
    reports_.collect();
  }

  // -- steps of fixed shapes
  /// In a rehearsal, or being recorded?
  bool step_is_fixed() const { return mode_ != mode::plain; }
  void begin_rehearsal() {
    needs_plain_work("another recorded step");
    table_bytes_ = report_count_ = 0;
    change(mode::rehearsing);
  }
  /// Bytes of tables, and reports.
  std::pair<std::size_t, std::size_t> end_rehearsal() {
    change(mode::plain);
    return {table_bytes_, report_count_};
  }
  void begin_recording(std::size_t table_bytes, std::size_t reports) {
    needs_plain_work("another recorded step");
    if (reports > report_board::capacity)
      throw error("cuda, a recorded step", "at most " + std::to_string(report_board::capacity) + " operations that check ids",
                  std::to_string(reports));
    recorded_ = make_owned<recorded>();
    auto& r = *recorded_;
    r.on = this, memory_.hold();
    r.tables = static_cast<std::byte*>(allocate(table_bytes));
    r.reports.slots = static_cast<report_slot*>(allocate(reports * sizeof(report_slot)));
    MODX_CUDA_CHECK(cudaMemsetAsync(r.reports.slots, 0xff, reports * sizeof(report_slot), stream()));
    r.table_bytes = table_bytes, r.report_count = reports;
    r.image.reserve(table_bytes), r.reports.reports.reserve(reports);
    MODX_CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    change(mode::recording);
  }
  recorded end_recording() {
    change(mode::plain);
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
    const mode was = mode_;
    change(mode::plain);
    if (was == mode::rehearsing) return;
    cudaGraph_t graph = nullptr;
    (void)cudaStreamEndCapture(stream(), &graph);
    (void)cudaGetLastError();
    if (graph) (void)cudaGraphDestroy(graph);
    recorded_ = {};
  }
  void replay(recorded& r) {
    needs_plain_work("a replay");
    enter();
    reports_.add(r.reports);
    MODX_CUDA_CHECK(cudaGraphLaunch(r.graph.get(), stream()));
  }
  void forget(recorded& r) noexcept {
    reports_.remove(r.reports);
    deallocate(r.tables), deallocate(r.reports.slots);
    memory_.release();
  }
  void moved(recorded* from, recorded* to) noexcept { reports_.moved(&from->reports, &to->reports); }

  // -- products
  cublasHandle_t blas(std::size_t lane = 0) { return lanes_.blas(lane); }
  void fork(std::size_t n) { lanes_.fork(n); }
  void join(std::size_t n) { lanes_.join(n); }

  // -- kernels
  template <class... P, class... A>
  void launch(void (*kernel)(P...), const geometry& on, const A&... args) {
    enter();
    check(start(kernel, on.grid, on.block, stream(), args...), "a kernel's launch");
  }
};

inline recorded::recorded(recorded&& o) noexcept
    : on(std::exchange(o.on, nullptr)), graph(std::move(o.graph)), tables(o.tables), table_bytes(o.table_bytes),
      report_count(o.report_count), image(std::move(o.image)), reports(std::move(o.reports)) {
  if (on) on->moved(&o, this);
}
inline recorded::~recorded() {
  if (on) on->forget(*this);
}

}  // namespace modx::gpu
