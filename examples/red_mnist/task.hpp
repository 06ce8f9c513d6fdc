// MNIST as a task of residual expert decomposition: five domains, one per pair of digits.
#pragma once
#include "../red/task.hpp"

namespace red_mnist {

inline constexpr std::size_t classes = 10, domain_count = 5;

inline red::task about(std::size_t rank) {
  return {.program = "red_mnist",
          .title = "RED on MNIST: residual experts against their baselines",
          .classes = classes,
          .domains = {"0-1", "2-3", "4-5", "6-7", "8-9"},
          .domain_word = "digits",
          .test_rows = "test images",
          .base_note = "encoder and head, two epochs on a tenth of the data",
          .hidden = {{"red_hidden", "hidden_", rank}}};
}

}  // namespace red_mnist
