// What the compiled CPU backend holds besides the backend: the tape, parameters, operations and shipped policies on it.
// A program that links it does not compile them again.
#pragma once
#include <modx/backend/cpu.hpp>
#include <modx/expert/linear.hpp>
#include <modx/expert/low_rank.hpp>
#include <modx/expert/mlp.hpp>
#include <modx/module/linear.hpp>
#include <modx/module/mlp.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/optimizer/sgd.hpp>
#include <modx/router/mlp_softmax.hpp>
#include <modx/router/softmax.hpp>
#include <modx/router/top_k.hpp>

// X(...) for each; B is the backend.
#define MODX_FOR_EACH_COMPILED(X, B)                                                                                   \
  X(class tape<B>;) X(class arena<B>;) X(class parameter<B>;) X(class builder<B>;) X(class expert::layer<B>;)          \
  X(class expert::linear::bank<B>;) X(class expert::low_rank::bank<B>;) X(class expert::mlp::bank<B>;)                 \
  X(class module::linear::bound<B>;) X(class module::mlp::bound<B>;) X(class router::mlp_softmax::bound<B>;)           \
  X(class router::softmax::bound<B>;) X(class router::top_k::bound<B>;)                                                \
  X(var<B> ops::add(var<B>, var<B>);) X(var<B> ops::subtract(var<B>, var<B>);)                                         \
  X(var<B> ops::multiply(var<B>, var<B>);) X(var<B> ops::divide(var<B>, var<B>);)                                      \
  X(var<B> ops::affine(var<B>, double, double);) X(var<B> ops::exp(var<B>);) X(var<B> ops::log(var<B>);)               \
  X(var<B> ops::square(var<B>);) X(var<B> ops::sqrt(var<B>);) X(var<B> ops::sigmoid(var<B>);)                          \
  X(var<B> ops::activate(var<B>, activation);) X(var<B> ops::reshape(var<B>, extent);)                                 \
  X(var<B> ops::detail::along_rows(row_function, var<B>);) X(var<B> ops::scale_rows(var<B>, var<B>);)                  \
  X(var<B> ops::normalize_rows(var<B>);) X(var<B> ops::add_row(var<B>, var<B>);) X(var<B> ops::mean_of_rows(var<B>);)  \
  X(var<B> ops::sum(var<B>, double);) X(var<B> ops::columns(var<B>, std::size_t, std::size_t);)                        \
  X(var<B> ops::rows(var<B>, std::size_t, std::size_t);)                                                               \
  X(var<B> ops::detail::grouped_linear(const char*, var<B>, ops::detail::group_list<B>, activation);)                  \
  X(var<B> ops::linear(var<B>, var<B>, var<B>, activation);) X(var<B> ops::matmul(var<B>, var<B>);)                    \
  X(var<B> ops::weighted_sum(var<B>, const outputs<B>&);) X(var<B> ops::weighted_sum(var<B>, const slot_outputs<B>&);) \
  X(var<B> ops::pick_expert(const outputs<B>&, const std::int32_t*);)                                                  \
  X(outputs<B> ops::mix_experts(var<B>, const outputs<B>&);) X(var<B> ops::gram_experts(const outputs<B>&);)           \
  X(var<B> ops::reshape(var<B>, std::size_t, extent);)                                                                 \
  X(outputs<B> ops::stack(std::span<const var<B>>);) X(var<B> ops::concat_rows(std::span<const var<B>>);)              \
  X(const std::int32_t* ops::top_k(var<B>, std::size_t);)                                                              \
  X(var<B> ops::gather_columns(var<B>, const std::int32_t*, std::size_t);)                                             \
  X(permutation ops::sort_by_expert(tape<B>&, const std::int32_t*, std::size_t, std::size_t, std::size_t);)            \
  X(var<B> ops::permute_rows(var<B>, permutation);)                                                                    \
  X(var<B> ops::conv2d(var<B>, var<B>, var<B>, std::size_t, std::size_t, bool, std::size_t);)                          \
  X(var<B> ops::max_pool(var<B>, std::size_t);) X(var<B> ops::cross_entropy(var<B>, const std::int32_t*);)             \
  X(std::span<const update_task<B::scalar>> optimizer::take_tasks(std::span<parameter<B>* const>, int,                 \
                                                                  std::vector<update_task<B::scalar>>&);)              \
  X(double optimizer::gradient_norm(B&, std::span<parameter<B>* const>, double);)                                      \
  X(void optimizer::adamw::update(std::span<parameter<B>* const>, double, double) const;)                              \
  X(void optimizer::sgd::update(std::span<parameter<B>* const>, double, double) const;)

#ifdef MODX_COMPILED
namespace modx {
#define MODX_EXTERN(...) extern template __VA_ARGS__
MODX_EXTERN(class arena<host_memory>;)
MODX_FOR_EACH_COMPILED(MODX_EXTERN, basic_cpu<float>)
MODX_FOR_EACH_COMPILED(MODX_EXTERN, basic_cpu<double>)
#undef MODX_EXTERN
}  // namespace modx
#endif
