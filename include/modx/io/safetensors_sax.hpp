// The events of a safetensors header's JSON, streamed into fixed records under budgets; no tree is built.
#pragma once
#include <modx/io/json_text.hpp>
#include <modx/io/safetensors_limits.hpp>
#include <utility>

namespace modx::io {

namespace detail {

/// Takes nlohmann's events; returns false, with `error` set, at the first thing that doesn't belong.
class safetensors_sax {
 public:
  safetensors_sax(safetensors_header& out, const std::filesystem::path& file,
                  const safetensors_limits& limits, const char* begin)
      : furthest(begin), out_(out), file_(file), limits_(limits), begin_(begin) {}

  const char* furthest;
  std::optional<io_error> error;

  bool null() { return place_ == place::metadata_start ? (place_ = place::root, true) : misplaced("null"); }
  bool boolean(bool) { return misplaced("a boolean"); }
  bool number_integer(std::int64_t) { return misplaced("a negative number"); }
  bool number_float(double, const std::string&) {
    return misplaced("a number that is no integer below 2^64");
  }
  bool binary(nlohmann::json::binary_t&) { return misplaced("binary data"); }

  bool number_unsigned(std::uint64_t v) {
    if (place_ == place::shape) {
      if (now_.rank == limits_.rank || now_.rank == 32)
        return fail("rank_too_large", "at most " + std::to_string(limits_.rank) + " dimensions", "more");
      out_.dims.push_back(v);
      ++now_.rank;
      return true;
    }
    if (place_ != place::offsets) return misplaced("a number");
    if (offsets_ == 2) return fail("bad_offsets", "two data_offsets", "three");
    (offsets_++ == 0 ? now_.begin : now_.end) = v;
    return true;
  }

  bool string(const std::string& v) {
    if (place_ == place::metadata_value) {
      if (!spend_metadata(v.size())) return false;
      out_.metadata[metadata_key_] = v;
      place_ = place::metadata;
      return true;
    }
    if (place_ != place::dtype) return misplaced("a string");
    const auto t = dtype_named(v);
    if (!t && is_sub_byte_dtype(v)) return fail("unsupported_dtype", "a dtype of whole bytes", show(v));
    if (!t) return fail("unknown_dtype", "a dtype of the format", show(v));
    now_.type = *t;
    place_ = place::tensor;
    return true;
  }

  bool start_object(std::size_t) {
    if (place_ == place::start) return place_ = place::root, true;
    if (place_ == place::metadata_start) return place_ = place::metadata, true;
    if (place_ == place::tensor_start) return place_ = place::tensor, true;
    return misplaced("an object");
  }

  bool end_object() {
    if (place_ == place::metadata) return place_ = place::root, true;
    if (place_ == place::root) return place_ = place::end, true;
    if (fields_ != 7) return fail("missing_field", "dtype, shape and data_offsets", "fewer");
    out_.records.push_back(now_);
    place_ = place::root;
    return true;
  }

  bool start_array(std::size_t) {
    if (place_ == place::shape_start) return place_ = place::shape, true;
    if (place_ == place::offsets_start) return place_ = place::offsets, true;
    return misplaced("an array");
  }

  bool end_array() {
    if (place_ == place::offsets && offsets_ != 2)
      return fail("bad_offsets", "two data_offsets", std::to_string(offsets_));
    place_ = place::tensor;
    return true;
  }

  bool key(const std::string& k) {
    if (place_ == place::tensor) return field(k);
    if (place_ == place::metadata) {
      if (!spend_metadata(k.size())) return false;
      if (out_.metadata.size() == limits_.keys)
        return fail("metadata_too_large", "at most " + std::to_string(limits_.keys) + " keys in __metadata__",
                    "more");
      if (out_.metadata.contains(k)) return fail("duplicate_key", "each key once", show(k) + " twice");
      metadata_key_ = k;
      place_ = place::metadata_value;
      return true;
    }
    if (k == "__metadata__") {
      if (std::exchange(has_metadata_, true)) return fail("duplicate_key", "__metadata__ once", "it twice");
      place_ = place::metadata_start;
      return true;
    }
    if (k.empty() || k.find('\0') != k.npos)
      return fail("bad_name", "a name without NUL, not empty", show(k));
    if (k.size() > limits_.name || k.size() > 0xffff)
      return fail("name_too_long", "a name of at most " + std::to_string(limits_.name) + " bytes",
                  std::to_string(k.size()));
    if (out_.records.size() == limits_.tensors)
      return fail("too_many_tensors", "at most " + std::to_string(limits_.tensors) + " tensors", "more");
    now_ = {.at = static_cast<std::uint32_t>(position() - 8),
            .name = static_cast<std::uint32_t>(out_.names.size()),
            .dims = static_cast<std::uint32_t>(out_.dims.size()),
            .name_size = static_cast<std::uint16_t>(k.size())};
    out_.names += k;
    fields_ = 0;
    offsets_ = 0;
    place_ = place::tensor_start;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& e) {
    return fail("bad_json", "JSON", show(std::string_view(e.what()).substr(0, 120)));
  }

 private:
  enum class place {
    start,
    root,
    end,
    metadata_start,
    metadata,
    metadata_value,
    tensor_start,
    tensor,
    dtype,
    shape_start,
    shape,
    offsets_start,
    offsets
  };

  bool field(const std::string& k) {
    const unsigned bit = k == "dtype" ? 1 : k == "shape" ? 2 : k == "data_offsets" ? 4 : 0;
    if (bit == 0) return fail("unknown_field", "dtype, shape or data_offsets", show(k));
    if (fields_ & bit) return fail("duplicate_key", "each field once", show(k) + " twice");
    fields_ |= bit;
    place_ = bit == 1 ? place::dtype : bit == 2 ? place::shape_start : place::offsets_start;
    return true;
  }

  bool spend_metadata(std::size_t n) {
    metadata_size_ += n;
    return metadata_size_ <= limits_.metadata ||
           fail("metadata_too_large",
                "at most " + std::to_string(limits_.metadata) + " bytes of __metadata__", "more");
  }

  bool misplaced(const std::string& found) {
    switch (place_) {
      case place::metadata_start:
      case place::metadata:
      case place::metadata_value:
        return fail("bad_metadata", "__metadata__ of strings", found);
      case place::tensor_start:
        return fail("bad_tensor", "an object with dtype, shape and data_offsets", found);
      case place::dtype:
        return fail("unknown_dtype", "a dtype of the format, as a string", found);
      case place::shape_start:
      case place::shape:
        return fail("bad_shape", "an array of integers from 0 to 2^64 - 1", found);
      case place::offsets_start:
      case place::offsets:
        return fail("bad_offsets", "an array of two integers from 0 to 2^64 - 1", found);
      default:
        return fail("bad_root", "an object", found);
    }
  }

  std::uint64_t position() const { return 8 + static_cast<std::uint64_t>(furthest - begin_); }
  bool fail(const char* code, const std::string& expected, const std::string& found) {
    error.emplace(code, file_, position(), expected, found);
    return false;
  }

  safetensors_header& out_;
  const std::filesystem::path& file_;
  const safetensors_limits& limits_;
  const char* begin_;
  place place_ = place::start;
  safetensors_header::record now_;
  std::string metadata_key_;
  std::size_t metadata_size_ = 0;
  unsigned fields_ = 0, offsets_ = 0;
  bool has_metadata_ = false;
};

}  // namespace detail
}  // namespace modx::io
