// Text, token by token: prompts go through the model once, then each new token over the cache of all earlier ones.
#pragma once
#include <modx/cache.hpp>
#include <modx/model/sample.hpp>

namespace modx {

struct generation {
  std::size_t max_tokens = 64;            // new ones, of each sequence
  std::vector<std::int32_t> stop = {};    // a sequence ends with the first of these, which is part of it
  modx::sampling sampling = {};
  std::uint64_t seed = 1;                // sequence s draws from a stream of its own: (seed, s)
  std::size_t vocabulary = 0;            // only ids below are taken: models have rows to spare; 0: all
};

/// New tokens of each prompt.  The model's bound needs embed(), hidden_between(), blocks() and logits(), as qwen3's.
/// `each(s, id)` is called for every token as it comes; it returns false to stop everything.
template <class M, class F>
std::vector<std::vector<std::int32_t>> generate(M& model, std::span<const std::vector<std::int32_t>> prompts,
                                                const generation& options, F&& each) {
  using B = typename M::backend_type;
  const std::size_t count = prompts.size();
  std::vector<std::vector<std::int32_t>> out(count), fresh(prompts.begin(), prompts.end());
  std::size_t longest = 0;
  for (std::size_t s = 0; s < count; ++s) {
    if (prompts[s].empty()) throw error("generate, prompt " + std::to_string(s), "at least one token", "none");
    longest = std::max(longest, prompts[s].size());
  }
  if (count == 0 || options.max_tokens == 0) return out;
  key_value_cache<B> cache(model.backend(), count, longest + options.max_tokens);
  auto& t = model.tape_of_step();
  const unrecorded<B> quiet(t);
  std::vector<std::size_t> lengths(count);
  for (std::size_t step = 0; step < options.max_tokens; ++step) {
    t.reset();
    matrix<typename B::scalar> ids_in(0, 1);
    for (std::size_t s = 0; s < count; ++s) {
      lengths[s] = fresh[s].size();
      for (const auto id : fresh[s]) ids_in.data.push_back(typename B::scalar(id));
      fresh[s].clear();
    }
    ids_in.rows = ids_in.data.size();
    cache.start(t, lengths);
    const auto& bound = model.bound();
    const auto h = bound.hidden_between(bound.embed(t.input(ids_in)), 0, bound.blocks() + 1);
    std::vector<std::int32_t> last;  // rows of the sequences that go on
    std::size_t at = 0;
    for (std::size_t s = 0; s < count; at += lengths[s++])
      if (lengths[s]) last.push_back(static_cast<std::int32_t>(at + lengths[s] - 1));
    const auto logits = bound.logits(ops::take_rows(h, t.input(ids(last)), last.size())).host();
    cache.finish(lengths);
    std::size_t row = 0, going = 0;
    for (std::size_t s = 0; s < count; ++s) {
      if (!lengths[s]) continue;
      const auto values = logits.row(row++);
      const std::size_t words = options.vocabulary ? std::min(options.vocabulary, values.size()) : values.size();
      const std::vector<float> scores(values.begin(), values.begin() + std::ptrdiff_t(words));
      const double u = random_stream(options.seed, "generate", s).uniform(step);
      const auto id = sample(scores, options.sampling, u);
      out[s].push_back(id);
      if (!each(s, id)) return t.reset(), out;
      if (std::find(options.stop.begin(), options.stop.end(), id) != options.stop.end()) continue;
      fresh[s].push_back(id);
      ++going;
    }
    if (going == 0) break;
  }
  t.reset();
  return out;
}
template <class M>
std::vector<std::vector<std::int32_t>> generate(M& model, std::span<const std::vector<std::int32_t>> prompts,
                                                const generation& options = {}) {
  return generate(model, prompts, options, [](std::size_t, std::int32_t) { return true; });
}

}  // namespace modx
