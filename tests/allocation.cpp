// The second and every later training step of equal shapes takes no memory: none from the heap, none for the arenas.
#include <atomic>
#include <cstdlib>
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/sgd.hpp>
#include <new>

#include "catch.hpp"
#include "support.hpp"
#include "zoo.hpp"

namespace {
std::atomic<std::size_t> heap_calls{0};

[[gnu::noinline]] void* counted(std::size_t size, std::size_t alignment) {
  ++heap_calls;
  return alignment > alignof(std::max_align_t)
                ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
                : std::malloc(size ? size : 1);
}
void* or_throw(void* p) {
  if (!p) throw std::bad_alloc();
  return p;
}
[[gnu::noinline]] void release(void* p) { std::free(p); }
}  // namespace

void* operator new(std::size_t n) { return or_throw(counted(n, 1)); }
void* operator new[](std::size_t n) { return or_throw(counted(n, 1)); }
void* operator new(std::size_t n, std::align_val_t a) { return or_throw(counted(n, std::size_t(a))); }
void* operator new[](std::size_t n, std::align_val_t a) { return or_throw(counted(n, std::size_t(a))); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return counted(n, 1); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return counted(n, 1); }
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { release(p); }

namespace {

using namespace modx;

/// Heap calls of steps 2 .. 6.
template <class M, class O>
std::vector<std::size_t> later_steps(M& m, const O& optimizer, const zoo::batch<float>& data, double clip_norm) {
  const step_options options{.clip_norm = clip_norm};
  std::vector<std::size_t> calls(6), arenas(6);
  for (std::size_t i = 0; i < 6; ++i) {
    const std::size_t before = heap_calls;
    train_step(m, optimizer, loss::cross_entropy{}, data.x, data.label, options);
    calls[i] = heap_calls - before;
    arenas[i] = m.tape_of_step().allocations();
  }
  for (std::size_t i = 2; i < 6; ++i) CHECK(arenas[i] == arenas[1]);
  calls.erase(calls.begin());
  return calls;
}

}  // namespace

TEST_CASE("training steps after the first allocate nothing") {
  const std::vector<std::size_t> none(5, 0);
  for (const int threads : {1, 2})
    zoo::for_each([&](const char* name, const auto& spec, const shape& io) {
      INFO(name << ", " << threads << " threads");
      cpu backend{1, threads};
      const zoo::batch<float> data(37, io, 5);
      auto a = build(backend, spec, io);
      CHECK(later_steps(a, optimizer::adamw{}, data, 0.1) == none);
      auto b = build(backend, spec, io);
      CHECK(later_steps(b, optimizer::sgd{.momentum = 0.9}, data, 0) == none);
    });
}

TEST_CASE("training steps after the first allocate nothing with couplings and ghosts") {
  cpu backend{1, 1};
  const zoo::batch<float> data(37, zoo::rows_of_20, 5);
  auto m = build(backend, zoo::talking(), zoo::rows_of_20);
  matrix<float> levels(2, 2);
  levels(0, 0) = 0.5f;
  m.find("coupling.ghosts.levels").set(levels);
  CHECK(later_steps(m, optimizer::adamw{}, data, 0.1) == std::vector<std::size_t>(5, 0));
}

TEST_CASE("a larger batch grows the arenas once, a smaller one never") {
  cpu backend{1, 1};
  auto m = build(backend, zoo::sparse(), zoo::rows_of_20);
  const zoo::batch<float> small(8, zoo::rows_of_20, 1), large(4000, zoo::rows_of_20, 1);
  const auto step = [&](const zoo::batch<float>& data) {
    const std::size_t before = heap_calls;
    train_step(m, optimizer::adamw{}, loss::cross_entropy{}, data.x, data.label);
    return heap_calls - before;
  };
  step(small);
  CHECK(step(small) == 0);
  CHECK(step(large) > 0);
  step(large);
  CHECK(step(large) == 0);
  CHECK(step(small) == 0);
  CHECK(step(large) == 0);
}

TEST_CASE("predictions after the first take memory for their result only") {
  cpu backend{1, 1};
  auto m = build(backend, zoo::dense(), zoo::rows_of_20);
  const zoo::batch<float> data(16, zoo::rows_of_20, 1);
  m.predict(data.x);
  const std::size_t before = heap_calls;
  m.predict(data.x);
  CHECK(heap_calls - before <= 1);
}
