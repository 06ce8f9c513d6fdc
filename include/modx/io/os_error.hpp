// errno as an io_error: which call failed, on which file, why.
#pragma once
#include <cerrno>
#include <modx/io/io_error.hpp>
#include <string_view>
#include <system_error>

namespace modx::io {

/// The code of a failed call: not_found, no_space, read_only, or "<call>_failed".
inline const char* os_error_code(std::string_view call, int e) {
  if (e == ENOENT || e == ENOTDIR) return "not_found";
  if (e == ENOSPC || e == EDQUOT || e == EFBIG) return "no_space";
  if (e == EROFS) return "read_only";
  if (call == "open") return "open_failed";
  if (call == "read") return "read_failed";
  if (call == "write") return "write_failed";
  if (call == "fsync") return "sync_failed";
  if (call == "close") return "close_failed";
  if (call == "rename") return "rename_failed";
  return "system_failed";
}

/// Throws the io_error for errno after `call` failed at byte `offset` of `file`.
[[noreturn]] inline void throw_os_error(std::string_view call, const std::filesystem::path& file,
                                        std::uint64_t offset) {
  const int e = errno;
  throw io_error(os_error_code(call, e), file, offset, std::string(call) + " to succeed",
                 std::generic_category().message(e));
}

}  // namespace modx::io
