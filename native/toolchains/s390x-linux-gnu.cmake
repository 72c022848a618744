# Big-endian Linux, whose programs qemu-user runs:
#   cmake -S native -B build/s390x --toolchain toolchains/s390x-linux-gnu.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(CMAKE_C_COMPILER s390x-linux-gnu-gcc)
find_program(DICOMLOOM_QEMU NAMES qemu-s390x qemu-s390x-static)
if(DICOMLOOM_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${DICOMLOOM_QEMU} -L /usr/s390x-linux-gnu)
endif()
set(CMAKE_FIND_ROOT_PATH /usr/s390x-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# An emulated instruction takes ten of ours. These prove bounds of work and memory, and what becomes
# of damaged streams, which the order of bytes does not change. Give -DDICOMLOOM_TESTS_LEFT_OUT= to
# run them too.
set(DICOMLOOM_TESTS_LEFT_OUT work_is_linear listing_is_linear rle_memory jpeg_lossless_memory
  jpeg_ls_memory memory_is_bounded jpeg_ls_lies jpeg_lossless_lies CACHE STRING "")
set(DICOMLOOM_TEST_SECONDS 300 CACHE STRING "")
