// The gradient of any function on the tape against central differences: f'(x) = (f(x + h) - f(x - h)) / 2h.
#pragma once
#include <modx/laws/report.hpp>

namespace modx::laws {

/// One input of the function under test.
struct argument {
  std::string name;
  matrix<double> value;
  extent columns;

  argument(std::string n, matrix<double> v) : name(std::move(n)), value(std::move(v)), columns(value.cols) {}
  argument(std::string n, matrix<double> v, extent e) : name(std::move(n)), value(std::move(v)), columns(e) {}
};

/// Any f(tape, vars) that returns a tensor, by reference.
template <class B>
class tape_function {
  const void* f_;
  var<B> (*call_)(const void*, tape<B>&, std::span<const var<B>>);

 public:
  template <class F>
  tape_function(const F& f)
      : f_(&f), call_([](const void* g, tape<B>& t, std::span<const var<B>> in) -> var<B> {
          return (*static_cast<const F*>(g))(t, in);
        }) {}
  var<B> operator()(tape<B>& t, std::span<const var<B>> in) const { return call_(f_, t, in); }
};

/// Checks d <c, f> / d inputs and d <c, f> / d parameters for a random c.
template <Backend B>
class gradient_check {
  static_assert(std::same_as<typename B::scalar, double>, "modx: gradients are checked in double: basic_cpu<double>");
  std::string law_;
  B* backend_;
  std::vector<argument> inputs_;
  std::vector<parameter<B>*> parameters_;
  tape_function<B> f_;
  options options_;
  std::uint64_t seed_;
  tape<B> tape_;
  matrix<double> c_;
  std::vector<var<B>> vars_;

  var<B> forward(bool recorded) {
    tape_.reset();
    tape_.record_operations(recorded);
    vars_.clear();
    for (const auto& a : inputs_) vars_.push_back(tape_.input(a.value.data, a.value.rows, a.columns, true));
    return f_(tape_, std::span<const var<B>>(vars_));
  }
  double value() {
    const auto y = forward(false).host();
    long double sum = 0;
    for (std::size_t i = 0; i < y.data.size(); ++i) sum += static_cast<long double>(c_.data[i]) * y.data[i];
    return double(sum);
  }
  /// Compares one element's gradient; `put` writes the element.
  template <class Put>
  void element(report& r, const std::string& where, double x, double gradient, Put&& put) {
    const auto at = [&](double v) {
      put(v);
      return value();
    };
    const double h = options_.step * std::fmax(1, std::fabs(x));
    const double above = at(x + h), below = at(x - h), difference = (above - below) / (2 * h);
    const double tolerance = options_.atol + options_.rtol * std::fmax(std::fabs(gradient), std::fabs(difference));
    if (std::fabs(gradient - difference) <= tolerance) {
      put(x);
      return compare(r, law_, where, difference, gradient, tolerance);
    }
    // Smooth functions have the same slope at a tenth of the step, and the same on both sides.
    const double s = h / 10, here = at(x), near_above = at(x + s), near_below = at(x - s);
    put(x);
    const double near = (near_above - near_below) / (2 * s);
    const double bend = (above - 2 * here + below) / h, near_bend = (near_above - 2 * here + near_below) / s;
    const double jump = (10 * near_bend - bend) / 9;  // of the slope at x: curvature cancels
    const double noise = 1e-7 * std::fmax(1, std::fabs(here));
    if (std::fabs(near - difference) > noise || std::fabs(jump) > noise)
      throw kink("law '" + law_ + "' at " + where, "a smooth function within " + to_text(h), "a kink or a jump");
    broken(law_, where, difference, gradient);
  }

 public:
  gradient_check(std::string law, B& backend, std::vector<argument> inputs, std::span<parameter<B>* const> parameters,
                 tape_function<B> f, const options& o, std::uint64_t seed)
      : law_(std::move(law)), backend_(&backend), inputs_(std::move(inputs)),
        parameters_(parameters.begin(), parameters.end()), f_(f), options_(o), seed_(seed),
        tape_(backend) {}

  report run() {
    report r;
    for (auto* p : parameters_) p->gradient_is_fresh = true;
    const auto y = forward(true);
    const auto host = y.host();
    for (std::size_t i = 0; i < host.data.size(); ++i)
      if (!std::isfinite(host.data[i]))
        throw error("law '" + law_ + "' at " + place("output", i, host.cols), "a finite value", to_text(host.data[i]));
    c_ = draw(seed_, "functional", host.rows, host.cols);
    const auto loss = ops::sum(ops::multiply(y, tape_.input(c_)));
    if (loss.needs_gradient()) tape_.backward(loss);

    std::vector<matrix<double>> found;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const auto& a = inputs_[i];
      found.emplace_back(a.value.rows, a.value.cols);
      if (vars_[i].has_gradient())
        backend_->download(found[i].data.data(), vars_[i].gradient(), found[i].data.size() * sizeof(double));
    }
    for (auto* p : parameters_) {
      found.emplace_back(p->rows(), p->cols());
      if (p->gradient()) backend_->download(found.back().data.data(), p->gradient(), p->size() * sizeof(double));
    }
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      auto& a = inputs_[i];
      for (std::size_t j = 0; j < a.value.data.size(); ++j)
        element(r, place(a.name, j, a.value.cols), a.value.data[j], found[i].data[j],
                [&](double v) { a.value.data[j] = v; });
    }
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      auto* p = parameters_[i];
      const auto start = p->host();
      for (std::size_t j = 0; j < p->size(); ++j)
        element(r, place(p->name(), j, p->cols()), start.data[j], found[inputs_.size() + i].data[j],
                [&](double v) { backend_->upload(p->mutable_value() + j, &v, sizeof v); });
      p->gradient_is_fresh = true;
    }
    return r;
  }
};

/// Throws error when a gradient of f(tape, inputs) is off, kink where f is not smooth (see retry()).
template <Backend B, class F>
report gradients(std::string law, B& backend, std::vector<argument> inputs, std::span<parameter<B>* const> parameters,
                 const F& f, const options& o, std::uint64_t seed) {
  return gradient_check<B>(std::move(law), backend, std::move(inputs), parameters, f, o, seed).run();
}

}  // namespace modx::laws
