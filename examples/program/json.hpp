// JSON files that a program reads back: bounded, and errors that name the file.
#pragma once
#include <filesystem>
#include <modx/error.hpp>
#include <modx/io/file.hpp>
#include <modx/io/json_text.hpp>
#include <nlohmann/json.hpp>

namespace program {

/// The document in `file`, keys in its order; throws modx::error.
inline nlohmann::ordered_json read_json(const std::filesystem::path& file, std::uint64_t limit = std::uint64_t(1) << 30) {
  const auto bytes = modx::io::read_file(file, limit);
  modx::io::check_json_budget(bytes.text(), file);
  try {
    return nlohmann::ordered_json::parse(bytes.text());
  } catch (const nlohmann::json::exception& e) {
    throw modx::error(file.string(), "JSON", e.what());
  }
}

}  // namespace program
