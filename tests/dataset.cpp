// device_matrix, dataset and map_rows: rows, domains, features under a prefix, whatever the batch.
#include <utility>

#include <modx/dataset.hpp>
#include <modx/module/linear.hpp>

#include "catch.hpp"
#include "support.hpp"

using namespace modx;
using support::contains;
using support::cpu64;
using support::message;

namespace {
matrix<double> numbers(std::size_t rows, std::size_t cols) {
  matrix<double> m(rows, cols);
  for (std::size_t i = 0; i < m.data.size(); ++i) m.data[i] = double(i);
  return m;
}
}  // namespace

TEST_CASE("a device_matrix holds its rows, moves, and checks its width") {
  cpu64 backend(1, 1);
  device_matrix<cpu64> a(backend, numbers(3, 4), {2, 2, 1});
  CHECK(a.rows() == 3);
  CHECK(a.columns() == extent{2, 2, 1});
  CHECK(a.bytes() == 12 * sizeof(double));
  auto b = std::move(a);
  CHECK(b.data()[11] == 11);
  device_matrix<cpu64> c(backend, 1, 4);
  c = std::move(b);
  CHECK(c.rows() == 3);
  CHECK(c.data()[5] == 5);
  CHECK(contains(message([&] { device_matrix<cpu64>(backend, numbers(3, 4), 5); }), "device_matrix: expected 5 columns, found 4"));
  CHECK(contains(message([&] { device_matrix<cpu64>(backend, std::size_t(1) << 40, std::size_t(1) << 20); }), "a size below 2^48"));
}

TEST_CASE("a batch is the rows asked for, in that order, with their domains in the context") {
  cpu64 backend(1, 1);
  const dataset<cpu64> data{{backend, numbers(5, 2), 2}, {0, 1, 0, 1, 0}, {4, 3, 2, 1, 0}};
  tape<cpu64> t(backend);
  const std::vector<std::int32_t> id{3, 0, 3};
  const auto x = data.batch(t, id).host();
  CHECK(x == support::rows({{6, 7}, {0, 1}, {6, 7}}));
  REQUIRE(t.context.domain_count == 3);
  CHECK(t.context.domain[0] == 1);
  CHECK(t.context.domain[1] == 4);
  CHECK(t.context.domain[2] == 1);
  t.reset();
  CHECK(data.batch(t, std::vector<std::int32_t>{}).rows() == 0);

  const dataset<cpu64> plain{{backend, numbers(5, 2), 2}, {}, {}};
  t.reset();
  plain.batch(t, id);
  CHECK(t.context.domain_count == 0);
  CHECK(all_rows(3) == std::vector<std::int32_t>{0, 1, 2});
  CHECK(all_rows(0).empty());
}

TEST_CASE("rows that aren't there are refused") {
  cpu64 backend(1, 1);
  const dataset<cpu64> data{{backend, numbers(5, 2), 2}, {}, {}};
  tape<cpu64> t(backend);
  for (const std::int32_t id : {-1, 5, 1 << 30}) {
    t.reset();
    CHECK(contains(message([&] { data.batch(t, std::vector<std::int32_t>{0, id}); }), std::to_string(id)));
  }
}

TEST_CASE("map_rows gives the same bits for every batch size and number of threads") {
  for (const int threads : {1, 2, 3}) {
    cpu backend(2, threads);
    auto model = build(backend, module::linear{.act = activation::relu}, {.in = 9, .out = 5});
    const dataset<cpu> data{{backend, backend.normal(300, 9), 9}, {}, {}};
    const auto whole = [](const auto& net, auto x) { return net.forward(x); };
    const auto one = map_rows(model, data, 5, whole);
    CHECK(one.rows() == 300);
    for (const std::size_t batch : {1, 7, 64, 299, 300, 1000}) {
      CAPTURE(threads, batch);
      const auto other = map_rows(model, data, 5, whole, batch);
      CHECK(std::equal(one.data(), one.data() + 1500, other.data()));
    }
    CHECK(model.tape_of_step().recording());
    CHECK(contains(message([&] { map_rows(model, data, 6, whole); }), "map_rows: expected 6 columns, found 5"));
  }
}
