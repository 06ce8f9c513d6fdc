# Finds dist/echarts.min.js of the npm package "echarts" (npm install echarts in the build or the source folder).
# Defines ECharts_JS, ECharts_VERSION and the target ECharts::ECharts, which hands the path to programs as the
# compile definition MODX_ECHARTS_JS="<path>".  ECharts_ROOT names the package's folder.
find_file(ECharts_JS echarts.min.js
  HINTS ${ECharts_ROOT} $ENV{ECharts_ROOT} ${CMAKE_BINARY_DIR} ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR}
        ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_LIST_DIR}/..
  PATH_SUFFIXES dist echarts/dist node_modules/echarts/dist
  NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH
  DOC "echarts.min.js of the npm package echarts")
mark_as_advanced(ECharts_JS)
if(ECharts_JS)
  cmake_path(GET ECharts_JS PARENT_PATH ECharts_package)
  cmake_path(GET ECharts_package PARENT_PATH ECharts_package)
  if(EXISTS ${ECharts_package}/package.json)
    file(READ ${ECharts_package}/package.json ECharts_manifest)
    string(JSON ECharts_VERSION ERROR_VARIABLE ECharts_ignored GET "${ECharts_manifest}" version)
  endif()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ECharts REQUIRED_VARS ECharts_JS VERSION_VAR ECharts_VERSION
  REASON_FAILURE_MESSAGE "npm install echarts (reports have no charts without it)")
if(ECharts_FOUND AND NOT TARGET ECharts::ECharts)
  add_library(ECharts::ECharts INTERFACE IMPORTED)
  set_property(TARGET ECharts::ECharts PROPERTY INTERFACE_COMPILE_DEFINITIONS "MODX_ECHARTS_JS=\"${ECharts_JS}\"")
endif()
