// Parameters to and from safetensors files, by name and strictly: missing, unexpected and mis-shaped tensors are named.
#pragma once
#include <modx/io/safetensors.hpp>
#include <modx/io/safetensors_writer.hpp>
#include <modx/model.hpp>
#include <modx/recompose.hpp>

namespace modx::io {

/// A float matrix as a file's tensor; its bytes stay with `m`.
template <class T>
tensor_entry entry_of(const std::string& name, const matrix<T>& m) {
  return {name, sizeof(T) == 4 ? dtype::f32 : dtype::f64, {m.rows, m.cols}, std::as_bytes(std::span(m.data))};
}
template <class T>
std::vector<tensor_entry> entries_of(const named_values<T>& values) {
  std::vector<tensor_entry> list;
  for (const auto& [name, m] : values) list.push_back(entry_of(name, m));
  return list;
}
/// A file's tensor as a matrix of T; throws unless it is a matrix of that type, or of one that T holds exactly (F16, BF16).
template <class T>
matrix<T> matrix_of(const tensor_entry& t) {
  if (t.shape.size() != 2) throw error("tensor '" + t.name + "'", "2 dimensions", std::to_string(t.shape.size()));
  matrix<T> m(t.shape[0], t.shape[1]);
  if (t.type == dtype::f16 || t.type == dtype::bf16) {
    const auto values = to_floats(t);
    m.data.assign(values.begin(), values.end());
  } else {
    copy_to(t, std::span<T>(m.data));
  }
  return m;
}

/// Writes named matrices, all or nothing.
template <class T>
void save_values(const std::filesystem::path& file, const named_values<T>& values,
                 const std::map<std::string, std::string>& metadata = {}) {
  const auto list = entries_of(values);
  write_safetensors(file, list, metadata);
}
template <class T>
named_values<T> load_values(const std::filesystem::path& file) {
  const auto content = safetensors_file(file);
  named_values<T> values;
  for (const auto& t : content.list()) values.emplace_back(t.name, matrix_of<T>(t));
  return values;
}

namespace detail {
/// Parameters and states that match `pattern`.
template <class M>
auto kept(const M& model, std::string_view pattern) {
  std::vector<parameter<typename M::backend_type>*> list;
  for (const auto part : {model.parameters(), model.states()})
    for (auto* p : part)
      if (matches(pattern, p->name())) list.push_back(p);
  return list;
}
}  // namespace detail

/// Writes the parameters and states that match `pattern`.
template <class M>
void save(const M& model, const std::filesystem::path& file, std::string_view pattern = "*",
          const std::map<std::string, std::string>& metadata = {}) {
  named_values<typename M::scalar> values;
  for (auto* p : detail::kept(model, pattern)) values.emplace_back(p->name(), p->host());
  save_values(file, values, metadata);
}

/// Reads them back: the file must hold exactly those that match `pattern`.  On an error nothing has changed.
template <class M>
void load(M& model, const std::filesystem::path& file, std::string_view pattern = "*") {
  using T = typename M::scalar;
  const auto values = load_values<T>(file);
  const auto list = detail::kept(model, pattern);
  for (auto* p : list) {
    const matrix<T>* found = nullptr;
    for (const auto& [name, m] : values)
      if (name == p->name()) found = &m;
    if (!found) throw error(file.string(), "a tensor '" + p->name() + "'", "none");
    if (found->rows != p->rows() || found->cols != p->cols())
      throw error(file.string() + ", tensor '" + p->name() + "'",
                  std::to_string(p->rows()) + " x " + std::to_string(p->cols()),
                  std::to_string(found->rows) + " x " + std::to_string(found->cols));
  }
  for (const auto& [name, m] : values) {
    bool known = false;
    for (auto* p : list) known = known || p->name() == name;
    if (!known) throw error(file.string(), std::to_string(list.size()) + " tensors of this model", "also '" + name + "'");
  }
  for (const auto& [name, m] : values) model.find(name).set(m);
}

}  // namespace modx::io
