// One seed of the benchmark: all stages, all modes, both experiments.
#pragma once
#include <modx/io/run_folder.hpp>
#include <modx/io/stage_runner.hpp>

#include "experiments.hpp"

namespace red_mnist {

/// Runs the stages of one seed in `folder` and returns its raw results.
template <modx::Backend B>
class seed_run {
  using features = modx::dataset<B>;
  B* backend_;
  const options* o_;
  const features* images_;
  splits rows_;
  std::uint64_t seed_;
  std::filesystem::path folder_;
  modx::io::stage_runner stages_;

  modx::fit_options fit(std::size_t max_epochs) const {
    return {.seed = seed_, .max_epochs = max_epochs, .batch_size = o_->batch_size,
            .virtual_batch_size = o_->virtual_batch_size, .patience = o_->patience,
            .select_on_training_loss = o_->published(), .optimizer_per_epoch = o_->published(),
            .graphs = modx::RecordsSteps<B>};
  }
  modx::optimizer::adamw adamw(double lr) const { return {.lr = lr, .weight_decay = o_->weight_decay}; }

  /// Validation rows: not even looked at by the published protocol.
  std::vector<std::int32_t> validation(const std::vector<std::int32_t>& rows) const {
    return o_->published() ? std::vector<std::int32_t>{} : rows;
  }

  /// Experts 0-4, each on its own domain, then (if asked) the router on the domains.
  template <class M, class Expert>
  void train_experts(M& net, const features& h, const std::string& prefix, const std::string& path, Expert forward) {
    for (std::size_t i = 0; i < domain_count; ++i) {
      const std::string name = "experts." + std::to_string(i) + ".*";
      stages_.run(prefix + "expert_" + std::to_string(i), net, {path + name}, adamw(o_->lr_expert),
                  modx::loss::cross_entropy{}, h, of_domain(rows_.train, h.domain, i),
                  validation(of_domain(rows_.val, h.domain, i)), h.label, forward(i), fit(o_->max_epochs_expert));
    }
  }
  template <class M, class F>
  void train_all(const std::string& stage, M& net, std::initializer_list<std::string> patterns, const features& h,
                 double lr, std::size_t epochs, const std::vector<std::int32_t>& target, F forward) {
    stages_.run(stage, net, patterns, adamw(lr), modx::loss::cross_entropy{}, h, rows_.train,
                validation(rows_.val), target, forward, fit(epochs));
  }

 public:
  seed_run(B& backend, const options& o, const features& images, splits rows, std::uint64_t seed,
           const std::filesystem::path& folder, modx::io::progress& bar, std::function<void(const json&)> log)
      : backend_(&backend), o_(&o), images_(&images), rows_(std::move(rows)), seed_(seed), folder_(folder),
        stages_(folder, o.resume, o.checkpoint_seconds, bar, std::move(log), "seed " + std::to_string(seed) + "  ") {}

  json run() {
    json out{{"seed", seed_}, {"modes", json::object()}};
    const modx::shape head{o_->hidden_dim, classes};
    const auto adopt = [](const auto& from, auto& to, std::string_view pattern) {
      modx::copy_parameters(from, to, pattern);
    };

    // Stage 1: encoder and base head on a tenth of the data.  Everything after it sees the encoder frozen, so the
    // features are computed once.
    auto base = modx::build(*backend_, base_network(o_->hidden_dim), {images_->x.columns(), classes}, seed_);
    stages_.run("base", base, {"*"}, adamw(o_->lr_base), modx::loss::cross_entropy{}, *images_, rows_.base,
                validation(rows_.val), images_->label, whole, fit(o_->max_epochs_base));
    features h{modx::map_rows(base, *images_, o_->hidden_dim,
                              [](const auto& net, auto x) { return net.template forward_between<0, 1>(x); }),
               images_->label, images_->domain};
    const std::size_t encoder_size = base.parameter_count() - (o_->hidden_dim + 1) * classes;

    auto red = modx::build(*backend_, red_mnist::red(), head, seed_);
    red.find("base.weight").set(base.find("1.weight").host());
    red.find("base.bias").set(base.find("1.bias").host());
    const auto record = [&](const char* name, auto& model, auto forward, std::size_t parameters) {
      out["modes"][name] = score_splits(model, h, rows_, encoder_size + parameters, forward);
    };
    const auto noisy = [&](const char* name, auto& model) {
      out["noise"][name] = noise_curve(model, h, rows_.test, seed_);
    };
    const auto routed = [&](const char* name, auto& model, auto forward) {
      double hit = 0;
      out["router"]["routing_matrix"][name] = routing_matrix(model, h, rows_.test, forward, hit);
      out["router"]["domain_acc"][name] = hit;
    };
    record("base", red, [](const auto& net, auto x) { return net.base(x); }, (o_->hidden_dim + 1) * classes);

    if (!o_->published() && o_->runs_red()) {
      auto global = modx::build(*backend_, m::linear{}, head, seed_);
      train_all("global", global, {"*"}, h, o_->lr_moe, o_->max_epochs_moe, h.label, whole);
      record("global", global, whole, global.parameter_count());
      auto dense = modx::build(*backend_, m::mlp{.hidden = dense_hidden(o_->hidden_dim)}, head, seed_);
      train_all("dense_control", dense, {"*"}, h, o_->lr_moe, o_->max_epochs_moe, h.label, whole);
      record("dense_control", dense, whole, dense.parameter_count());
    }

    train_experts(red, h, "", "", base_and_expert);
    const auto variant = [&](const char* name, const auto& spec, const char* patterns_of) {
      auto model = modx::build(*backend_, spec, head, seed_);
      for (auto* p : model.parameters()) p->set(red.find(p->name()).host());
      record(name, model, whole, model.parameter_count());
      if (std::string_view(patterns_of) == "noise") noisy(name, model);
    };
    if (o_->runs_red()) {
      variant("all_fixed", all_fixed(), "");
      if (!o_->published()) {
        variant("uniform", uniform(), "noise");
        variant("oracle", oracle(), "");
      }
    }

    if (o_->runs_moe()) {
      auto moe = modx::build(*backend_, red_mnist::moe(), head, seed_ + 1'000'000);
      adopt(red, moe, "experts.*");
      train_all("moe", moe, {"router.*"}, h, o_->lr_moe, o_->max_epochs_moe, h.label, whole);
      record("moe", moe, whole, moe.parameter_count());
      noisy("moe", moe);
      routed("moe", moe, whole);
      if (!o_->published()) {
        auto joint = modx::build(*backend_, red_mnist::moe(), head, seed_ + 2'000'000);
        auto plain = fit(o_->max_epochs_moe);
        plain.graphs = false;  // load_balance reads counts on the host
        stages_.run("moe_joint", joint, {"*"}, adamw(o_->lr_moe),
                    modx::loss::cross_entropy{} + modx::loss::load_balance{o_->balance}, h, rows_.train,
                    validation(rows_.val), h.label, whole, plain);
        record("moe_joint", joint, whole, joint.parameter_count());
        noisy("moe_joint", joint);
        routed("moe_joint", joint, whole);
      }
    }
    if (o_->runs_red()) {
      train_all("router", red, {"router.*"}, h, o_->lr_router, o_->max_epochs_router, h.domain, router_scores);
      record("red", red, whole, red.parameter_count());
      noisy("red", red);
      routed("red", red, whole);
      if (!o_->published()) run_hidden(base, h, encoder_size, out);
      recompose_red(red, h, out);
    }
    out["timing"] = stages_.seconds();
    check(base, h, out);
    stages_.finish();
    return out;
  }

 private:
  void run_hidden(const auto& base, const features& h, std::size_t encoder_size, json& out) {
    auto net = modx::build(*backend_, red_hidden(o_->rank), {o_->hidden_dim, classes}, seed_);
    net.find("1.weight").set(base.find("1.weight").host());
    net.find("1.bias").set(base.find("1.bias").host());
    train_experts(net, h, "hidden_", "0.", [](std::size_t i) {
      return [i](const auto& n, auto x) {
        const auto& mixture = n.template part<0>();
        return n.template part<1>().forward(mixture.base(x) + mixture.expert(i, x));
      };
    });
    train_all("hidden_router", net, {"0.router.*"}, h, o_->lr_router, o_->max_epochs_router, h.domain,
              [](const auto& n, auto x) { return n.template part<0>().route(x).scores; });
    out["modes"]["red_hidden"] = score_splits(net, h, rows_, encoder_size + net.parameter_count(), whole);
    double hit = 0;
    out["router"]["routing_matrix"]["red_hidden"] = routing_matrix(net, h, rows_.test, whole, hit);
    out["router"]["domain_acc"]["red_hidden"] = hit;
    out["noise"]["red_hidden"] = noise_curve(net, h, rows_.test, seed_);
  }

  /// What must hold of every run, measured in this one.
  template <class M>
  void check(M& base, const features& h, json& out) {
    const auto say = [&](const char* name, bool ok, const std::string& detail) {
      out["checks"].push_back({{"name", name}, {"ok", ok}, {"detail", detail}});
    };
    std::vector<char> seen(images_->size());
    for (const auto* rows : {&rows_.train, &rows_.val, &rows_.test})
      for (const auto i : *rows) ++seen[std::size_t(i)];
    const bool once = std::all_of(seen.begin(), seen.end(), [](char n) { return n == 1; });
    say("training, validation and test rows are disjoint and complete", once,
        std::to_string(rows_.train.size()) + " + " + std::to_string(rows_.val.size()) + " + " +
            std::to_string(rows_.test.size()) + " rows");
    // The encoder again on the first rows: in a batch of another size, where sums don't depend on it.
    const std::size_t count = std::is_same_v<B, modx::cpu> ? 100 : 256;
    auto& t = base.tape_of_step();
    t.record_operations(false);
    t.reset();
    const auto some = modx::all_rows(std::min(count, images_->size()));
    const auto fresh = base.bound().template forward_between<0, 1>(images_->batch(t, some)).host();
    const bool same = fresh == t.tensor(h.x.data(), fresh.rows, fresh.cols).host();
    t.record_operations(true);
    t.reset();
    say("features computed once are the encoder's, bit for bit", same, std::to_string(some.size()) + " rows compared");
  }

  /// Writes the expert library, trains a second set of experts from another seed, and recomposes.
  template <class M>
  void recompose_red(M& red, const features& h, json& out) {
    const auto library = folder_ / "experts";
    std::filesystem::create_directories(library);
    for (std::size_t i = 0; i < domain_count; ++i)
      modx::io::save_values(library / ("expert_" + std::to_string(i) + ".safetensors"), modx::take_expert(red, i),
                            {{"domain", std::to_string(2 * i) + "-" + std::to_string(2 * i + 1)}});
    auto other = modx::build(*backend_, red_mnist::red(), {o_->hidden_dim, classes}, seed_ + 3'000'000);
    modx::copy_parameters(red, other, "base.*");
    train_experts(other, h, "other_", "", base_and_expert);
    auto r = recompose(red, other, library, h, rows_);
    out["recomposition"] = std::move(r.rows);
    out["checks"] = std::move(r.checks);
  }
};

}  // namespace red_mnist
