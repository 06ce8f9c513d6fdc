// An outside program with component io: another model gets the parameters from a file and predicts the same.
#include <cstdio>
#include <modx/analysis/statistics.hpp>
#include <modx/io/model_file.hpp>
#include <modx/modx.hpp>

int main() {
  modx::cpu backend{1};
  const auto x = backend.normal(16, 3);
  const auto spec = modx::module::mixture{
      .experts = modx::expert::linear{}, .router = modx::router::softmax{}, .n_experts = 3};
  auto saved = modx::build(backend, spec, {.in = 3, .out = 2}, 1);
  auto loaded = modx::build(backend, spec, {.in = 3, .out = 2}, 2);
  const bool differed = saved.predict(x).data != loaded.predict(x).data;
  modx::io::save(saved, "outside.safetensors");
  modx::io::load(loaded, "outside.safetensors");
  const bool equal = saved.predict(x).data == loaded.predict(x).data;
  std::printf("before %s, after %s\n", differed ? "different" : "equal", equal ? "equal" : "different");
}
