// A fixed team of threads: run(items, f) calls f(0) ... f(items - 1) in any order, the caller taking part.
#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

#include "modx/error.hpp"

namespace modx::kernels {

/// Denormals count as zero on this thread while it lives (on x86 only); then the old mode comes back.
class flush_denormals {
 public:
#if defined(__SSE2__)
  flush_denormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u); }  // FTZ is bit 15, DAZ bit 6
  ~flush_denormals() { _mm_setcsr(saved_); }
#else
  flush_denormals() = default;
#endif
  flush_denormals(const flush_denormals&) = delete;
  flush_denormals& operator=(const flush_denormals&) = delete;

 private:
  [[maybe_unused]] unsigned saved_ = 0;
};

/// Keeps a worker off the caller's core: Linux wakes a thread where its waker runs, and two that wake each other every
/// few microseconds can share a core for long while the next one idles.  The worker's mask is then all cores that the
/// thread was allowed but that one, until the caller is seen on the worker's core again.
class core_mover {
#if defined(__linux__)
  cpu_set_t allowed_;
  int count_ = 0;
  std::chrono::steady_clock::time_point last_ = {};

 public:
  core_mover() {
    CPU_ZERO(&allowed_);
    if (sched_getaffinity(0, sizeof allowed_, &allowed_) == 0) count_ = CPU_COUNT(&allowed_);
  }
  static int current() { return sched_getcpu(); }
  /// Leaves core `taken` if this thread is on it and another one is allowed; at most every 5 ms.
  void leave(int taken, int threads) {
    if (count_ < threads || taken < 0 || current() != taken) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(5)) return;
    last_ = now;
    cpu_set_t others = allowed_;
    CPU_CLR(static_cast<std::size_t>(taken), &others);
    if (CPU_COUNT(&others) > 0) static_cast<void>(sched_setaffinity(0, sizeof others, &others));
  }
#else
 public:
  static int current() { return -1; }
  void leave(int, int) {}
#endif
};

/// Threads that spin for 30 us between jobs and then sleep; a job waits only for those that joined it.
class thread_pool {
 public:
  static constexpr int max_threads = 1024;

  /// A team of `threads` (1 .. max_threads, run()'s caller included); throws error when it can't be made.
  explicit thread_pool(int threads) : size_(threads) {
    if (threads < 1 || threads > max_threads) {
      throw error("thread_pool", "1 to " + std::to_string(max_threads) + " threads", std::to_string(threads));
    }
    spins_ = static_cast<unsigned>(threads) <= std::thread::hardware_concurrency();
    workers_.reserve(static_cast<std::size_t>(threads - 1));
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error& e) {
      stop();
      throw error("thread_pool", std::to_string(threads) + " threads", e.what());
    }
  }
  ~thread_pool() { stop(); }
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;

  int size() const { return size_; }

  /// Calls f(item) once for each item in [0, items) and returns when all are done, denormals flushed.  Runs
  /// inline for one item, one thread, inside another run(), or while another thread uses the pool.  If items
  /// throw, the exception of the lowest one comes out.
  template <class F>
  void run(std::size_t items, F&& f) {
    if (items > 1 && size_ > 1 && !inside() && !busy_.test_and_set(std::memory_order_acquire)) {
      using function = std::remove_reference_t<F>;
      call_ = [](const void* context, std::size_t item) {
        (*static_cast<function*>(const_cast<void*>(context)))(item);
      };
      context_ = std::addressof(f);
      items_ = items;
      share();
      return;
    }
    const flush_denormals mode;
    for (std::size_t item = 0; item < items; ++item) f(item);
  }

 private:
  // state_ = epoch of the job | is the job open to joiners | threads now inside it
  static constexpr std::uint32_t joined = 0x7ff, open = 0x800, epoch = ~0xfffu;

  static bool& inside() {
    thread_local bool flag = false;
    return flag;
  }

  template <class Done>
  bool spin(Done done) const {
    if (!spins_) return done();
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(30);
    do {
      for (int i = 0; i < 32; ++i) {
        if (done()) return true;
#if defined(__SSE2__)
        _mm_pause();
#endif
      }
    } while (std::chrono::steady_clock::now() < until);
    return false;
  }

  void share() {
    next_.store(0, std::memory_order_relaxed);
    caller_core_.store(core_mover::current(), std::memory_order_relaxed);
    const std::uint32_t finished = finished_.load(std::memory_order_relaxed);
    state_.store(((state_.load(std::memory_order_relaxed) & epoch) + 0x1000u) | open,
                 std::memory_order_release);
    state_.notify_all();
    inside() = true;
    {
      const flush_denormals mode;
      take_items();
    }
    inside() = false;
    if (state_.fetch_and(~open, std::memory_order_acq_rel) & joined) {
      const auto done = [&] { return finished_.load(std::memory_order_acquire) != finished; };
      if (!spin(done)) finished_.wait(finished, std::memory_order_acquire);
    }
    std::exception_ptr thrown;
    thrown.swap(thrown_);
    busy_.clear(std::memory_order_release);
    if (thrown) std::rethrow_exception(thrown);
  }

  void take_items() {
    for (;;) {
      const std::size_t item = next_.fetch_add(1, std::memory_order_relaxed);
      if (item >= items_) return;
      try {
        call_(context_, item);
      } catch (...) {
        const std::lock_guard lock(thrown_mutex_);
        if (!thrown_ || item < thrown_item_) {
          thrown_ = std::current_exception();
          thrown_item_ = item;
        }
      }
    }
  }

  void work() {
    const flush_denormals mode;
    core_mover mover;
    inside() = true;
    for (std::uint32_t seen = 0;;) {
      std::uint32_t state = state_.load(std::memory_order_acquire);
      if (stopping_.load(std::memory_order_acquire)) return;
      if ((state & epoch) != seen) mover.leave(caller_core_.load(std::memory_order_relaxed), size_);
      if ((state & epoch) != seen && (state & open)) {
        if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) continue;
        seen = state & epoch;
        take_items();
        const std::uint32_t before = state_.fetch_sub(1, std::memory_order_acq_rel);
        if ((before & joined) == 1 && !(before & open)) {
          finished_.fetch_add(1, std::memory_order_release);
          finished_.notify_one();
        }
      } else if (!spin([&] { return state_.load(std::memory_order_relaxed) != state; })) {
        state_.wait(state, std::memory_order_acquire);
      }
    }
  }

  void stop() {
    stopping_.store(true, std::memory_order_release);
    state_.fetch_add(0x1000u, std::memory_order_release);
    state_.notify_all();
    workers_.clear();  // joins
  }

  int size_;
  bool spins_ = false;
  std::atomic<std::uint32_t> state_{0}, finished_{0};
  std::atomic<int> caller_core_{-1};
  std::atomic<bool> stopping_{false};
  std::atomic_flag busy_;
  alignas(64) std::atomic<std::size_t> next_{0};
  void (*call_)(const void*, std::size_t) = nullptr;
  const void* context_ = nullptr;
  std::size_t items_ = 0, thrown_item_ = 0;
  std::exception_ptr thrown_;
  std::mutex thrown_mutex_;
  std::vector<std::jthread> workers_;
};

}  // namespace modx::kernels
