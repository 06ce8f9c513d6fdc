// What kernels report: ids out of range, read with the next download, before the values are used.
#pragma once
#include <modx/backend/cuda/memory.cuh>

namespace modx::gpu {

/// Where a kernel reports an id out of range: token << 32 | id of the first such token, all ones for none.
using report_slot = unsigned long long;
inline constexpr report_slot nothing_to_report = ~report_slot(0);

/// An operation that may report.
struct report {
  const char *where, *noun;
  std::size_t limit;
};
/// Operations and their slots.
struct report_list {
  report_slot* slots = nullptr;
  std::vector<report> reports;
};

class report_board {
  device_memory* memory_;
  cudaStream_t stream_;
  pinned_memory<report_slot> found_;   // copy of the slots
  report_list own_;
  std::vector<report_list*> replayed_;  // since the last look

  void clear(const report_list& l, std::size_t count) {
    MODX_CUDA_CHECK(cudaMemsetAsync(l.slots, 0xff, count * sizeof(report_slot), stream_));
  }
  void forget() {
    for (auto* l : replayed_) clear(*l, l->reports.size());
    own_.reports.clear(), replayed_.clear();
    clear(own_, capacity);
  }

 public:
  static constexpr std::size_t capacity = 256;

  report_board(device_memory& memory, cudaStream_t stream)
      : memory_(&memory), stream_(stream), found_(memory.pinned<report_slot>(2 * capacity * sizeof(report_slot))) {
    own_.reports.reserve(capacity);
    own_.slots = static_cast<report_slot*>(memory.allocate(capacity * sizeof(report_slot)));
    const cudaError_t code = cudaMemsetAsync(own_.slots, 0xff, capacity * sizeof(report_slot), stream);
    if (code != cudaSuccess) memory.deallocate(own_.slots), check(code, "cudaMemsetAsync");
  }
  report_board(const report_board&) = delete;
  report_board& operator=(const report_board&) = delete;
  ~report_board() { memory_->deallocate(own_.slots); }

  /// A slot for one operation.
  report_slot* next(const report& r) {
    if (own_.reports.size() == capacity) collect();
    own_.reports.push_back(r);
    return own_.slots + (own_.reports.size() - 1);
  }
  /// A recorded step is done again: its slots are to be looked at.
  void add(report_list& l) {
    if (std::find(replayed_.begin(), replayed_.end(), &l) != replayed_.end()) return;
    std::size_t pending = l.reports.size();
    for (const auto* p : replayed_) pending += p->reports.size();
    if (pending > capacity) collect();
    replayed_.push_back(&l);
  }
  void remove(report_list& l) noexcept { std::erase(replayed_, &l); }
  void moved(report_list* from, report_list* to) noexcept { std::replace(replayed_.begin(), replayed_.end(), from, to); }

  /// Waits, looks at what kernels have reported, and throws the first.
  void collect() {
    std::size_t n = 0;
    const auto copy = [&](const report_list& l) {
      if (!l.reports.empty())
        MODX_CUDA_CHECK(cudaMemcpyAsync(found_.get() + n, l.slots, l.reports.size() * sizeof(report_slot), cudaMemcpyDeviceToHost, stream_));
      n += l.reports.size();
    };
    copy(own_);
    for (const auto* l : replayed_) copy(*l);
    MODX_CUDA_CHECK(cudaStreamSynchronize(stream_));
    n = 0;
    const auto look = [&](const report_list& l) {
      for (const report& r : l.reports) {
        const report_slot slot = found_.get()[n++];
        if (slot == nothing_to_report) continue;
        const report said = r;
        forget();
        throw error(std::string(said.where) + ", " + said.noun + " of token " + std::to_string(slot >> 32),
                    "0 <= " + std::string(said.noun) + " < " + std::to_string(said.limit),
                    std::to_string(static_cast<std::int32_t>(slot & 0xffffffffu)));
      }
    };
    look(own_);
    for (const auto* l : replayed_) look(*l);
    own_.reports.clear(), replayed_.clear();
  }
};

}  // namespace modx::gpu
