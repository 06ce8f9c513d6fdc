// A small data set in MNIST's layout: ten glyphs of 21 x 21 pixels, moved about in 28 x 28 and noised.
#pragma once
#include <array>
#include <random>

#include "io/idx_files.hpp"
#include "io/io_support.hpp"

namespace red_test {

namespace fs = std::filesystem;

struct small_set {
  std::string images, labels;  // IDX files
};

/// `n` images; label i is i mod 10, so that every class is there.
inline small_set make_set(std::uint32_t n, unsigned seed) {
  std::mt19937 glyphs(7), random(seed);
  std::array<std::array<bool, 49>, 10> shape{};
  for (auto& g : shape)
    for (auto& bit : g) bit = glyphs() % 5 < 2;
  small_set s{modx::test::idx_text({n, 28, 28}), modx::test::idx_text({n})};
  char* pixel = s.images.data() + 16;
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::size_t dy = random() % 4 + 2, dx = random() % 4 + 2;
    s.labels[8 + i] = static_cast<char>(i % 10);
    for (std::size_t y = 0; y < 28; ++y)
      for (std::size_t x = 0; x < 28; ++x, ++pixel) {
        bool ink = y >= dy && x >= dx && y < dy + 21 && x < dx + 21 && shape[i % 10][(y - dy) / 3 * 7 + (x - dx) / 3];
        if (random() % 12 == 0) ink = !ink;
        *pixel = static_cast<char>(ink ? 155 + random() % 100 : random() % 40);
      }
  }
  return s;
}

/// Writes the four files into `folder`; `gz`: compressed.
inline void write_small_mnist(const fs::path& folder, std::uint32_t train = 1000, std::uint32_t test = 300, bool gz = false) {
  fs::create_directories(folder);
  for (const auto& [stem, n, seed] : {std::tuple("train", train, 1u), std::tuple("t10k", test, 2u)}) {
    const auto s = make_set(n, seed);
    const std::string end = gz ? ".gz" : "";
    modx::test::put(folder / (std::string(stem) + "-images-idx3-ubyte" + end), gz ? modx::test::gzip(s.images) : s.images);
    modx::test::put(folder / (std::string(stem) + "-labels-idx1-ubyte" + end), gz ? modx::test::gzip(s.labels) : s.labels);
  }
}

}  // namespace red_test
