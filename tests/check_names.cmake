# No test case's name starts with a hyphen: a test program would take it for an option of its own.
file(GLOB_RECURSE files ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
foreach(file IN LISTS files)
  file(READ ${file} text)
  if(text MATCHES "TEST_CASE[^\n]*\\(\"(-[^\"]*)\"")
    message(SEND_ERROR "${file}: expected a test case's name that starts with another character, found \"${CMAKE_MATCH_1}\"")
  endif()
endforeach()
