// Every operation of modx::ops against operands that don't fit, are empty, too large, not numbers, or the same one.
#include <cctype>
#include <filesystem>
#include <fstream>
#include <limits>
#include <modx/ops.hpp>

#include "misuse.hpp"
#include "ops/check.hpp"

using namespace support;
using misuse::table;
namespace ops = modx::ops;
using var = modx::var<cpu64>;
using ids = std::vector<std::int32_t>;
using modx::matrix;

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t huge = std::size_t(1) << 46;  // rows of one double: half a petabyte
constexpr const char* no_memory = "bytes of memory, found less";

cpu64 backend{1, 2};
modx::tape<cpu64> tape{backend};

var x(std::size_t rows, modx::extent columns, const char* name = "x") {
  return tape.input(modx::laws::draw(7, name, rows, columns.size()).data, rows, columns);
}
/// A tensor that is nowhere: only its shape can be looked at.
var nowhere(std::size_t rows, modx::extent columns, bool needs_gradient = false) {
  return tape.tensor(nullptr, rows, columns, needs_gradient);
}
const std::int32_t* on_tape(const ids& id) { return tape.input(modx::ids(id)); }
modx::permutation order(const ids& id, std::size_t k, std::size_t e) {
  return ops::sort_by_expert(tape, on_tape(id), id.size() / k, k, e);
}
void has_shape(var y, std::size_t rows, std::size_t cols) {
  CHECK(y.rows() == rows);
  CHECK(y.cols() == cols);
  CHECK(y.host().data.size() == rows * cols);
}
bool is_nan(double v) { return v != v; }

using one = std::function<var(var)>;
/// f(x) with row 1 of x not a number: that row of the result isn't either, the others keep their bits.
void nan_stays_in_its_row(const one& f, std::size_t rows, modx::extent columns, std::size_t copies = 1) {
  auto m = modx::laws::draw(7, "x", rows, columns.size());
  const auto clean = f(tape.input(m.data, rows, columns)).host();
  for (double& v : m.row(1)) v = nan;
  const auto y = f(tape.input(m.data, rows, columns)).host();
  REQUIRE(y.rows == rows * copies);
  for (std::size_t i = 0; i < y.rows; ++i)
    for (std::size_t j = 0; j < y.cols; ++j)
      if (i % rows == 1) {
        CHECK(is_nan(y(i, j)));
      } else {
        CHECK(y(i, j) == clean(i, j));
      }
}
/// A sum over rows is not a number when a row isn't.
void nan_reaches_everything(const one& f, std::size_t rows, std::size_t cols) {
  auto m = modx::laws::draw(7, "x", rows, cols);
  for (double& v : m.row(1)) v = nan;
  for (const double v : f(tape.input(m)).host().data) CHECK(is_nan(v));
}
/// The gradient of an operation that reads the same tensor more than once is true.
void true_gradient(const char* name, const one& f, modx::shape s) {
  check_gradients({name, [&](auto&, inputs in) { return f(in[0]); }}, {s}, true);
}

/// y = f(x) of any shape, element by element or view: all shapes are fine.
void any_shape(table& t, const char* name, const one& f, bool view = false) {
  const std::string op = name;
  t.push_back({op, "a column more", [f] { has_shape(f(x(3, 5)), 3, 5); }, ""});
  t.push_back({op, "a column less", [f] { has_shape(f(x(3, 3)), 3, 3); }, ""});
  t.push_back({op, "no rows", [f] { has_shape(f(x(0, 4)), 0, 4); }, ""});
  t.push_back({op, "no columns", [f] { has_shape(f(x(3, 0)), 3, 0); }, ""});
  t.push_back({op, "huge", [f] { f(nowhere(huge, 1)); }, view ? "" : no_memory});
  t.push_back({op, "NaN row", [f] { nan_stays_in_its_row(f, 3, 4); }, ""});
  t.push_back({op, "aliased", [f, name] { true_gradient(name, [f](var v) { return v + f(v); }, {2, 3}); }, ""});
  t.push_back({op, "empty handle", [f] { f(var{}); }, "var: expected a tensor on a tape, found an empty handle"});
}

table elementwise() {
  table t;
  any_shape(t, "affine", [](var v) { return ops::affine(v, 2, 1); });
  any_shape(t, "scale", [](var v) { return ops::scale(v, 2); });
  any_shape(t, "exp", [](var v) { return ops::exp(v); });
  any_shape(t, "log", [](var v) { return ops::log(v * v); });
  any_shape(t, "square", [](var v) { return ops::square(v); });
  any_shape(t, "sqrt", [](var v) { return ops::sqrt(v * v); });
  any_shape(t, "sigmoid", [](var v) { return ops::sigmoid(v); });
  any_shape(t, "softplus", [](var v) { return ops::softplus(v); });
  any_shape(t, "activate", [](var v) { return ops::activate(v, modx::activation::silu); });
  any_shape(t, "relu", [](var v) { return ops::relu(v); });
  any_shape(t, "gelu", [](var v) { return ops::gelu(v); });
  any_shape(t, "silu", [](var v) { return ops::silu(v); });
  any_shape(t, "tanh", [](var v) { return ops::tanh(v); });
  t.push_back({"log", "of a negative number", [] { CHECK(is_nan(ops::log(tape.constant(1, 1, -1)).item())); }, ""});
  t.push_back({"sqrt", "of a negative number", [] { CHECK(is_nan(ops::sqrt(tape.constant(1, 1, -1)).item())); }, ""});

  using two = var (*)(var, var);
  for (const auto& [name, f] : {std::pair<const char*, two>{"add", &ops::add<cpu64>}, {"subtract", &ops::subtract<cpu64>},
                                {"multiply", &ops::multiply<cpu64>}, {"divide", &ops::divide<cpu64>}}) {
    const std::string op = name, expected = op + ": expected 3 x 4, found ";
    t.push_back({op, "a row more", [f] { f(x(3, 4), x(4, 4)); }, expected + "4 x 4"});
    t.push_back({op, "a row less", [f] { f(x(3, 4), x(2, 4)); }, expected + "2 x 4"});
    t.push_back({op, "a column more", [f] { f(x(3, 4), x(3, 5)); }, expected + "3 x 5"});
    t.push_back({op, "a column less", [f] { f(x(3, 4), x(3, 3)); }, expected + "3 x 3"});
    t.push_back({op, "turned", [f] { f(x(3, 4), x(4, 3)); }, expected + "4 x 3"});
    t.push_back({op, "no rows in one", [f] { f(x(3, 4), x(0, 4)); }, expected + "0 x 4"});
    t.push_back({op, "no rows", [f] { has_shape(f(x(0, 4), x(0, 4)), 0, 4); }, ""});
    t.push_back({op, "no columns", [f] { has_shape(f(x(3, 0), x(3, 0)), 3, 0); }, ""});
    t.push_back({op, "huge", [f] { f(nowhere(huge, 1), nowhere(huge, 1)); }, no_memory});
    t.push_back({op, "NaN row", [f] { nan_stays_in_its_row([f](var v) { return f(v, x(3, 4)); }, 3, 4); }, ""});
    t.push_back({op, "aliased", [f, name] { true_gradient(name, [f](var v) { return f(v, v) * v; }, {2, 3}); }, ""});
    t.push_back({op, "empty handle", [f] { f(x(3, 4), var{}); }, "an empty handle"});
  }
  t.push_back({"add", "x + x", [] {
    const auto in = tape.input(rows({{3}}).data, 1, 1, true);
    tape.backward(in + in);
    CHECK(*in.gradient() == 2);
  }, ""});
  t.push_back({"subtract", "x - x", [] {
    const auto in = tape.input(rows({{3}}).data, 1, 1, true);
    tape.backward(in - in);
    CHECK(*in.gradient() == 0);
  }, ""});

  any_shape(t, "stop_gradient", [](var v) { return ops::stop_gradient(v); }, true);
  std::erase_if(t, [](const auto& r) { return r.operation == "stop_gradient" && r.how == "aliased"; });
  t.push_back({"stop_gradient", "aliased", [] {
    const auto in = tape.input(rows({{3}}).data, 1, 1, true);
    tape.backward(in * ops::stop_gradient(in));
    CHECK(*in.gradient() == 3);
  }, ""});
  t.push_back({"reshape", "a column more", [] { ops::reshape(x(3, 4), {1, 5, 1}); }, "reshape: expected 4 values a row, found 5"});
  t.push_back({"reshape", "a column less", [] { ops::reshape(x(3, 4), 3); }, "reshape: expected 4 values a row, found 3"});
  t.push_back({"reshape", "no rows", [] { has_shape(ops::reshape(x(0, 4), {2, 2, 1}), 0, 4); }, ""});
  t.push_back({"reshape", "no columns", [] { has_shape(ops::reshape(x(3, 0), {2, 2, 0}), 3, 0); }, ""});
  t.push_back({"reshape", "huge", [] { ops::reshape(x(3, 0), {std::size_t(1) << 32, std::size_t(1) << 32, 1}); },
               "extent: expected a size below 2^48 elements, found 4294967296x4294967296x1"});
  t.push_back({"reshape", "other height, a value more", [] { ops::reshape(x(3, 4), 5, 3); }, "reshape: expected 12 values, found 15"});
  t.push_back({"reshape", "other height, huge", [] { ops::reshape(x(3, 4), std::size_t(1) << 40, std::size_t(1) << 40); }, "reshape"});
  t.push_back({"reshape", "other height", [] {
    has_shape(ops::reshape(x(3, 4), 6, 2), 6, 2);
    true_gradient("reshape", [](var v) { return ops::reshape(ops::exp(v), 3, 2) * ops::reshape(v, 3, 2); }, {2, 3});
  }, ""});
  t.push_back({"reshape", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::reshape(v, {2, 2, 1}); }, 3, 4); }, ""});
  t.push_back({"reshape", "aliased", [] {
    true_gradient("reshape", [](var v) { return ops::reshape(v, {3, 1, 1}) * ops::exp(v); }, {2, 3});
  }, ""});
  return t;
}

table along_rows() {
  table t;
  using function = var (*)(var);
  for (const auto& [name, f] : {std::pair<const char*, function>{"softmax_rows", &ops::softmax_rows<cpu64>},
                                {"log_softmax_rows", &ops::log_softmax_rows<cpu64>},
                                {"log_sum_exp_rows", &ops::log_sum_exp_rows<cpu64>}}) {
    any_shape(t, name, f);
    std::erase_if(t, [&](const auto& r) {
      return r.operation == name && (r.how == "aliased" || r.how == "no columns" || std::string(name) == "log_sum_exp_rows") &&
             r.how != "huge" && r.how != "NaN row" && r.how != "empty handle";
    });
    t.push_back({name, "no columns", [f] { f(x(3, 0)); }, std::string(name) + ": expected columns > 0, found 0"});
    t.push_back({name, "aliased", [f, name] {
      true_gradient(name, [f](var v) { return ops::scale_rows(v, ops::sum_rows(f(v) * f(v))); }, {2, 3});
    }, ""});
  }
  for (const auto& [name, f] : {std::pair<const char*, function>{"log_sum_exp_rows", &ops::log_sum_exp_rows<cpu64>},
                                {"sum_rows", &ops::sum_rows<cpu64>}}) {
    t.push_back({name, "a column more", [f] { has_shape(f(x(3, 5)), 3, 1); }, ""});
    t.push_back({name, "a column less", [f] { has_shape(f(x(3, 3)), 3, 1); }, ""});
    t.push_back({name, "no rows", [f] { has_shape(f(x(0, 4)), 0, 1); }, ""});
  }
  t.push_back({"sum_rows", "no columns", [] { CHECK(ops::sum_rows(x(3, 0)).host() == matrix<double>(3, 1)); }, ""});
  t.push_back({"sum_rows", "huge", [] { ops::sum_rows(nowhere(huge, 1)); }, no_memory});
  t.push_back({"sum_rows", "NaN row", [] { nan_stays_in_its_row(&ops::sum_rows<cpu64>, 3, 4); }, ""});
  t.push_back({"sum_rows", "aliased", [] {
    true_gradient("sum_rows", [](var v) { return ops::sum_rows(v) * ops::sum_rows(v); }, {2, 3});
  }, ""});

  t.push_back({"scale_rows", "a row more", [] { ops::scale_rows(x(3, 4), x(4, 1)); }, "scale_rows: expected 3 x 1, found 4 x 1"});
  t.push_back({"scale_rows", "a column more", [] { ops::scale_rows(x(3, 4), x(3, 2)); }, "scale_rows: expected 3 x 1, found 3 x 2"});
  t.push_back({"scale_rows", "a column less", [] { ops::scale_rows(x(3, 4), x(3, 0)); }, "scale_rows: expected 3 x 1, found 3 x 0"});
  t.push_back({"scale_rows", "no rows", [] { has_shape(ops::scale_rows(x(0, 4), x(0, 1)), 0, 4); }, ""});
  t.push_back({"scale_rows", "no columns", [] { has_shape(ops::scale_rows(x(3, 0), x(3, 1)), 3, 0); }, ""});
  t.push_back({"scale_rows", "huge", [] { ops::scale_rows(nowhere(huge, 1), nowhere(huge, 1)); }, no_memory});
  t.push_back({"scale_rows", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::scale_rows(v, x(3, 1)); }, 3, 4); }, ""});
  t.push_back({"scale_rows", "aliased", [] { true_gradient("scale_rows", [](var v) { return ops::scale_rows(v, v); }, {3, 1}); }, ""});

  t.push_back({"normalize_rows", "a column more", [] { has_shape(ops::normalize_rows(x(3, 5)), 3, 5); }, ""});
  t.push_back({"normalize_rows", "a column less", [] { has_shape(ops::normalize_rows(x(3, 1)), 3, 1); }, ""});
  t.push_back({"normalize_rows", "no rows", [] { has_shape(ops::normalize_rows(x(0, 4)), 0, 4); }, ""});
  t.push_back({"normalize_rows", "no columns", [] { has_shape(ops::normalize_rows(x(3, 0)), 3, 0); }, ""});
  t.push_back({"normalize_rows", "a row of zeros", [] {
    for (const double v : ops::normalize_rows(tape.constant(1, 2, 0)).host().data) CHECK(is_nan(v));
  }, ""});
  t.push_back({"normalize_rows", "huge", [] { ops::normalize_rows(nowhere(huge, 1)); }, no_memory});
  t.push_back({"normalize_rows", "NaN row", [] { nan_stays_in_its_row(&ops::normalize_rows<cpu64>, 3, 4); }, ""});
  t.push_back({"normalize_rows", "aliased", [] {
    true_gradient("normalize_rows", [](var v) { return v * ops::normalize_rows(v); }, {2, 3});
  }, ""});

  t.push_back({"add_row", "a row more", [] { ops::add_row(x(3, 4), x(2, 4)); }, "add_row: expected 1 x 4, found 2 x 4"});
  t.push_back({"add_row", "a column more", [] { ops::add_row(x(3, 4), x(1, 5)); }, "add_row: expected 1 x 4, found 1 x 5"});
  t.push_back({"add_row", "a column less", [] { ops::add_row(x(3, 4), x(1, 3)); }, "add_row: expected 1 x 4, found 1 x 3"});
  t.push_back({"add_row", "no row to add", [] { ops::add_row(x(3, 4), x(0, 4)); }, "add_row: expected 1 x 4, found 0 x 4"});
  t.push_back({"add_row", "no rows", [] { has_shape(ops::add_row(x(0, 4), x(1, 4)), 0, 4); }, ""});
  t.push_back({"add_row", "no columns", [] { has_shape(ops::add_row(x(3, 0), x(1, 0)), 3, 0); }, ""});
  t.push_back({"add_row", "huge", [] { ops::add_row(nowhere(huge, 1), x(1, 1)); }, no_memory});
  t.push_back({"add_row", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::add_row(v, x(1, 4)); }, 3, 4); }, ""});
  t.push_back({"add_row", "aliased", [] { true_gradient("add_row", [](var v) { return ops::add_row(v, v) * v; }, {1, 3}); }, ""});

  t.push_back({"mean_of_rows", "a column more", [] { has_shape(ops::mean_of_rows(x(3, 5)), 1, 5); }, ""});
  t.push_back({"mean_of_rows", "a column less", [] { has_shape(ops::mean_of_rows(x(3, 3)), 1, 3); }, ""});
  t.push_back({"mean_of_rows", "no rows", [] { ops::mean_of_rows(x(0, 4)); }, "mean_of_rows: expected rows > 0, found 0"});
  t.push_back({"mean_of_rows", "no columns", [] { has_shape(ops::mean_of_rows(x(3, 0)), 1, 0); }, ""});
  t.push_back({"mean_of_rows", "huge", [] { ops::mean_of_rows(nowhere(1, huge)); }, no_memory});
  t.push_back({"mean_of_rows", "NaN row", [] { nan_reaches_everything(&ops::mean_of_rows<cpu64>, 3, 4); }, ""});
  t.push_back({"mean_of_rows", "aliased", [] {
    true_gradient("mean_of_rows", [](var v) { return ops::add_row(v, ops::mean_of_rows(v)) * v; }, {2, 3});
  }, ""});

  for (const bool mean : {false, true}) {
    const char* name = mean ? "mean" : "sum";
    const auto f = [mean](var v) { return mean ? ops::mean(v) : ops::sum(v); };
    t.push_back({name, "a column more", [f] { has_shape(f(x(3, 5)), 1, 1); }, ""});
    t.push_back({name, "a column less", [f] { has_shape(f(x(3, 3)), 1, 1); }, ""});
    for (const bool no_rows : {false, true})
      t.push_back({name, no_rows ? "no rows" : "no columns", [=] {
        const auto y = f(no_rows ? x(0, 4) : x(3, 0));
        CHECK(y.item() == 0);
      }, mean ? "mean: expected values > 0, found 0" : ""});
    t.push_back({name, "huge", [f] { f(tape.constant(huge, 1, 1)); }, no_memory});
    t.push_back({name, "NaN row", [f] { nan_reaches_everything(f, 3, 4); }, ""});
    t.push_back({name, "aliased", [f, name] { true_gradient(name, [f](var v) { return f(v) * f(v); }, {2, 3}); }, ""});
  }

  constexpr std::size_t all = ~std::size_t(0);
  t.push_back({"columns", "a column more", [] { ops::columns(x(3, 4), 1, 4); }, "columns: expected a range within 4 columns, found 1 + 4"});
  t.push_back({"columns", "a column less", [] { has_shape(ops::columns(x(3, 4), 0, 3), 3, 3); }, ""});
  t.push_back({"columns", "behind the end", [] { ops::columns(x(3, 4), 5, 0); }, "columns: expected a range within 4 columns, found 5 + 0"});
  t.push_back({"columns", "a sum that overflows", [=] { ops::columns(x(3, 4), 2, all); }, "columns: expected a range within 4 columns"});
  t.push_back({"columns", "no rows", [] { has_shape(ops::columns(x(0, 4), 1, 2), 0, 2); }, ""});
  t.push_back({"columns", "no columns", [] { has_shape(ops::columns(x(3, 4), 4, 0), 3, 0); }, ""});
  t.push_back({"columns", "huge", [] { ops::columns(nowhere(huge, 2), 0, 1); }, no_memory});
  t.push_back({"columns", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::columns(v, 1, 2); }, 3, 4); }, ""});
  t.push_back({"columns", "aliased", [] {
    true_gradient("columns", [](var v) { return ops::columns(v, 0, 2) * ops::columns(v, 1, 2); }, {2, 3});
  }, ""});
  t.push_back({"rows", "a row more", [] { ops::rows(x(3, 4), 1, 3); }, "rows: expected a range within 3 rows, found 1 + 3"});
  t.push_back({"rows", "a sum that overflows", [=] { ops::rows(x(3, 4), 2, all); }, "rows: expected a range within 3 rows"});
  t.push_back({"rows", "a column more", [] { has_shape(ops::rows(x(3, 5), 1, 2), 2, 5); }, ""});
  t.push_back({"rows", "a column less", [] { has_shape(ops::rows(x(3, 3), 1, 2), 2, 3); }, ""});
  t.push_back({"rows", "no rows", [] { has_shape(ops::rows(x(3, 4), 3, 0), 0, 4); }, ""});
  t.push_back({"rows", "no columns", [] { has_shape(ops::rows(x(3, 0), 1, 1), 1, 0); }, ""});
  t.push_back({"rows", "huge", [] { CHECK(ops::rows(nowhere(huge, 1), 1, huge - 1).rows() == huge - 1); }, ""});  // a view
  t.push_back({"rows", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::rows(v, 0, 3); }, 3, 4); }, ""});
  t.push_back({"rows", "aliased", [] {
    true_gradient("rows", [](var v) { return ops::rows(v, 0, 2) * ops::rows(v, 1, 2); }, {3, 2});
  }, ""});

  t.push_back({"take_rows", "a column more", [] { has_shape(ops::take_rows(x(3, 5), on_tape({0, 2}), 2), 2, 5); }, ""});
  t.push_back({"take_rows", "a column less", [] { has_shape(ops::take_rows(x(3, 3), on_tape({0, 2}), 2), 2, 3); }, ""});
  t.push_back({"take_rows", "no rows", [] { ops::take_rows(x(0, 4), on_tape({0}), 1); }, "take_rows, id of token 0: expected 0 <= id < 0, found 0"});
  t.push_back({"take_rows", "no ids", [] { has_shape(ops::take_rows(x(3, 4), on_tape({}), 0), 0, 4); }, ""});
  t.push_back({"take_rows", "no columns", [] { has_shape(ops::take_rows(x(3, 0), on_tape({1, 1}), 2), 2, 0); }, ""});
  t.push_back({"take_rows", "negative id", [] { ops::take_rows(x(3, 4), on_tape({0, -1}), 2); }, "take_rows, id of token 1: expected 0 <= id < 3, found -1"});
  t.push_back({"take_rows", "id too large", [] { ops::take_rows(x(3, 4), on_tape({3}), 1); }, "take_rows, id of token 0: expected 0 <= id < 3, found 3"});
  t.push_back({"take_rows", "ids that are nowhere", [] { ops::take_rows(x(3, 4), nullptr, 2); }, "take_rows: expected 2 ids, found none"});
  t.push_back({"take_rows", "huge", [] { ops::take_rows(x(3, 4), on_tape({0}), 2 * huge); }, "take_rows: expected a size below 2^48 elements, found 140737488355328 x 4"});
  t.push_back({"take_rows", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::take_rows(v, on_tape({0, 1, 2}), 3); }, 3, 4); }, ""});
  t.push_back({"take_rows", "aliased", [] { CHECK(ops::take_rows(x(3, 4), on_tape({1, 1}), 2).host().row(1)[2] == x(3, 4).host()(1, 2)); }, ""});
  return t;
}

table products() {
  table t;
  const std::string wide = "rows of the weight (the input's width), found ";
  for (const bool bias : {true, false}) {
    const std::string op = bias ? "linear" : "matmul";
    const auto f = [bias](var a, var b) { return bias ? ops::linear(a, b, x(1, b.cols())) : ops::matmul(a, b); };
    t.push_back({op, "a column more", [f] { f(x(3, 4), x(5, 2)); }, op + ": expected 4 " + wide + "5"});
    t.push_back({op, "a column less", [f] { f(x(3, 4), x(3, 2)); }, op + ": expected 4 " + wide + "3"});
    t.push_back({op, "turned", [f] { f(x(3, 4), x(2, 4)); }, op + ": expected 4 " + wide + "2"});
    t.push_back({op, "no rows", [f] { has_shape(f(x(0, 4), x(4, 2)), 0, 2); }, ""});
    t.push_back({op, "no columns", [f] { has_shape(f(x(3, 4), x(4, 0)), 3, 0); }, ""});
    t.push_back({op, "nothing to sum over", [=] {
      const auto y = f(x(3, 0), x(0, 2)).host();
      for (std::size_t i = 0; i < 3; ++i) CHECK(y(i, 1) == (bias ? x(1, 2).host()(0, 1) : 0));
    }, ""});
    t.push_back({op, "huge", [f] { f(nowhere(huge, 0), x(0, 8)); }, op + ": expected a size below 2^48 elements, found 70368744177664 x 8"});
    t.push_back({op, "more than the memory", [f] { f(nowhere(huge, 1), x(1, 1)); }, no_memory});
    t.push_back({op, "NaN row", [f] { nan_stays_in_its_row([f](var v) { return f(v, x(4, 2)); }, 3, 4); }, ""});
    t.push_back({op, "aliased", [=] { true_gradient(op.c_str(), [f](var v) { return f(v, v); }, {3, 3}); }, ""});
    t.push_back({op, "empty handle", [f] { f(x(3, 4), var{}); }, "an empty handle"});
  }
  t.push_back({"linear", "a value of the bias more", [] { ops::linear(x(3, 4), x(4, 2), x(1, 3)); }, "linear: expected 2 values of the bias, found 3"});
  t.push_back({"linear", "a value of the bias less", [] { ops::linear(x(3, 4), x(4, 2), x(1, 1)); }, "linear: expected 2 values of the bias, found 1"});
  t.push_back({"linear", "input, weight and bias the same", [] {
    true_gradient("linear", [](var v) { return ops::linear(v, v, v, modx::activation::tanh); }, {1, 1});
  }, ""});
  t.push_back({"linear", "another activation's gradient, NaN", [] {
    nan_stays_in_its_row([](var v) { return ops::linear(v, x(4, 2), x(1, 2), modx::activation::relu); }, 3, 4);
  }, ""});

  for (const bool two : {false, true}) {
    const std::string second = two ? ", second product" : "";
    const auto f = [two](var h, var v, var w) {
      return two ? ops::add_linear(h, x(3, 1), x(1, h.cols()), v, w, x(1, h.cols()), modx::activation::gelu)
                 : ops::add_linear(h, v, w, x(1, h.cols()), modx::activation::gelu);
    };
    t.push_back({"add_linear", "a column more" + second, [f] { f(x(3, 2), x(3, 4), x(5, 2)); }, "add_linear: expected 4 " + wide + "5"});
    t.push_back({"add_linear", "a column less" + second, [f] { f(x(3, 2), x(3, 4), x(3, 2)); }, "add_linear: expected 4 " + wide + "3"});
    t.push_back({"add_linear", "a row more" + second, [f] { f(x(3, 2), x(4, 4), x(4, 2)); }, "add_linear: expected 3 rows, found 4"});
    t.push_back({"add_linear", "a column of the weight more" + second, [f] { f(x(3, 2), x(3, 4), x(4, 3)); }, "add_linear: expected 2 columns of the weight, found 3"});
    t.push_back({"add_linear", "no columns" + second, [f] { has_shape(f(x(3, 0), x(3, 4), x(4, 0)), 3, 0); }, ""});
    t.push_back({"add_linear", "empty handle" + second, [f] { f(x(3, 2), x(3, 4), var{}); }, "an empty handle"});
  }
  t.push_back({"add_linear", "a value of the bias more", [] { ops::add_linear(x(3, 2), x(3, 4), x(4, 2), x(1, 3)); }, "add_linear: expected 2 values of the bias, found 3"});
  t.push_back({"add_linear", "no rows", [] { has_shape(ops::add_linear(x(0, 2), x(0, 4), x(4, 2)), 0, 2); }, ""});
  t.push_back({"add_linear", "nothing to sum over", [] { CHECK(ops::add_linear(x(3, 2), x(3, 0), x(0, 2)).host() == x(3, 2).host()); }, ""});
  t.push_back({"add_linear", "huge", [] { ops::add_linear(nowhere(huge, 1), nowhere(huge, 1), x(1, 1)); }, no_memory});
  t.push_back({"add_linear", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::add_linear(x(3, 2), v, x(4, 2)); }, 3, 4); }, ""});
  t.push_back({"add_linear", "aliased", [] {
    true_gradient("add_linear", [](var v) { return ops::add_linear(v, v, v, v, v, var{}, modx::activation::tanh) + v; }, {2, 2});
  }, ""});

  const modx::extent image(4, 4, 2);
  const auto conv = [](var v, var w, var b, std::size_t kernel = 3, std::size_t pad = 0, std::size_t pool = 1) {
    return ops::conv2d(v, w, b, kernel, pad, true, pool);
  };
  t.push_back({"conv2d", "a column more", [=] { conv(x(3, {4, 4, 3}), x(18, 5), x(1, 5)); }, "conv2d: expected 27 rows of the weight (kernel^2 x channels), found 18"});
  t.push_back({"conv2d", "a column less", [=] { conv(x(3, {4, 4, 1}), x(18, 5), x(1, 5)); }, "conv2d: expected 9 rows of the weight (kernel^2 x channels), found 18"});
  t.push_back({"conv2d", "a value of the bias more", [=] { conv(x(3, image), x(18, 5), x(1, 6)); }, "conv2d: expected 5 values of the bias, found 6"});
  t.push_back({"conv2d", "an image too small", [=] { conv(x(3, {2, 4, 2}), x(18, 5), x(1, 5)); }, "conv2d: expected an image of at least 3 x 3 after padding 0"});
  t.push_back({"conv2d", "a pool too large", [=] { conv(x(3, image), x(18, 5), x(1, 5), 3, 0, 3); }, "conv2d: expected an image of at least 3 x 3 after padding 0, and 3 x 3 before pooling, found 4x4x2"});
  t.push_back({"conv2d", "a pool above 16", [=] { conv(x(1, {40, 40, 1}), x(1, 1), x(1, 1), 1, 0, 17); }, "pool in 1..16, found 17"});
  t.push_back({"conv2d", "no kernel", [=] { conv(x(3, image), x(0, 5), x(1, 5), 0); }, "conv2d: expected kernel > 0, found 0"});
  t.push_back({"conv2d", "no pool", [=] { conv(x(3, image), x(18, 5), x(1, 5), 3, 0, 0); }, "conv2d: expected pool > 0, found 0"});
  t.push_back({"conv2d", "no rows", [=] { has_shape(conv(x(0, image), x(18, 5), x(1, 5)), 0, 20); }, ""});
  t.push_back({"conv2d", "no columns", [=] { conv(x(3, {4, 4, 0}), x(0, 5), x(1, 5)); }, "conv2d: expected channels > 0, found 0"});
  t.push_back({"conv2d", "no channels out", [=] { conv(x(3, image), x(18, 0), x(1, 0)); }, "conv2d: expected channels out > 0, found 0"});
  t.push_back({"conv2d", "huge", [=] { conv(nowhere(huge, {1, 1, 1}), x(1, 1), x(1, 1), 1); }, no_memory});
  t.push_back({"conv2d", "a kernel whose square overflows", [=] { conv(x(3, image), x(0, 5), x(1, 5), std::size_t(1) << 32); }, "conv2d: expected kernel below 65536, found 4294967296"});
  t.push_back({"conv2d", "too much padding", [=] { conv(x(3, image), x(18, 5), x(1, 5), 3, 65536); }, "conv2d: expected padding below 65536, found 65536"});
  t.push_back({"conv2d", "NaN row", [=] { nan_stays_in_its_row([=](var v) { return ops::conv2d(v, x(18, 5), x(1, 5), 3, 0, false, 2); }, 3, image); }, ""});
  t.push_back({"conv2d", "aliased", [=] { true_gradient("conv2d", [=](var v) { return conv(v, v, v, 1); }, {1, {1, 1, 1}}); }, ""});
  t.push_back({"max_pool", "a column more", [=] { has_shape(ops::max_pool(x(3, {4, 5, 2}), 2), 3, 8); }, ""});
  t.push_back({"max_pool", "a column less", [=] { has_shape(ops::max_pool(x(3, {4, 3, 2}), 2), 3, 4); }, ""});
  t.push_back({"max_pool", "an image too small", [] { ops::max_pool(x(3, {1, 4, 2}), 2); }, "max_pool: expected an image of at least 2 x 2, found 1x4x2"});
  t.push_back({"max_pool", "no size", [=] { ops::max_pool(x(3, image), 0); }, "max_pool: expected size > 0, found 0"});
  t.push_back({"max_pool", "a size above 16", [=] { ops::max_pool(x(1, {17, 17, 1}), 17); }, "pool in 1..16, found 17"});
  t.push_back({"max_pool", "no rows", [=] { has_shape(ops::max_pool(x(0, image), 2), 0, 8); }, ""});
  t.push_back({"max_pool", "no columns", [=] { has_shape(ops::max_pool(x(3, {4, 4, 0}), 2), 3, 0); }, ""});
  t.push_back({"max_pool", "huge", [] { ops::max_pool(nowhere(huge, {1, 1, 1}), 1); }, no_memory});
  t.push_back({"max_pool", "NaN row", [=] { nan_stays_in_its_row([](var v) { return ops::max_pool(v, 2); }, 3, image); }, ""});
  t.push_back({"max_pool", "aliased", [=] { true_gradient("max_pool", [](var v) { return ops::max_pool(v, 2) * ops::max_pool(v, 2); }, {2, image}); }, ""});
  return t;
}

modx::outputs<cpu64> blocks(var y, std::size_t e) { return {y, e}; }
modx::slot_outputs<cpu64> slots(var y, const modx::permutation& p) { return {y, p}; }
using parts = std::vector<var>;

table experts() {
  table t;
  // w: n x e, y: n x (e m);  w: n x k, y: (n k) x m
  t.push_back({"weighted_sum", "a row more", [] { ops::weighted_sum(x(4, 2), blocks(x(3, 6), 2)); }, "weighted_sum: expected weights 3 x 2, found 4 x 2"});
  t.push_back({"weighted_sum", "a column more", [] { ops::weighted_sum(x(3, 3), blocks(x(3, 6), 2)); }, "weighted_sum: expected weights 3 x 2, found 3 x 3"});
  t.push_back({"weighted_sum", "a column less", [] { ops::weighted_sum(x(3, 1), blocks(x(3, 6), 2)); }, "weighted_sum: expected weights 3 x 2, found 3 x 1"});
  t.push_back({"weighted_sum", "blocks that aren't equal", [] { ops::weighted_sum(x(3, 4), blocks(x(3, 6), 4)); }, "outputs: expected 4 equal blocks of columns, found 6 columns"});
  t.push_back({"weighted_sum", "e = 0", [] { ops::weighted_sum(x(3, 0), blocks(x(3, 6), 0)); }, "outputs: expected 0 equal blocks of columns, found 6 columns"});
  t.push_back({"weighted_sum", "no rows", [] { has_shape(ops::weighted_sum(x(0, 2), blocks(x(0, 6), 2)), 0, 3); }, ""});
  t.push_back({"weighted_sum", "no columns", [] { has_shape(ops::weighted_sum(x(3, 2), blocks(x(3, 0), 2)), 3, 0); }, ""});
  t.push_back({"weighted_sum", "huge", [] { ops::weighted_sum(nowhere(huge, 1), blocks(nowhere(huge, 1), 1)); }, no_memory});
  t.push_back({"weighted_sum", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::weighted_sum(x(3, 2), blocks(v, 2)); }, 3, 6); }, ""});
  t.push_back({"weighted_sum", "aliased", [] { true_gradient("weighted_sum", [](var v) { return ops::weighted_sum(v, blocks(v, 3)); }, {2, 3}); }, ""});
  t.push_back({"weighted_sum", "slots, a row more", [] { ops::weighted_sum(x(4, 1), slots(x(3, 5), order({0, 1, 0}, 1, 2))); }, "weighted_sum: expected weights 3 x 1, found 4 x 1"});
  t.push_back({"weighted_sum", "slots, k + 1", [] { ops::weighted_sum(x(3, 2), slots(x(3, 5), order({0, 1, 0}, 1, 2))); }, "weighted_sum: expected weights 3 x 1, found 3 x 2"});
  t.push_back({"weighted_sum", "slots, an output less", [] { ops::weighted_sum(x(3, 1), slots(x(2, 5), order({0, 1, 0}, 1, 2))); }, "weighted_sum: expected 3 rows of the outputs (tokens x k), found 2"});
  t.push_back({"weighted_sum", "slots, no rows", [] { has_shape(ops::weighted_sum(x(0, 1), slots(x(0, 5), order({}, 1, 2))), 0, 5); }, ""});
  t.push_back({"weighted_sum", "slots, aliased", [] {
    true_gradient("weighted_sum", [](var v) { return ops::weighted_sum(v, slots(v, order({1, 0, 1}, 1, 2))); }, {3, 1});
  }, ""});

  t.push_back({"sum_experts", "a column more", [] { ops::sum_experts(blocks(x(3, 7), 2)); }, "outputs: expected 2 equal blocks of columns, found 7 columns"});
  t.push_back({"sum_experts", "a column less", [] { ops::sum_experts(blocks(x(3, 5), 2)); }, "outputs: expected 2 equal blocks of columns, found 5 columns"});
  t.push_back({"sum_experts", "e = 0", [] { ops::sum_experts(blocks(x(3, 6), 0)); }, "outputs: expected 0 equal blocks"});
  t.push_back({"sum_experts", "no rows", [] { has_shape(ops::sum_experts(blocks(x(0, 6), 2)), 0, 3); }, ""});
  t.push_back({"sum_experts", "no columns", [] { has_shape(ops::sum_experts(blocks(x(3, 0), 2)), 3, 0); }, ""});
  t.push_back({"sum_experts", "huge", [] { ops::sum_experts(blocks(nowhere(huge, 1), 1)); }, no_memory});
  t.push_back({"sum_experts", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::sum_experts(blocks(v, 2)); }, 3, 6); }, ""});
  t.push_back({"sum_experts", "aliased", [] {
    true_gradient("sum_experts", [](var v) { return ops::sum_experts(blocks(v, 2)) * ops::sum_experts(blocks(v * v, 2)); }, {2, 4});
  }, ""});

  t.push_back({"mean_experts", "a column more", [] { ops::mean_experts(blocks(x(3, 7), 2)); }, "outputs: expected 2 equal blocks of columns, found 7 columns"});
  t.push_back({"mean_experts", "a column less", [] { ops::mean_experts(blocks(x(3, 5), 2)); }, "outputs: expected 2 equal blocks of columns, found 5 columns"});
  t.push_back({"mean_experts", "e = 0", [] { ops::mean_experts(blocks(x(3, 6), 0)); }, "mean_experts: expected an expert that is there, found none"});
  t.push_back({"mean_experts", "nobody is there", [] {
    const double nobody[] = {0, 0};
    auto o = blocks(x(3, 6), 2);
    o.presence = nobody;
    ops::mean_experts(o);
  }, "mean_experts: expected an expert that is there, found none"});
  t.push_back({"mean_experts", "presences for other experts", [] {
    const double three[] = {1, 1, 1};
    auto o = blocks(x(3, 6), 2);
    o.presence = three;
    ops::mean_experts(o);
  }, "input: expected 2 values, found 3"});
  t.push_back({"mean_experts", "no rows", [] { has_shape(ops::mean_experts(blocks(x(0, 6), 2)), 0, 3); }, ""});
  t.push_back({"mean_experts", "no columns", [] { has_shape(ops::mean_experts(blocks(x(3, 0), 2)), 3, 0); }, ""});
  t.push_back({"mean_experts", "huge", [] { ops::mean_experts(blocks(nowhere(huge, 1), 1)); }, no_memory});
  t.push_back({"mean_experts", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::mean_experts(blocks(v, 2)); }, 3, 6); }, ""});
  t.push_back({"mean_experts", "aliased", [] {
    true_gradient("mean_experts", [](var v) { return ops::mean_experts(blocks(v, 2)) * ops::mean_experts(blocks(v * v, 2)); }, {2, 4});
  }, ""});

  t.push_back({"mix_experts", "a row more", [] { ops::mix_experts(x(3, 2), blocks(x(3, 6), 2)); }, "mix_experts: expected a matrix 2 x 2, or 3 x 4, found 3 x 2"});
  t.push_back({"mix_experts", "a column more", [] { ops::mix_experts(x(2, 3), blocks(x(3, 6), 2)); }, "mix_experts: expected a matrix 2 x 2, or 3 x 4, found 2 x 3"});
  t.push_back({"mix_experts", "a column less", [] { ops::mix_experts(x(2, 1), blocks(x(3, 6), 2)); }, "mix_experts: expected a matrix 2 x 2, or 3 x 4, found 2 x 1"});
  t.push_back({"mix_experts", "e = 0", [] { ops::mix_experts(x(0, 0), blocks(x(3, 6), 0)); }, "mix_experts: expected experts > 0, found 0"});
  t.push_back({"mix_experts", "no rows", [] { has_shape(ops::mix_experts(x(2, 2), blocks(x(0, 6), 2)).y, 0, 6); }, ""});
  t.push_back({"mix_experts", "no columns", [] { has_shape(ops::mix_experts(x(2, 2), blocks(x(3, 0), 2)).y, 3, 0); }, ""});
  t.push_back({"mix_experts", "huge", [] { ops::mix_experts(x(1, 1), blocks(nowhere(huge, 1), 1)); }, no_memory});
  t.push_back({"mix_experts", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::mix_experts(x(2, 2), blocks(v, 2)).y; }, 3, 6); }, ""});
  t.push_back({"mix_experts", "aliased", [] { true_gradient("mix_experts", [](var v) { return ops::mix_experts(v, blocks(v, 2)).y; }, {2, 2}); }, ""});
  t.push_back({"mix_experts", "own, a row more", [] { ops::mix_experts(x(4, 4), blocks(x(3, 6), 2)); }, "mix_experts: expected a matrix 2 x 2, or 3 x 4, found 4 x 4"});
  t.push_back({"mix_experts", "own, a column more", [] { ops::mix_experts(x(3, 5), blocks(x(3, 6), 2)); }, "mix_experts: expected a matrix 2 x 2, or 3 x 4, found 3 x 5"});
  t.push_back({"mix_experts", "own, no rows", [] { has_shape(ops::mix_experts(x(0, 4), blocks(x(0, 6), 2)).y, 0, 6); }, ""});
  t.push_back({"mix_experts", "own, NaN row", [] { nan_stays_in_its_row([](var v) { return ops::mix_experts(x(3, 4), blocks(v, 2)).y; }, 3, 6); }, ""});

  t.push_back({"gram_experts", "a column more", [] { ops::gram_experts(blocks(x(3, 7), 2)); }, "outputs: expected 2 equal blocks of columns, found 7 columns"});
  t.push_back({"gram_experts", "a column less", [] { ops::gram_experts(blocks(x(3, 5), 2)); }, "outputs: expected 2 equal blocks of columns, found 5 columns"});
  t.push_back({"gram_experts", "e = 0", [] { ops::gram_experts(blocks(x(3, 6), 0)); }, "outputs: expected 0 equal blocks"});
  t.push_back({"gram_experts", "no rows", [] { has_shape(ops::gram_experts(blocks(x(0, 6), 2)), 0, 4); }, ""});
  t.push_back({"gram_experts", "no columns", [] { has_shape(ops::gram_experts(blocks(x(3, 0), 2)), 3, 4); }, ""});
  t.push_back({"gram_experts", "huge", [] { ops::gram_experts(blocks(nowhere(huge, 1), 1)); }, no_memory});
  t.push_back({"gram_experts", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::gram_experts(blocks(v, 2)); }, 3, 6); }, ""});
  t.push_back({"gram_experts", "aliased", [] { true_gradient("gram_experts", [](var v) { return ops::gram_experts(blocks(v, 2)) * v; }, {2, 4}); }, ""});

  t.push_back({"pick_expert", "a column more", [] { ops::pick_expert(blocks(x(2, 7), 2), on_tape({0, 1})); }, "outputs: expected 2 equal blocks of columns, found 7 columns"});
  t.push_back({"pick_expert", "a column less", [] { ops::pick_expert(blocks(x(2, 5), 2), on_tape({0, 1})); }, "outputs: expected 2 equal blocks of columns, found 5 columns"});
  t.push_back({"pick_expert", "e = 0", [] { ops::pick_expert(blocks(x(2, 6), 0), on_tape({0, 1})); }, "outputs: expected 0 equal blocks"});
  t.push_back({"pick_expert", "negative id", [] { ops::pick_expert(blocks(x(2, 6), 2), on_tape({0, -1})); }, "pick_expert, id of token 1: expected 0 <= id < 2, found -1"});
  t.push_back({"pick_expert", "id too large", [] { ops::pick_expert(blocks(x(2, 6), 2), on_tape({2, 0})); }, "pick_expert, id of token 0: expected 0 <= id < 2, found 2"});
  t.push_back({"pick_expert", "ids that are nowhere", [] { ops::pick_expert(blocks(x(2, 6), 2), nullptr); }, "pick_expert: expected 2 ids, found none"});
  t.push_back({"pick_expert", "no rows", [] { has_shape(ops::pick_expert(blocks(x(0, 6), 2), on_tape({})), 0, 3); }, ""});
  t.push_back({"pick_expert", "no columns", [] { has_shape(ops::pick_expert(blocks(x(2, 0), 2), on_tape({0, 1})), 2, 0); }, ""});
  t.push_back({"pick_expert", "huge", [] { ops::pick_expert(blocks(nowhere(huge, 1), 1), on_tape({0})); }, no_memory});
  t.push_back({"pick_expert", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::pick_expert(blocks(v, 2), on_tape({0, 1, 1})); }, 3, 6); }, ""});
  t.push_back({"pick_expert", "aliased", [] {
    true_gradient("pick_expert", [](var v) { return ops::pick_expert(blocks(v, 2), on_tape({0, 1})) * ops::pick_expert(blocks(v, 2), on_tape({1, 1})); }, {2, 4});
  }, ""});

  for (const bool below : {false, true}) {
    const std::string op = below ? "concat_rows" : "stack";
    const auto f = [below](const parts& p) {
      const std::span<const var> all(p);
      return below ? ops::concat_rows(all) : ops::stack(all).y;
    };
    const std::string says = below ? "concat_rows: expected 4 columns, found " : "stack: expected 3 x 4, found 3 x ";
    t.push_back({op, "a column more", [f] { f({x(3, 4), x(3, 5)}); }, says + "5"});
    t.push_back({op, "a column less", [f] { f({x(3, 4), x(3, 3)}); }, says + "3"});
    t.push_back({op, "a row more", [=] { has_shape(f({x(3, 4), x(4, 4)}), 7, 4); }, below ? "" : "stack: expected 3 x 4, found 4 x 4"});
    t.push_back({op, "no tensors", [f] { f({}); }, op + ": expected at least one tensor, found none"});
    t.push_back({op, "no rows", [=] { has_shape(f({x(0, 4), x(0, 4)}), 0, below ? 4 : 8); }, ""});
    t.push_back({op, "no columns", [=] { has_shape(f({x(3, 0), x(3, 0)}), below ? 6 : 3, 0); }, ""});
    t.push_back({op, "huge", [f] { f({nowhere(huge, 1), nowhere(huge, 1)}); }, no_memory});
    t.push_back({op, "NaN row", [=] { nan_stays_in_its_row([f](var v) { return f({v, v}); }, 3, 4, below ? 2 : 1); }, ""});
    t.push_back({op, "aliased", [=] { true_gradient(op.c_str(), [f](var v) { return ops::square(f({v, v, v * v})); }, {2, 3}); }, ""});
    t.push_back({op, "empty handle", [f] { f({x(3, 4), var{}}); }, "an empty handle"});
  }
  return t;
}

std::vector<std::int32_t> best(const matrix<double>& m, std::size_t k) {
  const auto* id = ops::top_k(tape.input(m), k);
  return {id, id + m.rows * k};
}

table routing() {
  table t;
  const auto f = [](std::size_t rows, std::size_t e, std::size_t k) { return [=] { ops::top_k(x(rows, e), k); }; };
  t.push_back({"top_k", "a column more", [] { CHECK(best(rows({{1, 3, 2}}), 2) == ids{1, 2}); }, ""});
  t.push_back({"top_k", "a column less", f(3, 1, 2), "top_k: expected 1 <= k <= 1 experts, found k = 2"});
  t.push_back({"top_k", "k = 0", f(3, 4, 0), "top_k: expected 1 <= k <= 4 experts, found k = 0"});
  t.push_back({"top_k", "k > e", f(3, 4, 5), "top_k: expected 1 <= k <= 4 experts, found k = 5"});
  t.push_back({"top_k", "k = -1", f(3, 4, ~std::size_t(0)), "top_k: expected 1 <= k <= 4 experts, found k = 18446744073709551615"});
  t.push_back({"top_k", "no rows", f(0, 4, 2), ""});
  t.push_back({"top_k", "no columns", f(3, 0, 1), "top_k: expected 1 <= k <= 0 experts, found k = 1"});
  t.push_back({"top_k", "huge", [] { ops::top_k(nowhere(huge, 4), 4); }, no_memory});
  t.push_back({"top_k", "NaN row", [] {  // behind every number, lowest index first
    CHECK(best(rows({{nan, nan, nan}, {nan, 1, 3}, {1, nan, -5}, {-1e300, 2, nan}}), 3) == ids{0, 1, 2, 2, 1, 0, 0, 2, 1, 1, 0, 2});
  }, ""});
  t.push_back({"top_k", "aliased", [] { CHECK(best(rows({{4, 4, 4}}), 3) == ids{0, 1, 2}); }, ""});

  const auto gather = [](std::size_t rows, std::size_t e, const ids& id, std::size_t k) {
    return [=] { has_shape(ops::gather_columns(x(rows, e), on_tape(id), k), rows, k); };
  };
  t.push_back({"gather_columns", "a column more", gather(2, 5, {0, 4}, 1), ""});
  t.push_back({"gather_columns", "a column less", gather(2, 3, {0, 3}, 1), "gather_columns, id of token 1: expected 0 <= id < 3, found 3"});
  t.push_back({"gather_columns", "k = 0", gather(2, 3, {}, 0), "gather_columns: expected 1 <= k <= 3 columns, found k = 0"});
  t.push_back({"gather_columns", "k > e", gather(1, 3, {0, 1, 2, 0}, 4), "gather_columns: expected 1 <= k <= 3 columns, found k = 4"});
  t.push_back({"gather_columns", "negative id", gather(2, 3, {0, -1}, 1), "gather_columns, id of token 1: expected 0 <= id < 3, found -1"});
  t.push_back({"gather_columns", "id too large", gather(1, 3, {0, 1 << 30}, 2), "gather_columns, id of token 0: expected 0 <= id < 3, found 1073741824"});
  t.push_back({"gather_columns", "ids that are nowhere", [] { ops::gather_columns(x(2, 3), nullptr, 1); }, "gather_columns: expected 2 ids, found none"});
  t.push_back({"gather_columns", "no rows", gather(0, 3, {}, 2), ""});
  t.push_back({"gather_columns", "no columns", gather(2, 0, {0, 0}, 1), "gather_columns: expected 1 <= k <= 0 columns, found k = 1"});
  t.push_back({"gather_columns", "huge", [] { ops::gather_columns(nowhere(huge, 1), on_tape({0}), 1); }, no_memory});
  t.push_back({"gather_columns", "NaN row", [] { nan_stays_in_its_row([](var v) { return ops::gather_columns(v, on_tape({0, 1, 2}), 1); }, 3, 4); }, ""});
  t.push_back({"gather_columns", "aliased", [] {
    true_gradient("gather_columns", [](var v) { return ops::gather_columns(v, on_tape({0, 1}), 1) * ops::gather_columns(v, on_tape({0, 0}), 1); }, {2, 3});
  }, ""});

  const auto sort = [](const ids& id, std::size_t n, std::size_t k, std::size_t e) {
    return [=] {
      const auto p = ops::sort_by_expert(tape, on_tape(id), n, k, e);
      CHECK(p.offsets[e] == std::int32_t(n * k));
    };
  };
  t.push_back({"sort_by_expert", "a column more", sort({0, 1, 2}, 3, 1, 4), ""});
  t.push_back({"sort_by_expert", "a column less", sort({0, 1, 2}, 3, 1, 2), "sort_by_expert, id of token 2: expected 0 <= id < 2, found 2"});
  t.push_back({"sort_by_expert", "k = 0", sort({}, 3, 0, 2), "sort_by_expert: expected 1 <= k <= experts, found k = 0 of 2"});
  t.push_back({"sort_by_expert", "k > e", sort({0, 1, 2}, 1, 3, 2), "sort_by_expert: expected 1 <= k <= experts, found k = 3 of 2"});
  t.push_back({"sort_by_expert", "e = 0", sort({0}, 1, 1, 0), "sort_by_expert: expected 1 <= k <= experts, found k = 1 of 0"});
  t.push_back({"sort_by_expert", "e = -1", [] { ops::sort_by_expert(tape, on_tape({0}), 1, 1, ~std::size_t(0)); }, "sort_by_expert: expected 1 <= k <= experts"});
  t.push_back({"sort_by_expert", "negative id", sort({0, -1}, 2, 1, 2), "sort_by_expert, id of token 1: expected 0 <= id < 2, found -1"});
  t.push_back({"sort_by_expert", "id too large", sort({2, 0}, 1, 2, 2), "sort_by_expert, id of token 0: expected 0 <= id < 2, found 2"});
  t.push_back({"sort_by_expert", "ids that are nowhere", [] { ops::sort_by_expert(tape, nullptr, 2, 1, 2); }, "sort_by_expert: expected 2 ids, found none"});
  t.push_back({"sort_by_expert", "no rows", sort({}, 0, 2, 4), ""});
  t.push_back({"sort_by_expert", "no columns", sort({}, 0, 1, 0), "sort_by_expert: expected 1 <= k <= experts, found k = 1 of 0"});
  t.push_back({"sort_by_expert", "huge", [] { ops::sort_by_expert(tape, on_tape({0}), huge, 1, 1); }, "sort_by_expert: expected below 2^31 slots, found 70368744177664 x 1"});
  t.push_back({"sort_by_expert", "a product that overflows", [] { ops::sort_by_expert(tape, on_tape({0}), huge, huge, huge); }, "sort_by_expert: expected a size below 2^48 elements"});
  t.push_back({"sort_by_expert", "NaN row", [] {  // ids of a row without numbers are ids all the same
    const auto scores = tape.input(rows({{nan, nan}, {1, 2}}));
    CHECK(ops::sort_by_expert(tape, ops::top_k(scores, 1), 2, 1, 2).offsets[1] == 1);
  }, ""});
  t.push_back({"sort_by_expert", "aliased", sort({1, 1, 1, 1}, 2, 2, 2), ""});  // one expert twice for a token

  t.push_back({"permute_rows", "a row more", [] { ops::permute_rows(x(4, 5), order({0, 1, 0}, 1, 2)); }, "permute_rows: expected 3 tokens, found 4"});
  t.push_back({"permute_rows", "a row less", [] { ops::permute_rows(x(2, 5), order({0, 1, 0}, 1, 2)); }, "permute_rows: expected 3 tokens, found 2"});
  t.push_back({"permute_rows", "a column more", [] { has_shape(ops::permute_rows(x(3, 6), order({0, 1, 0}, 1, 2)), 3, 6); }, ""});
  t.push_back({"permute_rows", "a column less", [] { has_shape(ops::permute_rows(x(3, 4), order({0, 1, 0}, 1, 2)), 3, 4); }, ""});
  t.push_back({"permute_rows", "no rows", [] { has_shape(ops::permute_rows(x(0, 5), order({}, 1, 2)), 0, 5); }, ""});
  t.push_back({"permute_rows", "no columns", [] { has_shape(ops::permute_rows(x(3, 0), order({0, 1, 0}, 1, 2)), 3, 0); }, ""});
  t.push_back({"permute_rows", "a permutation that is nowhere", [] { ops::permute_rows(x(3, 5), {3, 1, 2, nullptr, nullptr, nullptr}); }, "permute_rows: expected 3 ids, found none"});
  t.push_back({"permute_rows", "huge", [] { ops::permute_rows(x(3, 5), {3, huge, 2, nullptr, nullptr, nullptr}); }, "permute_rows: expected a size below 2^48 elements"});
  t.push_back({"permute_rows", "NaN row", [] {
    auto m = modx::laws::draw(7, "x", 3, 2);
    for (double& v : m.row(1)) v = nan;
    const auto y = ops::permute_rows(tape.input(m), order({1, 0, 1}, 1, 2)).host();  // tokens 1 0 2
    CHECK((is_nan(y(0, 0)) && is_nan(y(0, 1)) && y(1, 0) == m(0, 0) && y(2, 1) == m(2, 1)));
  }, ""});
  t.push_back({"permute_rows", "aliased", [] {
    true_gradient("permute_rows", [](var v) { return v * ops::permute_rows(v, order({1, 0, 1}, 1, 2)); }, {3, 2});
  }, ""});
  return t;
}

table losses() {
  table t;
  const auto f = [](std::size_t n, std::size_t c, const ids& label) {
    return [=] {
      const auto loss = ops::cross_entropy(x(n, c), on_tape(label));
      CHECK(loss.item() >= 0);
    };
  };
  t.push_back({"cross_entropy", "a column more", f(2, 4, {0, 2}), ""});
  t.push_back({"cross_entropy", "a column less", f(2, 2, {0, 2}), "cross_entropy, label of token 1: expected 0 <= label < 2, found 2"});
  t.push_back({"cross_entropy", "negative id", f(2, 3, {-1, 2}), "cross_entropy, label of token 0: expected 0 <= label < 3, found -1"});
  t.push_back({"cross_entropy", "id too large", f(2, 3, {0, 3}), "cross_entropy, label of token 1: expected 0 <= label < 3, found 3"});
  t.push_back({"cross_entropy", "labels that are nowhere", [] { ops::cross_entropy(x(2, 3), nullptr); }, "cross_entropy: expected 2 ids, found none"});
  t.push_back({"cross_entropy", "no rows", f(0, 3, {}), "cross_entropy: expected tokens > 0, found 0"});
  t.push_back({"cross_entropy", "no columns", f(2, 0, {0, 0}), "cross_entropy, label of token 0: expected 0 <= label < 0, found 0"});
  t.push_back({"cross_entropy", "huge", [] { ops::cross_entropy(nowhere(huge, 1, true), on_tape({0})); }, no_memory});
  t.push_back({"cross_entropy", "NaN row", [] {
    nan_reaches_everything([](var v) { return ops::cross_entropy(v, on_tape({0, 1, 2})); }, 3, 4);
  }, ""});
  t.push_back({"cross_entropy", "aliased", [] {
    true_gradient("cross_entropy", [](var v) {
      return ops::cross_entropy(v, on_tape({0, 2})) * ops::cross_entropy(v, on_tape({1, 1}));
    }, {2, 3});
  }, ""});
  return t;
}

/// Tokens of a step as sequences of these lengths.
void form(std::initializer_list<std::size_t> lengths) {
  const std::vector<std::size_t> list(lengths);
  tape.context.sequence = tape.sequences_of(list);
}
/// Sequences that nobody could hold.
void form_huge(std::size_t count, std::size_t tokens) {
  tape.context.sequence = {count, tokens, tokens, on_tape({0, 1}), on_tape({0}), on_tape({0})};
}

table transformers() {
  table t;
  using norm = std::function<var(var, var)>;
  for (const auto& [name, f] : {std::pair<const char*, norm>{"layer_norm", [](var v, var g) { return ops::layer_norm(v, g, g); }},
                                {"rms_norm", [](var v, var g) { return ops::rms_norm(v, g); }}}) {
    const std::string op = name;
    t.push_back({op, "a column more", [f] { f(x(3, 5), x(1, 4)); }, op + ": expected 4 columns, found 5"});
    t.push_back({op, "a column less", [f] { f(x(3, 3), x(1, 4)); }, op + ": expected 4 columns, found 3"});
    t.push_back({op, "a column more, two gains", [f] { f(x(3, 9), x(2, 4)); }, op + ": expected 4 columns or 8, found 9"});
    t.push_back({op, "two gains, one x", [f] { has_shape(f(x(3, 4), x(2, 4)), 3, 8); }, ""});
    t.push_back({op, "no gain", [f] { f(x(3, 4), x(0, 4)); }, op + ": expected columns of the gain > 0, found 0"});
    t.push_back({op, "no rows", [f] { has_shape(f(x(0, 4), x(1, 4)), 0, 4); }, ""});
    t.push_back({op, "no columns", [f] { f(x(3, 0), x(1, 0)); }, op + ": expected columns of the gain > 0, found 0"});
    t.push_back({op, "huge", [f] { f(nowhere(huge, 1), x(1, 1)); }, no_memory});
    t.push_back({op, "NaN row", [f] { nan_stays_in_its_row([f](var v) { return f(v, x(1, 4)); }, 3, 4); }, ""});
    t.push_back({op, "aliased", [f, name] { true_gradient(name, [f](var v) { return f(v, v) * v; }, {1, 3}); }, ""});
  }
  t.push_back({"layer_norm", "a bias of another shape", [] { ops::layer_norm(x(3, 4), x(1, 4), x(1, 5)); }, "layer_norm: expected 1 x 4, found 1 x 5"});
  t.push_back({"layer_norm", "eps below 0", [] { ops::layer_norm(x(3, 4), x(1, 4), x(1, 4), -1); }, "layer_norm: expected eps >= 0"});
  t.push_back({"rms_norm", "eps that is no number", [] { ops::rms_norm(x(3, 4), x(1, 4), nan); }, "rms_norm: expected eps >= 0"});

  constexpr modx::head_layout h{.heads = 1, .kv_heads = 1, .head_dim = 2};
  using heads = std::function<var(var)>;
  for (const auto& [name, f] : {std::pair<const char*, heads>{"attention", [](var v) { return ops::attention(v, h); }},
                                {"rotary", [](var v) { return ops::rotary(v, h); }}}) {
    const std::string op = name, wrong = op + ": expected 6 columns (groups x (heads + 2 key heads) x head width), found ";
    const std::size_t wide = op == "rotary" ? 6 : 2;
    t.push_back({op, "a column more", [f] { form({3}), f(x(3, 7)); }, wrong + "7"});
    t.push_back({op, "a column less", [f] { form({3}), f(x(3, 5)); }, wrong + "5"});
    t.push_back({op, "no columns", [f] { form({3}), f(x(3, 0)); }, wrong + "0"});
    t.push_back({op, "a row more", [f] { form({3}), f(x(4, 6)); }, op + ": expected 4 tokens in the sequences, found 3"});
    t.push_back({op, "no sequences", [f] { tape.context = {}, f(x(3, 6)); }, op + ": expected the sequences that the tokens form"});
    t.push_back({op, "no rows", [f, wide] { form({}), has_shape(f(x(0, 6)), 0, wide); }, ""});
    t.push_back({op, "empty sequences", [f, wide] { form({0, 3, 0}), has_shape(f(x(3, 6)), 3, wide); }, ""});
    t.push_back({op, "huge", [f] { form_huge(1, huge / 4), f(nowhere(huge / 4, 6)); }, no_memory});
    t.push_back({op, "NaN row", [f] { form({1, 1, 1}), nan_stays_in_its_row([f](var v) { return ops::columns(f(v), 0, 2); }, 3, 6); }, ""});
    t.push_back({op, "aliased", [f, name] {
      check_gradients({name, [f](auto& on, inputs in) {
        on.context.sequence = on.sequences_of(std::vector<std::size_t>{3});
        return ops::columns(f(in[0]), 0, 2) * ops::columns(in[0], 0, 2) + ops::columns(f(in[0]), 0, 2);
      }}, {{3, 6}});
    }, ""});
    t.push_back({op, "no heads", [] { form({3}), ops::attention(x(3, 6), {.heads = 0, .kv_heads = 1, .head_dim = 2}); }, "positive heads"});
  }
  t.push_back({"rotary", "an odd head", [] { form({3}), ops::rotary(x(3, 9), {.head_dim = 3}); }, "rotary: expected an even head width, found 3"});
  t.push_back({"rotary", "base 0", [] { form({3}), ops::rotary(x(3, 6), h, 0); }, "rotary: expected base > 0"});
  t.push_back({"rotary", "one gain", [] { form({3}), ops::rotary(x(3, 6), h, 10, x(1, 2)); }, "rotary: expected gains of queries and of keys, found one of them"});
  t.push_back({"rotary", "a gain too wide", [] { form({3}), ops::rotary(x(3, 6), h, 10, x(1, 3), x(1, 2)); }, "values of a gain"});

  const auto means = [](var v) { return ops::sequence_means(v); };
  t.push_back({"sequence_means", "a column more", [=] { form({1, 2}), has_shape(means(x(3, 5)), 2, 5); }, ""});
  t.push_back({"sequence_means", "a column less", [=] { form({1, 2}), has_shape(means(x(3, 3)), 2, 3); }, ""});
  t.push_back({"sequence_means", "a row more", [=] { form({1, 2}), means(x(4, 3)); }, "sequence_means: expected 4 tokens in the sequences, found 3"});
  t.push_back({"sequence_means", "no rows", [=] { form({0, 0}); CHECK(means(x(0, 3)).host() == matrix<double>(2, 3)); }, ""});
  t.push_back({"sequence_means", "no columns", [=] { form({1, 2}), has_shape(means(x(3, 0)), 2, 0); }, ""});
  t.push_back({"sequence_means", "huge", [=] { form_huge(huge, 3), means(x(3, 1)); }, no_memory});
  t.push_back({"sequence_means", "NaN row", [=] { form({1, 1, 1}), nan_stays_in_its_row(means, 3, 4); }, ""});
  t.push_back({"sequence_means", "aliased", [=] {
    check_gradients({"sequence_means", [=](auto& on, inputs in) {
      on.context.sequence = on.sequences_of(std::vector<std::size_t>{1, 1});
      return means(in[0]) * in[0];
    }}, {{2, 3}});
  }, ""});

  const auto lasts = [](var v) { return ops::sequence_lasts(v); };
  t.push_back({"sequence_lasts", "a column more", [=] { form({1, 2}), has_shape(lasts(x(3, 5)), 2, 5); }, ""});
  t.push_back({"sequence_lasts", "a column less", [=] { form({1, 2}), has_shape(lasts(x(3, 3)), 2, 3); }, ""});
  t.push_back({"sequence_lasts", "a row more", [=] { form({1, 2}), lasts(x(4, 3)); }, "sequence_lasts: expected 4 tokens in the sequences, found 3"});
  t.push_back({"sequence_lasts", "no rows", [=] { form({0, 0}), lasts(x(0, 3)); }, "id of token 0"});
  t.push_back({"sequence_lasts", "no columns", [=] { form({1, 2}), has_shape(lasts(x(3, 0)), 2, 0); }, ""});
  t.push_back({"sequence_lasts", "huge", [=] { form_huge(huge, 3), lasts(x(3, 1)); }, no_memory});
  t.push_back({"sequence_lasts", "NaN row", [=] { form({1, 1, 1}), nan_stays_in_its_row(lasts, 3, 4); }, ""});
  t.push_back({"sequence_lasts", "aliased", [=] {
    check_gradients({"sequence_lasts", [=](auto& on, inputs in) {
      on.context.sequence = on.sequences_of(std::vector<std::size_t>{1, 1});
      return lasts(in[0]) * in[0];
    }}, {{2, 3}});
  }, ""});

  const auto gated = [](var v) { return ops::gated(v, modx::activation::silu); };
  t.push_back({"gated", "a column more", [=] { gated(x(3, 5)); }, "gated: expected 1 blocks of an even number of columns, found 5 columns"});
  t.push_back({"gated", "a column less", [=] { gated(x(3, 3)); }, "gated: expected 1 blocks of an even number of columns, found 3 columns"});
  t.push_back({"gated", "no groups", [] { ops::gated(x(3, 4), modx::activation::silu, 0); }, "gated: expected 0 blocks"});
  t.push_back({"gated", "no rows", [=] { has_shape(gated(x(0, 4)), 0, 2); }, ""});
  t.push_back({"gated", "no columns", [=] { has_shape(gated(x(3, 0)), 3, 0); }, ""});
  t.push_back({"gated", "huge", [=] { gated(nowhere(huge, 2)); }, no_memory});
  t.push_back({"gated", "NaN row", [=] { nan_stays_in_its_row(gated, 3, 4); }, ""});
  t.push_back({"gated", "aliased", [=] { true_gradient("gated", [=](var v) { return gated(v) * ops::columns(v, 0, 2); }, {2, 4}); }, ""});

  const auto turned = [](var a, var b) { return ops::matmul_transposed(a, b); };
  t.push_back({"matmul_transposed", "a column more", [=] { turned(x(3, 5), x(2, 4)); }, "matmul_transposed: expected 5 columns of the weight (the input's width), found 4"});
  t.push_back({"matmul_transposed", "a column less", [=] { turned(x(3, 3), x(2, 4)); }, "found 4"});
  t.push_back({"matmul_transposed", "no rows", [=] { has_shape(turned(x(0, 4), x(2, 4)), 0, 2); }, ""});
  t.push_back({"matmul_transposed", "no rows of the weight", [=] { has_shape(turned(x(3, 4), x(0, 4)), 3, 0); }, ""});
  t.push_back({"matmul_transposed", "no columns", [=] { CHECK(turned(x(3, 0), x(2, 0)).host() == matrix<double>(3, 2)); }, ""});
  t.push_back({"matmul_transposed", "huge", [=] { turned(nowhere(huge, 1), x(2, 1)); }, no_memory});
  t.push_back({"matmul_transposed", "NaN row", [=] { nan_stays_in_its_row([=](var v) { return turned(v, x(5, 4)); }, 3, 4); }, ""});
  t.push_back({"matmul_transposed", "aliased", [=] { true_gradient("matmul_transposed", [=](var v) { return turned(v, v); }, {2, 3}); }, ""});

  t.push_back({"ids_of", "a column more", [] { ops::ids_of(x(3, 2)); }, "ids_of: expected 1 column, found 2"});
  t.push_back({"ids_of", "a column less", [] { ops::ids_of(x(3, 0)); }, "ids_of: expected 1 column, found 0"});
  t.push_back({"ids_of", "no columns", [] { ops::ids_of(x(0, 0)); }, "ids_of: expected 1 column, found 0"});
  t.push_back({"ids_of", "no rows", [] { ops::ids_of(x(0, 1)); }, ""});
  t.push_back({"ids_of", "huge", [] { ops::ids_of(nowhere(huge, 1)); }, no_memory});
  const auto id_of = [](double v) {
    std::int32_t id = 7;
    backend.download(&id, ops::ids_of(tape.constant(1, 1, v)), sizeof id);
    return id;
  };
  t.push_back({"ids_of", "NaN row", [=] { CHECK(id_of(nan) == -1); }, ""});
  t.push_back({"ids_of", "numbers that are no ids", [=] {
    for (const double v : {-1.0, 0.5, 2147483648.0, 1e300, -std::numeric_limits<double>::infinity()}) CHECK(id_of(v) == -1);
    for (const double v : {0.0, 1.0, 151935.0, 2147483647.0}) CHECK(double(id_of(v)) == v);
  }, ""});
  t.push_back({"ids_of", "aliased", [] {
    const auto v = tape.input(rows({{1}, {0}}));
    CHECK(ops::take_rows(v, ops::ids_of(v), 2).host() == rows({{0}, {1}}));
  }, ""});

  const auto spread = [](var y, var v) { return ops::add_to_each(modx::outputs<cpu64>{y, 2}, v).y; };
  t.push_back({"add_to_each", "a column more", [=] { spread(x(3, 8), x(3, 5)); }, "add_to_each: expected 3 x 4, found 3 x 5"});
  t.push_back({"add_to_each", "a column less", [=] { spread(x(3, 8), x(3, 3)); }, "add_to_each: expected 3 x 4, found 3 x 3"});
  t.push_back({"add_to_each", "a row more", [=] { spread(x(3, 8), x(4, 4)); }, "add_to_each: expected 3 x 4, found 4 x 4"});
  t.push_back({"add_to_each", "no rows", [=] { has_shape(spread(x(0, 8), x(0, 4)), 0, 8); }, ""});
  t.push_back({"add_to_each", "no columns", [=] { has_shape(spread(x(3, 0), x(3, 0)), 3, 0); }, ""});
  t.push_back({"add_to_each", "huge", [=] { spread(nowhere(huge, 2), nowhere(huge, 1)); }, no_memory});
  t.push_back({"add_to_each", "NaN row", [=] { nan_stays_in_its_row([=](var v) { return spread(v, x(3, 2)); }, 3, 4); }, ""});
  t.push_back({"add_to_each", "aliased", [] {
    true_gradient("add_to_each", [](var v) { return ops::add_to_each(modx::outputs<cpu64>{v, 1}, v).y * v; }, {2, 3});
  }, ""});
  return t;
}

table everything() {
  table all;
  for (auto* part : {elementwise, along_rows, products, experts, routing, losses, transformers})
    for (auto& r : part()) all.push_back(std::move(r));
  return all;
}

/// name -> parameters of every function of modx::ops, read from its headers: "<type> <name>(" at the start of a line.
std::vector<std::pair<std::string, std::string>> public_operations() {
  std::vector<std::pair<std::string, std::string>> found;
  const auto folder = std::filesystem::path(MODX_SOURCE) / "include/modx/ops";
  const std::string_view prefix = "template <class B> ";
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(file.path());
    std::string line;
    bool ours = false;
    while (std::getline(in, line)) {
      if (line.starts_with("namespace")) ours = line.ends_with("ops {");
      if (line.starts_with("}  // namespace")) ours = line.ends_with("detail");
      std::string_view text = line;
      if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
      const std::size_t open = text.find('('), space = text.rfind(' ', open);
      const bool starts_a_function = ours && !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) &&
                                     open != text.npos && space < open && !text.starts_with("inline") &&
                                     !text.starts_with("requires");
      if (!starts_a_function) continue;
      const std::string name(text.substr(space + 1, open - space - 1));
      std::string parameters(text.substr(open));
      while (parameters.find('{') == parameters.npos && std::getline(in, line)) parameters += line;
      found.emplace_back(name, parameters.substr(0, parameters.find('{')));
    }
  }
  return found;
}

}  // namespace

TEST_CASE("operations used wrongly say so, or do what the table says") {
  const auto check = [](const table& rows) {
    misuse::run(rows);
    tape.reset();
  };
  SECTION("elementwise") { check(elementwise()); }
  SECTION("along rows") { check(along_rows()); }
  SECTION("products") { check(products()); }
  SECTION("experts") { check(experts()); }
  SECTION("routing") { check(routing()); }
  SECTION("losses") { check(losses()); }
  SECTION("transformers") { check(transformers()); }
}

TEST_CASE("the table of wrong uses has every operation, and every way that applies to it") {
  std::set<std::string> rows, operations;
  for (const auto& r : everything()) rows.insert(r.operation + ": " + r.how), operations.insert(r.operation);
  const auto functions = public_operations();
  std::set<std::string> names;
  for (const auto& [name, parameters] : functions) {
    CAPTURE(name, parameters);
    names.insert(name);
    std::vector<std::string> ways = {"a column more", "a column less", "no rows", "no columns", "huge", "NaN row", "aliased"};
    if (contains(parameters, "std::int32_t*")) ways.insert(ways.end(), {"negative id", "id too large"});
    if (contains(parameters, "std::size_t k") && !contains(parameters, "kernel")) ways.insert(ways.end(), {"k = 0", "k > e"});
    for (const auto& way : ways) {
      CAPTURE(way);
      CHECK(rows.contains(name + ": " + way));
    }
  }
  CHECK(names == operations);
  CHECK(names.size() >= 45);
}
