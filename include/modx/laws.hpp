// Law suites: what every module, expert, router, combiner, coupling, loss and mixture must obey, checked in double.
// They use no test framework: each returns a report or throws modx::error saying which law broke, where, and by how
// much, so a user's own policy can be run through them from any program:
//
//   modx::basic_cpu<double> backend;
//   modx::laws::of_combiner(backend, my_combiner{}, /*experts*/ 3, /*width*/ 4);
#pragma once
#include <modx/laws/combiner.hpp>
#include <modx/laws/coupling.hpp>
#include <modx/laws/expert.hpp>
#include <modx/laws/gradient.hpp>
#include <modx/laws/loss.hpp>
#include <modx/laws/mixture.hpp>
#include <modx/laws/module.hpp>
#include <modx/laws/report.hpp>
#include <modx/laws/router.hpp>
