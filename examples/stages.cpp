// RED in stages on a small task: base, experts on their own domains, router; then measured, disturbed and taken apart.
#include <cstdio>
#include <modx/modx.hpp>

// [data]
/// Three domains along the last feature; in domain d the label says whether feature d is positive.
modx::dataset<modx::cpu> make_data(modx::cpu& backend, std::size_t n) {
  auto x = backend.normal(n, 4);
  std::vector<std::int32_t> label, domain;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t d = i % 3;
    x(i, 3) += 6 * (float(d) - 1);
    label.push_back(x(i, d) > 0);
    domain.push_back(std::int32_t(d));
  }
  return {modx::device_matrix<modx::cpu>(backend, x, 4), label, domain};
}
// [/data]

int main() {
  modx::cpu backend{1};
  const auto data = make_data(backend, 1800);
  std::vector<std::int32_t> train, validation, test;
  for (const auto i : modx::all_rows(data.size())) (i < 1200 ? train : i < 1500 ? validation : test).push_back(i);
  const auto of_domain = [&](const std::vector<std::int32_t>& rows, std::int32_t d) {
    std::vector<std::int32_t> own;
    for (const auto i : rows)
      if (data.domain[std::size_t(i)] == d) own.push_back(i);
    return own;
  };
  const auto whole = [](const auto& net, auto x) { return net.forward(x); };

  // [build]
  const auto spec = modx::module::mixture{.base = modx::module::linear{}, .experts = modx::expert::linear{},
                                          .router = modx::router::softmax{},
                                          .combiner = modx::combiner::residual{.scale = 1}, .n_experts = 3};
  auto net = modx::build(backend, spec, {.in = 4, .out = 2});
  for (const auto* p : net.parameters()) std::printf("%s  %zu x %zu\n", p->name().c_str(), p->rows(), p->cols());
  // [/build]

  // [stage]
  const auto run = [&](const char* name, const std::string& pattern, const auto& rows, const auto& validation_rows,
                       const auto& target, auto forward) {
    net.train_only({pattern});
    modx::fitter stage(net, modx::optimizer::adamw{.lr = 0.02}, modx::loss::cross_entropy{}, data, rows,
                       validation_rows, target, forward,
                       {.name = name, .max_epochs = 30, .batch_size = 32, .virtual_batch_size = 32, .patience = 3});
    while (!stage.done()) stage.run_epoch();
    stage.restore_best();
    std::printf("%-9s loss %.2f\n", name, stage.stopping().best());
  };
  // [/stage]
  // [plan]
  run("base", "base.*", train, validation, data.label, [](const auto& n, auto x) { return n.base(x); });
  for (std::int32_t d = 0; d < 3; ++d)
    run(("expert " + std::to_string(d)).c_str(), "experts." + std::to_string(d) + ".*", of_domain(train, d),
        of_domain(validation, d), data.label,
        [d](const auto& n, auto x) { return n.base(x) + n.expert(std::size_t(d), x); });
  run("router", "router.*", train, validation, data.domain,
      [](const auto& n, auto x) { return n.route(x).scores; });
  // [/plan]

  // [evaluate]
  const auto base = modx::evaluate(net, data, test, data.label, [](const auto& n, auto x) { return n.base(x); });
  const auto red = modx::evaluate(net, data, test, data.label, whole);
  std::printf("accuracy: base %.2f, red %.2f\n", base.accuracy, red.accuracy);
  // [/evaluate]
  // [perturb]
  for (const double sigma : {0.0, 3.0, 30.0}) {
    const modx::routing_perturbation noise{.sigma = sigma, .seed = 7};
    std::printf("routing noise %4.1f: accuracy %.2f\n", sigma,
                modx::evaluate(net, data, test, data.label, whole, &noise).accuracy);
  }
  // [/perturb]
  // [recompose]
  const auto accuracy = [&](auto& m) { return modx::evaluate(m, data, test, data.label, whole).accuracy; };
  auto two = modx::remove_expert(net, 2);
  auto three = modx::add_expert(two, 2);  // a new expert: no output, a closed gate
  std::printf("without expert 2: %.2f, with a new one: %.2f\n", accuracy(two), accuracy(three));
  modx::put_expert(three, 2, modx::take_expert(net, 2));
  std::printf("the old one put back: %.2f\n", accuracy(three));
  // [/recompose]
}
