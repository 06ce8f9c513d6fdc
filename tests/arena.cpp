// The arena: aligned pieces, blocks that are kept and become one, memory that is given back.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <modx/arena.hpp>

#include "catch.hpp"

namespace {
/// Counts what it lends.
struct lender {
  std::map<void*, std::size_t> lent;
  std::size_t calls = 0;

  void* allocate(std::size_t n) {
    ++calls;
    void* p = std::aligned_alloc(64, (n + 63) / 64 * 64);
    lent[p] = n;
    return p;
  }
  void deallocate(void* p, std::size_t n) {
    CHECK(lent.at(p) == n);
    lent.erase(p);
    std::free(p);
  }
};
}  // namespace

TEST_CASE("an arena hands out aligned pieces that do not overlap") {
  lender source;
  {
    modx::arena<lender> a(source);
    std::vector<std::pair<std::uintptr_t, std::size_t>> pieces;
    for (std::size_t n : {1, 63, 64, 65, 0, 100000, 3000000, 7}) {
      auto* p = a.array<char>(n);
      CHECK(reinterpret_cast<std::uintptr_t>(p) % 64 == 0);
      for (std::size_t i = 0; i < n; ++i) p[i] = char(n % 100);
      for (const auto& [q, m] : pieces) {
        const auto at = reinterpret_cast<std::uintptr_t>(p);
        CHECK((at + n <= q || q + m <= at));
      }
      pieces.emplace_back(reinterpret_cast<std::uintptr_t>(p), n);
    }
    CHECK(a.peak_bytes() >= 3100000);
    CHECK(source.lent.size() == source.calls);
  }
  CHECK(source.lent.empty());
}

TEST_CASE("rewinding takes back what was handed out since, and keeps the blocks") {
  lender source;
  modx::arena<lender> a(source);
  a.bytes(1000);
  const auto before = a.here();
  void* const first = a.bytes(500);
  a.bytes(3000000);  // another block
  const std::size_t calls = source.calls;
  for (int i = 0; i < 5; ++i) {
    a.rewind(before);
    CHECK(a.bytes(500) == first);
    a.bytes(3000000);
  }
  CHECK(source.calls == calls);
  CHECK(a.peak_bytes() < 3100000);
}

TEST_CASE("a second round of the same sizes borrows nothing, in one piece of memory") {
  lender source;
  modx::arena<lender> a(source);
  const auto round = [&] {
    for (int i = 0; i < 20; ++i) a.bytes(400000);
    a.reset();
  };
  round();
  CHECK(source.lent.size() == 1);  // the blocks became one
  const std::size_t before = source.calls;
  for (int i = 0; i < 5; ++i) round();
  CHECK(source.calls == before);
  CHECK(a.allocations() == before);
  auto* p = static_cast<char*>(a.bytes(10));
  CHECK(static_cast<char*>(a.bytes(10)) == p + 64);
}
