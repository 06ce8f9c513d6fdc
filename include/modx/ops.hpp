// All operations on the tape.
#pragma once
#include <modx/ops/attention.hpp>
#include <modx/ops/conv.hpp>
#include <modx/ops/elementwise.hpp>
#include <modx/ops/experts.hpp>
#include <modx/ops/linear.hpp>
#include <modx/ops/loss.hpp>
#include <modx/ops/norm.hpp>
#include <modx/ops/residual.hpp>
#include <modx/ops/routing.hpp>
#include <modx/ops/rows.hpp>
