// The language model under the heads: a tiny Qwen3 trained on the spot, or a folder's; and its hidden states, computed once a text.
#pragma once
#include <modx/io/hidden_dataset.hpp>
#include <modx/text/qwen3_tokenizer.hpp>

#include "../arithmetic/causal.hpp"
#include "../arithmetic/digit_tokenizer.hpp"
#include "../red/seed_run.hpp"
#include "data.hpp"

namespace red_arithmetic {

using token_ids = std::vector<std::int32_t>;

/// A model read from a folder, its tokenizer, and what says that it is this one.
template <modx::Backend B>
struct backbone {
  modx::model<modx::qwen3, B> model;
  std::function<token_ids(const std::string&)> encode;
  std::string weights, tokenizer;  // parts of the key of cached hidden states
  std::optional<double> answers = {};  // share of the test questions that it answers itself, token by token
};

inline std::string sum_of_files(const std::filesystem::path& folder, std::string_view ending) {
  std::vector<std::filesystem::path> files;
  for (const auto& e : std::filesystem::directory_iterator(folder))
    if (e.path().filename().string().ends_with(ending)) files.push_back(e.path());
  std::sort(files.begin(), files.end());
  modx::io::checksum sum;
  for (const auto& f : files) sum.add(f.filename().string()).add(modx::io::xxh128_of_file(f));
  return sum.hex();
}

template <modx::Backend B>
backbone<B> load_backbone(B& backend, const std::filesystem::path& folder, std::size_t trained) {
  auto tokenizer = std::make_shared<modx::text::tokenizer>(modx::text::qwen3_tokenizer(folder));
  return {modx::io::load_qwen3(backend, folder, trained),
          [tokenizer](const std::string& text) {
            token_ids ids;
            for (const auto id : tokenizer->encode(text, {.added = modx::text::added_tokens::none})) ids.push_back(std::int32_t(id));
            return ids;
          },
          sum_of_files(folder, ".safetensors"), modx::io::xxh128_of_file(folder / "tokenizer.json")};
}

/// Share of these examples whose answer is what the model says after the prompt, greedily.
template <class M>
double answered(M& model, const std::vector<arithmetic::causal_example>& examples, const std::vector<std::int32_t>& rows, std::int32_t end) {
  std::size_t right = 0;
  constexpr std::size_t together = 256;
  for (std::size_t i = 0; i < rows.size(); i += together) {
    std::vector<token_ids> prompts;
    const auto own = std::span(rows).subspan(i, std::min(together, rows.size() - i));
    for (const auto row : own) prompts.push_back(examples[std::size_t(row)].prompt);
    const auto said = modx::generate(model, prompts, {.max_tokens = 6, .stop = {end}});
    for (std::size_t j = 0; j < own.size(); ++j) right += said[j] == examples[std::size_t(own[j])].answer;
  }
  return double(right) / double(rows.size());
}

/// Next-token training on the answers of training questions, so that the model knows numbers.
template <modx::Backend B, class P>
backbone<B> train_tiny(B& backend, const options& o, const question_set& q, red::seed_run<B, P>& run) {
  const arithmetic::digit_tokenizer digits;
  const auto spec = arithmetic::tiny(digits.size(), o.width, o.blocks);
  auto model = modx::build(backend, spec, spec.io(), run.seed());
  std::vector<arithmetic::causal_example> examples;
  for (const auto& one : q.questions) {
    examples.push_back({digits.encode(one.text), digits.encode(std::to_string(one.answer))});
    examples.back().answer.push_back(digits.end());
  }
  auto fit = run.fit(o.max_epochs_backbone);
  fit.name = "backbone", fit.clip_norm = 1, fit.graphs = false;
  const modx::optimizer::adamw adamw{.lr = o.lr_backbone, .weight_decay = 0.01};
  const std::string all[] = {"*"};
  run.stages().run_fit("backbone", model, all, run.rows().train.size(), fit, {{"lr", adamw.lr}}, [&] {
    return arithmetic::causal_fitter(model, adamw, examples, run.rows().train, run.validation(run.rows().val), fit);
  });
  const std::string sum = modx::io::weights_sum(model);
  const double right = answered(model, examples, run.rows().test, digits.end());
  return {std::move(model), [digits](const std::string& text) { return digits.encode(text); }, sum, "digits", right};
}

/// The hidden states of every question under the first trained block, from `file` if they are there.
template <modx::Backend B>
modx::io::hidden_cache hidden_states(backbone<B>& from, const question_set& q, const std::filesystem::path& file, std::size_t layer,
                                     modx::io::progress& bar, const std::string& label) {
  std::vector<token_ids> texts;
  for (const auto& one : q.questions) texts.push_back(from.encode(one.text));
  const auto compute = [&](std::span<const token_ids* const> some) {
    auto& t = from.model.tape_of_step();
    t.reset();
    const modx::unrecorded<B> quiet(t);
    std::vector<std::size_t> lengths;
    modx::matrix<float> ids(0, 1);
    for (const auto* text : some) {
      for (const auto id : *text) ids.data.push_back(float(id));
      lengths.push_back(text->size());
    }
    ids.rows = ids.data.size();
    t.context.sequence = t.sequences_of(lengths);
    const auto& net = from.model.bound();
    auto out = net.hidden_between(net.embed(t.input(ids)), 0, layer).host();
    t.reset();
    return out;
  };
  bool fresh = true;
  const auto start = std::chrono::steady_clock::now();
  double said = 0;
  const auto progress = [&](std::size_t done, std::size_t of) {
    if (modx::io::interrupt::requested()) throw modx::io::interrupted(label + "hidden states");
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (std::exchange(fresh, false) || (done < of && seconds < said + 5)) return;
    said = seconds;
    bar.note(label + "hidden states: " + std::to_string(done) + " of " + std::to_string(of) + " texts, " +
             std::to_string(int(done ? seconds * double(of - done) / double(done) : 0)) + " s to go");
  };
  return modx::io::hidden_cache(file, {from.weights, from.tokenizer, layer, from.model.backend().uses_bf16()}, texts, compute,
                                [&](const std::string& text) { bar.note(label + text); }, progress);
}

}  // namespace red_arithmetic
