// Under a frozen encoder, training on features computed once gives the bits of running the encoder in every step.
#include <utility>

#include <modx/backend/cpu.hpp>
#include <modx/combiner/residual.hpp>
#include <modx/expert/linear.hpp>
#include <modx/expert/low_rank.hpp>
#include <modx/fit.hpp>
#include <modx/module/conv2d.hpp>
#include <modx/module/flatten.hpp>
#include <modx/module/mixture.hpp>
#include <modx/module/sequential.hpp>
#include <modx/optimizer/adamw.hpp>
#include <modx/router/softmax.hpp>

#include "catch.hpp"
#include "small_mnist.hpp"

using namespace modx;

namespace {

/// red_mnist's network, narrower: encoder, then a mixture.
template <class Experts>
auto network(Experts experts) {
  using namespace module;
  return sequential(sequential(conv2d{.channels = 6, .padding = 1, .relu = true, .pool = 2},
                               conv2d{.channels = 9, .padding = 1, .relu = true, .pool = 2}, flatten{},
                               linear{.out = 24, .act = activation::relu}),
                    mixture{.base = linear{}, .experts = experts, .router = router::softmax{},
                            .combiner = combiner::residual{.scale = 0.1}, .n_experts = 5});
}

/// The glyphs as a data set, labels and domains as in red_mnist.
dataset<cpu> images(cpu& backend, std::size_t n) {
  const auto set = red_test::make_set(std::uint32_t(n), 3);
  matrix<float> x(n, 784);
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = float(static_cast<unsigned char>(set.images[16 + i])) / 255.f - 0.13f;
  dataset<cpu> data{{backend, x, {28, 28, 1}}, {}, {}};
  for (std::size_t i = 0; i < n; ++i) data.label.push_back(set.labels[8 + i]), data.domain.push_back(set.labels[8 + i] / 2);
  return data;
}

struct stage_kind {
  const char *name, *trains;
  bool on_domains;
};

/// Trains one stage on `data`, of which `rest` makes the mixture's input, and returns every parameter.
template <class M, class F>
std::vector<matrix<float>> trained(M model, const dataset<cpu>& data, const stage_kind& kind, const fit_options& options, F rest) {
  model.train_only({kind.trains});
  std::vector<std::int32_t> rows, validation;
  for (std::int32_t i = 0; i < std::int32_t(data.size()); ++i) (i % 5 ? rows : validation).push_back(i);
  const auto forward = [&](const auto& net, var<cpu> x) -> var<cpu> {
    const auto& mixture = net.template part<1>();
    const auto h = rest(net, x);
    if (kind.on_domains) return mixture.route(h).scores;
    return std::string_view(kind.name) == "expert" ? mixture.base(h) + 0.1 * mixture.expert(2, h) : mixture.forward(h);
  };
  fitter fit(model, optimizer::adamw{.lr = 0.01}, loss::cross_entropy{}, data, rows, validation,
             kind.on_domains ? data.domain : data.label, forward, options);
  while (!fit.done()) fit.run_epoch();
  fit.restore_best();
  std::vector<matrix<float>> all;
  for (auto* p : model.parameters()) all.push_back(p->host());
  return all;
}

template <class Experts>
void check_cached_features(Experts experts, int threads, std::size_t batch) {
  cpu backend(7, threads);
  const auto data = images(backend, 203);
  const auto make = [&] { return build(backend, network(experts), {data.x.columns(), 10}, 1); };
  auto encoder = make();
  const dataset<cpu> features{
      map_rows(encoder, data, 24, [](const auto& net, auto x) { return net.template forward_between<0, 1>(x); }), data.label, data.domain};
  for (const stage_kind& kind : {stage_kind{"expert", "1.experts.2.*", false}, stage_kind{"router", "1.router.*", true},
                                 stage_kind{"joint", "1.*", false}}) {
    CAPTURE(threads, batch, kind.name);
    const fit_options options{.name = kind.name, .max_epochs = 3, .batch_size = batch, .virtual_batch_size = 2 * batch, .patience = 0};
    const auto cached = trained(make(), features, kind, options, [](const auto&, auto h) { return h; });
    const auto direct = trained(make(), data, kind, options,
                                [](const auto& net, auto x) { return net.template forward_between<0, 1>(x); });
    CHECK(cached == direct);
    std::size_t changed = 0;
    const auto start = make();
    for (std::size_t i = 0; i < direct.size(); ++i) changed += direct[i] != start.parameters()[i]->host();
    CHECK(changed == (std::string_view(kind.name) == "joint" ? start.parameters().size() - 6 : 2u));
  }
}

}  // namespace

TEST_CASE("features computed once train the very same weights as the encoder run in every step", "[features]") {
  for (const int threads : {1, 2, 3})
    for (const std::size_t batch : {16, 32, 7, 1}) check_cached_features(expert::linear{}, threads, batch);
  check_cached_features(expert::low_rank{.rank = 3}, 2, 16);
}
