// The law suites themselves: each breaks on a policy that breaks it, and says where.
#include <modx/laws.hpp>
#include <modx/module/linear.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;

namespace broken {

/// y = x^2 whose gradient is `factor` times what it should be.
template <class B>
var<B> wrong_square(var<B> x, double factor) {
  double* out = nullptr;
  auto y = x.on().result(x.rows(), x.columns(), x.needs_gradient(), out);
  x.backend().map(fn::square{}, x.size(), x.data(), out);
  x.on().record(y, [=](const double* dy) {
    const auto g = x.accumulate();
    for (std::size_t i = 0; i < x.size(); ++i) g.data[i] = g.beta * g.data[i] + factor * 2 * x.data()[i] * dy[i];
  });
  return y;
}

enum class fault { none, gradient, forgets_input, forgets_parameter, overwrites, wide, random, batch, kink, infinite };

/// y = x^2 + b with one fault.
struct module {
  fault with = fault::none;
  bool operator==(const module&) const = default;

  template <Backend B>
  class bound {
    parameter<B>* bias_;
    fault with_;
    mutable int calls_ = 0;

   public:
    bound(builder<B>& b, const module& s, shape io)
        : bias_(&b.make("bias", 1, io.in, init::zeros())), with_(s.with) {}
    var<B> forward(var<B> x) const {
      auto& t = x.on();
      if (with_ == fault::batch && x.rows() == 0) throw error("no tokens");
      if (with_ == fault::kink) {  // a staircase
        auto steps = x.host();
        for (double& v : steps.data) v = 3.3e-6 * std::floor(v / 3.3e-6);
        return t.input(steps);
      }
      auto y = wrong_square(with_ == fault::forgets_input ? ops::stop_gradient(x) : x,
                            with_ == fault::gradient ? 1.001 : 1);
      if (with_ == fault::forgets_parameter) return ops::add_row(y, ops::stop_gradient(t.use(*bias_)));
      y = ops::add_row(y, t.use(*bias_));
      if (with_ == fault::wide) return ops::columns(y, 0, y.cols() - 1);
      if (with_ == fault::random) return y + 1e-3 * ++calls_;
      if (with_ == fault::infinite) return y / ops::scale(y, 0);
      if (with_ == fault::overwrites) {  // sets the gradient where it should add
        auto z = t.tensor(y.data(), y.rows(), y.columns(), y.needs_gradient());
        auto* bias = bias_;
        t.record(z, [=](const double* dz) {
          auto g = y.accumulate();
          std::copy(dz, dz + y.size(), g.data);
          auto gb = accumulate(*bias);
          std::fill(gb.data, gb.data + bias->size(), 0.0);
          bias->gradient_is_fresh = true;
        });
        return z;
      }
      return y;
    }
  };
};

enum class routing_fault { none, negative, sum, twice, ties, unsorted };

/// Softmax or top-2 of x W with one fault.
struct dense_router {
  routing_fault with = routing_fault::none;
  bool operator==(const dense_router&) const = default;
  template <Backend B>
  class bound {
    modx::module::linear::bound<B> scores_;
    routing_fault with_;

   public:
    bound(builder<B>& b, const dense_router& s, shape io) : scores_(b, {}, io), with_(s.with) {}
    dense_routing<B> route(var<B> x) const {
      const auto z = scores_.forward(x);
      if (with_ == routing_fault::negative) return {{z}, {z}};
      if (with_ == routing_fault::sum) return {{z}, {0.999 * ops::softmax_rows(z)}};
      return {{z}, {ops::softmax_rows(z)}};
    }
  };
};
struct sparse_router {
  routing_fault with = routing_fault::none;
  bool operator==(const sparse_router&) const = default;
  template <Backend B>
  class bound {
    modx::module::linear::bound<B> scores_;
    routing_fault with_;

   public:
    bound(builder<B>& b, const sparse_router& s, shape io) : scores_(b, {}, io), with_(s.with) {}
    top_k_routing<B> route(var<B> x) const {
      auto& t = x.on();
      const auto z = scores_.forward(x);
      const auto* best = ops::top_k(z, 2);
      std::vector<std::int32_t> id(best, best + 2 * x.rows());
      for (std::size_t i = 0; i < id.size(); i += 2) {
        if (with_ == routing_fault::twice) id[i + 1] = id[i];
        if (with_ == routing_fault::ties) std::swap(id[i], id[i + 1]);
      }
      const auto* mine = t.input(ids(id));
      auto order = ops::sort_by_expert(t, mine, x.rows(), 2, z.cols());
      if (with_ == routing_fault::unsorted && x.rows()) {
        auto* position = t.template device<std::int32_t>(id.size());
        std::copy(order.position, order.position + id.size(), position);
        std::swap(position[0], position[1]);
        order.position = position;
      }
      const auto w = ops::softmax_rows(ops::gather_columns(z, mine, 2));
      return {{z}, {ops::softmax_rows(z)}, {with_ == routing_fault::sum ? 0.9 * w : w}, mine, order};
    }
  };
};

/// Adds the batch's mean to every token.
struct leaky {
  bool operator==(const leaky&) const = default;
  template <Backend B>
  var<B> combine(const outputs<B>& y, const dense_routing<B>& r) const {
    const auto s = ops::weighted_sum(r.weights, y);
    return ops::add_row(s, ops::mean_of_rows(s));
  }
  template <Backend B>
  class bound {
   public:
    bound(builder<B>&, const leaky&, std::size_t, std::size_t) {}
    outputs<B> couple(const outputs<B>& y) const { return {ops::add_row(y.y, ops::mean_of_rows(y.y)), y.experts}; }
  };
};

/// A combiner whose weights learn nothing.
struct deaf {
  bool operator==(const deaf&) const = default;
  template <Backend B>
  var<B> combine(const outputs<B>& y, const dense_routing<B>& r) const {
    return ops::weighted_sum(ops::stop_gradient(r.weights), y);
  }
};

/// A sum that should be a mean.
struct total {
  template <Backend B>
  var<B> operator()(var<B> y, const var<B>& t) const { return ops::sum(ops::square(y - t)); }
};

/// A bank whose experts are all the first one, or whose parameters have other names.
struct copycat : modx::module::linear {
  bool renamed = false;
  bool operator==(const copycat&) const = default;
  template <Backend B>
  struct bound : modx::module::linear::bound<B> {
    bound(builder<B>& b, const copycat& s, shape io) : modx::module::linear::bound<B>(b, s, io) {}
  };
  template <Backend B>
  class bank {
    expert::lifted_bank<modx::module::linear, B> own_;

    static builder<B> named(builder<B>& b, bool other) { return other ? b.scope("layer") : b; }
    static expert::lifted_bank<modx::module::linear, B> make(builder<B> b, shape io, std::size_t e) {
      return {b, modx::module::linear{}, io, e};
    }

   public:
    bank(builder<B>& b, const copycat& s, shape io, std::size_t e) : own_(make(named(b, s.renamed), io, e)) {}
    std::size_t size() const { return own_.size(); }
    var<B> one(std::size_t i, var<B> x) const { return own_.one(i, x); }
    var<B> forward(expert::tokens<B> in) const {
      if (in.offsets) return own_.forward(in);
      std::vector<var<B>> parts(size(), own_.one(0, in.x));
      return ops::stack(std::span<const var<B>>(parts)).y;
    }
  };
};

}  // namespace broken

TEST_CASE("module laws hold for a right module and break for each fault") {
  cpu64 backend{1, 1};
  const auto says = [&](broken::fault f, shape io = {.in = 3, .out = 3}) {
    return message([&] { laws::of_module(backend, broken::module{f}, io); });
  };
  CHECK(says(broken::fault::none).empty());
  CHECK(contains(says(broken::fault::gradient),
                 "gradient equals central difference' is broken at input[0, 0]: expected "));
  CHECK(contains(says(broken::fault::forgets_input), "central difference' is broken at input[0, 0]"));
  CHECK(contains(says(broken::fault::forgets_parameter), "central difference' is broken at bias[0, 0]"));
  CHECK(contains(says(broken::fault::overwrites),
                 "second backward pass adds the same gradient' is broken at d bias[0, 0]"));
  CHECK(contains(says(broken::fault::wide), "output has the width of the shape' is broken: expected 3, found 2"));
  CHECK(contains(says(broken::fault::batch), "no tokens"));
  CHECK(contains(says(broken::fault::infinite), "output[0, 0]: expected a finite value, found inf"));
  CHECK_FALSE(says(broken::fault::random).empty());
  CHECK(contains(says(broken::fault::kink), "expected a smooth function within"));
  CHECK(contains(says(broken::fault::none, {.in = 3, .out = 2}), "expected 2, found 3"));
}

TEST_CASE("a kink within a step is told from a wrong gradient") {
  cpu64 backend{1, 1};
  laws::options o;
  int attempts = 0;
  const auto at = [&](double x, double slope) {  // relu at x, slope added behind the tape's back
    return message([&] {
      laws::gradients("relu", backend, {laws::argument("x", rows({{x}}))}, {},
                      [&](tape<cpu64>&, std::span<const var<cpu64>> in) {
                        return ops::relu(in[0]) + slope * ops::stop_gradient(in[0]);
                      }, o, 1);
    });
  };
  CHECK(at(1, 0).empty());
  CHECK(at(-1, 0).empty());
  CHECK(contains(at(0, 0), "expected a smooth function"));       // on the kink
  CHECK(contains(at(5e-6, 0), "expected a smooth function"));    // beside it
  CHECK(contains(at(-5e-7, 0), "expected a smooth function"));
  CHECK(contains(at(1, 1e-4), "is broken at x[0, 0]"));          // wrong, and smooth
  CHECK(contains(at(-1, 1e-4), "is broken at x[0, 0]"));
  const auto report = laws::retry(o, [&](std::uint64_t seed) {
    ++attempts;
    if (seed < 3) throw laws::kink("here");
    return laws::report{.numbers = 7};
  });
  CHECK(attempts == 3);
  CHECK(report.retries == 2);
  CHECK(report.numbers == 7);
  attempts = 0;
  CHECK(message([&] {
          laws::retry(o, [&](std::uint64_t) -> laws::report {
            ++attempts;
            throw laws::kink("always");
          });
        }) == "modx: always");
  CHECK(attempts == 10);
}

TEST_CASE("router laws break for each fault") {
  cpu64 backend{1, 1};
  using broken::routing_fault;
  const auto dense = [&](routing_fault f) {
    return message([&] { laws::of_router(backend, broken::dense_router{f}, 3, 4); });
  };
  const auto sparse = [&](routing_fault f) {
    return message([&] { laws::of_router(backend, broken::sparse_router{f}, 3, 4); });
  };
  CHECK(dense(routing_fault::none).empty());
  CHECK(contains(dense(routing_fault::negative), "law 'router: weights are >= 0' at token 0"));
  CHECK(contains(dense(routing_fault::sum),
                 "law 'router: weights of a token sum to 1' is broken at token 0: expected 1, found 0.999"));
  CHECK(sparse(routing_fault::none).empty());
  CHECK(contains(sparse(routing_fault::sum),
                 "weights sum to 1, or are the chosen probabilities' is broken at token 0: expected 1, found 0.9"));
  CHECK(contains(sparse(routing_fault::twice), "the ids of a token differ' at token 0"));
  CHECK(contains(sparse(routing_fault::ties),
                 "ties go to the lowest index' is broken at token 0: expected 0, found 1"));
  CHECK(contains(sparse(routing_fault::unsorted), "tokens are sorted by expert, stably' is broken at slot"));
}

TEST_CASE("combiner, coupling, loss and bank laws break") {
  cpu64 backend{1, 1};
  CHECK(contains(message([&] { laws::of_combiner(backend, broken::leaky{}, 3, 2); }),
                 "law 'combiner: a token changes no other token's result' is broken at output[1, 0]"));
  CHECK(contains(message([&] { laws::of_combiner(backend, broken::deaf{}, 3, 2); }), "is broken at weights[0, 0]"));
  CHECK(contains(message([&] { laws::of_coupling(backend, broken::leaky{}, 3, 2); }),
                 "law 'coupling: a token changes no other token's result' is broken at output[1, 0]"));
  CHECK(contains(message([&] { laws::of_loss(backend, broken::total{}, 3); }),
                 "law 'loss: a batch twice over has the same loss' is broken at loss"));
  CHECK(message([&] { laws::of_loss(backend, broken::total{}, 3, 4, {}, false); }).empty());
  CHECK(contains(message([&] { laws::of_expert(backend, broken::copycat{}, {.in = 2, .out = 2}, 3); }),
                 "law 'bank: shared tokens give every expert's output' is broken at output[0, 2]"));
  broken::copycat renamed;
  renamed.renamed = true;
  CHECK(contains(message([&] { laws::of_expert(backend, renamed, {.in = 2, .out = 2}, 3); }),
                 "law 'bank: has the parameters"));
}
