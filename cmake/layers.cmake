# The layering of the source tree, enforced by include paths: a library finds `dir/header.h` only for its own
# directory and for those that it names. The paths are made of links in the build tree.

function(layer_includes target)
  set(root ${CMAKE_BINARY_DIR}/include/${target})
  file(MAKE_DIRECTORY ${root})
  foreach(seen IN LISTS ARGN)
    file(CREATE_LINK ${LAYER_DIR_${seen}} ${root}/${seen} SYMBOLIC)
  endforeach()
  target_include_directories(${target} PRIVATE ${root})
endfunction()

# layer_sees(target lib...): lets a target include and link the named layers.
function(layer_sees target)
  layer_includes(${target} ${ARGN})
  target_link_libraries(${target} PRIVATE flags ${ARGN})
endfunction()

# layer(name DIR path [SEES layer...] [USES target...]): the static library of one directory.
macro(layer name)
  cmake_parse_arguments(arg "" "DIR" "SEES;USES" ${ARGN})
  set(LAYER_DIR_${name} ${CMAKE_SOURCE_DIR}/${arg_DIR})
  list(APPEND LAYERS ${name})
  file(GLOB sources CONFIGURE_DEPENDS ${LAYER_DIR_${name}}/*.c)
  if(NOT sources)
    message(FATAL_ERROR "${arg_DIR} holds no source file")
  endif()
  add_library(${name} STATIC ${sources})
  layer_includes(${name} ${name} ${arg_SEES})
  target_link_libraries(${name} PRIVATE flags PUBLIC ${arg_SEES} ${arg_USES})
endmacro()
