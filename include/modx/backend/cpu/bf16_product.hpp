// c = act(beta c + a b + bias) with a and b rounded to bfloat16: on AMX's tiles, or on vectors with the same bits.
//
// The sum over k is the one that TDPBF16PS makes: for each 32 values of k, the 16 with an even place are summed up from 0 in order,
// and so are the 16 with an odd place; the two sums are added, and that to the sum so far.  Everything is float, rounded to nearest,
// denormals are 0; products of two bfloat16 are exact.  Source: Intel 64 and IA-32 Architectures Software Developer's Manual.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "modx/backend/bfloat16.hpp"
#include "modx/backend/cpu/amx.hpp"
#include "modx/backend/cpu/bf16_panels.hpp"
#include "modx/backend/cpu/block.hpp"
#include "modx/backend/cpu/product.hpp"
#include "modx/backend/cpu/tile.hpp"

namespace modx::kernels {

namespace detail {

/// Values of k that are summed by themselves first.
inline constexpr std::size_t bf16_step = 32;
/// Columns of c that are made at a time: two tiles.
inline constexpr std::size_t bf16_columns = 2 * amx_columns;

/// Tasks of 128 rows x 512 columns, or, for a few rows, of 256 KiB of b: by the shape alone.
inline cut bf16_cut(const product<float>& p) {
  if (p.m == 0 || p.n == 0) return {};
  const std::size_t blocks = (p.m + 127) / 128, rows = ((p.m + blocks - 1) / blocks + 31) / 32 * 32;
  const std::size_t panels = (p.n + bf16_columns - 1) / bf16_columns, bytes = bf16_columns * 2 * std::max<std::size_t>(p.k, 1);
  const std::size_t wanted = std::clamp<std::size_t>(p.m > 32 ? 512 / bf16_columns : 262144 / bytes, 1, panels);
  const std::size_t ranges = (panels + wanted - 1) / wanted;
  return {rows, (p.m + rows - 1) / rows, (panels + ranges - 1) / ranges, ranges};
}

/// Rows [i0, i0 + rows) of a, converted; at(r, q) is where the bf16_step values from k = 32 q on of row r go, zeros after the last.
template <class At, class F>
void convert_rows(const product<float>& p, std::size_t i0, std::size_t rows, At at, F convert) {
  const std::size_t steps = (p.k + bf16_step - 1) / bf16_step;
  const auto row = [&](std::size_t r, std::size_t q) {
    const std::size_t l = q * bf16_step, m = std::min(bf16_step, p.k - l);
    const float* from = p.a.data + static_cast<std::ptrdiff_t>(i0 + r) * p.a.row_stride + static_cast<std::ptrdiff_t>(l) * p.a.col_stride;
    auto* to = at(r, q);
    if (p.a.col_stride == 1) {
      for (std::size_t j = 0; j < m; ++j) to[j] = convert(from[j]);
    } else {
      for (std::size_t j = 0; j < m; ++j) to[j] = convert(from[static_cast<std::ptrdiff_t>(j) * p.a.col_stride]);
    }
    for (std::size_t j = m; j < bf16_step; ++j) to[j] = {};
  };
  if (by_row(p)) {
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t q = 0; q < steps; ++q) row(r, q);
  } else {
    for (std::size_t q = 0; q < steps; ++q)
      for (std::size_t r = 0; r < rows; ++r) row(r, q);
  }
}

/// R rows x one vector of columns of the sum; a: rows of `steps` x bf16_step rounded values, b: `pairs` pairs of rows, `width`
/// columns apart.
template <std::size_t R>
void bf16_tile(const float* a, std::size_t stride, const std::uint16_t* b, std::size_t width, std::size_t pairs, float* sums) {
  vec<float> total[R] = {};
  for (std::size_t q0 = 0; q0 < pairs; q0 += bf16_step / 2) {
    vec<float> even[R] = {}, odd[R] = {};
    for (std::size_t q = q0; q < std::min(pairs, q0 + bf16_step / 2); ++q) {
      vec<float> low = load_packed<float, false>(b + q * 2 * width), high = load_packed<float, true>(b + q * 2 * width);
      keep<float>(low);
      keep<float>(high);
      MODX_UNROLL for (std::size_t r = 0; r < R; ++r) {
        even[r] = multiply_add(a[r * stride + 2 * q], low, even[r]);
        odd[r] = multiply_add(a[r * stride + 2 * q + 1], high, odd[r]);
      }
    }
    MODX_UNROLL for (std::size_t r = 0; r < R; ++r) total[r] += even[r] + odd[r];
  }
  for (std::size_t r = 0; r < R; ++r) store(sums + r * tile_cols<float>, total[r]);
}
template <std::size_t... r>
constexpr auto bf16_tile_table(std::index_sequence<r...>) {
  return std::array{&bf16_tile<r + 1>...};
}

/// Rows [i0, i1) and columns [j0, j1) of c on the vectors that every CPU has.
inline void bf16_by_vectors(const product<float>& p, std::size_t i0, std::size_t i1, std::size_t j0, std::size_t j1) {
  static constexpr auto tiles = bf16_tile_table(std::make_index_sequence<static_cast<std::size_t>(tile_rows)>{});
  constexpr std::size_t width = tile_cols<float>;
  const std::size_t stride = (p.k + bf16_step - 1) / bf16_step * bf16_step, pairs = (p.k + 1) / 2;
  float* const a = memory_of_copy<float>((i1 - i0) * stride);
  convert_rows(p, i0, i1 - i0, [=](std::size_t r, std::size_t q) { return a + r * stride + q * bf16_step; },
               [](float x) { return from_bf16(to_bf16(x)); });
  alignas(vector_bytes) float sums[static_cast<std::size_t>(tile_rows) * width];
  for (std::size_t j = j0; j < j1; j += width) {
    const std::uint16_t* b = p.packed_bf16 + bf16_at<float>(p.k, 0, j);
    each_tile(i1 - i0, [&](std::size_t first, std::size_t rows) {
      for (std::size_t v = 0; v < width; v += lanes<float>)
        tiles[rows - 1](a + first * stride, stride, b + 2 * v, bf16_width<float>, pairs, sums + v);
      finish(rows, sums, target_of(p, i0 + first, j, std::min(width, p.n - j), true, true));
    });
  }
}

/// Elements between rows of pairs of a packed right operand, and bytes.
inline constexpr std::size_t bf16_row = 2 * bf16_width<float>, bf16_row_bytes = bf16_row * sizeof(std::uint16_t);

/// Tiles 0 (sums of a by b), 1 (by the b beside it), 2 and 3 (of the a below) += the products of bf16_step values of k.
template <class Tiles, bool two_rows, bool two_columns>
MODX_AMX inline void bf16_tile_step(const std::uint16_t* a, std::size_t below, const std::uint16_t* b, std::size_t b_bytes, std::size_t beside) {
  Tiles::template load<6>(b, b_bytes);
  Tiles::template load<4>(a, 64);
  Tiles::template multiply<0, 4, 6>();
  if constexpr (two_columns) {
    Tiles::template load<7>(b + beside, b_bytes);
    Tiles::template multiply<1, 4, 7>();
  }
  if constexpr (two_rows) {
    Tiles::template load<5>(a + below, 64);
    Tiles::template multiply<2, 5, 6>();
    if constexpr (two_columns) Tiles::template multiply<3, 5, 7>();
  }
}
/// sums (2 amx_rows x bf16_columns) of one or two tiles of a, `below` elements apart, by one or two columns of tiles of b, `beside`
/// apart.  `whole` tiles of b lie in its panel; `last`, if k ends within a tile, are copies of the last ones, side by side.
template <class Tiles, bool two_rows, bool two_columns>
MODX_AMX void bf16_tiles(const std::uint16_t* a, std::size_t below, const std::uint16_t* b, std::size_t beside, std::size_t whole,
                         const std::uint16_t* last, float* sums) {
  constexpr std::size_t elements = amx_rows * bf16_step, sums_apart = bf16_columns * sizeof(float);
  Tiles::template zero<0>();
  if constexpr (two_columns) Tiles::template zero<1>();
  if constexpr (two_rows) Tiles::template zero<2>();
  if constexpr (two_rows && two_columns) Tiles::template zero<3>();
  for (std::size_t q = 0; q < whole; ++q)
    bf16_tile_step<Tiles, two_rows, two_columns>(a + q * elements, below, b + q * amx_rows * bf16_row, bf16_row_bytes, beside);
  if (last) bf16_tile_step<Tiles, two_rows, two_columns>(a + whole * elements, below, last, 64, elements);
  Tiles::template store<0>(sums, sums_apart);
  if constexpr (two_columns) Tiles::template store<1>(sums + amx_columns, sums_apart);
  if constexpr (two_rows) Tiles::template store<2>(sums + amx_rows * bf16_columns, sums_apart);
  if constexpr (two_rows && two_columns) Tiles::template store<3>(sums + amx_rows * bf16_columns + amx_columns, sums_apart);
}

/// The same on tiles: AMX's, or a model of them.
template <class Tiles>
MODX_AMX void bf16_by_tiles(const product<float>& p, std::size_t i0, std::size_t i1, std::size_t j0, std::size_t j1) {
  constexpr std::size_t elements = amx_rows * bf16_step, width = bf16_width<float>;
  static_assert(width == amx_columns || width % bf16_columns == 0);
  const std::size_t m = i1 - i0, tiles = (m + amx_rows - 1) / amx_rows, beside = width == amx_columns ? bf16_panel_size<float>(p.k) : bf16_row / 2;
  const std::size_t steps = (p.k + bf16_step - 1) / bf16_step, whole = p.k / bf16_step, below = steps * elements;
  std::uint16_t* const a = memory_of_copy<std::uint16_t>(tiles * below);  // rows of the last tile past m: whatever, their sums are not used
  const auto at = [=](std::size_t r, std::size_t q) { return a + r / amx_rows * below + q * elements + r % amx_rows * bf16_step; };
  convert_rows(p, i0, m, at, [](float x) { return to_bf16(x); });
  alignas(64) float sums[2 * amx_rows * bf16_columns] = {};
  alignas(64) std::uint16_t last[2 * elements];
  Tiles::configure(amx_config(std::min(m, amx_rows)));
  for (std::size_t j = j0; j < j1; j += bf16_columns) {
    const std::uint16_t* const b = p.packed_bf16 + bf16_at<float>(p.k, 0, j);
    const std::size_t columns = j + amx_columns < p.n ? 2 : 1;
    if (whole < steps) {
      std::fill_n(last, 2 * elements, std::uint16_t(0));
      for (std::size_t c = 0; c < columns; ++c)
        for (std::size_t q = whole * amx_rows; 2 * q < p.k; ++q)
          std::copy_n(b + c * beside + q * bf16_row, bf16_step, last + c * elements + (q - whole * amx_rows) * bf16_step);
    }
    for (std::size_t t = 0; t < tiles; t += 2) {
      const bool two_rows = t + 1 < tiles;
      const auto run = columns == 2 ? two_rows ? &bf16_tiles<Tiles, true, true> : &bf16_tiles<Tiles, false, true>
                                    : two_rows ? &bf16_tiles<Tiles, true, false> : &bf16_tiles<Tiles, false, false>;
      run(a + t * below, below, b, beside, whole, whole < steps ? last : nullptr, sums);
      const std::size_t i = t * amx_rows;
      finish<float, bf16_columns>(std::min(2 * amx_rows, m - i), sums,
                                  target_of(p, i0 + i, j, std::min(bf16_columns, p.n - j), true, true));
    }
  }
  Tiles::release();
}

/// Do the tiles give what the vectors do?  On a product with every kind of edge; nothing here depends on the order of sums.
template <class Tiles>
bool tiles_are_right() {
  constexpr std::size_t m = 37, n = 50, k = 75;
  std::vector<float> a(m * k), b(k * n), found(m * n), expected(m * n);
  std::uint32_t state = 1;
  for (auto* list : {&a, &b})
    for (float& x : *list) x = float((state = state * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1.0f;
  std::vector<std::uint16_t> packed(bf16_size<float>(k, n));
  const bf16_pack<float> pack{k, 0, n, {b.data(), n, 1}, packed.data()};
  for (std::size_t panel = 0; panel < pack.panels(); ++panel) pack.run(panel);
  product<float> p;
  p.m = m, p.n = n, p.k = k, p.a = {a.data(), k, 1}, p.packed_bf16 = packed.data(), p.ldc = n;
  p.c = found.data();
  bf16_by_tiles<Tiles>(p, 0, m, 0, n);
  p.c = expected.data();
  bf16_by_vectors(p, 0, m, 0, n);
  for (std::size_t i = 0; i < m * n; ++i)
    if (!(std::fabs(found[i] - expected[i]) < 1e-4f)) return false;
  return true;
}

}  // namespace detail

/// Why products in bfloat16 are not computed on AMX; null: they are.  It is asked for and tested once.
inline const char* amx_missing() {
#if MODX_HAS_AMX_CODE
  static const char* const why = [] {
    const char* no = ask_for_amx();
    return no ? no : detail::tiles_are_right<amx_tiles>() ? nullptr : "AMX gave a wrong product when it was tested";
  }();
  return why;
#else
  return ask_for_amx();
#endif
}

namespace detail {

/// Task number `task` of a product that is cut so.
inline void bf16_block(const product<float>& p, const cut& c, std::size_t task) {
  const std::size_t i = task / c.panel_blocks * c.rows, j = task % c.panel_blocks * c.panels * bf16_columns;
  const std::size_t i1 = std::min(p.m, i + c.rows), j1 = std::min(p.n, j + c.panels * bf16_columns);
#if MODX_HAS_AMX_CODE
  if (!amx_missing()) return bf16_by_tiles<amx_tiles>(p, i, i1, j, j1);
#endif
  bf16_by_vectors(p, i, i1, j, j1);
}

}  // namespace detail

}  // namespace modx::kernels
