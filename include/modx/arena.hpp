// Bump allocation for one training step: everything is handed out in order and taken back at once.
#pragma once
#include <cstddef>
#include <modx/shape.hpp>
#include <new>
#include <type_traits>
#include <vector>

namespace modx {

/// Memory from `source`, or an error that names `where` when there is not that much.
template <class Source>
void* memory_of(Source& source, std::size_t bytes, const std::string& where) {
  try {
    return source.allocate(bytes);
  } catch (const std::bad_alloc&) {
    throw error(where, std::to_string(bytes) + " bytes of memory", "less");
  }
}

/// Bump allocator over blocks from `Source::allocate`; `reset()` keeps the blocks, so a second step of the same
/// shapes allocates nothing.  Blocks are 64-byte aligned, and so is each piece.
template <class Source>
class arena {
  struct block {
    std::byte* data;
    std::size_t size;
  };
  Source* source_;
  std::vector<block> blocks_;
  std::size_t current_ = 0, used_ = 0, allocations_ = 0, in_use_ = 0, peak_ = 0;

  void grow(std::size_t bytes);

 public:
  explicit arena(Source& source) : source_(&source) {}
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;
  ~arena();

  void* bytes(std::size_t n);
  template <class T>
  T* array(std::size_t n) {
    static_assert(std::is_trivially_destructible_v<T>, "modx: arena memory is never destroyed");
    if (n > (std::size_t(1) << 48)) throw error("tape", "a size below 2^48 elements", std::to_string(n));
    return static_cast<T*>(bytes(n * sizeof(T)));
  }
  void reset();
  /// How far memory is handed out; rewind(here()) later takes back what was handed out since, and keeps the blocks.
  struct place {
    std::size_t block, used, in_use;
  };
  place here() const { return {current_, used_, in_use_}; }
  void rewind(place p) { current_ = p.block, used_ = p.used, in_use_ = p.in_use; }
  std::size_t allocations() const { return allocations_; }
  std::size_t peak_bytes() const { return peak_; }
};

template <class Source>
void arena<Source>::grow(std::size_t bytes) {
  while (current_ + 1 < blocks_.size()) {  // a block kept from an earlier step
    ++current_, used_ = 0;
    if (blocks_[current_].size >= bytes) return;
  }
  std::size_t size = std::size_t(1) << 20;
  for (const block& b : blocks_) size += b.size;  // doubles the total
  if (size < bytes) size = bytes;
  blocks_.reserve(blocks_.size() + 1);
  blocks_.push_back({static_cast<std::byte*>(memory_of(*source_, size, "tape")), size});
  ++allocations_;
  current_ = blocks_.size() - 1, used_ = 0;
}
template <class Source>
arena<Source>::~arena() {
  for (const block& b : blocks_) source_->deallocate(b.data, b.size);
}
template <class Source>
void* arena<Source>::bytes(std::size_t n) {
  n = (n + 63) & ~std::size_t(63);
  if (blocks_.empty() || used_ + n > blocks_[current_].size) grow(n);
  void* p = blocks_[current_].data + used_;
  used_ += n;
  in_use_ += n;
  if (in_use_ > peak_) peak_ = in_use_;
  return p;
}
template <class Source>
void arena<Source>::reset() {
  // Several blocks become one as soon as nothing is in use: later steps stay in one piece of memory.
  if (blocks_.size() > 1) {
    for (const block& b : blocks_) source_->deallocate(b.data, b.size);
    blocks_.clear();
    const std::size_t size = peak_ + peak_ / 8 + 4096;
    blocks_.push_back({static_cast<std::byte*>(source_->allocate(size)), size});
    ++allocations_;
  }
  current_ = used_ = in_use_ = 0;
}

}  // namespace modx
