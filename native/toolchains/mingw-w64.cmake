# Windows x86-64 by MinGW-w64, whose programs Wine runs:
#   cmake -S native -B build/windows --toolchain toolchains/mingw-w64.cmake
# The core calls Windows itself, so the compiler with Windows' own threads serves.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
find_program(CMAKE_C_COMPILER NAMES x86_64-w64-mingw32-gcc-win32 x86_64-w64-mingw32-gcc REQUIRED)
find_program(DICOMLOOM_WINE NAMES wine64 wine)
if(DICOMLOOM_WINE)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_COMMAND} -E env WINEDEBUG=-all ${DICOMLOOM_WINE})
endif()
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

set(DICOMLOOM_TEST_SECONDS 300 CACHE STRING "") # a first program starts Wine's server, too
