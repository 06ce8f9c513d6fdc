// Every operation of the CUDA backend gives what the CPU backend gives: float and double, sizes around a warp
// and a block, nothing at all, beta 0 (which never reads), and nothing written that isn't the operation's.
#include "cuda/parity.hpp"

#include <limits>
#include <modx/backend/functor.hpp>

using namespace parity;

namespace {

constexpr std::size_t sizes[] = {0, 1, 31, 32, 33, 1003}, widths[] = {1, 5, 31, 32, 33, 131};
constexpr double betas[] = {0, 0.5, 1};

/// The operations that the CPU backend has, by the same signature.
template <class A, class B>
constexpr bool same_call = false;
template <class T, class R, class... P>
constexpr bool same_call<R (basic_cpu<T>::*)(P...), R (basic_cuda<T>::*)(P...)> = true;
template <class T, class R, class... P>
constexpr bool same_call<R (basic_cpu<T>::*)(P...) const, R (basic_cuda<T>::*)(P...) const> = true;
template <class T, class... P>
constexpr bool same_call<void (basic_cpu<T>::*)(P...) noexcept, void (basic_cuda<T>::*)(P...) noexcept> =
    true;
#define MODX_SAME(name) \
  static_assert(same_call<decltype(&basic_cpu<float>::name), decltype(&basic_cuda<float>::name)>);
MODX_SAME(seed)
MODX_SAME(normal)
MODX_SAME(allocate) MODX_SAME(deallocate) MODX_SAME(upload) MODX_SAME(download) MODX_SAME(fill)
    MODX_SAME(axpy) MODX_SAME(packed_size) MODX_SAME(pack) MODX_SAME(map<fn::square>)
        MODX_SAME(map_gradient<fn::square>) MODX_SAME(zip<fn::add>) MODX_SAME(zip_gradient<fn::add>)
            MODX_SAME(activation_gradient) MODX_SAME(rows) MODX_SAME(rows_gradient) MODX_SAME(scale_rows)
                MODX_SAME(dot_rows) MODX_SAME(add_row) MODX_SAME(column_sums) MODX_SAME(broadcast_row)
                    MODX_SAME(take_columns) MODX_SAME(put_columns) MODX_SAME(sum) MODX_SAME(squared_norm)
                        MODX_SAME(weighted_sum) MODX_SAME(weighted_sum_gradient) MODX_SAME(mix_experts)
                            MODX_SAME(dot_experts) MODX_SAME(pick) MODX_SAME(
                            pick_gradient) MODX_SAME(top_k) MODX_SAME(permute) MODX_SAME(gather_rows)
                            MODX_SAME(gather_columns) MODX_SAME(gather_columns_gradient) MODX_SAME(combine)
                                MODX_SAME(combine_gradient) MODX_SAME(cross_entropy) MODX_SAME(conv_workspace)
                                    MODX_SAME(conv2d) MODX_SAME(conv2d_gradient) MODX_SAME(max_pool)
                                        MODX_SAME(max_pool_gradient) MODX_SAME(normalize)
                                            MODX_SAME(normalize_workspace) MODX_SAME(normalize_gradient)
                                                MODX_SAME(rotate) MODX_SAME(attention)
                                                    MODX_SAME(attention_gradient) MODX_SAME(gate)
                                                        MODX_SAME(gate_gradient) MODX_SAME(scatter_rows)
                                                            MODX_SAME(ids_of) MODX_SAME(put_rows) MODX_SAME(sequence_means)
                                                                MODX_SAME(sequence_means_gradient)
#undef MODX_SAME

}  // namespace

TEMPLATE_TEST_CASE("cuda: elementwise operations equal the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  for (const std::size_t n : sizes) {
    INFO(n);
    const auto x = draw<T>(n, "x"), z = draw<T>(n, "z"), dy = draw<T>(n, "dy"), out = unset<T>(n);
    auto positive = x;
    for (T& v : positive) v = std::fabs(v) + T(0.1);
    run("fill", [&](auto& b, T* y) { b.fill(n, T(2.5), y); }, out);
    for (const double beta_ : betas) {
      const T beta = T(beta_);
      run("axpy", [&](auto& b, T* y, T* a) { b.axpy(n, T(-3), a, beta, y); }, target(n, beta), x);
    }
    const auto unary = [&](const char* name, auto f, const std::vector<T>& in) {
      run(name, [&](auto& b, T* y, T* a) { b.map(f, n, a, y); }, out, in);
      std::vector<T> y(n);
      run.cpu.map(f, n, in.data(), y.data());
      for (const double beta_ : betas) {
        const T beta = T(beta_);
        run(
            name, [&](auto& b, T* dx, T* a, T* v, T* g) { b.map_gradient(f, n, a, v, g, beta, dx); },
            target(n, beta), in, y, dy);
      }
    };
    unary("affine", fn::affine<T>{2, -1}, x), unary("exp", fn::exponential{}, x),
        unary("square", fn::square{}, x);
    unary("log", fn::logarithm{}, positive), unary("sqrt", fn::square_root{}, positive),
        unary("sigmoid", fn::sigmoid{}, x), unary("softplus", fn::softplus{}, x);
    for (const auto act :
         {activation::none, activation::relu, activation::gelu, activation::silu, activation::tanh}) {
      unary("activated", fn::activated{act}, x);
      run(
          "activation_gradient",
          [&](auto& b, T* d, T* pre, T* y, T* g) { b.activation_gradient(act, n, pre, y, g, d); }, out, x, z,
          dy);
    }
    const auto binary = [&](const char* name, auto f) {
      run(name, [&](auto& b, T* y, T* a, T* c) { b.zip(f, n, a, c, y); }, out, x, positive);
      for (const int side : {0, 1})
        for (const double beta_ : betas) {
          const T beta = T(beta_);
          run(
              name, [&](auto& b, T* d, T* a, T* c, T* g) { b.zip_gradient(f, side, n, a, c, g, beta, d); },
              target(n, beta), x, positive, dy);
        }
    };
    binary("add", fn::add{}), binary("subtract", fn::subtract{}), binary("multiply", fn::multiply{});
    binary("divide", fn::divide{});
  }
}

TEMPLATE_TEST_CASE("cuda: rows and columns equal the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  run.tolerance *= 5;  // sums of a thousand
  for (const std::size_t n : sizes)
    for (const std::size_t d : widths) {
      if (n > 1000 && d > 40) continue;
      INFO(n << " x " << d);
      const auto x = draw<T>(n * d, "x", 3), dy = draw<T>(n * d, "dy"), s = draw<T>(n, "s"),
                 r = draw<T>(d, "r");
      for (const auto f :
           {row_function::softmax, row_function::log_softmax, row_function::log_sum_exp, row_function::sum}) {
        const bool wide = f == row_function::softmax || f == row_function::log_softmax;
        std::vector<T> y(wide ? n * d : n);
        run("rows", [&](auto& b, T* out, T* in) { b.rows(f, n, d, in, out); }, y, x);
        run.cpu.rows(f, n, d, x.data(), y.data());
        for (const double beta_ : betas) {
          const T beta = T(beta_);
          run(
              "rows_gradient",
              [&](auto& b, T* dx, T* in, T* v, T* g) { b.rows_gradient(f, n, d, in, v, g, beta, dx); },
              target(n * d, beta), x, y, wide ? dy : s);
        }
      }
      for (const double beta_ : betas) {
        const T beta = T(beta_);
        run(
            "scale_rows", [&](auto& b, T* y, T* a, T* c) { b.scale_rows(n, d, a, c, beta, y); },
            target(n * d, beta), x, s);
        run(
            "dot_rows", [&](auto& b, T* y, T* a, T* c) { b.dot_rows(n, d, a, c, beta, y); }, target(n, beta),
            x, dy);
        run(
            "column_sums", [&](auto& b, T* y, T* a) { b.column_sums(n, d, d, T(-2), a, beta, y); },
            target(d, beta), x);
        run(
            "broadcast_row", [&](auto& b, T* y, T* a) { b.broadcast_row(n, d, T(0.5), a, beta, y); },
            target(n * d, beta), r);
        const std::size_t from = n ? d / 3 : 0, m = d - d / 3 - d / 4;
        run(
            "take_columns", [&](auto& b, T* y, T* a) { b.take_columns(n, d, from, m, a, beta, y); },
            target(n * m, beta), x);
        run(
            "put_columns", [&](auto& b, T* y, T* a) { b.put_columns(n, d, from, m, a, beta, y); }, x,
            draw<T>(n * m, "part"));
        run(
            "column_sums of a part",
            [&](auto& b, T* y, T* a) { b.column_sums(n, m, d, 1, a + from, beta, y); }, target(m, beta), x);
      }
      run("add_row", [&](auto& b, T* y, T* a, T* c) { b.add_row(n, d, a, c, y); }, unset<T>(n * d), x, r);
      run("sum", [&](auto& b, T* y, T* a) { b.sum(n * d, T(0.25), a, y); }, unset<T>(1), x);
      double norm[2];
      run(
          "squared_norm",
          [&](auto& b, T* a, T* c) {
            update_task<T> list[3];
            list[0].size = n * d, list[0].g = a, list[2].size = d, list[2].g = c;
            norm[std::is_same_v<decltype(b), basic_cuda<T>&>] = b.squared_norm(list);
          },
          x, r);
      CHECK(support::near(norm[1], norm[0], 1e-12));
    }
  const auto row = unset<T>(40);  // NaN and infinity are let through
  auto odd = draw<T>(40, "odd");
  odd[3] = std::numeric_limits<T>::quiet_NaN(), odd[25] = std::numeric_limits<T>::infinity();
  for (const auto f : {row_function::softmax, row_function::log_sum_exp, row_function::sum})
    run("rows", [&](auto& b, T* out, T* in) { b.rows(f, 4, 10, in, out); }, row, odd);
}

TEMPLATE_TEST_CASE("cuda: sums over many rows and values equal the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  const std::size_t n = 4700, d = 3;  // several parts
  run.tolerance *= 10;
  const auto x = draw<T>(n * d, "x");
  run(
      "column_sums", [&](auto& b, T* y, T* a) { b.column_sums(n, d, d, 1, a, T(0.5), y); }, draw<T>(d, "y"),
      x);
  run("sum", [&](auto& b, T* y, T* a) { b.sum(n * d, 1, a, y); }, unset<T>(1), x);
  run("softmax", [&](auto& b, T* y, T* a) { b.rows(row_function::softmax, 2, n, a, y); }, unset<T>(2 * n), x);
}

TEMPLATE_TEST_CASE("cuda: experts side by side equal the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  for (const std::size_t n : sizes)
    for (const std::size_t e : {1, 3, 33})
      for (const std::size_t m : {1, 17, 33}) {
        if (n > 1000 && e * m > 100) continue;
        INFO(n << " x " << e << " x " << m);
        const auto w = draw<T>(n * e, "w"), y = draw<T>(n * e * m, "y"), g = draw<T>(n * m, "g");
        const auto id = draw_ids(n, e);
        run(
            "weighted_sum", [&](auto& b, T* o, T* a, T* c) { b.weighted_sum(n, e, m, a, c, o); },
            unset<T>(n * m), w, y);
        run(
            "pick", [&](auto& b, T* o, T* a, id_type* i) { b.pick(n, e, m, i, a, o); }, unset<T>(n * m), y,
            id);
        const auto mixing = draw<T>(n * e * e, "mixing"), z = draw<T>(n * e * m, "z");
        for (const double beta_ : betas) {
          const T beta = T(beta_);
          for (const bool turned : {false, true})
            for (const std::size_t stride : {std::size_t(0), e * e}) {
              if (n == 0 && stride == 0) continue;  // no matrix
              run(
                  "mix_experts",
                  [&](auto& b, T* o, T* k, T* a) { b.mix_experts(n, e, m, stride, turned, k, a, beta, o); },
                  target(n * e * m, beta), mixing, y);
            }
          run(
              "dot_experts", [&](auto& b, T* o, T* a, T* d) { b.dot_experts(n, e, m, a, d, beta, o); },
              target(n * e * e, beta), y, z);
          run(
              "weighted_sum_gradient",
              [&](auto& b, T* dw, T* dy, T* a, T* c, T* o) {
                b.weighted_sum_gradient(n, e, m, a, c, o, beta, dw, beta, dy);
                b.weighted_sum_gradient(n, e, m, a, c, o, beta, nullptr, T(1), dy);
                b.weighted_sum_gradient(n, e, m, a, c, o, T(1), dw, beta, nullptr);
              },
              target(n * e, beta), target(n * e * m, beta), w, y, g);
          run(
              "pick_gradient",
              [&](auto& b, T* dy, T* o, id_type* i) { b.pick_gradient(n, e, m, i, o, beta, dy); },
              target(n * e * m, beta), g, id);
        }
      }
}

TEMPLATE_TEST_CASE("cuda: routing equals the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  for (const std::size_t n : sizes)
    for (const auto& [e, k] :
         {std::pair<std::size_t, std::size_t>{1, 1}, {4, 2}, {33, 3}, {100, 5}, {7, 7}}) {
      if (n > 1000 && e > 40) continue;
      INFO(n << " tokens, " << k << " of " << e << " experts");
      auto scores = draw<T>(n * e, "scores");
      for (T& s : scores) s = std::round(s * 4) / 4;  // with ties
      run(
          "top_k", [&](auto& b, id_type* id, T* x) { b.top_k(n, e, k, x, id); },
          std::vector<id_type>(n * k, -7), scores);
      std::vector<id_type> best(n * k), one(n * k, id_type(e / 2)), few = draw_ids(n * k, (e + 2) / 3, "few");
      run.cpu.top_k(n, e, k, scores.data(), best.data());
      for (const auto& id : {best, one, few}) {  // one expert with everything, and empty ones
        const std::size_t m = 5;
        std::vector<id_type> offsets[2], position(n * k, -7), source(n * k, -7);
        run(
            "permute",
            [&](auto& b, id_type* i, id_type* p, id_type* s) {
              auto& own = offsets[std::is_same_v<decltype(b), basic_cuda<T>&>];
              own.assign(e + 1, -7);
              b.permute(n, e, k, i, own.data(), p, s);
            },
            id, position, source);
        CHECK(offsets[0] == offsets[1]);
        run.cpu.permute(n, e, k, id.data(), offsets[0].data(), position.data(), source.data());
        const auto w = draw<T>(n * k, "w"), y = draw<T>(n * k * m, "y"), g = draw<T>(n * m, "g");
        const auto order = [&](id_type* p, id_type* s) {
          return permutation{n, k, e, offsets[0].data(), p, s};
        };
        run(
            "gather_rows", [&](auto& b, T* o, T* x, id_type* s) { b.gather_rows(n * k, n, m, x, s, o); },
            unset<T>(n * k * m), g, source);
        for (const double beta_ : betas) {
          const T beta = T(beta_);
          run(
              "combine",
              [&](auto& b, T* o, T* a, T* c, id_type* p, id_type* s) {
                b.combine(order(p, s), m, a, c, beta, o);
                b.combine(order(p, s), m, nullptr, c, T(1), o);
              },
              target(n * m, beta), w, y, position, source);
          run(
              "combine_gradient",
              [&](auto& b, T* dw, T* dy, T* a, T* c, T* o, id_type* p, id_type* s) {
                b.combine_gradient(order(p, s), m, a, c, o, beta, dw, dy);
                b.combine_gradient(order(p, s), m, a, c, o, T(1), dw, nullptr);
              },
              target(n * k, beta), unset<T>(n * k * m), w, y, g, position, source);
        }
      }
      run(
          "gather_columns", [&](auto& b, T* o, T* x, id_type* i) { b.gather_columns(n, e, k, x, i, o); },
          unset<T>(n * k), scores, best);
      for (const double beta_ : betas) {
        const T beta = T(beta_);
        run(
            "gather_columns_gradient",
            [&](auto& b, T* dx, T* g, id_type* i) { b.gather_columns_gradient(n, e, k, g, i, beta, dx); },
            target(n * e, beta), draw<T>(n * k, "g"), best);
      }
    }
}

TEMPLATE_TEST_CASE("cuda: top_k orders NaN, infinities and ties as the CPU does", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  const T values[] = {std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::infinity(), 0, 1,
                      std::numeric_limits<T>::infinity()};
  for (const std::size_t e : {1, 3, 8, 40}) {
    const std::size_t n = 300;
    std::vector<T> x(n * e);
    const auto which = draw_ids(n * e, 5, "which");
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = values[which[i]];
    for (const std::size_t k : {std::size_t(1), (e + 1) / 2, e})
      run(
          "top_k", [&](auto& b, id_type* id, T* in) { b.top_k(n, e, k, in, id); },
          std::vector<id_type>(n * k), x);
  }
}

TEMPLATE_TEST_CASE("cuda: cross-entropy equals the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  for (const std::size_t n : {1, 31, 33, 1003})
    for (const std::size_t c : {1, 10, 33}) {
      INFO(n << " x " << c);
      const auto x = draw<T>(n * c, "x", 4);
      const auto label = draw_ids(n, c);
      run(
          "cross_entropy",
          [&](auto& b, T* loss, T* g, T* in, id_type* l) { b.cross_entropy(n, c, in, l, loss, g); },
          unset<T>(1), unset<T>(n * c), x, label);
      run(
          "cross_entropy, loss only",
          [&](auto& b, T* loss, T* in, id_type* l) { b.cross_entropy(n, c, in, l, loss, nullptr); },
          unset<T>(1), x, label);
    }
}

TEMPLATE_TEST_CASE("cuda: optimiser steps equal the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  const std::size_t a = 9000, c = 33;  // several blocks; an empty tensor between; another step count and rate
  auto v = draw<T>(a + c, "v");
  for (T& x : v) x *= x;
  const auto w = draw<T>(a + c, "w"), m = draw<T>(a + c, "m"), g = draw<T>(a + c, "g");
  const auto tensors = [&](T* pw, T* pm, T* pv, T* pg) {
    std::vector<update_task<T>> list(3);
    list[0] = {a, pw, pg, pm, pv, 3, 0.25};
    list[2] = {c, pw + a, pg + a, pm ? pm + a : nullptr, pv ? pv + a : nullptr, 1};
    return list;
  };
  run(
      "adamw",
      [&](auto& b, T* pw, T* pm, T* pv, T* pg) {
        b.update(adamw_step{0.1, 0.9, 0.99, 1e-3, 0.2, 0.5}, tensors(pw, pm, pv, pg));
      },
      w, m, v, g);
  run(
      "sgd with momentum",
      [&](auto& b, T* pw, T* pm, T* pg) {
        b.update(sgd_step{0.1, 0.9, 0.2, 0.5}, tensors(pw, pm, nullptr, pg));
      },
      w, m, g);
  run(
      "sgd",
      [&](auto& b, T* pw, T* pg) {
        b.update(sgd_step{0.1, 0.9, 0.2, 0.5}, tensors(pw, nullptr, nullptr, pg));
      },
      w, g);
  run("nothing", [&](auto& b, T*) { b.update(sgd_step{0.1, 0.9, 0.2, 0.5}, {}); }, w);
}

namespace {

/// One product of a list: what it reads and where it writes.
struct product_case {
  std::size_t m, n, k;
  bool a_turned = false, b_turned = false, bias = false, pre = false, gate = false;
  activation act = activation::none;
  double beta = 0;
};

template <class T>
void compare_products(both<T>& run, const std::vector<product_case>& list) {
  std::size_t as = 0, bs = 0, cs = 0, biases = 0;
  for (const auto& p : list) as += p.m * p.k, bs += p.k * p.n, cs += p.m * (p.n + 2), biases += p.n;
  const auto c0 = draw<T>(cs, "c"), gates = draw<T>(cs, "gate");
  run(
      "gemm",
      [&](auto& b, T* c, T* pre, T* x, T* y, T* bias, T* gate) {
        std::vector<gemm_task<T>> tasks;
        std::vector<std::vector<T>> packed;
        for (const auto& p : list) {
          gemm_task<T> t;
          t.m = p.m, t.n = p.n, t.k = p.k;
          t.a = p.a_turned ? matrix_view<T>::transposed(x, p.m) : matrix_view<T>::plain(x, p.k);
          t.b = p.b_turned ? matrix_view<T>::transposed(y, p.k) : matrix_view<T>::plain(y, p.n);
          t.beta = T(p.beta), t.c = c, t.ldc = p.n + 2, t.act = p.act;
          if (p.bias) t.bias = bias;
          if (p.pre) t.pre = pre;
          if (p.gate) t.gate = gate;
          if (const std::size_t size = b.packed_size(t.k, t.n)) {
            packed.emplace_back(size + 16);
            auto* at = packed.back().data();
            while (reinterpret_cast<std::uintptr_t>(at) % 64) ++at;
            const pack_task<T> one{t.k, t.n, t.b, at};
            b.pack(std::span(&one, 1));
            t.packed_b = at;
          }
          tasks.push_back(t);
          x += p.m * p.k, y += p.k * p.n, c += p.m * (p.n + 2), pre += p.m * (p.n + 2), bias += p.n;
          gate += p.m * (p.n + 2);
        }
        b.gemm(std::span<const gemm_task<T>>(tasks));
      },
      c0, draw<T>(cs, "pre"), draw<T>(as, "a"), draw<T>(bs, "b"), draw<T>(biases, "bias"), gates);
}

}  // namespace

TEMPLATE_TEST_CASE("cuda: products equal the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  run.tolerance *= 5;
  for (const std::size_t m : {0, 1, 33})
    for (const std::size_t n : {1, 31, 70})
      for (const std::size_t k : {0, 1, 32, 130})
        for (const bool a : {false, true})
          for (const bool b : {false, true}) {
            INFO(m << " x " << n << " x " << k << ", turned " << a << b);
            compare_products<T>(run, {{m, n, k, a, b}});
            compare_products<T>(run, {{m, n, k, a, b, true, true, false, activation::gelu, 0.5}});
            compare_products<T>(run, {{m, n, k, a, b, false, false, true, activation::none, 1}});
          }
}

TEMPLATE_TEST_CASE("cuda: lists of products equal the CPU's on either engine", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  run.tolerance *= 5;
  std::vector<product_case> list;
  const std::size_t rows[] = {5, 0, 33, 1, 300, 0, 17};  // tokens of experts, some without any
  for (std::size_t i = 0; i < 7; ++i) {
    const bool odd = i % 2 != 0;
    list.push_back({rows[i], 24, 20, false, odd, true, odd, i == 2, odd ? activation::silu : activation::relu,
                    0.5 * double(i % 3)});
    list.push_back({20, 24, rows[i], true, false, false, false, false, activation::none, double(odd)});
  }
  for (const auto engine : {product_engine::automatic, product_engine::streams, product_engine::grouped}) {
    INFO(int(engine));
    run.gpu.set_product_engine(engine);
    compare_products<T>(run, list);
    compare_products<T>(run, {list[0]});
    compare_products<T>(run, {list[2], list[2]});
    compare_products<T>(run, {});
  }
}

TEMPLATE_TEST_CASE("cuda: convolutions and pooling equal the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  run.tolerance *= 10;
  const conv_task list[] = {// n, h, w, cin, cout, kernel, pad, pool, relu
                            {3, 8, 8, 2, 5, 3, 1, 2, true},    {2, 7, 9, 1, 3, 3, 0, 1, false},
                            {5, 6, 5, 3, 4, 2, 1, 3, true},    {1, 3, 3, 1, 1, 3, 0, 1, true},
                            {4, 5, 5, 2, 3, 1, 0, 2, false},   {0, 8, 8, 2, 5, 3, 1, 2, true},
                            {40, 10, 10, 2, 3, 3, 1, 2, true}, {2, 4, 4, 33, 34, 3, 2, 1, true}};
  for (const conv_task& t : list) {
    INFO(t.n << " x " << t.h << " x " << t.w << " x " << t.cin << " -> " << t.cout << ", kernel " << t.kernel
             << ", pad " << t.pad << ", pool " << t.pool);
    const auto x = draw<T>(t.n * t.h * t.w * t.cin, "x"),
               w = draw<T>(t.kernel * t.kernel * t.cin * t.cout, "w"), bias = draw<T>(t.cout, "bias");
    const std::size_t outputs = t.n * t.out_h() * t.out_w() * t.cout;
    const auto workspace = [&](auto& b, bool backward, auto f) {
      const std::size_t bytes = b.conv_workspace(t, backward) * sizeof(T);
      auto* p = static_cast<T*>(b.allocate(bytes));
      f(p);
      b.deallocate(p, bytes);
    };
    std::vector<unsigned char> winners(outputs, 99);
    std::vector<T> y = unset<T>(outputs);
    const auto forward = [&](auto& b, T* out, unsigned char* argmax, T* in, T* weights, T* own_bias) {
      workspace(b, false,
                [&](T* p) { b.conv2d(t, in, weights, own_bias, out, t.pool > 1 ? argmax : nullptr, p); });
    };
    run("conv2d", forward, y, winners, x, w, bias);
    forward(run.cpu, y.data(), winners.data(), const_cast<T*>(x.data()), const_cast<T*>(w.data()),
            const_cast<T*>(bias.data()));
    const auto dy = draw<T>(outputs, "dy");
    for (const double beta_ : betas) {
      const T beta = T(beta_);
      run(
          "conv2d_gradient",
          [&](auto& b, T* dx, T* dw, T* db, T* in, T* weights, T* out, unsigned char* argmax, T* g) {
            workspace(b, true, [&](T* p) {
              b.conv2d_gradient(t, in, weights, out, t.pool > 1 ? argmax : nullptr, g, beta, dx, beta, dw,
                                beta, db, p);
            });
          },
          target(x.size(), beta), target(w.size(), beta), target(bias.size(), beta), x, w, y, winners, dy);
    }
    const conv_task pool{t.n, t.h, t.w, t.cin, t.cin, 1, 0, t.pool, false};
    const std::size_t pooled = t.n * pool.out_h() * pool.out_w() * t.cin;
    auto ties = x;
    for (T& v : ties) v = std::round(v);
    if (ties.size() > 20) ties[7] = std::numeric_limits<T>::quiet_NaN();
    std::vector<unsigned char> places(pooled, 99);
    run(
        "max_pool", [&](auto& b, T* out, unsigned char* argmax, T* in) { b.max_pool(pool, in, out, argmax); },
        unset<T>(pooled), places, ties);
    std::vector<T> out(pooled);
    run.cpu.max_pool(pool, ties.data(), out.data(), places.data());
    for (const double beta_ : betas) {
      const T beta = T(beta_);
      run(
          "max_pool_gradient",
          [&](auto& b, T* dx, unsigned char* argmax, T* g) {
            b.max_pool_gradient(pool, argmax, g, beta, dx);
          },
          target(x.size(), beta), places, draw<T>(pooled, "g"));
    }
  }
}

TEST_CASE("cuda: ids and labels out of range are reported by the next download, as the CPU says it",
          "[parity]") {
  MODX_NEEDS_DEVICE();
  both<float> run;
  const auto x = draw<float>(12 * 5, "x");
  const auto says = [&](auto f) {
    std::string out[2];
    const auto on = [&](auto& b, std::string& text) {
      using B = std::remove_reference_t<decltype(b)>;
      buffer<B, float> in(b, x), to(b, x);
      text = support::message([&] {
        f(b, in.data(), to.data());
        float value;
        b.download(&value, to.data(), sizeof value);
      });
    };
    on(run.cpu, out[0]), on(run.gpu, out[1]);
    CHECK(!out[0].empty());
    CHECK(out[0] == out[1]);
    float value;
    buffer<basic_cuda<float>, float> to(run.gpu, x);
    CHECK(support::message([&] { run.gpu.download(&value, to.data(), sizeof value); }).empty());  // said once
  };
  std::vector<id_type> bad = draw_ids(12, 4);
  bad[5] = 4, bad[7] = -1;
  const auto with_ids = [&](auto& b, auto f) {
    using B = std::remove_reference_t<decltype(b)>;
    buffer<B, id_type> id(b, bad);
    f(id.data());
  };
  says([&](auto& b, float* in, float* out) {
    with_ids(b, [&](id_type* id) { b.pick(12, 4, 1, id, in, out); });
  });
  says([&](auto& b, float* in, float* out) {
    with_ids(b, [&](id_type* id) { b.gather_rows(12, 4, 5, in, id, out); });
  });
  says([&](auto& b, float* in, float* out) {
    with_ids(b, [&](id_type* id) { b.gather_columns(12, 4, 1, in, id, out); });
  });
  says([&](auto& b, float* in, float* out) {
    with_ids(b, [&](id_type* id) { b.cross_entropy(12, 4, in, id, out, nullptr); });
  });
  says([&](auto& b, float*, float*) {
    using B = std::remove_reference_t<decltype(b)>;
    buffer<B, id_type> position(b, bad), source(b, bad);
    id_type offsets[5];
    with_ids(b, [&](id_type* id) { b.permute(12, 4, 1, id, offsets, position.data(), source.data()); });
  });
  std::vector<id_type> good = draw_ids(12, 4);  // more operations than there are slots for reports
  buffer<basic_cuda<float>, id_type> id(run.gpu, good);
  buffer<basic_cuda<float>, float> in(run.gpu, x), out(run.gpu, x);
  for (int i = 0; i < 600; ++i) run.gpu.pick(12, 4, 1, id.data(), in.data(), out.data());
  CHECK(support::message([&] { run.gpu.synchronize(); }).empty());
}

TEST_CASE("cuda: memory, draws, seeds and moves", "[parity]") {
  MODX_NEEDS_DEVICE();
  cuda b{5};
  CHECK(b.seed() == 5);
  CHECK(std::string(cuda::name()) == "cuda");
  cpu same{5, 1};
  CHECK(b.normal(30, 20, 2) == same.normal(30, 20, 2));
  CHECK(b.normal(30, 20) == same.normal(30, 20));
  for (const std::size_t n : {0, 1, 1000, 300000}) {  // through pinned memory and past it
    const auto x = draw<float>(n, "x");
    buffer<cuda, float> there(b, x);
    CHECK(there.host() == x);
  }
  cuda moved = std::move(b);
  CHECK(moved.seed() == 5);
  buffer<cuda, float> there(moved, {1, 2, 3});
  CHECK(there.host() == std::vector<float>{1, 2, 3});
  CHECK(support::contains(support::message([] { cuda(1, 4711); }),
                          "cuda, number of the device: expected 0 <= device < "));
  CHECK(support::contains(support::message([] { cuda(1, -1); }), "found -1"));
}

TEMPLATE_TEST_CASE("cuda: norms equal the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  run.tolerance *= 20;
  for (const std::size_t n : sizes)
    for (const std::size_t d : {1, 17, 64})
      for (const std::size_t groups : {1, 3})
        for (const bool shared_x : {false, true})
          for (const bool own_gain : {false, true}) {
            if (n > 1000 && (d > 20 || shared_x)) continue;
            INFO(n << " x " << groups << " x " << d << (shared_x ? ", one x" : "")
                   << (own_gain ? ", own gains" : ""));
            norm_task task;
            task.n = n, task.groups = groups, task.d = d;
            task.x_row = shared_x ? d + 2 : groups * d + 1, task.x_group = shared_x ? 0 : d;
            task.y_row = groups * d, task.y_group = d, task.gain_group = own_gain ? d : 0;
            task.centred = n % 2, task.eps = 1e-5;
            if (shared_x && !own_gain) continue;
            const std::size_t width = own_gain ? groups * d : d, size = n * groups * d;
            const auto x = draw<T>(n * task.x_row, "x"), gain = draw<T>(width, "gain"),
                       bias = draw<T>(width, "bias");
            const auto dy = draw<T>(size, "dy");
            run(
                "normalize", [&](auto& b, T* y, T* in, T* g, T* c) { b.normalize(task, in, g, c, y); },
                unset<T>(size), x, gain, bias);
            run(
                "normalize without gain",
                [&](auto& b, T* y, T* in) { b.normalize(task, in, nullptr, nullptr, y); }, unset<T>(size), x);
            for (const double beta_ : betas) {
              const T beta = T(beta_);
              auto dx = target(n * task.x_row, beta);
              if (beta == T(0)) dx = draw<T>(dx.size(), "between the rows");
              run(
                  "normalize_gradient",
                  [&](auto& b, T* out, T* dg, T* db, T* in, T* g, T* slope) {
                    void* space = b.allocate(b.normalize_workspace(task) * sizeof(T) + 1);
                    b.normalize_gradient(task, in, g, slope, beta, out, beta, dg, beta, db,
                                         static_cast<T*>(space));
                    b.deallocate(space, b.normalize_workspace(task) * sizeof(T) + 1);
                  },
                  dx, target(width, beta), target(width, beta), x, gain, dy);
            }
          }
}

TEMPLATE_TEST_CASE("cuda: attention equals the CPU's", "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  run.tolerance *= 50;
  struct shape_case {
    std::size_t heads, kv_heads, head_dim, groups;
    std::vector<id_type> lengths, keys;
  };
  const shape_case list[] = {{1, 1, 1, 1, {1}, {1}},
                             {2, 1, 5, 2, {3, 0, 33, 1}, {3, 0, 33, 1}},
                             {4, 2, 40, 1, {31, 70}, {31, 70}},
                             {2, 2, 8, 1, {1, 2, 3}, {65, 2, 0}},
                             {1, 1, 33, 3, {32}, {32}},
                             {3, 1, 4, 1, {0}, {5}}};
  for (const auto& c : list)
    for (const bool causal : {true, false}) {
      attention_task task;
      task.heads = c.heads, task.kv_heads = c.kv_heads, task.head_dim = c.head_dim, task.groups = c.groups;
      task.q_group = c.heads * c.head_dim, task.q_row = c.groups * task.q_group + 1;
      task.kv_group = c.kv_heads * c.head_dim, task.kv_row = c.groups * task.kv_group;
      task.out_group = task.q_group, task.out_row = c.groups * task.out_group;
      task.causal = causal, task.scale = 0.3;
      const auto offsets = [](const std::vector<id_type>& lengths, sequences& s) {
        std::vector<id_type> at{0};
        for (const id_type l : lengths)
          at.push_back(at.back() + l), s.longest = std::max(s.longest, std::size_t(l));
        s.count = lengths.size(), s.tokens = std::size_t(at.back());
        return at;
      };
      const auto q_at = offsets(c.lengths, task.q), kv_at = offsets(c.keys, task.kv);
      const std::size_t n = task.q.tokens, keys = task.kv.tokens, out = n * task.out_row;
      INFO(n << " queries, " << keys << " keys, " << c.heads << " heads of " << c.head_dim << ", causal "
             << causal);
      const auto q = draw<T>(n * task.q_row, "q"), k = draw<T>(keys * task.kv_row, "k"),
                 v = draw<T>(keys * task.kv_row, "v");
      const auto dy = draw<T>(out, "dy");
      const auto on = [&](id_type* a, id_type* b) {
        auto t = task;
        t.q.offsets = a, t.kv.offsets = b;
        return t;
      };
      std::vector<T> y(out), log_sum(n * c.groups * c.heads);
      auto first = q_at, second = kv_at;
      run.cpu.attention(on(first.data(), second.data()), q.data(), k.data(), v.data(), y.data(),
                        log_sum.data());
      run(
          "attention",
          [&](auto& b, T* o, T* l, T* a, T* d, T* e, id_type* f, id_type* g) {
            b.attention(on(f, g), a, d, e, o, l);
          },
          unset<T>(out), unset<T>(log_sum.size()), q, k, v, q_at, kv_at);
      auto dq = draw<T>(q.size(), "between the rows");
      run(
          "attention_gradient",
          [&](auto& b, T* x, T* d, T* e, T* a, T* f, T* g, T* o, T* l, T* s, id_type* h, id_type* i) {
            b.attention_gradient(on(h, i), a, f, g, o, l, s, x, d, e);
          },
          dq, unset<T>(k.size()), unset<T>(v.size()), q, k, v, y, log_sum, dy, q_at, kv_at);
    }
}

TEMPLATE_TEST_CASE("cuda: gates, rotary positions, embeddings and means of sequences equal the CPU's",
                   "[parity]", float, double) {
  MODX_NEEDS_DEVICE();
  using T = TestType;
  both<T> run;
  run.tolerance *= 20;
  for (const std::size_t n : sizes)
    for (const std::size_t f : {1, 33}) {
      INFO(n << " x " << f);
      const auto x = draw<T>(n * 2 * f, "x"), dy = draw<T>(n * f, "dy");
      const auto id = draw_ids(n, 40);
      for (const auto act :
           {activation::none, activation::relu, activation::gelu, activation::silu, activation::tanh}) {
        run("gate", [&](auto& b, T* y, T* a) { b.gate(act, n, f, a, y); }, unset<T>(n * f), x);
        for (const double beta_ : betas)
          run(
              "gate_gradient",
              [&](auto& b, T* dx, T* a, T* g) { b.gate_gradient(act, n, f, a, g, T(beta_), dx); },
              target(n * 2 * f, T(beta_)), x, dy);
      }
      auto numbers = draw<T>(n, "numbers", 100);
      for (std::size_t i = 0; i < n; i += 2) numbers[i] = std::round(numbers[i]);
      if (n > 3)
        numbers[1] = std::numeric_limits<T>::quiet_NaN(), numbers[2] = T(2147483648.0),
        numbers[0] = T(16777215);
      run(
          "ids_of", [&](auto& b, id_type* i, T* a) { b.ids_of(n, a, i); }, std::vector<id_type>(n, 7),
          numbers);
      for (const double beta_ : betas)
        run(
            "scatter_rows",
            [&](auto& b, T* dx, T* g, id_type* i) { b.scatter_rows(n, 40, f, g, i, T(beta_), dx); },
            target(40 * f, T(beta_)), dy, id);
      for (const bool inverse : {false, true}) {
        rotary_task task;
        task.n = n, task.groups = 2, task.heads = 3, task.head_dim = 4, task.row = 31, task.group = 15;
        task.inverse = inverse, task.base = 50;
        run(
            "rotate",
            [&](auto& b, T* a, id_type* place) {
              auto own = task;
              own.position = place;
              b.rotate(own, a);
            },
            draw<T>(n * 31, "heads"), id);
      }
    }
  const std::vector<id_type> at{0, 3, 3, 40, 41};
  sequences s;
  s.count = 4, s.tokens = 41, s.longest = 37;
  const auto rows = draw<T>(41 * 5, "rows"), g = draw<T>(4 * 5, "g");
  const auto on = [&](id_type* offsets) {
    auto own = s;
    own.offsets = offsets;
    return own;
  };
  std::vector<id_type> places(13);
  for (std::size_t i = 0; i < 13; ++i) places[i] = id_type((i * 3 + 2) % 40);
  run(
      "put_rows", [&](auto& b, T* y, T* x, id_type* i) { b.put_rows(13, 40, 5, x, i, y); }, draw<T>(200, "before"),
      draw<T>(65, "new"), places);
  run(
      "sequence_means", [&](auto& b, T* y, T* a, id_type* o) { b.sequence_means(on(o), 5, a, y); },
      unset<T>(20), rows, at);
  for (const double beta_ : betas)
    run(
        "sequence_means_gradient",
        [&](auto& b, T* dx, T* a, id_type* o) { b.sequence_means_gradient(on(o), 5, a, T(beta_), dx); },
        target(41 * 5, T(beta_)), g, at);
}
