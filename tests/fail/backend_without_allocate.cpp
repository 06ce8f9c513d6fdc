// expect: modx: a Backend needs  void* allocate(std::size_t bytes)  and  void deallocate(void*, std::size_t
// bytes)
#include <modx/model.hpp>
#include <modx/module/linear.hpp>

struct mine {
  using scalar = float;
};

void use() {
  mine backend;
  modx::build(backend, modx::module::linear{}, {.in = 2, .out = 2});
}
