# How every file is compiled: warnings are errors; Release is hardened, Sanitize finds faults.
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wvla -Wformat=2 -Wundef
                    -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Werror)
add_compile_definitions(_GNU_SOURCE)

set(CMAKE_C_FLAGS_RELEASE
    "-O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection")
foreach(flag -fcf-protection=full -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr
             -fno-strict-overflow -fno-delete-null-pointer-checks)
  include(CheckCCompilerFlag)
  string(MAKE_C_IDENTIFIER "HAVE${flag}" have)
  check_c_compiler_flag(${flag} ${have})
  if(${have})
    string(APPEND CMAKE_C_FLAGS_RELEASE " ${flag}")
  endif()
endforeach()
set(CMAKE_EXE_LINKER_FLAGS_RELEASE "-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code")

set(CMAKE_C_FLAGS_SANITIZE
    "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer")
set(CMAKE_EXE_LINKER_FLAGS_SANITIZE "-fsanitize=address,undefined")
