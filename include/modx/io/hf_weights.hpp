// The weights of a Hugging Face folder, in one safetensors file or in shards, put into parameters: checked first, then copied.
#pragma once
#include <modx/io/json_text.hpp>
#include <modx/io/safetensors_stream.hpp>
#include <modx/parameter.hpp>
#include <memory>
#include <set>

namespace modx::io {

/// A tensor that a parameter is made of: rows x cols, or a vector of `rows` where cols is 0.
struct hf_part {
  std::string name;
  std::size_t rows = 0, cols = 0;
};

/// How a parameter is made of tensors: one behind the other as they are; each, [out][in], turned to in x out, side by side; or one
/// table as it is, which products use as x table^T.
enum class hf_layout { as_is, turned, table };

template <class T>
class hf_weights {
  struct tensor {
    tensor_entry entry;  // without bytes
    const safetensors_stream* file;
    bool used = false;
  };
  struct step {
    std::vector<const tensor*> parts;
    std::vector<hf_part> shapes;
    hf_layout layout;
    bool frozen;
    void* parameter;
    void (*put)(const step&);
  };
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<safetensors_stream>> files_;
  std::map<std::string, tensor, std::less<>> tensors_;
  std::vector<step> steps_;

  void add(const safetensors_stream& file, const std::map<std::string, std::string>* index, const std::string& name_of_file);
  void read_shards(const std::filesystem::path& index_file);

 public:
  explicit hf_weights(std::filesystem::path folder);
  bool has(std::string_view name) const { return tensors_.contains(name); }
  /// This tensor may be there without being used.
  void allow(std::string_view name) {
    const auto it = tensors_.find(name);
    if (it != tensors_.end()) it->second.used = true;
  }
  /// `p` is made of these tensors; `frozen`: in bfloat16 from now on.  Throws missing_tensor, shape_mismatch, unsupported_dtype.
  template <class B>
  void plan(parameter<B>& p, std::span<const hf_part> parts, hf_layout layout, bool frozen = false);
  template <class B>
  void plan(parameter<B>& p, std::initializer_list<hf_part> parts, hf_layout layout, bool frozen = false) {
    plan(p, std::span<const hf_part>(parts.begin(), parts.size()), layout, frozen);
  }
  /// Throws unexpected_tensor for one that no parameter is made of; then fills them all, reading one part after the other.
  void load() {
    for (const auto& [name, t] : tensors_)
      if (!t.used) throw io_error("unexpected_tensor", t.file->name(), 0, "the tensors of this model", "also " + show(name));
    for (const auto& s : steps_) s.put(s);
  }

 private:
  static std::string text(const std::vector<std::uint64_t>& shape) {
    std::string s = "[";
    for (const auto d : shape) s += (s.size() > 1 ? ", " : "") + std::to_string(d);
    return s + "]";
  }
  /// Elements [from, from + n) of a tensor.
  static std::vector<T> read(const tensor& t, std::size_t from, std::size_t n) {
    std::vector<std::byte> bytes(n * size_of(t.entry.type));
    t.file->read_part(t.entry.name, from * size_of(t.entry.type), bytes);
    auto part = t.entry;
    part.bytes = bytes;
    auto floats = to_floats(part);
    if constexpr (std::is_same_v<T, float>) {
      return floats;
    } else {
      return {floats.begin(), floats.end()};
    }
  }
  /// Rows [from, from + n) of the parts one below the other.
  static std::vector<T> rows(const step& s, std::size_t from, std::size_t n) {
    std::vector<T> all;
    for (std::size_t i = 0, first = 0; i < s.parts.size(); first += s.shapes[i++].rows) {
      const auto& shape = s.shapes[i];
      const std::size_t begin = std::max(from, first), end = std::min(from + n, first + shape.rows);
      if (begin >= end) continue;
      auto some = read(*s.parts[i], (begin - first) * shape.cols, (end - begin) * shape.cols);
      if (end - begin == n) return some;
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  /// The whole value of a parameter.
  template <class B>
  static std::vector<T> value(const step& s, const parameter<B>& p);
  template <class B>
  static void put(const step& s, parameter<B>& p);
};

template <class T>
void hf_weights<T>::add(const safetensors_stream& file, const std::map<std::string, std::string>* index,
                        const std::string& name_of_file) {
  for (std::size_t i = 0; i < file.size(); ++i) {
    const auto t = file.entry(i);
    if (index) {
      const auto it = index->find(t.name);
      if (it == index->end() || it->second != name_of_file)
        throw io_error("unexpected_tensor", file.name(), 0, "the tensors that the index puts into this file", show(t.name));
    }
    tensors_.emplace(t.name, tensor{t, &file});
  }
}
template <class T>
void hf_weights<T>::read_shards(const std::filesystem::path& index_file) {
  const auto bytes = read_file(index_file, std::uint64_t{64} << 20);
  const nlohmann::json json = parse_json(bytes.text(), index_file);
  const auto fail = [&](const std::string& expected, const std::string& found) {
    throw io_error("bad_index", index_file, 0, expected, found);
  };
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) fail("an object \"weight_map\"", "none");
  for (const auto& [key, value] : json.items())
    if (key != "weight_map" && key != "metadata") throw io_error("unknown_key", index_file, 0, "\"weight_map\" and \"metadata\"", show(key));
  std::map<std::string, std::string> index;
  std::set<std::string> names;
  for (const auto& [key, file] : json["weight_map"].items()) {
    if (!file.is_string()) fail("the name of a file for " + show(key), file.type_name());
    const std::string name = file;
    if (name.empty() || name.size() > 255 || name == "." || name == ".." || name.find_first_of(std::string("/\\\0", 3)) != name.npos)
      fail("the name of a file in this folder", show(name));
    index.emplace(key, name), names.insert(name);
  }
  if (names.empty()) fail("at least one tensor", "none");
  if (names.size() > 4096) fail("at most 4096 files", std::to_string(names.size()));
  for (const auto& name : names) {
    files_.push_back(std::make_unique<safetensors_stream>(folder_ / name));
    add(*files_.back(), &index, name);
  }
  for (const auto& [wanted, file] : index)
    if (!tensors_.contains(wanted)) throw io_error("missing_tensor", folder_ / file, 0, "a tensor named " + show(wanted), "none");
  if (const auto meta = json.find("metadata"); meta != json.end()) {
    std::uint64_t total = 0;
    for (const auto& [name, t] : tensors_) total += element_count(t.entry) * size_of(t.entry.type);
    if (!meta->is_object()) fail("an object \"metadata\"", meta->type_name());
    if (const auto size = meta->find("total_size"); size != meta->end() && *size != total)
      fail("\"total_size\": " + std::to_string(total), show(size->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)));
  }
}
template <class T>
hf_weights<T>::hf_weights(std::filesystem::path folder) : folder_(std::move(folder)) {
  const auto one = folder_ / "model.safetensors", index = folder_ / "model.safetensors.index.json";
  std::error_code ignored;
  const bool has_one = std::filesystem::exists(one, ignored), has_index = std::filesystem::exists(index, ignored);
  if (has_one && has_index)
    throw io_error("bad_index", index, 0, "either model.safetensors or an index of shards", "both");
  if (has_index) {
    read_shards(index);
  } else {
    files_.push_back(std::make_unique<safetensors_stream>(one));
    add(*files_.back(), nullptr, {});
  }
}
template <class T>
template <class B>
void hf_weights<T>::plan(parameter<B>& p, std::span<const hf_part> parts, hf_layout layout, bool frozen) {
  step s{{}, {parts.begin(), parts.end()}, layout, frozen, &p,
         [](const step& own) { put(own, *static_cast<parameter<B>*>(own.parameter)); }};
  for (const auto& part : parts) {
    const auto it = tensors_.find(part.name);
    if (it == tensors_.end())
      throw io_error("missing_tensor", files_.front()->name(), 0, "a tensor named " + show(part.name),
                     std::to_string(tensors_.size()) + " others");
    auto& [entry, file, used] = it->second;
    std::vector<std::uint64_t> shape{part.rows};
    if (part.cols) shape.push_back(part.cols);
    if (entry.shape != shape)
      throw io_error("shape_mismatch", file->name(), 0, show(part.name) + " of shape " + text(shape), text(entry.shape));
    if (entry.type != dtype::f32 && entry.type != dtype::f16 && entry.type != dtype::bf16)
      throw io_error("unsupported_dtype", file->name(), 0, show(part.name) + " in F32, F16 or BF16",
                     std::string(name_of(entry.type)));
    used = true;
    s.parts.push_back(&it->second);
  }
  steps_.push_back(std::move(s));
}
template <class T>
template <class B>
std::vector<T> hf_weights<T>::value(const step& s, const parameter<B>& p) {
  std::vector<T> values(p.size());
  std::size_t at = 0;  // the column, or the element, where the next part starts
  for (std::size_t i = 0; i < s.parts.size(); ++i) {
    const auto& shape = s.shapes[i];
    const auto part = read(*s.parts[i], 0, shape.rows * std::max<std::size_t>(shape.cols, 1));
    if (s.layout == hf_layout::turned) {
      constexpr std::size_t block = 32;
      for (std::size_t r0 = 0; r0 < shape.rows; r0 += block)
        for (std::size_t c0 = 0; c0 < shape.cols; c0 += block)
          for (std::size_t c = c0; c < std::min(shape.cols, c0 + block); ++c)
            for (std::size_t r = r0; r < std::min(shape.rows, r0 + block); ++r)
              values[c * p.cols() + at + r] = part[r * shape.cols + c];
      at += shape.rows;
    } else {
      std::copy(part.begin(), part.end(), values.begin() + std::ptrdiff_t(at));
      at += part.size();
    }
  }
  return values;
}
template <class T>
template <class B>
void hf_weights<T>::put(const step& s, parameter<B>& p) {
  if constexpr (requires { p.backend().bf16_panel(); }) {
    if (s.frozen) {
      // In the file a row is an output: a column of x W, or of x table^T.  A few MB at a time: this is the peak of memory.
      auto& b = p.backend();
      auto* panels = p.freeze_bf16(s.layout == hf_layout::table);
      const std::size_t k = s.shapes[0].cols, panel = b.bf16_panel(), slab = panel * std::max<std::size_t>(1, (1u << 20) / (panel * k));
      std::size_t total = 0;
      for (const auto& shape : s.shapes) total += shape.rows;
      for (std::size_t r = 0; r < total; r += slab) {
        const std::size_t n = std::min(slab, total - r);
        const auto some = rows(s, r, n);
        b.pack_bf16(k, r, n, matrix_view<T>::transposed(some.data(), k), panels);
      }
      return;
    }
  }
  if (s.frozen) p.freeze_bf16(false);  // says that this backend can't
  p.set(value(s, p));
}

}  // namespace modx::io
