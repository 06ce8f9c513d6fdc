// The questions of a seed: drawn, labelled, and split with no question in two parts (fair) or by position (published).
#pragma once
#include "../arithmetic/split.hpp"
#include "../red/task.hpp"
#include "options.hpp"

namespace red_arithmetic {

inline red::task about(const options& o) {
  red::task t{.program = "red_arithmetic",
              .title = "RED on arithmetic in words: residual experts against their baselines",
              .classes = arithmetic::classes,
              .domains = {},
              .domain_word = "answers",
              .test_rows = "test questions",
              .base_note = "last blocks and head on a part of the training questions",
              .head = o.by_label ? "MLP" : "linear",
              .hidden = {},
              .router_row = true};
  if (o.task == "operations") {
    t.domains = {"plus", "minus"}, t.domain_word = "operation";
  } else {
    for (const auto& r : arithmetic::ranges) t.domains.push_back(std::to_string(r.least) + "-" + std::to_string(r.most));
  }
  return t;
}

/// What a seed is about: its questions, and their rows by part.
struct question_set {
  std::vector<arithmetic::question> questions;
  red::splits rows;
  arithmetic::overlaps overlap;
  std::vector<std::int32_t> label, domain;
};

inline std::vector<arithmetic::question> draw(const options& o, std::uint64_t seed) {
  if (o.task == "addition") return arithmetic::addition(o.samples, seed);
  if (o.task == "mixed") return arithmetic::mixed(o.samples, seed);
  auto all = arithmetic::operations(arithmetic::operation::add, o.samples / 2, seed);
  const auto more = arithmetic::operations(arithmetic::operation::sub, o.samples - o.samples / 2, seed + 1'000'000);
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// Of each domain (or label) of the training rows, max(1, int(n ratio)).
inline std::vector<std::int32_t> base_rows(const question_set& q, const options& o, std::uint64_t seed) {
  std::map<std::int32_t, std::vector<std::int32_t>> groups;
  for (const auto i : q.rows.train) groups[(o.by_label ? q.label : q.domain)[std::size_t(i)]].push_back(i);
  std::vector<std::int32_t> all;
  for (auto& [group, own] : groups) {
    modx::shuffle(own, modx::random_stream(seed, "split/base", std::uint64_t(group)));
    const auto n = std::max<std::ptrdiff_t>(1, std::ptrdiff_t(double(own.size()) * o.base_ratio));
    all.insert(all.end(), own.begin(), own.begin() + n);
  }
  std::sort(all.begin(), all.end());
  return all;
}

/// Throws unless every domain has questions to train and test on and, where validation selects, to validate on.
inline question_set make_questions(const options& o, const red::task& about, std::uint64_t seed) {
  question_set q;
  q.questions = draw(o, seed);
  for (const auto& one : q.questions) q.label.push_back(one.label), q.domain.push_back(one.domain);
  auto rows = arithmetic::split(q.questions, o.val_ratio, o.test_ratio, seed, !o.published());
  q.overlap = arithmetic::overlap(q.questions, rows);
  q.rows = {std::move(rows.train), std::move(rows.val), std::move(rows.test), {}};
  q.rows.base = base_rows(q, o, seed);
  for (std::size_t d = 0; d < about.domain_count(); ++d) {
    const auto none_in = [&](const std::vector<std::int32_t>& list) { return red::of_domain(list, q.domain, d).empty(); };
    const char* part = none_in(q.rows.train)                         ? "training"
                       : none_in(q.rows.test)                        ? "test"
                       : !o.training_selects && none_in(q.rows.val) ? "validation"
                                                                      : nullptr;
    if (part)
      throw modx::error("--samples " + std::to_string(o.samples), std::string("questions of every domain in the ") + part + " part",
                        "none with " + about.domain(d) + " (more samples, or a larger share)");
  }
  return q;
}

inline nlohmann::ordered_json splits_meta(const options& o) {
  return {{"task", o.task}, {"samples", o.samples}, {"seed", o.seed}, {"seeds", o.seeds}, {"val_ratio", o.val_ratio},
          {"test_ratio", o.test_ratio}, {"base_ratio", o.base_ratio}, {"disjoint", !o.published()}};
}

}  // namespace red_arithmetic
