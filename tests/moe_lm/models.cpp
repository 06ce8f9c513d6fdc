// The six models: what they learn from, what moves, what a token can see, how many parameters they have.
#include "catch.hpp"
#include "small.hpp"

using namespace moe_test;
using moe_lm::options;

TEST_CASE("every mode learns, and every parameter gets a gradient and moves", "[moe_lm]") {
  for (const auto& mode : modes()) {
    INFO(mode);
    options o = small(mode);
    o.ghost_on = 1e-6, o.ghost_off = 0, o.ghost_window = 1, o.ghost_ramp = 2;  // ghosts wake at once
    const auto data = moe_lm::load_corpus(o);
    modx::cpu backend(o.seed, 2);
    moe_lm::trainer run(backend, o, data);
    std::vector<modx::matrix<float>> before;
    for (auto* p : run.model().parameters()) before.push_back(p->host());
    const double start = run.evaluate().loss;
    CHECK(std::fabs(start - std::log(256.0)) < 0.5);
    while (!run.done()) run.train_step();
    CHECK(run.evaluate().loss < start - 1);
    for (std::size_t i = 0; i < before.size(); ++i) {
      auto* p = run.model().parameters()[i];
      INFO(p->name());
      CHECK(p->updates > 0);
      CHECK(p->has_moment(1));
      std::vector<float> second(p->size());
      p->backend().download(second.data(), p->moment(1), p->size() * sizeof(float));
      CHECK(*std::max_element(second.begin(), second.end()) > 0);  // squares of gradients
      CHECK(p->host().data != before[i].data);
    }
  }
}

TEST_CASE("a token changes nothing before it and no other sequence, in every mode", "[moe_lm]") {
  const std::vector<std::size_t> lengths{7, 12, 5};
  const std::size_t changed = 11;  // the fifth of the second sequence
  for (const auto& mode : modes())
    for (const char* edges : {"pairs", "triplets", "all"})
      for (const float level : {0.f, 0.4f, 1.f}) {
        if (mode != "ghost" && level > 0) continue;
        if ((mode == "dense" || mode == "topk" || mode == "gnn" || mode == "uncoupled") && edges != std::string("pairs")) continue;
        INFO(mode << ", " << edges << ", ghosts at " << level);
        options o = small(mode);
        o.hyperedges = edges, o.experts = 5;
        modx::cpu backend(3, 1);
        auto model = modx::build(backend, moe_lm::model_of(o, 256), {1, 256}, 3);
        for (auto* p : model.states())
          if (p->name().ends_with("levels")) p->set(std::vector<float>(p->size(), level));
        modx::matrix<float> x(24, 1);
        for (std::size_t i = 0; i < 24; ++i) x(i, 0) = float(i * 37 % 256);
        const auto y = model.predict(x, lengths);
        x(changed, 0) = 99;
        const auto z = model.predict(x, lengths);
        for (std::size_t i = 0; i < 24; ++i) {
          const bool same = std::ranges::equal(y.row(i), z.row(i));
          const bool may_see = i >= changed && i < 19;
          INFO("token " << i);
          if (mode == "topk" && !may_see) {  // products of another size may add up in another order
            for (std::size_t j = 0; j < 256; ++j) CHECK(std::fabs(y(i, j) - z(i, j)) < 1e-5f);
          } else {
            CHECK(same == !may_see);
          }
        }
      }
}

TEST_CASE("parameters are as many as the formulas say", "[moe_lm]") {
  for (const auto& mode : modes())
    for (const char* edges : {"pairs", "triplets", "all"})
      for (const std::size_t experts : {2, 4}) {
        INFO(mode << ", " << edges << ", " << experts << " experts");
        options o = small(mode);
        o.hyperedges = edges, o.experts = experts;
        modx::cpu backend(1, 1);
        const auto spec = moe_lm::model_of(o, 256);
        CHECK(double(modx::build(backend, spec, {1, 256}, 1).parameter_count()) ==
              moe_lm::parameters_of(spec));
      }
  // Published totals of GNN-MoE (4 layers) and of the orthogonal HGNN-MoE (3 layers, triplets).
  moe_lm::language_model s{.mode = "gnn",
                           .vocabulary = 50257,
                           .length = 128,
                           .width = 256,
                           .heads = 4,
                           .layers = 4,
                           .experts = 4,
                           .hidden = 1024,
                           .coupling_layers = 2};
  CHECK(moe_lm::parameters_of(s) == 39'773'401);
  s.mode = "orthogonal", s.layers = 3, s.hyperedges = modx::coupling::hypergraph::kind::triplets;
  CHECK(moe_lm::parameters_of(s) == 35'885'917);
}

TEST_CASE("moe_lm --match makes every mode equal to hgnn", "[moe_lm]") {
  const auto spec = [](const std::string& mode, const char* match) {
    options o;
    o.mode = mode, o.match = match;
    return moe_lm::model_of(o, 256);
  };
  for (const auto& mode : modes()) {
    INFO(mode);
    CHECK(moe_lm::parameters_of(spec(mode, "parameters")) ==
          Approx(moe_lm::parameters_of(spec("hgnn", "parameters"))).epsilon(2e-3));
    CHECK(moe_lm::products_of(spec(mode, "compute")) ==
          Approx(moe_lm::products_of(spec("hgnn", "compute"))).epsilon(3e-3));
    CHECK(spec(mode, "nothing").hidden == 256);
  }
  CHECK(spec("hgnn", "parameters").hidden == 256);
  CHECK(2 * spec("topk", "compute").hidden > 3 * spec("topk", "parameters").hidden);
}

TEST_CASE("the stream grows by at most one norm a layer, it does not double", "[moe_lm]") {
  options o = small("gnn");
  o.layers = 6;
  modx::cpu backend(1, 1);
  auto model = modx::build(backend, moe_lm::model_of(o, 256), {1, 256}, 1);
  modx::matrix<float> x(8, 1);
  for (std::size_t i = 0; i < 8; ++i) x(i, 0) = float(60 + i);
  const std::vector<std::size_t> lengths{8};
  const auto length_after = [&](std::size_t layers) {
    auto& t = model.tape_of_step();
    t.reset();
    t.context.sequence = t.sequences_of(lengths);
    const auto h = model.bound().stream(t.input(x), layers).host();
    double sum = 0;
    for (const float v : h.data) sum += double(v) * double(v);
    return std::sqrt(sum / double(h.data.size()));
  };
  for (std::size_t l = 1; l <= o.layers; ++l) CHECK(length_after(l) <= length_after(0) + 1.0001 * double(l));
  CHECK(length_after(6) > 1);
}

TEST_CASE("orthogonality and ghosts are alive: without them training goes another way", "[moe_lm]") {
  const auto loss_of = [](options o) {
    o.steps = 12, o.warmup = 2;
    const auto data = moe_lm::load_corpus(o);
    modx::cpu backend(o.seed, 2);
    moe_lm::trainer run(backend, o, data);
    while (!run.done()) run.train_step();
    return run.evaluate().loss;
  };
  options o = small("orthogonal");
  const double with = loss_of(o);
  o.orthogonality = 0;
  CHECK(loss_of(o) != with);
  o.mode = "hgnn";
  const double plain = loss_of(o);
  o.mode = "orthogonal";
  CHECK(loss_of(o) == plain);  // the same bits: nothing else differs
  o = small("ghost");
  o.ghost_on = 1e3, o.ghost_off = 0;
  const double asleep = loss_of(o);
  o.ghost_on = 1e-6, o.ghost_window = 1, o.ghost_ramp = 2;
  CHECK(loss_of(o) != asleep);
}
