# The libraries that Portico stands on, as imported targets: deps::uv deps::yajl deps::nghttp2 deps::llhttp deps::crypt
# deps::zlib deps::brotli deps::unbrotli deps::zstd deps::cares deps::idn2 deps::psl deps::ssl deps::crypto.
# deploy/install-deps installs them all. Sets BORINGSSL_SOURCE, a sentence that says which BoringSSL it is.
include(CheckCSourceCompiles)
include(CMakePushCheckState)
find_package(Threads REQUIRED)

if(DEFINED ENV{DEPS_CACHE})
  set(deps_cache "$ENV{DEPS_CACHE}")
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(deps_cache "$ENV{XDG_CACHE_HOME}/portico")
else()
  set(deps_cache "$ENV{HOME}/.cache/portico")
endif()
set(BORINGSSL_ROOT "${deps_cache}/boringssl-r45" CACHE PATH "prefix of a static BoringSSL: lib/libssl.a, include/openssl")
option(DEPS_STATIC "link libuv, yajl, nghttp2 and llhttp statically too: a binary that needs glibc, libcrypt, libidn2 and libpsl alone" OFF)

# One library: its header and the library file. Errors are gathered, so that one run names all that is missing.
set(deps_missing "")
function(dep name header library static_library)
  set(names ${library})
  if(DEPS_STATIC)
    set(names ${static_library})
  endif()
  if(NOT "${DEP_${name}_STATIC}" STREQUAL "${DEPS_STATIC}") # changed in a configured tree: look again
    unset(DEP_${name}_LIBRARY CACHE)
  endif()
  set(DEP_${name}_STATIC "${DEPS_STATIC}" CACHE INTERNAL "")
  find_path(DEP_${name}_INCLUDE NAMES ${header})
  find_library(DEP_${name}_LIBRARY NAMES ${names})
  mark_as_advanced(DEP_${name}_INCLUDE DEP_${name}_LIBRARY)
  if(NOT DEP_${name}_INCLUDE OR NOT DEP_${name}_LIBRARY)
    set(deps_missing "${deps_missing} ${name}" PARENT_SCOPE)
    return()
  endif()
  add_library(deps::${name} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(deps::${name} PROPERTIES IMPORTED_LOCATION ${DEP_${name}_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${DEP_${name}_INCLUDE})
endfunction()

dep(uv uv.h uv "libuv.a;libuv_a.a") # its name since 1.45, and before
dep(yajl yajl/yajl_parse.h yajl libyajl_s.a)
dep(nghttp2 nghttp2/nghttp2.h nghttp2 libnghttp2.a)
dep(llhttp llhttp.h llhttp libllhttp.a)
dep(crypt crypt.h crypt libcrypt.so) # always shared: its licence (LGPL) asks for a library that can be replaced
# Always the static forms: their encoders alone are linked, and the machine that runs Portico needs no package for them.
dep(zlib zlib.h libz.a libz.a)
dep(brotli brotli/encode.h libbrotlienc.a libbrotlienc.a)
dep(brotlicommon brotli/types.h libbrotlicommon.a libbrotlicommon.a)
dep(unbrotli brotli/decode.h libbrotlidec.a libbrotlidec.a) # for the tests
dep(zstd zstd.h libzstd.a libzstd.a)
dep(cares ares.h libcares.a libcares.a)
# Always shared, as libcrypt: the licence of libidn2 and of the libunistring below both (LGPL) asks for it.
dep(idn2 idn2.h idn2 libidn2.so)
dep(psl libpsl.h psl libpsl.so)

foreach(file lib/libssl.a lib/libcrypto.a include/openssl/ssl.h)
  if(NOT EXISTS ${BORINGSSL_ROOT}/${file})
    string(APPEND deps_missing " boringssl(${BORINGSSL_ROOT}/${file})")
    break()
  endif()
endforeach()

if(deps_missing)
  message(FATAL_ERROR "missing:${deps_missing}\nrun deploy/install-deps (BoringSSL elsewhere: -DBORINGSSL_ROOT=PREFIX)")
endif()

add_library(deps::crypto STATIC IMPORTED GLOBAL)
set_target_properties(deps::crypto PROPERTIES IMPORTED_LOCATION ${BORINGSSL_ROOT}/lib/libcrypto.a INTERFACE_INCLUDE_DIRECTORIES ${BORINGSSL_ROOT}/include)
target_link_libraries(deps::crypto INTERFACE Threads::Threads)
add_library(deps::ssl STATIC IMPORTED GLOBAL)
set_target_properties(deps::ssl PROPERTIES IMPORTED_LOCATION ${BORINGSSL_ROOT}/lib/libssl.a INTERFACE_INCLUDE_DIRECTORIES ${BORINGSSL_ROOT}/include)
target_link_libraries(deps::ssl INTERFACE deps::crypto)
target_link_libraries(deps::brotli INTERFACE deps::brotlicommon m)
target_link_libraries(deps::unbrotli INTERFACE deps::brotlicommon)
target_link_libraries(deps::zstd INTERFACE Threads::Threads)
if(DEPS_STATIC)
  target_link_libraries(deps::uv INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
endif()

set(BORINGSSL_SOURCE "BoringSSL of unknown source")
if(EXISTS ${BORINGSSL_ROOT}/source)
  file(STRINGS ${BORINGSSL_ROOT}/source BORINGSSL_SOURCE LIMIT_COUNT 1)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${BORINGSSL_ROOT}/source)
endif()

# Probe results belong to one BoringSSL: another root asks again.
if(NOT "${BORINGSSL_PROBED}" STREQUAL "${BORINGSSL_ROOT} ${BORINGSSL_SOURCE}")
  foreach(result BORINGSSL_IS_BORINGSSL BORINGSSL_LINKS_WITHOUT_CXX HAVE_X25519MLKEM768)
    unset(${result} CACHE)
  endforeach()
  set(BORINGSSL_PROBED "${BORINGSSL_ROOT} ${BORINGSSL_SOURCE}" CACHE INTERNAL "")
endif()

cmake_push_check_state(RESET)
set(CMAKE_REQUIRED_INCLUDES ${BORINGSSL_ROOT}/include)
# The whole of libssl and libcrypto, so that no C++ symbol hides in a member that this program does not use.
set(CMAKE_REQUIRED_LIBRARIES -Wl,--whole-archive ${BORINGSSL_ROOT}/lib/libssl.a ${BORINGSSL_ROOT}/lib/libcrypto.a -Wl,--no-whole-archive Threads::Threads)
check_c_source_compiles("#include <openssl/ssl.h>
int main(void) { return SSL_CTX_new(TLS_with_buffers_method()) == 0; }" BORINGSSL_LINKS_WITHOUT_CXX)
if(NOT BORINGSSL_LINKS_WITHOUT_CXX) # r45 needs no C++ runtime; a newer one may: its static form, so that no shared library joins
  set(cxx_runtime -Wl,--push-state,-Bstatic -lstdc++ -lgcc_eh -Wl,--pop-state -lm)
  target_link_libraries(deps::crypto INTERFACE ${cxx_runtime})
  list(APPEND CMAKE_REQUIRED_LIBRARIES ${cxx_runtime})
endif()
check_c_source_compiles("#include <openssl/ssl.h>
#ifndef OPENSSL_IS_BORINGSSL
#error not BoringSSL
#endif
int main(void) { return SSL_CTX_new(TLS_with_buffers_method()) == 0; }" BORINGSSL_IS_BORINGSSL)
if(NOT BORINGSSL_IS_BORINGSSL)
  message(FATAL_ERROR "${BORINGSSL_ROOT} is not a usable BoringSSL (CMake's log of the failed program is in ${CMAKE_BINARY_DIR}/CMakeFiles)\nrun deploy/install-deps, or give another -DBORINGSSL_ROOT=PREFIX")
endif()

# What only newer ones have. Code asks #ifdef HAVE_...; the definition travels with deps::ssl and deps::crypto.
check_c_source_compiles("#include <openssl/ssl.h>
int main(void) { return SSL_GROUP_X25519_MLKEM768 != 0x11ec; }" HAVE_X25519MLKEM768)
if(HAVE_X25519MLKEM768)
  target_compile_definitions(deps::crypto INTERFACE HAVE_X25519MLKEM768=1)
endif()
cmake_pop_check_state()
