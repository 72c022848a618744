# 32-bit Linux, whose programs an x86-64 kernel runs itself:
#   cmake -S native -B build/i686 --toolchain toolchains/i686-linux-gnu.cmake
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR i686)
set(CMAKE_C_COMPILER i686-linux-gnu-gcc)
set(CMAKE_C_FLAGS_INIT -m32)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static) # the machine need not have a 32-bit C library
