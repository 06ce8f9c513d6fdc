// z = inner(y, a): the experts of a mixture and `ghosts` more, a_i in [0, 1] says how far each is there.
// At level 0 nobody hears a ghost and it has no weight; from 0 to 1 it comes in.   The ghosts of HGNN-MoE (2025).
#pragma once
#include <modx/coupling/none.hpp>

namespace modx::coupling {

/// Ghosts are the mixture's last experts.  Their levels are states: advance_ghosts() (modx/ghosts.hpp) moves
/// them after a training step, and nothing else does.
template <class Inner = none>
struct ghost {
  Inner inner{};
  std::size_t ghosts = 2;
  std::size_t window = 100;  // training steps that saturation is averaged over
  bool residual_experts =
      false;  // experts add to their input, as transformer blocks do: what they add is measured
  bool operator==(const ghost&) const = default;

  std::size_t added_experts() const { return ghosts; }

  template <Backend B>
  class bound {
    static_assert(check_present_coupling<Inner, B>());
    using T = typename B::scalar;
    using inner_type =
        accepted_t<Inner, B,
                   BindsToExperts<Inner, B> && Couples<Inner, B, outputs<B>> && CouplesPresent<Inner, B>>;
    inner_type inner_;
    std::size_t experts_, width_;
    bool residual_;
    parameter<B>* levels_;   // 2 x ghosts: levels, and where they go (0 or 1)
    parameter<B>* history_;  // 1 x window: saturations, newest last; -1 where there is none yet
    parameter<B>* gram_;     // experts x experts: mean over tokens of <y_i, y_j> in the last training step
    mutable std::vector<T> presence_;  // what levels_ said at version seen_
    mutable std::uint64_t seen_ = 0;

    static inner_type make(builder<B>& b, const ghost& s, std::size_t experts, std::size_t width) {
      expect_positive("coupling::ghost", "ghosts", static_cast<long long>(s.ghosts));
      expect_positive("coupling::ghost", "window", static_cast<long long>(s.window));
      if (experts <= s.ghosts)
        throw error("coupling::ghost",
                    "more than " + std::to_string(s.ghosts) + " experts, ghosts among them",
                    std::to_string(experts));
      return inner_type(b, s.inner, experts, width);
    }

   public:
    bound(builder<B>& b, const ghost& s, std::size_t experts, std::size_t width)
        : inner_(make(b, s, experts, width)),
          experts_(experts),
          width_(width),
          residual_(s.residual_experts),
          levels_(&b.make_state("ghosts.levels", 2, s.ghosts, 0)),
          history_(&b.make_state("ghosts.history", 1, s.window, -1)),
          gram_(&b.make_state("ghosts.gram", experts, experts, 0)),
          presence_(experts, T(1)) {}

    /// How far each expert is there.
    std::span<const T> presence() const {
      if (seen_ != levels_->version()) {
        const std::size_t g = levels_->cols();
        auto* at = presence_.data() + (experts_ - g);
        levels_->backend().download(at, levels_->value(), g * sizeof(T));
        for (std::size_t i = 0; i < g; ++i)
          if (!(at[i] >= 0 && at[i] <= 1))
            throw error(levels_->name(), "levels from 0 to 1", std::to_string(at[i]));
        seen_ = levels_->version();
      }
      return presence_;
    }
    /// In training: how alike the outputs y for x are, for advance_ghosts().
    void measure(var<B> x, const outputs<B>& y) const {
      auto& t = x.on();
      auto& b = x.backend();
      const std::size_t n = y.tokens(), e = experts_, m = width_;
      if (!t.context.training || n == 0) return;
      const T* said = y.y.data();
      if (residual_) {
        expect_equal("coupling::ghost, .residual_experts", "columns of the input", m, x.cols());
        T *added = t.template device<T>(n * e * m), *less = t.template device<T>(n * m);
        b.axpy(n * e * m, 1, said, 0, added);
        b.axpy(n * m, -1, x.data(), 0, less);
        for (std::size_t i = 0; i < e; ++i) b.put_columns(n, e * m, i * m, m, less, 1, added);
        said = added;
      }
      T* each = t.template device<T>(n * e * e);
      b.dot_experts(n, e, m, said, said, 0, each);
      b.column_sums(n, e * e, e * e, T(1) / T(n), each, 0, gram_->mutable_value());
    }
    outputs<B> couple(const outputs<B>& y) const {
      expect_equal("coupling::ghost", "experts", experts_, y.experts);
      expect_equal("coupling::ghost", "columns of an output", width_, y.width());
      return inner_.couple(y, presence());
    }
  };
};

}  // namespace modx::coupling
