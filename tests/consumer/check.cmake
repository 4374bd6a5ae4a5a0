# cmake -DWAY=... -DSOURCE=... -DBUILD=... -DCOMPILER=... -DGENERATOR=... -DVERSION=... -P check.cmake
# Takes the library WAY into a program of two translation units, builds it and runs it.
cmake_minimum_required(VERSION 3.23)
set(here "${CMAKE_CURRENT_LIST_DIR}")
set(work "${BUILD}/consumer/${WAY}")
file(REMOVE_RECURSE "${work}")
file(MAKE_DIRECTORY "${work}")

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT status EQUAL 0)
        list(JOIN ARGN " " command)
        message(NOTICE "${command}\n${output}")
        message(FATAL_ERROR "ended with ${status}")
    endif()
endfunction()

function(install_to prefix)
    run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${work}/before")
    file(RENAME "${work}/before" "${prefix}") # an installed package may be moved
endfunction()

function(build_project)
    run("${CMAKE_COMMAND}" -S "${here}/${WAY}" -B "${work}/build" -G "${GENERATOR}"
        "-DCMAKE_CXX_COMPILER=${COMPILER}" -DCMAKE_BUILD_TYPE=Debug ${ARGN})
    run("${CMAKE_COMMAND}" --build "${work}/build")
    run("${work}/build/app" "${VERSION}")
endfunction()

function(compile)
    run("${COMPILER}" -std=c++20 ${ARGN})
    run("${work}/app" "${VERSION}")
endfunction()

function(compile_by_pkg_config package)
    find_program(pkg_config NAMES pkg-config pkgconf REQUIRED)
    install_to("${work}/prefix")
    set(ENV{PKG_CONFIG_PATH} "${work}/prefix/share/pkgconfig")
    execute_process(COMMAND "${pkg_config}" --cflags --libs "${package} >= ${VERSION}"
        OUTPUT_VARIABLE flags COMMAND_ERROR_IS_FATAL ANY)
    separate_arguments(flags UNIX_COMMAND "${flags}")
    compile(${ARGN} -o "${work}/app" ${flags})
endfunction()

if(WAY MATCHES "^find_package")
    install_to("${work}/prefix")
    build_project("-DCMAKE_PREFIX_PATH=${work}/prefix")
elseif(WAY STREQUAL "add_subdirectory")
    build_project("-DGOSSIP_SOURCE=${SOURCE}")
elseif(WAY STREQUAL "pkg_config")
    compile_by_pkg_config(gossip "${here}/main.cpp" "${here}/other.cpp")
elseif(WAY STREQUAL "pkg_config_redis")
    compile_by_pkg_config(gossip-redis "${here}/find_package_redis/main.cpp")
elseif(WAY STREQUAL "copy")
    file(COPY "${SOURCE}/include" DESTINATION "${work}")
    compile("${here}/main.cpp" "${here}/other.cpp" -o "${work}/app" "-I${work}/include" -pthread)
endif()
