// Unique ownership of one object: std::unique_ptr's header alone takes longer to compile than all of modx.
#pragma once
#include <utility>

namespace modx {

/// Owns *p; moves, and deletes at the end.
template <class T>
class owned {
  T* p_ = nullptr;

 public:
  owned() = default;
  explicit owned(T* p) : p_(p) {}
  owned(owned&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  owned& operator=(owned&& o) noexcept {
    owned old(std::exchange(p_, std::exchange(o.p_, nullptr)));
    return *this;
  }
  ~owned() { delete p_; }

  T* get() const { return p_; }
  T& operator*() const { return *p_; }
  T* operator->() const { return p_; }
  explicit operator bool() const { return p_ != nullptr; }
};
template <class T, class... A>
owned<T> make_owned(A&&... a) {
  return owned<T>(new T(std::forward<A>(a)...));
}

}  // namespace modx
