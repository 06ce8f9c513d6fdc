# Configures modx as a top-level project with some options and packages hidden, and checks what it says and installs.
#   cmake -DROOT=. -DBINARY=folder -DGENERATOR=Ninja -DCXX=g++ -P options.cmake
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${BINARY})

# configure(<status> <text that it says, or !text that it doesn't> option...)
function(configure expected says)
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${ROOT} -B ${BINARY} -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${CXX}
                  -DMODX_TESTS=OFF -DMODX_EXAMPLES=OFF ${ARGN}
                  OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
  string(REGEX REPLACE "[ \n]+" " " text "${output}")
  string(REGEX REPLACE "^!" "" wanted "${says}")
  string(FIND "${text}" "${wanted}" at)
  if(NOT status EQUAL expected OR (says MATCHES "^!" AND NOT at EQUAL -1) OR (NOT says MATCHES "^!" AND at EQUAL -1))
    message(SEND_ERROR "with ${ARGN}: expected status ${expected} and ${says}, found ${status} and\n${output}")
  endif()
endfunction()

set(native "packages are configured with -DMODX_NATIVE=OFF")
configure(0 "${native}")
configure(0 "!${native}" -DMODX_NATIVE=OFF)
configure(0 "!${native}" -DMODX_NATIVE=ON -DMODX_INSTALL=OFF)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BINARY} --prefix ${BINARY}/prefix OUTPUT_QUIET ERROR_QUIET)
if(EXISTS ${BINARY}/prefix/include)
  message(SEND_ERROR "MODX_INSTALL=OFF installs headers")
endif()
configure(0 "!nlohmann" -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON)
configure(1 "modx: component io needs nlohmann_json 3.11 or newer (Debian: nlohmann-json3-dev), which was not found; without"
          -DMODX_TESTS=ON)
configure(1 "modx: component core needs Random123 (Debian: librandom123-dev), which was not found"
          -DMODX_TESTS=OFF -DCMAKE_DISABLE_FIND_PACKAGE_Random123=ON)
