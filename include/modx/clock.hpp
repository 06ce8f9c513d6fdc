// Time that never goes back; apart from <chrono>, which is slow to compile.
#pragma once

namespace modx {

/// Seconds since some fixed moment, by the monotonic clock.
double monotonic_seconds();

}  // namespace modx

#ifndef MODX_COMPILED
#include <modx/core.ipp>
#endif
