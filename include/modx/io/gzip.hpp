// A gzip file, inflated piece by piece: no more memory than is asked for, nothing after its end.
#pragma once
#include <zlib.h>

#include <array>
#include <modx/io/file.hpp>
#include <span>

namespace modx::io {

/// Reads one gzip member; its CRC and length are checked by zlib at the end.
class gzip_reader {
 public:
  /// Throws input_file's errors.
  explicit gzip_reader(const std::filesystem::path& file, std::uint64_t max_compressed,
                       syscalls& os = syscalls::real())
      : in_(file, max_compressed, os) {
    if (inflateInit2(&z_, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  gzip_reader(const gzip_reader&) = delete;
  gzip_reader& operator=(const gzip_reader&) = delete;
  ~gzip_reader() { inflateEnd(&z_); }

  const std::filesystem::path& name() const { return in_.name(); }

  /// Fills `out` as far as the contents go; returns how many bytes.  Throws not_gzip, corrupt_gzip,
  /// truncated_gzip.
  std::size_t read(std::span<std::byte> out) {
    std::size_t done = 0;
    while (done < out.size() && !ended_) {
      if (z_.avail_in == 0) refill();
      const auto room = static_cast<uInt>(std::min<std::size_t>(out.size() - done, 1u << 30));
      z_.next_out = reinterpret_cast<Bytef*>(out.data() + done);
      z_.avail_out = room;
      const int r = inflate(&z_, Z_NO_FLUSH);
      done += room - z_.avail_out;
      ended_ = r == Z_STREAM_END;
      if (r == Z_MEM_ERROR) throw std::bad_alloc();
      if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR) {
        const bool at_start = offset() < 10 && done == 0;
        throw io_error(at_start ? "not_gzip" : "corrupt_gzip", name(), offset(), "a gzip stream",
                       z_.msg ? z_.msg : "a preset dictionary");
      }
    }
    return done;
  }

  /// Throws trailing_bytes unless contents and file both end here (so their CRC is right).
  void expect_end() {
    std::byte extra{};
    if (read({&extra, 1}) != 0)
      throw io_error("trailing_bytes", name(), offset(), "the end of the contents", "more bytes");
    if (z_.avail_in != 0 || in_.position() != in_.size())
      throw io_error("trailing_bytes", name(), offset(), "the end of the file after the gzip stream",
                     "more bytes");
    in_.expect_end();
  }

 private:
  std::uint64_t offset() const { return in_.position() - z_.avail_in; }

  void refill() {
    const auto n =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), in_.size() - in_.position()));
    if (n == 0)
      throw io_error("truncated_gzip", name(), in_.position(), "the rest of a gzip stream",
                     "the end of the file");
    in_.read(std::span(buffer_).first(n));
    z_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
    z_.avail_in = static_cast<uInt>(n);
  }

  input_file in_;
  std::array<std::byte, 1 << 15> buffer_{};
  z_stream z_{};
  bool ended_ = false;
};

}  // namespace modx::io
