// Arithmetic on sizes that come from files: u64, sticky overflow, no wrapped value can be read back.
#pragma once
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>

namespace modx::io {

/// An unsigned 64-bit size or "overflowed"; once overflowed, every result made from it is overflowed too.
class checked {
 public:
  constexpr checked() = default;
  template <std::unsigned_integral T>
  constexpr checked(T v) : value_(v) {}
  /// Negative is an overflow.
  template <std::signed_integral T>
  constexpr checked(T v) : value_(v < 0 ? 0 : static_cast<std::uint64_t>(v)), ok_(v >= 0) {}

  constexpr bool ok() const { return ok_; }
  /// The value, or nothing after an overflow.
  constexpr std::optional<std::uint64_t> value() const { return ok_ ? std::optional(value_) : std::nullopt; }
  /// The value as T, or nothing if T can't hold it.
  template <std::integral T>
  constexpr std::optional<T> as() const {
    if (!ok_ || value_ > static_cast<std::uint64_t>(std::numeric_limits<T>::max())) return std::nullopt;
    return static_cast<T>(value_);
  }
  /// Known and not above `limit`.
  constexpr bool at_most(std::uint64_t limit) const { return ok_ && value_ <= limit; }
  constexpr bool operator==(const checked&) const = default;

  friend constexpr checked operator+(checked a, checked b) {
    return make(a, b, a.value_ <= max - b.value_, a.value_ + b.value_);
  }
  friend constexpr checked operator-(checked a, checked b) {
    return make(a, b, a.value_ >= b.value_, a.value_ - b.value_);
  }
  friend constexpr checked operator*(checked a, checked b) {
    return make(a, b, b.value_ == 0 || a.value_ <= max / b.value_, a.value_ * b.value_);
  }
  constexpr checked& operator+=(checked b) { return *this = *this + b; }
  constexpr checked& operator*=(checked b) { return *this = *this * b; }
  /// The least multiple of `step` that is not below the value; `step` 0 is an overflow.
  constexpr checked round_up(std::uint64_t step) const {
    if (step == 0) return make(*this, *this, false, 0);
    const std::uint64_t over = value_ % step;
    return over == 0 ? *this : *this + checked(step - over);
  }

 private:
  static constexpr std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  static constexpr checked make(checked a, checked b, bool fits, std::uint64_t v) {
    checked r;
    r.ok_ = a.ok_ && b.ok_ && fits;
    r.value_ = r.ok_ ? v : 0;
    return r;
  }

  std::uint64_t value_ = 0;
  bool ok_ = true;
};

}  // namespace modx::io
