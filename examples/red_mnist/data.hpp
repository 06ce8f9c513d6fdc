// MNIST as five label-pair domains, and its splits (red.md of the authors' code: domain = label / 2).
#pragma once
#include <modx/dataset.hpp>
#include <modx/io/image_set.hpp>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "task.hpp"

namespace red_mnist {

using red::splits;

/// All images, those for training first, as x = (pixel / 255 - 0.1307) / 0.3081, with label and domain.
template <modx::Backend B>
modx::dataset<B> load_images(B& backend, const std::string& folder, std::size_t& train_count) {
  const auto train = modx::io::load_image_set(folder, modx::io::split::train);
  const auto test = modx::io::load_image_set(folder, modx::io::split::test);
  if (train.height != test.height || train.width != test.width)
    throw modx::error(folder, "training and test images of one size",
                      std::to_string(train.height) + " x " + std::to_string(train.width) + " and " +
                          std::to_string(test.height) + " x " + std::to_string(test.width));
  train_count = train.count;
  const std::size_t n = train.count + test.count, d = train.height * train.width;
  modx::dataset<B> data{modx::device_matrix<B>(backend, n, {train.height, train.width, 1}), {}, {}};
  float value[256];
  for (int p = 0; p < 256; ++p) value[p] = (float(p) / 255.f - 0.1307f) / 0.3081f;
  constexpr std::size_t together = 256;  // images an upload
  std::vector<float> rows;
  for (std::size_t i = 0; i < n; ++i) {
    const auto& set = i < train.count ? train : test;
    const std::size_t at = i < train.count ? i : i - train.count;
    for (std::size_t j = 0; j < d; ++j) rows.push_back(value[set.pixels[at * d + j]]);
    if (i % together == together - 1 || i + 1 == n) {
      backend.upload(data.x.data() + i / together * together * d, rows.data(), rows.size() * sizeof(float));
      rows.clear();
    }
    data.label.push_back(set.labels[at]);
    data.domain.push_back(set.labels[at] / 2);
  }
  return data;
}

/// Validation takes int(n ratio) of each domain, the base set max(1, int(n ratio)) of each label of the rest.
template <modx::Backend B>
splits make_splits(const modx::dataset<B>& data, std::size_t train_count, const options& o,
                          std::uint64_t seed) {
  splits s;
  for (std::size_t i = train_count; i < data.size(); ++i) s.test.push_back(std::int32_t(i));
  for (std::size_t d = 0; d < domain_count; ++d) {
    std::vector<std::int32_t> own;
    for (std::size_t i = 0; i < train_count; ++i)
      if (data.domain[i] == std::int32_t(d)) own.push_back(std::int32_t(i));
    modx::shuffle(own, modx::random_stream(seed, "split/validation", d));
    const auto n = std::ptrdiff_t(double(own.size()) * o.val_ratio);
    s.val.insert(s.val.end(), own.begin(), own.begin() + n);
    s.train.insert(s.train.end(), own.begin() + n, own.end());
  }
  for (std::size_t c = 0; c < classes; ++c) {
    std::vector<std::int32_t> own;
    for (const auto i : s.train)
      if (data.label[std::size_t(i)] == std::int32_t(c)) own.push_back(i);
    if (own.empty()) continue;
    modx::shuffle(own, modx::random_stream(seed, "split/base", c));
    const auto n = std::max<std::ptrdiff_t>(1, std::ptrdiff_t(double(own.size()) * o.base_ratio));
    s.base.insert(s.base.end(), own.begin(), own.begin() + n);
  }
  for (auto* rows : {&s.train, &s.val, &s.base}) std::sort(rows->begin(), rows->end());
  return s;
}

/// Throws unless every domain has rows to train on and, where validation selects, rows to validate on.
inline void expect_rows(const splits& s, const std::vector<std::int32_t>& domain, const options& o) {
  std::size_t train[domain_count] = {}, val[domain_count] = {};
  for (const auto i : s.train) ++train[domain[std::size_t(i)]];
  for (const auto i : s.val) ++val[domain[std::size_t(i)]];
  for (std::size_t d = 0; d < domain_count; ++d) {
    const std::string digits = std::to_string(2 * d) + "-" + std::to_string(2 * d + 1);
    if (train[d] == 0) throw modx::error(o.data_dir, "training images of the digits " + digits, "none");
    if (val[d] == 0 && !o.published()) {
      std::ostringstream ratio;
      ratio << "--val-ratio " << o.val_ratio;
      throw modx::error(ratio.str(), "validation images of every pair of digits (profile fair selects on them)",
                        "none of " + digits);
    }
  }
}

inline nlohmann::ordered_json splits_meta(const options& o, std::size_t train_count, std::size_t test_count) {
  return {{"seed", o.seed}, {"seeds", o.seeds}, {"val_ratio", o.val_ratio}, {"base_ratio", o.base_ratio},
          {"num_domains", domain_count}, {"domain_mode", "label_pair_01_23_45_67_89"},
          {"train_images", train_count}, {"test_images", test_count}};
}

}  // namespace red_mnist
