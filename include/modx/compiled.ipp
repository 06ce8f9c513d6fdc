// Definitions for compiled.hpp: once, in the TU that holds the backend.
#pragma once
#include <modx/backend/cpu.ipp>
#include <modx/compiled.hpp>

namespace modx {
#define MODX_DEFINE(...) template __VA_ARGS__
MODX_DEFINE(class arena<host_memory>;)
MODX_FOR_EACH_COMPILED(MODX_DEFINE, basic_cpu<float>)
MODX_FOR_EACH_COMPILED(MODX_DEFINE, basic_cpu<double>)
#undef MODX_DEFINE
}  // namespace modx
