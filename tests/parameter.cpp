// Parameters and their builder: starts, sizes, writing, packed forms, patterns of names.
#include <modx/ops/linear.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using namespace modx;

TEST_CASE("parameters start as their init says") {
  cpu64 backend{1, 1};
  parameter_list<cpu64> list;
  builder<cpu64> b(backend, list, 3, "net");
  CHECK(b.make("zero", 2, 2, init::zeros()).host() == rows({{0, 0}, {0, 0}}));
  CHECK(b.make("half", 1, 2, init::constant(0.5)).host() == rows({{0.5, 0.5}}));
  const auto statistics = [&](const char* name, init how) {
    double sum = 0, squares = 0, largest = 0;
    for (const double v : b.make(name, 100, 100, how).host().data)
      sum += v, squares += v * v, largest = std::fmax(largest, std::fabs(v));
    return std::array{sum / 1e4, squares / 1e4, largest};
  };
  const auto uniform = statistics("uniform", init::uniform(3)), normal = statistics("normal", init::normal(2));
  CHECK(std::fabs(uniform[0]) < 0.1);
  CHECK(std::fabs(uniform[1] - 3) < 0.1);
  CHECK(uniform[2] <= 3);
  CHECK(std::fabs(normal[0]) < 0.1);
  CHECK(std::fabs(normal[1] - 4) < 0.2);
  CHECK(init::fan_in(16).scale == 0.25);
  CHECK(init::fan_in(0).scale == 1);
  CHECK(list[0]->name() == "net.zero");
  CHECK(b.scope("layer").scope(2).make("w", 1, 1, init::zeros()).name() == "net.layer.2.w");
}

TEST_CASE("parameters are written and read whole") {
  cpu64 backend{1, 1};
  parameter<cpu64> p(backend, "p", 2, 3);
  p.set(rows({{1, 2, 3}, {4, 5, 6}}));
  CHECK(p.host() == rows({{1, 2, 3}, {4, 5, 6}}));
  const std::vector<double> flat = {6, 5, 4, 3, 2, 1};
  p.set(flat);
  CHECK(p.host() == rows({{6, 5, 4}, {3, 2, 1}}));
  CHECK(contains(message([&] { p.set(std::vector<double>(5)); }), "parameter 'p': expected 6 values, found 5"));
  CHECK(contains(message([&] { p.set(matrix<double>(3, 2)); }), "parameter 'p': expected 2 x 3, found 3 x 2"));
  CHECK(p.host() == rows({{6, 5, 4}, {3, 2, 1}}));
  CHECK(p.size() == 6);
  CHECK(&p.backend() == &backend);
}

TEST_CASE("a packed form follows its value") {
  cpu64 backend{1, 1};
  parameter<cpu64> p(backend, "p", 20, 30);
  std::vector<double> values(600);
  for (std::size_t i = 0; i < 600; ++i) values[i] = double(i % 17);
  p.set(values);
  tape<cpu64> t(backend);
  const auto check = [&] {
    t.reset();
    const auto x = t.input(std::vector<double>(40, 1.0), 2, 20, true);
    const auto y = ops::linear(x, p, nullptr);
    const auto w = p.host();
    for (std::size_t j = 0; j < 30; ++j) {
      double sum = 0;
      for (std::size_t i = 0; i < 20; ++i) sum += w(i, j);
      CHECK(near(y.data()[j], sum));
    }
    t.backward(ops::sum(y));  // reads the transposed packed form
    for (std::size_t i = 0; i < 20; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < 30; ++j) sum += w(i, j);
      CHECK(near(x.gradient()[i], sum));
    }
  };
  check();
  p.mutable_value()[7] = 100;
  check();
  values[0] = -50;
  p.set(values);
  check();
  if (backend.packed_size(20, 30)) {
    pack_task<double> again;
    CHECK(p.packed(false, false, again) != nullptr);
    CHECK(again.out == nullptr);  // not packed again
    int stale = 0;
    p.each_stale([&](const auto&) { ++stale; });
    CHECK(stale == 0);
    p.mutable_value();
    p.each_stale([&](const auto& task) {
      ++stale;
      backend.pack(std::span(&task, 1));
    });
    CHECK(stale == 2);  // as x W and as x W^T
    check();
  }
}

TEST_CASE("moments are zero at first and can be forgotten") {
  cpu64 backend{1, 1};
  parameter<cpu64> p(backend, "p", 1, 3);
  CHECK_FALSE(p.has_moment(0));
  p.moment(0)[1] = 5;
  CHECK(p.moment(0)[0] == 0);
  CHECK(p.has_moment(0));
  CHECK_FALSE(p.has_moment(1));
  p.updates = 4;
  p.forget_moments();
  CHECK_FALSE(p.has_moment(0));
  CHECK(p.updates == 0);
  CHECK(p.moment(0)[1] == 0);
}

TEST_CASE("patterns of names") {
  CHECK(matches("*", ""));
  CHECK(matches("*", "experts.0.up.weight"));
  CHECK(matches("experts.*", "experts.0.up.weight"));
  CHECK(matches("*.weight", "experts.0.up.weight"));
  CHECK(matches("experts.*.weight", "experts.0.up.weight"));
  CHECK(matches("*.0.*", "experts.0.up.weight"));
  CHECK(matches("a*b*c", "aXbYbZc"));
  CHECK(matches("**a**", "a"));
  CHECK(matches("bias", "bias"));
  CHECK_FALSE(matches("bias", "bias2"));
  CHECK_FALSE(matches("experts.1.*", "experts.10.up"));
  CHECK_FALSE(matches("experts.*.bias", "experts.0.up.weight"));
  CHECK_FALSE(matches("", "a"));
  CHECK(matches("", ""));
  CHECK_FALSE(matches("a*b*c", "aXbYbZ"));
}

TEST_CASE("a builder refuses empty and enormous parameters") {
  cpu64 backend{1, 1};
  parameter_list<cpu64> list;
  builder<cpu64> b(backend, list, 1, "net");
  CHECK(contains(message([&] { b.make("w", 0, 3, init::zeros()); }),
                 "parameter 'net.w': expected at least one row and column, found 0 x 3"));
  CHECK(contains(message([&] { b.make("w", 3, 0, init::zeros()); }), "found 3 x 0"));
  CHECK(contains(message([&] { b.make("w", std::size_t(1) << 33, std::size_t(1) << 33, init::zeros()); }),
                 "net.w: expected a size below 2^48"));
  CHECK(list.empty());
}
