#include <modx/backend/cuda.cuh>
