// What the base stage trains: the last blocks of a Qwen3 over cached hidden states, the final norm, pooling, and a head.
#pragma once
#include <modx/model/qwen3.hpp>

#include "../red/networks.hpp"

namespace red_arithmetic {

namespace m = modx::module;

/// One row a text: the mean of its tokens, or the last of them.
struct pooling {
  bool last = false;
  bool operator==(const pooling&) const = default;
  modx::extent output(modx::extent in) const { return in; }

  template <modx::Backend B>
  struct bound {
    bool last;
    bound(modx::builder<B>&, const pooling& s, modx::shape) : last(s.last) {}
    modx::var<B> forward(modx::var<B> x) const { return last ? modx::ops::sequence_lasts(x) : modx::ops::sequence_means(x); }
  };
};

/// Hidden states under the last `blocks` blocks to classes; the encoder is part 0.
template <class Head>
auto base_network(const modx::qwen3& s, std::size_t blocks, bool last, const Head& head) {
  return m::sequential(m::sequential(m::repeat<modx::qwen3::block_spec>{.inner = s.block(), .count = blocks},
                                     m::rms_norm{.eps = s.eps}, pooling{last}),
                       head);
}
/// The last `blocks` blocks and the final norm of `from`.
template <class From, class To>
void put_blocks(const From& from, To& to, std::size_t blocks) {
  const std::size_t first = from.spec().blocks - blocks;
  to.find("0.1.weight").set(from.find("norm.weight").host());
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::string old = "blocks." + std::to_string(first + i) + ".", now = "0.0." + std::to_string(i) + ".";
    for (const auto* p : from.parameters())
      if (p->name().starts_with(old)) to.find(now + p->name().substr(old.size())).set(p->host());
  }
}

}  // namespace red_arithmetic
