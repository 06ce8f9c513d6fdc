// The library's version; CMake reads it from here.
#pragma once
#define MODX_VERSION_MAJOR 0
#define MODX_VERSION_MINOR 1
#define MODX_VERSION_PATCH 0
#define MODX_VERSION "0.1.0"
