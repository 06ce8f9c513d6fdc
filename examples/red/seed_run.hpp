// One seed after its base stage: experts, routers, mixtures, controls and both experiments, on features of a frozen encoder.
#pragma once
#include <modx/io/run_folder.hpp>
#include <modx/io/stage_runner.hpp>

#include "experiments.hpp"
#include "options.hpp"

namespace red {

/// Runs the stages of one seed in `folder` and collects its raw results.
template <modx::Backend B, class P>
class seed_run {
  using features = modx::dataset<B>;
  using json = nlohmann::ordered_json;
  B* backend_;
  const options* o_;
  const task* task_;
  P parts_;
  splits rows_;
  std::uint64_t seed_;
  std::filesystem::path folder_;
  modx::io::stage_runner stages_;
  std::size_t encoder_size_ = 0;

  /// Each expert on its own domain.
  template <class M, class Expert>
  void train_experts(M& net, const features& h, const std::string& prefix, const std::string& path, Expert forward) {
    for (std::size_t i = 0; i < task_->domain_count(); ++i) {
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
  /// The base head's values, "weight" and so on, as the parameters under `path`.
  template <class M>
  void put_head(M& net, const std::string& path, const modx::named_values<float>& head) const {
    for (const auto& [name, values] : head) net.find(path + name).set(values);
  }
  template <class M, class F>
  void record(json& out, const std::string& mode, M& model, const features& h, F forward, std::size_t parameters) const {
    out["modes"][mode] = score_splits(*task_, model, h, rows_, encoder_size_ + parameters, forward);
  }
  template <class M>
  void noisy(json& out, const std::string& mode, M& model, const features& h) const {
    out["noise"][mode] = noise_curve(model, h, rows_.test, seed_);
  }
  template <class M>
  void routed(json& out, const std::string& mode, M& model, const features& h) const {
    double hit = 0;
    out["router"]["routing_matrix"][mode] = routing_matrix(*task_, model, h, rows_.test, whole, hit);
    out["router"]["domain_acc"][mode] = hit;
  }

 public:
  seed_run(B& backend, const options& o, const task& about, const P& p, splits rows, std::uint64_t seed,
           const std::filesystem::path& folder, modx::io::progress& bar, std::function<void(const json&)> log)
      : backend_(&backend), o_(&o), task_(&about), parts_(p), rows_(std::move(rows)), seed_(seed), folder_(folder),
        stages_(folder, o.resume, o.checkpoint_seconds, bar, std::move(log), "seed " + std::to_string(seed) + "  ") {
    modx::expect_equal("red", "experts", about.domain_count(), p.experts);
    if (!o.evaluate.empty()) stages_.only_read(std::filesystem::path(o.evaluate) / folder.filename());
  }

  modx::io::stage_runner& stages() { return stages_; }
  const splits& rows() const { return rows_; }
  std::uint64_t seed() const { return seed_; }

  modx::fit_options fit(std::size_t max_epochs) const {
    return {.seed = seed_, .max_epochs = max_epochs, .batch_size = o_->batch_size,
            .virtual_batch_size = o_->virtual_batch_size, .patience = o_->patience,
            .select_on_training_loss = o_->training_selects, .optimizer_per_epoch = o_->optimizer_per_epoch,
            .clip_norm = o_->clip_norm, .graphs = modx::RecordsSteps<B>};
  }
  modx::optimizer::adamw adamw(double lr) const { return {.lr = lr, .weight_decay = o_->weight_decay}; }
  /// Validation rows: not even looked at where the training loss selects.
  std::vector<std::int32_t> validation(const std::vector<std::int32_t>& rows) const {
    return o_->training_selects ? std::vector<std::int32_t>{} : rows;
  }

  /// All stages after the base stage, and what they came to.  h: features of every row; head: the base head's values.
  json run(const features& h, const modx::named_values<float>& head, std::size_t encoder_size) {
    json out{{"seed", seed_}, {"modes", json::object()}};
    encoder_size_ = encoder_size;
    const std::size_t classes = task_->classes;
    const modx::shape io{h.x.columns().size(), classes};

    auto red = modx::build(*backend_, ::red::red(parts_), io, seed_);
    put_head(red, "base.", head);
    std::size_t head_size = 0;
    for (const auto& [name, values] : head) head_size += values.data.size();
    record(out, "base", red, h, [](const auto& net, auto x) { return net.base(x); }, head_size);

    if (!o_->published() && o_->runs_red()) {
      auto global = modx::build(*backend_, parts_.head, io, seed_);
      train_all("global", global, {"*"}, h, o_->lr_moe, o_->max_epochs_moe, h.label, whole);
      record(out, "global", global, h, whole, global.parameter_count());
      const std::size_t hidden = dense_hidden(red.parameter_count(), io.in.size(), classes);
      auto dense = modx::build(*backend_, m::mlp{.hidden = hidden}, io, seed_);
      train_all("dense_control", dense, {"*"}, h, o_->lr_moe, o_->max_epochs_moe, h.label, whole);
      record(out, "dense_control", dense, h, whole, dense.parameter_count());
    }

    train_experts(red, h, "", "", base_and_expert);
    const auto variant = [&](const char* name, const auto& spec, bool with_noise) {
      auto model = modx::build(*backend_, spec, io, seed_);
      for (auto* p : model.parameters()) p->set(red.find(p->name()).host());
      record(out, name, model, h, whole, model.parameter_count());
      if (with_noise) noisy(out, name, model, h);
    };
    if (o_->runs_red()) {
      variant("all_fixed", all_fixed(parts_), false);
      if (!o_->published()) {
        variant("uniform", uniform(parts_), true);
        variant("oracle", oracle(parts_), false);
      }
    }

    if (o_->runs_moe()) {
      auto moe = modx::build(*backend_, ::red::moe(parts_), io, seed_ + 1'000'000);
      modx::copy_parameters(red, moe, "experts.*");
      train_all("moe", moe, {"router.*"}, h, o_->lr_moe, o_->max_epochs_moe, h.label, whole);
      record(out, "moe", moe, h, whole, moe.parameter_count());
      noisy(out, "moe", moe, h);
      routed(out, "moe", moe, h);
      if (!o_->published()) {
        auto joint = modx::build(*backend_, ::red::moe(parts_), io, seed_ + 2'000'000);
        auto plain = fit(o_->max_epochs_moe);
        plain.graphs = false;  // load_balance reads counts on the host
        stages_.run("moe_joint", joint, {"*"}, adamw(o_->lr_moe),
                    modx::loss::cross_entropy{} + modx::loss::load_balance{o_->balance}, h, rows_.train,
                    validation(rows_.val), h.label, whole, plain);
        record(out, "moe_joint", joint, h, whole, joint.parameter_count());
        noisy(out, "moe_joint", joint, h);
        routed(out, "moe_joint", joint, h);
      }
    }
    if (o_->runs_red()) {
      train_all("router", red, {"router.*"}, h, o_->lr_router, o_->max_epochs_router, h.domain, router_scores);
      record(out, "red", red, h, whole, red.parameter_count());
      noisy(out, "red", red, h);
      routed(out, "red", red, h);
      if (!o_->published())
        for (const auto& hidden : task_->hidden) run_hidden(hidden, head, h, out);
      recompose_red(red, h, out);
    }
    out["timing"] = stages_.seconds();
    check_rows(h, out);
    return out;
  }

 private:
  void run_hidden(const hidden_red& kind, const modx::named_values<float>& head, const features& h, json& out) {
    auto net = modx::build(*backend_, red_hidden(parts_, kind.rank), {h.x.columns(), task_->classes}, seed_);
    put_head(net, "1.", head);
    train_experts(net, h, kind.stages, "0.", [](std::size_t i) {
      return [i](const auto& n, auto x) {
        const auto& mixture = n.template part<0>();
        return n.template part<1>().forward(mixture.base(x) + mixture.expert(i, x));
      };
    });
    train_all(kind.stages + "router", net, {"0.router.*"}, h, o_->lr_router, o_->max_epochs_router, h.domain,
              [](const auto& n, auto x) { return n.template part<0>().route(x).scores; });
    record(out, kind.mode, net, h, whole, net.parameter_count());
    routed(out, kind.mode, net, h);
    noisy(out, kind.mode, net, h);
  }

  void check_rows(const features& h, json& out) const {
    std::vector<char> seen(h.size());
    for (const auto* rows : {&rows_.train, &rows_.val, &rows_.test})
      for (const auto i : *rows) ++seen[std::size_t(i)];
    const bool once = std::all_of(seen.begin(), seen.end(), [](char n) { return n == 1; });
    out["checks"].push_back({{"name", "training, validation and test rows are disjoint and complete"}, {"ok", once},
                             {"detail", std::to_string(rows_.train.size()) + " + " + std::to_string(rows_.val.size()) + " + " +
                                            std::to_string(rows_.test.size()) + " rows"}});
  }

  /// Writes the expert library, trains a second set of experts from another seed, and recomposes.
  template <class M>
  void recompose_red(M& red, const features& h, json& out) {
    const auto library = folder_ / "experts";
    std::filesystem::create_directories(library);
    for (std::size_t i = 0; i < task_->domain_count(); ++i)
      modx::io::save_values(library / ("expert_" + std::to_string(i) + ".safetensors"), modx::take_expert(red, i),
                            {{"domain", task_->domains[i]}});
    auto other = modx::build(*backend_, ::red::red(parts_), {h.x.columns(), task_->classes}, seed_ + 3'000'000);
    modx::copy_parameters(red, other, "base.*");
    train_experts(other, h, "other_", "", base_and_expert);
    auto r = recompose(*task_, red, other, library, h, rows_);
    out["recomposition"] = std::move(r.rows);
    out["checks"] = std::move(r.checks);
  }
};

}  // namespace red
