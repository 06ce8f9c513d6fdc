// Folders: made with their parents, listed in a fixed order.
#pragma once
#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <modx/io/io_error.hpp>
#include <string>
#include <system_error>
#include <vector>

namespace modx::io {

/// Makes `folder` and its parents; throws open_failed.
inline void make_folder(const std::filesystem::path& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) throw io_error("open_failed", folder, 0, "to make the folder", failed.message());
}

/// The names in `folder`, sorted; throws read_failed.  (libstdc++'s directory_iterator ends the program when
/// memory runs out.)
inline std::vector<std::string> list_folder(const std::filesystem::path& folder) {
  struct close_folder {
    void operator()(::DIR* d) const { ::closedir(d); }
  };
  const auto fail = [&](int e) {
    throw io_error("read_failed", folder, 0, "to list the folder", std::generic_category().message(e));
  };
  const std::unique_ptr<::DIR, close_folder> dir(::opendir(folder.c_str()));
  if (!dir) fail(errno);
  std::vector<std::string> out;
  for (;;) {
    errno = 0;
    const auto* entry = ::readdir(dir.get());
    if (!entry && errno != 0) fail(errno);
    if (!entry) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") out.emplace_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// The names of all regular files in `folder` and below ("a/b"), sorted; symlinks are neither listed nor
/// followed.  Throws read_failed.
inline std::vector<std::string> list_tree(const std::filesystem::path& folder) {
  std::vector<std::string> out, folders = {""};
  while (!folders.empty()) {
    const std::string here = std::move(folders.back());
    folders.pop_back();
    for (const auto& name : list_folder(folder / here)) {
      std::string inside = here.empty() ? name : here + "/" + name;
      std::error_code gone;
      const auto type = std::filesystem::symlink_status(folder / inside, gone).type();
      if (type == std::filesystem::file_type::directory) folders.push_back(inside);
      if (type == std::filesystem::file_type::regular) out.push_back(std::move(inside));
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace modx::io
