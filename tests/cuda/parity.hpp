// One operation on two backends: the CPU's results are what the GPU's must be.
#pragma once
#include <cstring>
#include <modx/backend/cpu.hpp>
#include <modx/backend/cuda.hpp>
#include <modx/random.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

namespace parity {

using namespace modx;
using id_type = std::int32_t;

/// Is there a device?  If not, says so (CTest reports a skipped test).
inline bool device() {
  static const bool found = [] {
    try {
      basic_cuda<float> probe;
      return true;
    } catch (const error& e) {
      std::printf("MODX_SKIP: %s\n", e.what());
      return false;
    }
  }();
  return found;
}

template <class T>
std::vector<T> draw(std::size_t n, std::string_view name, double sd = 1) {
  std::vector<T> v(n);
  const random_stream random(1, name);
  for (std::size_t i = 0; i < n; ++i) v[i] = T(sd * random.normal(i));
  return v;
}
inline std::vector<id_type> draw_ids(std::size_t n, std::size_t below, std::string_view name = "ids") {
  std::vector<id_type> v(n);
  const random_stream random(1, name);
  for (std::size_t i = 0; i < n; ++i) v[i] = id_type(random.below(i, below));
  return v;
}
template <class T>
std::vector<T> unset(std::size_t n) {
  return std::vector<T>(n, std::numeric_limits<T>::quiet_NaN());
}
/// What a target holds before the operation: nothing to be read when beta is 0.
template <class T>
std::vector<T> target(std::size_t n, T beta) {
  return beta == T(0) ? unset<T>(n) : draw<T>(n, "target");
}

/// A vector's copy on a device, of exactly its size.
template <class B, class U>
class buffer {
  B* backend_;
  std::size_t bytes_;
  U* data_;

 public:
  buffer(B& b, const std::vector<U>& v)
      : backend_(&b), bytes_(v.size() * sizeof(U)), data_(static_cast<U*>(b.allocate(bytes_))) {
    b.upload(data_, v.data(), bytes_);
  }
  buffer(const buffer&) = delete;
  ~buffer() { backend_->deallocate(data_, bytes_); }
  U* data() const { return data_; }
  std::vector<U> host() const {
    std::vector<U> v(bytes_ / sizeof(U));
    backend_->download(v.data(), data_, bytes_);
    return v;
  }
};

/// Largest difference, relative above 1; NaN equals NaN, and infinity itself.
template <class U>
double difference(const std::vector<U>& a, const std::vector<U>& b) {
  double worst = a.size() == b.size() ? 0 : HUGE_VAL;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double x = double(a[i]), y = double(b[i]);
    if (x == y || (x != x && y != y)) continue;
    const double off = std::fabs(x - y) / std::fmax(1, std::fabs(x));
    worst = off > worst || off != off ? off : worst;
  }
  return worst != worst ? HUGE_VAL : worst;
}

/// The two backends.
template <class T>
struct both {
  basic_cpu<T> cpu{1, 1};
  basic_cuda<T> gpu{1};
  double tolerance = std::is_same_v<T, float> ? 2e-5 : 1e-12;

  /// f(backend, pointers...) on copies of the vectors on each backend: all of them end up equal, inputs included.
  template <class F, class... U>
  void operator()(const std::string& name, F f, const std::vector<U>&... v) {
    std::tuple<std::vector<U>...> host(v...);
    std::apply([&](auto&... h) { f(cpu, h.data()...); }, host);
    std::tuple<buffer<basic_cuda<T>, U>...> device(on_device(v)...);
    std::apply([&](auto&... d) { f(gpu, d.data()...); }, device);
    compare(name, host, device, std::index_sequence_for<U...>());
  }

 private:
  template <class U>
  struct deferred {  // constructs a buffer in place
    basic_cuda<T>* b;
    const std::vector<U>* v;
    operator buffer<basic_cuda<T>, U>() const { return {*b, *v}; }
  };
  template <class U>
  deferred<U> on_device(const std::vector<U>& v) {
    return {&gpu, &v};
  }
  template <class H, class D, std::size_t... i>
  void compare(const std::string& name, const H& host, const D& device, std::index_sequence<i...>) {
    const double off[] = {difference(std::get<i>(host), std::get<i>(device).host())..., 0.0};
    for (std::size_t k = 0; k < sizeof...(i); ++k) {
      INFO(name << ", argument " << k);
      CHECK(off[k] <= tolerance);
    }
  }
};

}  // namespace parity

/// For a GPU that isn't there.
#define MODX_NEEDS_DEVICE() \
  if (!parity::device()) return
