# What docs/install.md tells users to write is what the outside projects contain between "# [use]" and "# [/use]".
cmake_minimum_required(VERSION 3.25)
file(READ ${ROOT}/docs/install.md page)
foreach(file IN ITEMS add_subdirectory/CMakeLists.txt fetch_content/CMakeLists.txt find_package/CMakeLists.txt
        pkg_config/build.sh header_only/build.sh)
  file(READ ${ROOT}/tests/consume/${file} text)
  if(NOT text MATCHES "# \\[use\\]\n(.*)# \\[/use\\]\n")
    message(FATAL_ERROR "tests/consume/${file} has no region [use]")
  endif()
  string(FIND "${page}" "\n${CMAKE_MATCH_1}```\n" at)
  if(at EQUAL -1)
    message(SEND_ERROR "docs/install.md has no block that is region [use] of tests/consume/${file}:\n${CMAKE_MATCH_1}")
  endif()
endforeach()
