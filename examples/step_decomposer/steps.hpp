// Who answers a step: base head, RED, MoE and the published sum of experts, on an encoder of their own; two
// experts, + and -.
#pragma once
#include <modx/optimizer/scheduled.hpp>
#include <modx/schedule/linear.hpp>
#include <modx/schedule/warmup.hpp>
#include <modx/sequence_dataset.hpp>

#include "../arithmetic/causal.hpp"
#include "../arithmetic/digit_tokenizer.hpp"
#include "../arithmetic/split.hpp"
#include "../red/networks.hpp"
#include "options.hpp"
#include "program.hpp"

namespace step_decomposer {

/// AdamW, warm-up over a twentieth of the steps, then down to 0 on a line.
inline auto scheduled(double lr, double weight_decay, std::size_t rows, std::size_t batch,
                      std::size_t epochs) {
  const std::size_t steps = (rows + batch - 1) / batch * epochs, warm = steps / 20 + 1;
  return modx::optimizer::scheduled{
      modx::optimizer::adamw{.lr = lr, .weight_decay = weight_decay},
      modx::schedule::warmup<modx::schedule::linear>{.steps = warm, .then = {.steps = steps - warm + 1}}};
}

/// y = W h + b of h, the backbone's hidden state at each text's last token.
struct text_classifier {
  modx::qwen3 backbone;
  std::size_t classes = arithmetic::classes;
  bool operator==(const text_classifier&) const = default;
  modx::extent output(modx::extent) const { return classes; }

  template <modx::Backend B>
  class bound {
    modx::qwen3::bound<B> backbone_;
    modx::bound_t<modx::module::linear, B> head_;

    template <class M, class S>
    static M make(modx::builder<B> b, const S& s, modx::shape io) {
      return M(b, s, io);
    }

   public:
    bound(modx::builder<B>& b, const text_classifier& s, modx::shape io)
        : backbone_(make<modx::qwen3::bound<B>>(b.scope("backbone"), s.backbone, s.backbone.io())),
          head_(make<modx::bound_t<modx::module::linear, B>>(b.scope("head"), modx::module::linear{},
                                                             {s.backbone.width, io.out})) {}
    modx::var<B> features(modx::var<B> x) const {
      return modx::ops::sequence_lasts(
          backbone_.hidden_between(backbone_.embed(x), 0, backbone_.blocks() + 1));
    }
    modx::var<B> forward(modx::var<B> x) const { return head_.forward(features(x)); }
  };
};

class step_experts {
  using B = modx::cpu;
  using parts = red::parts<modx::module::linear, modx::expert::mlp>;
  template <class S>
  using model = modx::model<S, B>;

  B* backend_;
  const options* o_;
  parts parts_;
  arithmetic::digit_tokenizer tokenizer_;
  model<modx::qwen3> backbone_;
  model<text_classifier> base_;
  model<decltype(red::red(parts{}))> red_;
  model<decltype(red::moe(parts{}))> moe_;
  model<decltype(red::all_fixed(parts{}))> all_fixed_;

  std::set<std::string> seen_;  // training questions

  modx::shape io() const { return {o_->base_width, arithmetic::classes}; }

 public:
  step_experts(B& backend, const options& o)
      : backend_(&backend),
        o_(&o),
        parts_{.expert = {.hidden = 4 * o.base_width, .act = modx::activation::gelu}, .experts = 2},
        backbone_(modx::build(backend, arithmetic::tiny(tokenizer_.size(), o.base_width, o.base_blocks),
                              {1, tokenizer_.size()}, o.seed)),
        base_(modx::build(backend, text_classifier{backbone_.spec()}, {1, arithmetic::classes}, o.seed)),
        red_(modx::build(backend, red::red(parts_), io(), o.seed)),
        moe_(modx::build(backend, red::moe(parts_), io(), o.seed + 1'000'000)),
        all_fixed_(modx::build(backend, red::all_fixed(parts_), io(), o.seed)) {}
  step_experts(const step_experts&) = delete;

  static const std::vector<std::string>& modes() {
    static const std::vector<std::string> names{"base", "all_fixed", "moe", "red"};
    return names;
  }
  std::size_t encoder_parameters() const { return base_.parameter_count(); }
  std::size_t parameters() const { return red_.parameter_count(); }

  /// One-step questions, both operations, and their splits: no question is in two.
  std::vector<arithmetic::question> questions() const {
    auto all = arithmetic::operations(arithmetic::operation::add, o_->questions, o_->seed);
    const auto more = arithmetic::operations(arithmetic::operation::sub, o_->questions, o_->seed + 1);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  /// The backbone learns to write the answers of the training questions in digits, as a pretrained one would
  /// know numbers; it becomes the encoder of the base stage, on the base subset; then, on its features, each
  /// expert learns its operation, RED's router the operations and MoE's the answers.  Returns each mode's
  /// accuracy on the test questions.
  nlohmann::ordered_json train(modx::io::stage_runner& stages) {
    const auto all = questions();
    const auto rows = arithmetic::split(all, 0.1, 0.1, o_->seed, true);
    std::vector<std::vector<std::int32_t>> texts;
    std::vector<arithmetic::causal_example> examples;
    std::vector<std::int32_t> label, domain;
    for (const auto& q : all) {
      texts.push_back(tokenizer_.encode(q.text)), label.push_back(q.label), domain.push_back(q.domain);
      examples.push_back({texts.back(), tokenizer_.encode(std::to_string(q.answer))});
      examples.back().answer.push_back(tokenizer_.end());
    }
    const auto data = modx::make_texts(*backend_, texts, label, domain);
    const auto backbone_fit = fit("backbone", o_->max_epochs_backbone, false);
    const std::vector<std::string> everything{"*"};
    stages.run_fit("backbone", backbone_, everything, rows.train.size(), backbone_fit,
                   {{"lr", o_->lr_backbone}}, [&] {
                     return arithmetic::causal_fitter(
                         backbone_,
                         scheduled(o_->lr_backbone, o_->weight_decay_base, rows.train.size(),
                                   o_->base_batch_size, o_->max_epochs_backbone),
                         examples, rows.train, rows.val, backbone_fit);
                   });
    for (auto* p : backbone_.parameters()) base_.find("backbone." + p->name()).set(p->host());
    for (const auto i : rows.train) seen_.insert(all[std::size_t(i)].text);
    auto base_rows = rows.train;
    modx::shuffle(base_rows, modx::random_stream(o_->seed, "base subset"));
    base_rows.resize(std::max<std::size_t>(1, std::size_t(double(base_rows.size()) * o_->base_ratio)));
    stages.run("base", base_, {"*"},
               scheduled(o_->lr_base, o_->weight_decay_base, base_rows.size(), o_->base_batch_size,
                         o_->max_epochs_base),
               modx::loss::cross_entropy{}, data, base_rows, rows.val, label, red::whole,
               fit("base", o_->max_epochs_base, false));

    const modx::dataset<B> h{features(data), label, domain};
    adopt_base();
    const auto stage = [&](const std::string& name, auto& net, const std::string& trained, const auto& train,
                           const auto& val, const auto& target, double lr, std::size_t epochs, auto forward) {
      stages.run(name, net, {trained}, modx::optimizer::adamw{.lr = lr}, modx::loss::cross_entropy{}, h,
                 train, val, target, forward, fit(name, epochs, true));
    };
    for (std::size_t i = 0; i < parts_.experts; ++i)
      stage("expert_" + std::to_string(i), red_, "experts." + std::to_string(i) + ".*",
            red::of_domain(rows.train, domain, i), red::of_domain(rows.val, domain, i), label, o_->lr_expert,
            o_->max_epochs_expert, red::base_and_expert(i));
    adopt_experts();
    stage("router", red_, "router.*", rows.train, rows.val, domain, o_->lr_router, o_->max_epochs_router,
          red::router_scores);
    stage("moe_router", moe_, "router.*", rows.train, rows.val, label, o_->lr_router, o_->max_epochs_router,
          red::whole);

    nlohmann::ordered_json out;
    for (const auto& mode : modes())
      on(mode, [&](auto& net, auto forward) {
        out[mode] = modx::evaluate(net, h, rows.test, label, forward).accuracy;
      });
    return out;
  }
  /// Share of the programs' steps, rightly answered so far, whose question is a training question.
  double seen(std::span<const arithmetic::expression> programs) const {
    double all = 0, known = 0;
    for (const auto& e : programs) {
      int left = e.operand.at(0);
      for (std::size_t i = 0; i < e.op.size(); ++i) {
        const arithmetic::expression step{{left, e.operand[i + 1]}, {e.op[i]}};
        all += 1, known += seen_.contains(question_of(step));
        left = *step.value();
      }
    }
    return all > 0 ? known / all : 0;
  }
  /// The same from the files of a finished run.
  void load(const std::filesystem::path& folder) {
    modx::io::load(base_, folder / "base.safetensors");
    adopt_base();
    for (const std::string i : {"0", "1"})
      modx::io::load(red_, folder / ("expert_" + i + ".safetensors"), "experts." + i + ".*");
    adopt_experts();
    modx::io::load(red_, folder / "router.safetensors", "router.*");
    modx::io::load(moe_, folder / "moe_router.safetensors", "router.*");
  }

  /// The class that a mode gives "What is L plus R?", as an answer.
  std::vector<std::optional<int>> answer(const std::string& mode,
                                         std::span<const arithmetic::expression> steps) {
    std::vector<std::vector<std::int32_t>> texts;
    for (const auto& s : steps) texts.push_back(tokenizer_.encode(question_of(s)));
    const std::vector<std::int32_t> none(texts.size());
    const modx::dataset<B> h{features(modx::make_texts(*backend_, texts, none)), none, {}};
    std::vector<std::optional<int>> out;
    on(mode, [&](auto& net, auto forward) {
      for (const auto c : modx::evaluate(net, h, modx::all_rows(h.size()), none, forward).predicted)
        out.push_back(c + arithmetic::least_answer);
    });
    return out;
  }

 private:
  static std::string question_of(const arithmetic::expression& step) {
    return "What is " + step.text() + "?";
  }
  modx::fit_options fit(const std::string& name, std::size_t epochs, bool early) const {
    return {.name = name,
            .seed = o_->seed,
            .max_epochs = epochs,
            .batch_size = o_->base_batch_size,
            .virtual_batch_size = o_->base_batch_size,
            .patience = early ? o_->patience : 0,
            .clip_norm = 1};
  }
  modx::device_matrix<B> features(const modx::sequence_dataset<B>& data) {
    return modx::map_rows(base_, data, o_->base_width,
                          [](const auto& net, auto x) { return net.features(x); });
  }
  /// f(model, forward) of a mode.
  template <class F>
  void on(const std::string& mode, F&& f) {
    if (mode == "base")
      f(red_, [](const auto& net, auto h) { return net.base(h); });
    else if (mode == "all_fixed")
      f(all_fixed_, red::whole);
    else if (mode == "moe")
      f(moe_, red::whole);
    else if (mode == "red")
      f(red_, red::whole);
    else
      throw modx::error("a mode of the experts", "base, all_fixed, moe or red", mode);
  }
  void adopt_base() {
    for (const std::string part : {"weight", "bias"})
      red_.find("base." + part).set(base_.find("head." + part).host());
  }
  void adopt_experts() {
    modx::copy_parameters(red_, all_fixed_, "experts.*");
    modx::copy_parameters(red_, all_fixed_, "base.*");
    modx::copy_parameters(red_, moe_, "experts.*");
  }
};

}  // namespace step_decomposer
