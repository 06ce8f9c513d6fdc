// CUDA backend: products by cuBLAS in two ways, and what follows a product (bias, activation, gate) in one launch for
// all.
#pragma once
#include <modx/backend/cuda/operands.cuh>

namespace modx::gpu {

/// One product for cuBLAS, whose matrices are column-major: c^T (n x m) = b^T a^T, so b comes first and rows are
/// columns.  Operands are of T or both in bfloat16, where they are or at an offset in the memory of the converter.
template <class T>
struct product {
  static constexpr std::size_t in_place = ~std::size_t(0);
  int m, n, k;
  cublasOperation_t a_op, b_op;
  const void *a, *b;
  int lda, ldb, ldc;
  T beta;
  T* c;
  bool rounded = false;
  std::size_t a_at = in_place, b_at = in_place;
};

inline int product_size(std::size_t n) {
  if (n > 0x7fffffff) throw error("gemm", "sizes below 2^31", std::to_string(n));
  return static_cast<int>(n);
}

/// What is done to m x n values of c after the product; its blocks start at `first`, each takes 4096 values.
template <class T>
struct ending {
  unsigned first;
  bool scales;  // there was no product: c = beta c
  activation act;
  std::size_t n, size, ldc;
  T beta;
  T* c;
  const T* bias;
  T* pre;
  const T* gate;
};

/// c = act(c + bias), 0 where gate <= 0; pre keeps the value before act.
template <class T>
__global__ void finish_products(const ending<T>* list, unsigned count) {
  const ending<T> e = entry_of_block(list, count);
  for_cells_of_piece(e.first, e.size, e.n, [&](std::size_t, std::size_t i, std::size_t j) {
    const std::size_t at = i * e.ldc + j;
    T x = e.scales ? (e.beta == T(0) ? T(0) : e.beta * e.c[at]) : e.c[at];
    if (e.bias) x += e.bias[j];
    if (e.pre) e.pre[at] = x;
    x = activate(e.act, x);
    if (e.gate && !(e.gate[at] > T(0))) x = 0;
    e.c[at] = x;
  });
}

inline cublasStatus_t call_grouped(cublasHandle_t h, const cublasOperation_t* ta, const cublasOperation_t* tb,
                                   const int* m, const int* n, const int* k, const float* alpha, const float* const* a,
                                   const int* lda, const float* const* b, const int* ldb, const float* beta,
                                   float* const* c, const int* ldc, int groups, const int* size) {
  return cublasSgemmGroupedBatched(h, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, groups, size);
}
inline cublasStatus_t call_grouped(cublasHandle_t h, const cublasOperation_t* ta, const cublasOperation_t* tb,
                                   const int* m, const int* n, const int* k, const double* alpha,
                                   const double* const* a, const int* lda, const double* const* b, const int* ldb,
                                   const double* beta, double* const* c, const int* ldc, int groups, const int* size) {
  return cublasDgemmGroupedBatched(h, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, groups, size);
}

/// Runs lists of products; keeps its lists, so that a step allocates nothing.
template <class T>
class multiplier {
  static constexpr bool is_double = std::is_same_v<T, double>;
  std::vector<product<T>> products_;
  std::vector<ending<T>> endings_;
  converter<T> copies_;
  unsigned ending_blocks_ = 0;
  struct {
    std::vector<cublasOperation_t> a_op, b_op;
    std::vector<int> m, n, k, lda, ldb, ldc, size;
    std::vector<T> alpha, beta;
    std::vector<const T*> pointers;  // all a, all b, all c

    void clear() {
      a_op.clear(), b_op.clear(), m.clear(), n.clear(), k.clear(), lda.clear(), ldb.clear(), ldc.clear(), size.clear();
      alpha.clear(), beta.clear(), pointers.clear();
    }
  } groups_;

  /// The right operand, k x n: what cuBLAS calls a.
  void set_right(product<T>& p, const gemm_task<T>& t) {
    if (t.packed_bf16) {  // each column side by side
      p.a_op = CUBLAS_OP_T, p.lda = product_size(t.k), p.a = t.packed_bf16;
      if (!p.rounded) p.a_at = copies_.restore(t.packed_bf16, t.k * t.n);
      return;
    }
    const operand<T> b(t.b, t.k, t.n);
    p.a_op = b.op, p.lda = product_size(b.ld), p.a = t.b.data;
    if (!p.rounded) return;
    p.lda = product_size(b.op == CUBLAS_OP_N ? t.n : t.k);
    if (t.packed_b) {
      p.a = t.packed_b;
    } else {
      p.a_at = copies_.round(b, t.b.data, t.k, t.n);
    }
  }
  void set_left(product<T>& p, const gemm_task<T>& t) {
    const operand<T> a(t.a, t.m, t.k);
    p.b_op = a.op, p.ldb = product_size(a.ld), p.b = t.a.data;
    if (!p.rounded) return;
    p.ldb = product_size(a.op == CUBLAS_OP_N ? t.k : t.m);
    p.b_at = copies_.round(a, t.a.data, t.m, t.k);
  }
  void add(const gemm_task<T>& t) {
    if (t.m == 0 || t.n == 0) return;
    if (t.ldc < t.n) throw error("gemm", "ldc >= " + std::to_string(t.n), std::to_string(t.ldc));
    if (t.k > 0) {
      product<T> p{};
      p.m = product_size(t.n), p.n = product_size(t.m), p.k = product_size(t.k);
      p.ldc = product_size(t.ldc), p.beta = t.beta, p.c = t.c;
      p.rounded = bf16 && !t.exact;
      set_right(p, t), set_left(p, t);
      products_.push_back(p);
    }
    if (t.k > 0 && !t.bias && !t.pre && !t.gate && t.act == activation::none) return;
    endings_.push_back({ending_blocks_, t.k == 0, t.act, t.n, t.m * t.n, t.ldc, t.beta, t.c, t.bias, t.pre, t.gate});
    ending_blocks_ += pieces(t.m * t.n);
  }

  /// Product i on lane i mod lanes: each lane's products are in order, and always the same ones.
  void on_streams(context& device) {
    const T one = 1;
    const std::size_t lanes = std::min(products_.size(), context::lanes);
    constexpr auto type = is_double ? CUDA_R_64F : CUDA_R_32F;
    const auto compute = is_double ? CUBLAS_COMPUTE_64F : tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    device.fork(lanes);
    for (std::size_t i = 0; i < products_.size(); ++i) {
      const auto& p = products_[i];
      const auto in = p.rounded ? CUDA_R_16BF : type;
      MODX_CUDA_CHECK(cublasGemmEx(device.blas(i % lanes), p.a_op, p.b_op, p.m, p.n, p.k, &one, p.a, in, p.lda, p.b, in,
                                   p.ldb, &p.beta, p.c, type, p.ldc, p.rounded ? CUBLAS_COMPUTE_32F : compute,
                                   CUBLAS_GEMM_DEFAULT));
    }
    device.join(lanes);
  }
  /// Every product is a group of one.
  void grouped(context& device) {
    auto& g = groups_;
    g.clear();
    for (const auto& p : products_) {
      g.a_op.push_back(p.a_op), g.b_op.push_back(p.b_op);
      g.m.push_back(p.m), g.n.push_back(p.n), g.k.push_back(p.k);
      g.lda.push_back(p.lda), g.ldb.push_back(p.ldb), g.ldc.push_back(p.ldc);
      g.size.push_back(1), g.alpha.push_back(1), g.beta.push_back(p.beta);
      g.pointers.push_back(static_cast<const T*>(p.a));
    }
    for (const auto& p : products_) g.pointers.push_back(static_cast<const T*>(p.b));
    for (const auto& p : products_) g.pointers.push_back(p.c);
    const std::size_t n = products_.size();
    const T* const* table = device.table(std::span<const T* const>(g.pointers));
    const auto h = device.blas();
    MODX_CUDA_CHECK(cublasSetMathMode(h, tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH));
    MODX_CUDA_CHECK(call_grouped(h, g.a_op.data(), g.b_op.data(), g.m.data(), g.n.data(), g.k.data(), g.alpha.data(),
                                 table, g.lda.data(), table + n, g.ldb.data(), g.beta.data(),
                                 const_cast<T* const*>(table + 2 * n), g.ldc.data(), static_cast<int>(n),
                                 g.size.data()));
  }
  /// Many small products gain more from one call than each loses by its tile.  Unmeasured: the limit is 64 x 1024 x
  /// 1024.
  bool prefers_groups(const context& device) const {
    bool rounded = false;
    for (const auto& p : products_) rounded = rounded || p.rounded;
    if (rounded) {  // cuBLAS groups products in bfloat16 only with results in bfloat16
      if (engine == product_engine::grouped)
        throw error("gemm in bfloat16", "product_engine automatic or streams", "grouped");
      return false;
    }
    if (device.step_is_fixed()) {  // the grouped call reads its sizes on the host
      if (engine == product_engine::grouped)
        throw error("gemm in a recorded step", "product_engine automatic or streams", "grouped");
      return false;
    }
    if (engine != product_engine::automatic) return engine == product_engine::grouped;
    double work = 0;
    for (const auto& p : products_) work += double(p.m) * double(p.n) * double(p.k);
    return products_.size() >= 4 && work / double(products_.size()) <= double(1 << 26);
  }

 public:
  product_engine engine = product_engine::automatic;
  bool tf32 = false, bf16 = false;

  void run(context& device, std::span<const gemm_task<T>> tasks) {
    products_.clear(), endings_.clear(), copies_.clear();
    ending_blocks_ = 0;
    for (const auto& t : tasks) add(t);
    const std::byte* const copies = copies_.run(device);
    for (auto& p : products_) {
      if (p.a_at != product<T>::in_place) p.a = copies + p.a_at;
      if (p.b_at != product<T>::in_place) p.b = copies + p.b_at;
    }
    if (products_.size() > 1 && prefers_groups(device)) {
      grouped(device);
    } else if (!products_.empty()) {
      on_streams(device);
    }
    if (endings_.empty()) return;
    const auto* table = device.table(std::span<const ending<T>>(endings_));
    device.launch(finish_products<T>, geometry{dim3(ending_blocks_), dim3(block_threads)}, table, endings_.size());
  }
};

}  // namespace modx::gpu

namespace modx {

template <class T>
std::size_t basic_cuda<T>::packed_size(std::size_t k, std::size_t n) const {
  if (!state_->products.bf16) return 0;  // cuBLAS packs for itself
  return (checked_product("packed_size", k, n) * sizeof(std::uint16_t) + sizeof(T) - 1) / sizeof(T);
}
template <class T>
void basic_cuda<T>::pack(std::span<const pack_task<T>> tasks) {
  auto& list = state_->conversions;
  if (!tasks.empty() && !state_->products.bf16)
    throw error("pack: the CUDA backend packs nothing without use_bf16() (packed_size() is 0)");
  list.clear();
  for (const auto& t : tasks)
    list.round_to(reinterpret_cast<std::uint16_t*>(t.out), gpu::operand<T>(t.b, t.k, t.n), t.b.data, t.k, t.n);
  list.run(state_->device);
}
template <class T>
void basic_cuda<T>::gemm(std::span<const gemm_task<T>> tasks) {
  state_->products.run(state_->device, tasks);
}

}  // namespace modx
