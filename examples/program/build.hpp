// What CMake says of this build: the charts' library, and the commit.
#pragma once

#ifndef MODX_ECHARTS_JS
#define MODX_ECHARTS_JS ""
#endif
#ifndef MODX_GIT
#define MODX_GIT "unknown"
#endif
