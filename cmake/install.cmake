# Install rules: headers, libmodx_cpu.a, modxConfig.cmake, modx.pc and modx-cpu.pc.  One export per component, so that
# find_package asks only for what is used.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/modx)

install(TARGETS modx EXPORT modx_core_targets FILE_SET HEADERS FILE_SET definitions)
install(TARGETS modx_cpu EXPORT modx_cpu_targets)
if(TARGET modx_cuda)
  install(TARGETS modx_cuda EXPORT modx_cuda_targets)
endif()
foreach(component IN ITEMS analysis io text)
  if(TARGET modx_${component})
    install(TARGETS modx_${component} EXPORT modx_${component}_targets FILE_SET HEADERS)
  endif()
endforeach()
foreach(component IN LISTS modx_components)
  if(component STREQUAL "core" OR TARGET modx_${component})
    install(EXPORT modx_${component}_targets NAMESPACE modx:: DESTINATION ${package_dir})
  endif()
endforeach()

configure_package_config_file(cmake/modxConfig.cmake.in modxConfig.cmake INSTALL_DESTINATION ${package_dir}
                              NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/modxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/modxConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/modxConfigVersion.cmake
        cmake/modxDependencies.cmake cmake/FindRandom123.cmake cmake/FindxxHash.cmake
        cmake/FindPCRE2.cmake cmake/Findutf8proc.cmake DESTINATION ${package_dir})

# The .pc files find the prefix from where they lie; Random123 has none, so its folder stands in ours unless compilers
# look there anyway.
file(RELATIVE_PATH pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" pc_prefix ${pc_prefix})
set(pc_random123)
if(NOT Random123_INCLUDE_DIR IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
  set(pc_random123 " -I${Random123_INCLUDE_DIR}")
endif()
foreach(name IN ITEMS modx modx-cpu)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

if(MODX_NATIVE)
  message(STATUS "modx: the backend is compiled for this machine's processor and its install runs on the like only; "
                 "packages are configured with -DMODX_NATIVE=OFF")
endif()
