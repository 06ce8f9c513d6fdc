// Predictions and loss over a data set, nothing recorded.
#pragma once
#include <modx/dataset.hpp>
#include <modx/loss/cross_entropy.hpp>

namespace modx {

/// What an evaluation found, row by row.
struct evaluation {
  std::vector<std::int32_t> predicted;
  double loss = 0;  // mean cross-entropy
  double accuracy = 0;
};

/// Column of the largest value, ties to the lowest.
template <class T>
std::int32_t argmax(std::span<const T> row) {
  std::size_t best = 0;
  for (std::size_t j = 1; j < row.size(); ++j)
    if (row[j] > row[best]) best = j;
  return std::int32_t(best);
}

/// Cross-entropy and accuracy of forward(bound, x) against `target` on the chosen rows; `look` sees each batch's tape.
template <class M, class D, class F, class Look>
evaluation evaluate(M& model, const D& data, ids rows, std::span<const std::int32_t> target, F&& forward,
                    const routing_perturbation* perturbation, Look&& look, std::size_t batch = 512) {
  static_assert(check_model<M>());
  using B = typename M::backend_type;
  static_assert(check_data<D, B>());
  static_assert(check_forward<F, M>());
  evaluation result;
  result.predicted.reserve(rows.size());
  expect_positive("evaluate", "rows a batch", static_cast<long long>(batch));
  expect_equal("evaluate", "targets", data.size(), target.size());
  auto& t = model.tape_of_step();
  const unrecorded<B> quiet(t);
  double loss = 0;
  std::size_t right = 0;
  std::vector<std::int32_t> wanted;
  for (std::size_t i = 0; i < rows.size(); i += batch) {
    const ids own = rows.subspan(i, std::min(batch, rows.size() - i));
    t.reset();
    const var<B> x = data.batch(t, own);
    t.context.perturbation = perturbation;
    t.context.step = i / batch;
    const var<B> y = forward(model.bound(), x);
    wanted.clear();
    for (const auto id : own) wanted.push_back(target[std::size_t(id)]);
    loss += double(ops::cross_entropy(y, t.input(ids(wanted))).item()) * double(own.size());
    const auto scores = y.host();
    for (std::size_t r = 0; r < own.size(); ++r) {
      result.predicted.push_back(argmax(std::as_const(scores).row(r)));
      right += result.predicted.back() == wanted[r];
    }
    look(t, own);
  }
  t.reset();
  if (!rows.empty()) {
    result.loss = loss / double(rows.size());
    result.accuracy = double(right) / double(rows.size());
  }
  return result;
}
template <class M, class D, class F>
evaluation evaluate(M& model, const D& data, ids rows, std::span<const std::int32_t> target, F&& forward,
                    const routing_perturbation* perturbation = nullptr) {
  return evaluate(model, data, rows, target, std::forward<F>(forward), perturbation, [](auto&, ids) {});
}

}  // namespace modx
