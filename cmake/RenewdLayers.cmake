# SPDX-License-Identifier: ISC
# One static library per folder of daemon/. A layer's headers are found as "layer/header.h", and only
# by the layers that name it: each layer has an include folder of its own in the build tree that holds
# nothing but a link to its sources, so an include that goes up or sideways does not compile.
#
#   renewd_layer(acme SOURCES directory.c ... MAY base digest io LIBS OpenSSL::Crypto)
#   renewd_program(renewd SOURCES main.c ... MAY keeper keys conf base)

function(renewd_may target)
  foreach(dep ${ARGN})
    target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/layers/${dep})
  endforeach()
endfunction()

# The include folder of the folder that is being configured.
function(renewd_link_folder name)
  set(dir ${PROJECT_BINARY_DIR}/layers/${name})
  file(MAKE_DIRECTORY ${dir})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${dir}/${name} SYMBOLIC)
endfunction()

function(renewd_layer name)
  cmake_parse_arguments(L "" "" "SOURCES;MAY;LIBS" ${ARGN})
  renewd_link_folder(${name})
  add_library(${name} STATIC ${L_SOURCES})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME renewd_${name})
  renewd_may(${name} ${name} ${L_MAY})
  foreach(dep ${L_MAY})
    target_link_libraries(${name} PUBLIC $<LINK_ONLY:${dep}>)
  endforeach()
  target_link_libraries(${name} PUBLIC ${L_LIBS})
endfunction()

function(renewd_program name)
  cmake_parse_arguments(P "" "" "SOURCES;MAY;LIBS" ${ARGN})
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  renewd_link_folder(${folder})
  add_executable(${name} ${P_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  renewd_may(${name} ${folder} ${P_MAY})
  target_link_libraries(${name} PRIVATE ${P_MAY} ${P_LIBS})
endfunction()
