// A data set on the device: rows of features, a label and a domain id each.
#pragma once
#include <modx/model.hpp>
#include <utility>

namespace modx {

/// Rows on the device that outlive the step.  Movable.
template <Backend B>
class device_matrix {
  using T = typename B::scalar;
  B* backend_;
  std::size_t rows_;
  extent columns_;
  T* data_;

 public:
  device_matrix(B& backend, std::size_t rows, extent columns)
      : backend_(&backend), rows_(rows), columns_(columns),
        data_(static_cast<T*>(memory_of(backend, bytes(), "device_matrix"))) {}
  device_matrix(B& backend, const matrix<T>& m, extent columns) : device_matrix(backend, m.rows, columns) {
    expect_equal("device_matrix", "columns", columns.size(), m.cols);
    expect_equal("device_matrix", "values", rows_ * m.cols, m.data.size());
    backend.upload(data_, m.data.data(), bytes());
  }
  device_matrix(device_matrix&& o) noexcept
      : backend_(o.backend_), rows_(o.rows_), columns_(o.columns_), data_(std::exchange(o.data_, nullptr)) {}
  device_matrix& operator=(device_matrix&& o) noexcept {
    std::swap(backend_, o.backend_), std::swap(rows_, o.rows_), std::swap(columns_, o.columns_);
    std::swap(data_, o.data_);
    return *this;
  }
  ~device_matrix() {
    if (data_) backend_->deallocate(data_, bytes());
  }
  std::size_t rows() const { return rows_; }
  const extent& columns() const { return columns_; }
  const T* data() const { return data_; }
  T* data() { return data_; }
  std::size_t bytes() const { return checked_product("device_matrix", rows_, columns_.size()) * sizeof(T); }
};

namespace detail {
/// Throws unless all of them are rows of data of this size.
inline void expect_rows(const char* where, std::size_t size, ids id) {
  for (std::size_t i = 0; i < id.size(); ++i)
    if (id[i] < 0 || std::size_t(id[i]) >= size)
      throw error(std::string(where) + ", row " + std::to_string(i), "0 <= id < " + std::to_string(size), std::to_string(id[i]));
}
/// The domains of rows `id`, if there are any, into the step's context.
template <class B>
void put_domains(const char* where, tape<B>& t, const std::vector<std::int32_t>& domain, std::size_t size, ids id) {
  if (domain.empty()) return;
  expect_equal(where, "domains", size, domain.size());
  auto* d = t.template host<std::int32_t>(id.size());
  for (std::size_t i = 0; i < id.size(); ++i) d[i] = domain[std::size_t(id[i])];
  t.context.domain = t.input(ids(d, id.size()));
  t.context.domain_count = id.size();
}
}  // namespace detail

/// Features with the two things that are known about each row.
template <Backend B>
struct dataset {
  device_matrix<B> x;
  std::vector<std::int32_t> label, domain;

  std::size_t size() const { return x.rows(); }
  /// Throws unless all of them are rows of this data set.
  void expect_rows(const char* where, ids id) const { detail::expect_rows(where, size(), id); }
  /// Rows `id` as a batch on the tape; the step's context gets their domains.
  var<B> batch(tape<B>& t, ids id) const {
    expect_rows("dataset::batch", id);
    detail::put_domains("dataset::batch", t, domain, size(), id);
    return ops::take_rows(t.tensor(x.data(), x.rows(), x.columns()), t.input(id), id.size());
  }
  /// The same where ids, and domains or null, are on the device.
  var<B> batch(tape<B>& t, const std::int32_t* id, const std::int32_t* domain_id, std::size_t n) const {
    t.context.domain = domain_id, t.context.domain_count = domain_id ? n : 0;
    return ops::take_rows(t.tensor(x.data(), x.rows(), x.columns()), id, n);
  }
};

/// 0, 1, ..., n - 1.
inline std::vector<std::int32_t> all_rows(std::size_t n) {
  if (n > 0x7fffffff) throw error("all_rows", "below 2^31 rows", std::to_string(n));
  std::vector<std::int32_t> rows(n);
  for (std::size_t i = 0; i < n; ++i) rows[i] = std::int32_t(i);
  return rows;
}

/// forward(bound, x) for every row, nothing recorded: the features under a frozen prefix, computed once.
template <class M, class D, class F>
auto map_rows(M& model, const D& data, extent columns, F&& forward, std::size_t batch = 256) {
  static_assert(check_model<M>());
  using B = typename M::backend_type;
  static_assert(check_data<D, B>());
  static_assert(check_forward<F, M>());
  expect_positive("map_rows", "rows a batch", static_cast<long long>(batch));
  device_matrix<B> out(model.backend(), data.size(), columns);
  const auto rows = all_rows(data.size());
  auto& t = model.tape_of_step();
  const unrecorded<B> quiet(t);
  for (std::size_t i = 0; i < rows.size(); i += batch) {
    const std::size_t n = std::min(batch, rows.size() - i);
    t.reset();
    const var<B> y = forward(model.bound(), data.batch(t, ids(rows).subspan(i, n)));
    expect_equal("map_rows", "columns", columns.size(), y.cols());
    expect_equal("map_rows", "rows of a batch", n, y.rows());
    model.backend().axpy(y.size(), 1, y.data(), 0, out.data() + i * columns.size());
  }
  t.reset();
  return out;
}

}  // namespace modx
