// A small SIMT emulator: CUDA kernels compiled by g++ run on the CPU, one block at a time, in a chosen order of
// threads. A thread runs until it meets a barrier or a shuffle; it then waits on its own stack (a fiber) for the
// others.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define __global__
#define __device__
#define __host__

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
inline dim3 threadIdx{0, 0, 0}, blockIdx{0, 0, 0}, blockDim, gridDim;

#if defined(__x86_64__)
// Saves what a call must keep, changes stacks, and returns there (ucontext's way makes two system calls each time).
asm(R"(
.pushsection .text
.weak modx_emulator_jump
.type modx_emulator_jump, @function
modx_emulator_jump:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size modx_emulator_jump, .-modx_emulator_jump
.popsection
)");
extern "C" void modx_emulator_jump(void** from, void* to);
#endif

namespace emu {

/// What a kernel does that a GPU would not forgive.
struct fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The order in which threads and blocks take their turns.
struct schedule {
  enum class order { forward, reverse, random } how = order::forward;
  std::uint32_t seed = 1;
};
inline schedule current_schedule;

inline constexpr std::size_t shared_limit = 48 * 1024;  // what every GPU grants without asking
inline constexpr unsigned max_threads = 1024;

namespace detail {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr std::size_t stack_bytes = 256 * 1024;
#else
inline constexpr std::size_t stack_bytes = 64 * 1024;
#endif

/// A stack that threads run on.
struct fiber {
  std::unique_ptr<char[]> stack{new char[stack_bytes]};
#if defined(__x86_64__)
  void* sp = nullptr;
#else
  ucontext_t context{};
#endif
  void* fake = nullptr;  // AddressSanitizer's
  bool started = false;
};

enum class state : unsigned char { fresh, ready, at_barrier, at_warp, done };

struct thread {
  dim3 id;
  state what = state::fresh;
  fiber* on = nullptr;
  unsigned line = 0, column = 0;  // of the barrier or shuffle it waits at
  bool parity = false;
  std::size_t shared_used = 0;
};

/// One block at work.
struct machine {
  std::vector<thread> threads;
  std::vector<std::unique_ptr<fiber>> fibers;
  std::vector<fiber*> idle;
  std::vector<std::uint32_t> turn;  // this round's threads, in order
  std::size_t at = 0, current = 0;
  void (*body)(void*) = nullptr;
  void* argument = nullptr;
  std::exception_ptr thrown;
  alignas(64) std::byte shared[shared_limit];
  std::uint64_t lanes[max_threads / 32][2][32];
#if defined(__x86_64__)
  void* scheduler = nullptr;
#else
  ucontext_t scheduler{};
#endif
  const void* scheduler_stack = nullptr;
  std::size_t scheduler_bytes = 0;
};
inline machine& self() {
  static machine m;
  return m;
}

inline void to_scheduler([[maybe_unused]] fiber* from) {
  machine& m = self();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from->fake, m.scheduler_stack, m.scheduler_bytes);
#endif
#if defined(__x86_64__)
  modx_emulator_jump(&from->sp, m.scheduler);
#else
  swapcontext(&from->context, &m.scheduler);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from->fake, &m.scheduler_stack, &m.scheduler_bytes);
#endif
}

/// What every fiber does: threads, one after the other, as long as the next in turn is fresh.
inline void fiber_main() {
  machine& m = self();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &m.scheduler_stack, &m.scheduler_bytes);
#endif
  for (;;) {
    fiber* const own = m.threads[m.current].on;
    for (;;) {
      thread& t = m.threads[m.current];
      t.on = own;
      threadIdx = t.id;
      try {
        m.body(m.argument);
      } catch (...) {
        m.thrown = std::current_exception();
      }
      m.threads[m.current].what = state::done;  // the thread that ends is the one that was resumed last
      if (m.thrown || m.at + 1 >= m.turn.size() || m.threads[m.turn[m.at + 1]].what != state::fresh) break;
      m.current = m.turn[++m.at];
    }
    m.idle.push_back(own);
    to_scheduler(own);
  }
}

inline void to_fiber(fiber* f) {
  machine& m = self();
  if (!f->started) {
    f->started = true;
#if defined(__x86_64__)
    auto top = (reinterpret_cast<std::uintptr_t>(f->stack.get()) + stack_bytes) & ~std::uintptr_t(15);
    auto* words = reinterpret_cast<void**>(top);
    words[-1] = nullptr;  // a return address for fiber_main, which never returns
    words[-2] = reinterpret_cast<void*>(&fiber_main);
    for (int i = 3; i <= 8; ++i) words[-i] = nullptr;  // the six registers
    f->sp = words - 8;
#else
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.get();
    f->context.uc_stack.ss_size = stack_bytes;
    f->context.uc_link = nullptr;
    makecontext(&f->context, fiber_main, 0);
#endif
  }
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, f->stack.get(), stack_bytes);
#endif
#if defined(__x86_64__)
  modx_emulator_jump(&m.scheduler, f->sp);
#else
  swapcontext(&m.scheduler, &f->context);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

/// Waits at a barrier or shuffle.
inline void wait(state what, const std::source_location& where) {
  machine& m = self();
  thread& t = m.threads[m.current];
  t.what = what, t.line = where.line(), t.column = where.column();
  const std::size_t own = m.current;
  to_scheduler(t.on);
  m.current = own;
  threadIdx = t.id;
}

/// The turns of a round: every thread that can run, in the schedule's order.
inline void take_turns(machine& m, std::uint32_t& random) {
  m.turn.clear();
  for (std::uint32_t i = 0; i < m.threads.size(); ++i)
    if (m.threads[i].what == state::fresh || m.threads[i].what == state::ready) m.turn.push_back(i);
  if (current_schedule.how == schedule::order::reverse) std::reverse(m.turn.begin(), m.turn.end());
  if (current_schedule.how == schedule::order::random)
    for (std::size_t i = m.turn.size(); i > 1; --i) {
      random = random * 1664525u + 1013904223u;
      std::swap(m.turn[i - 1], m.turn[(random >> 8) % i]);
    }
}

[[noreturn]] inline void give_up(machine& m, const std::string& why) {
  m.idle.clear();
  for (auto& f : m.fibers) {  // what waits on them is never resumed
    f->started = false;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(f->stack.get(), stack_bytes);
#endif
    m.idle.push_back(f.get());
  }
  throw fault("emulator: block (" + std::to_string(blockIdx.x) + ", " + std::to_string(blockIdx.y) + ", " +
              std::to_string(blockIdx.z) + "): " + why);
}

/// Lets those go on who wait where everybody waits.
inline void release(machine& m) {
  const std::size_t n = m.threads.size();
  std::size_t done = 0, barrier = 0;
  bool released = false;
  for (std::size_t w = 0; w < n; w += 32) {
    std::size_t waiting = 0, gone = 0;
    for (std::size_t i = w; i < std::min(n, w + 32); ++i) {
      waiting += m.threads[i].what == state::at_warp, gone += m.threads[i].what == state::done;
      barrier += m.threads[i].what == state::at_barrier;
    }
    done += gone;
    if (waiting && n - w < 32) give_up(m, "a shuffle in a warp of fewer than 32 threads");
    if (waiting && gone)
      give_up(m, "warp divergence: lanes wait at a shuffle that others have left the kernel without");
    if (waiting == 32) {
      for (std::size_t i = w; i < w + 32; ++i) {
        if (m.threads[i].line != m.threads[w].line || m.threads[i].column != m.threads[w].column)
          give_up(m, "warp divergence: lanes wait at different shuffles");
        m.threads[i].what = state::ready;
      }
      released = true;
    }
  }
  if (released || done == n) return;
  if (barrier != n)
    give_up(m, "barrier divergence: " + std::to_string(barrier) + " of " + std::to_string(n) +
                   " threads wait at a barrier, " + std::to_string(done) + " have left");
  for (auto& t : m.threads) {
    if (t.line != m.threads[0].line || t.column != m.threads[0].column)
      give_up(m, "barrier divergence: threads wait at different barriers");
    t.what = state::ready;
  }
}

inline void run_block(machine& m, std::uint32_t& random) {
  for (auto& t : m.threads) t.what = state::fresh, t.shared_used = 0, t.parity = false;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(m.shared, sizeof m.shared);
#endif
  std::memset(m.shared, 0xff, sizeof m.shared);  // NaN, and -1
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(m.shared, sizeof m.shared);
#endif
  for (;;) {
    take_turns(m, random);
    if (m.turn.empty()) return;
    for (m.at = 0; m.at < m.turn.size(); ++m.at) {
      m.current = m.turn[m.at];
      thread& t = m.threads[m.current];
      if (t.what == state::fresh) {
        if (m.idle.empty()) m.idle.push_back(m.fibers.emplace_back(new fiber).get());
        t.on = m.idle.back();
        m.idle.pop_back();
      }
      to_fiber(t.on);
      if (m.thrown) {
        const auto thrown = std::exchange(m.thrown, nullptr);
        try {
          give_up(m, "");
        } catch (const fault&) {
        }
        std::rethrow_exception(thrown);
      }
    }
    release(m);
  }
}

}  // namespace detail

/// Runs body() in every thread of grid x block.
template <class F>
void run(dim3 grid, dim3 block, F&& body) {
  detail::machine& m = detail::self();
  const std::size_t n = std::size_t(block.x) * block.y * block.z;
  m.threads.resize(n);
  std::size_t i = 0;
  for (unsigned z = 0; z < block.z; ++z)
    for (unsigned y = 0; y < block.y; ++y)
      for (unsigned x = 0; x < block.x; ++x) m.threads[i++].id = dim3(x, y, z);
  using callable = std::remove_reference_t<F>;
  m.body = [](void* f) { (*static_cast<callable*>(f))(); };
  m.argument = const_cast<void*>(static_cast<const void*>(&body));
  blockDim = block, gridDim = grid;
  const std::size_t blocks = std::size_t(grid.x) * grid.y * grid.z, step = blocks % 7919 ? 7919 : 1;
  std::uint32_t random = current_schedule.seed;
  for (std::size_t k = 0; k < blocks; ++k) {
    std::size_t b = k;
    if (current_schedule.how == schedule::order::reverse) b = blocks - 1 - k;
    if (current_schedule.how == schedule::order::random) b = (current_schedule.seed + k * step) % blocks;
    blockIdx = dim3(unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y));
    detail::run_block(m, random);
  }
}

/// The block's own array of n T: the same one for all its threads, full of 0xff at first.
template <class T, std::size_t n>
auto shared() -> T (&)[n] {
  detail::machine& m = detail::self();
  auto& used = m.threads[m.current].shared_used;
  const std::size_t at = used, bytes = n * sizeof(T);
  used = (used + bytes + 63 + 16) & ~std::size_t(63);  // at least 16 bytes between two arrays
  if (at + bytes > shared_limit)
    throw fault("emulator: " + std::to_string(at + bytes) + " bytes of shared memory, a block has " +
                std::to_string(shared_limit));
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(m.shared + at, bytes);
#endif
  return *reinterpret_cast<T(*)[n]>(m.shared + at);
}

/// The value that `from` gave in this shuffle.
template <class T>
T exchange(unsigned mask, T value, unsigned from, const std::source_location& where) {
  static_assert(sizeof(T) <= 8);
  if (mask != ~0u) throw fault("emulator: a shuffle of part of a warp");
  detail::machine& m = detail::self();
  const std::size_t own = m.current;
  auto& t = m.threads[own];
  auto& box = m.lanes[own / 32][t.parity];  // two boxes in turn: nobody is two shuffles ahead
  t.parity = !t.parity;
  std::memcpy(&box[own % 32], &value, sizeof(T));
  detail::wait(detail::state::at_warp, where);
  std::memcpy(&value, &box[from % 32], sizeof(T));
  return value;
}
inline unsigned lane() { return unsigned(detail::self().current % 32); }

}  // namespace emu

inline void __syncthreads(const std::source_location& where = std::source_location::current()) {
  emu::detail::wait(emu::detail::state::at_barrier, where);
}
inline void __syncwarp(unsigned = ~0u, const std::source_location& where = std::source_location::current()) {
  emu::detail::wait(emu::detail::state::at_warp, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int bits, const std::source_location& where = std::source_location::current()) {
  return emu::exchange(mask, v, emu::lane() ^ unsigned(bits), where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, const std::source_location& where = std::source_location::current()) {
  return emu::exchange(mask, v, emu::lane() >= by ? emu::lane() - by : emu::lane(), where);
}
template <class T>
T __shfl_sync(unsigned mask, T v, int from, const std::source_location& where = std::source_location::current()) {
  return emu::exchange(mask, v, unsigned(from), where);
}
template <class T>
T atomicAdd(T* p, T v) {
  static_assert(std::is_integral_v<T>, "sums of floats by atomics differ from run to run");
  const T old = *p;
  *p = T(old + v);
  return old;
}
template <class T>
T atomicMin(T* p, T v) {
  const T old = *p;
  if (v < old) *p = v;
  return old;
}
