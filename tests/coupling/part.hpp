// A coupling alone, with its parameters, on the CPU in double.
#pragma once
#include <modx/laws/report.hpp>

#include "support.hpp"

namespace coupled {

using namespace support;
using modx::matrix;

template <class S>
class part {
  cpu64 backend_{1, 1};
  modx::parameter_list<cpu64> list_;
  modx::bound_t<S, cpu64> bound_;
  std::size_t experts_;

  static modx::bound_t<S, cpu64> make(cpu64& b, modx::parameter_list<cpu64>& list, const S& s, std::size_t e,
                                      std::size_t m) {
    modx::builder<cpu64> root(b, list, 1);
    return {root, s, e, m};
  }

 public:
  /// Its parameters are shaken: nothing stays at a special start.
  part(const S& s, std::size_t experts, std::size_t width)
      : bound_(make(backend_, list_, s, experts, width)), experts_(experts) {
    const auto all = modx::laws::pointers(list_);
    modx::laws::shake<cpu64>(all, 1);
  }
  std::size_t count() const {
    std::size_t n = 0;
    for (const auto& p : list_) n += p->size();
    return n;
  }
  modx::parameter<cpu64>& find(const std::string& name) const {
    for (const auto& p : list_)
      if (p->name() == name) return *p;
    throw modx::error("no parameter '" + name + "'");
  }
  bool has(const std::string& name) const {
    for (const auto& p : list_)
      if (p->name() == name) return true;
    return false;
  }
  matrix<double> value(const std::string& name) const { return find(name).host(); }
  const modx::bound_t<S, cpu64>& bound() const { return bound_; }

  /// Values of what f(tape) returns.
  template <class F>
  matrix<double> on_tape(F f) {
    modx::tape<cpu64> t(backend_);
    return f(t).host();
  }
  matrix<double> operator()(const matrix<double>& y) {
    modx::tape<cpu64> t(backend_);
    return bound_.couple(modx::outputs<cpu64>{t.input(y), experts_}).y.host();
  }
  matrix<double> operator()(const matrix<double>& y, const matrix<double>& presence) {
    modx::tape<cpu64> t(backend_);
    return bound_.couple(modx::outputs<cpu64>{t.input(y), experts_}, std::span<const double>(presence.data))
        .y.host();
  }
};

}  // namespace coupled
