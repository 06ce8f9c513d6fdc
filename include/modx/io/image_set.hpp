// Labelled images in the MNIST layout: four IDX files in a folder, under the usual names, raw or .gz.
#pragma once
#include <modx/io/idx.hpp>

namespace modx::io {

enum class split { train, test };

/// `count` images of height x width bytes, and a label below `classes` for each.
struct image_set {
  std::size_t count = 0, height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // count x height x width
  std::vector<std::uint8_t> labels;  // count
};

namespace detail {

/// The first of <stem>-<kind>, <stem>.<kind>, each also with .gz, that exists; throws missing_file.
inline std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& stem,
                                      const std::string& kind) {
  std::string tried;
  for (const std::string& name :
       {stem + "-" + kind, stem + "." + kind, stem + "-" + kind + ".gz", stem + "." + kind + ".gz"}) {
    std::error_code failed;
    if (std::filesystem::exists(folder / name, failed)) return folder / name;
    tried += (tried.empty() ? "" : ", ") + name;
  }
  throw io_error("missing_file", folder, 0,
                 "one of " + tried +
                     " in this folder (put the four files of MNIST, or of a data set in its format, there)",
                 "none of them");
}

}  // namespace detail

/// Reads the images and labels of one split.  Throws missing_file (says what was looked for), wrong_rank,
/// counts_disagree, label_out_of_range, and load_idx's errors.
inline image_set load_image_set(const std::filesystem::path& folder, split which, unsigned classes = 10,
                                syscalls& os = syscalls::real()) {
  const std::string stem = which == split::train ? "train" : "t10k";
  const auto image_file = detail::find_idx(folder, stem + "-images", "idx3-ubyte");
  const auto label_file = detail::find_idx(folder, stem + "-labels", "idx1-ubyte");
  constexpr std::uint64_t limit = std::uint64_t{1} << 30;
  auto images = load_idx(image_file, limit, os);
  if (images.shape.size() != 3)
    throw io_error("wrong_rank", image_file, 3, "images: 3 dimensions", std::to_string(images.shape.size()));
  auto labels = load_idx(label_file, limit, os);
  if (labels.shape.size() != 1)
    throw io_error("wrong_rank", label_file, 3, "labels: 1 dimension", std::to_string(labels.shape.size()));
  if (images.shape[0] != labels.shape[0])
    throw io_error("counts_disagree", label_file, 4,
                   "a label for each of " + std::to_string(images.shape[0]) + " images",
                   std::to_string(labels.shape[0]));
  for (std::size_t i = 0; i < labels.data.size(); ++i)
    if (labels.data[i] >= classes)
      throw io_error("label_out_of_range", label_file, 8 + i, "labels below " + std::to_string(classes),
                     std::to_string(labels.data[i]));
  return {images.shape[0], images.shape[1], images.shape[2], std::move(images.data), std::move(labels.data)};
}

}  // namespace modx::io
