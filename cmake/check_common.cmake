# For the check_*.cmake scripts: texts as lists of lines, and problems that are printed as they stand and counted.

# text_lines(<out> <text>): the lines as a list; ; [ ] \ become <semicolon> <open> <close> <backslash>, which lists can hold.
function(text_lines out text)
  string(REPLACE "\\" "<backslash>" text "${text}")
  string(REPLACE ";" "<semicolon>" text "${text}")
  string(REPLACE "[" "<open>" text "${text}")
  string(REPLACE "]" "<close>" text "${text}")
  string(REPLACE "\n" ";" text "${text}")
  set(${out} "${text}" PARENT_SCOPE)
endfunction()
# text_plain(<out> <line>): turns them back, and takes off the | that keeps empty lines in a list.
function(text_plain out text)
  if(text MATCHES "^[|]")
    string(SUBSTRING "${text}" 1 -1 text)
  endif()
  string(REPLACE "<backslash>" "\\" text "${text}")
  string(REPLACE "<semicolon>" ";" text "${text}")
  string(REPLACE "<open>" "[" text "${text}")
  string(REPLACE "<close>" "]" text "${text}")
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

function(problem text)
  message(NOTICE "${text}")
  set_property(GLOBAL APPEND PROPERTY problems x)
endfunction()
# Ends the script: an error when there were problems.
function(finish what)
  get_property(problems GLOBAL PROPERTY problems)
  list(LENGTH problems count)
  if(count)
    message(FATAL_ERROR "${count} wrong")
  endif()
  message(STATUS "${what} checked")
endfunction()

# Pages of the project: README.md and its neighbours, and docs/**.
macro(find_pages out)
  file(GLOB ${out} ${ROOT}/README.md ${ROOT}/CONTRIBUTING.md ${ROOT}/CHANGELOG.md)
  file(GLOB_RECURSE more_pages ${ROOT}/docs/*.md)
  list(APPEND ${out} ${more_pages})
endmacro()
