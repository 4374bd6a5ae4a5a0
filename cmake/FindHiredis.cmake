# Finds hiredis, 0.14 or newer, with its own CMake package or without one: hiredis::hiredis, Hiredis_VERSION.
find_package(hiredis CONFIG QUIET)
find_path(HIREDIS_INCLUDE_DIR hiredis/hiredis.h)
find_library(HIREDIS_LIBRARY NAMES hiredis libhiredis)
mark_as_advanced(HIREDIS_INCLUDE_DIR HIREDIS_LIBRARY)

set(Hiredis_VERSION "")
if(HIREDIS_INCLUDE_DIR)
    foreach(part IN ITEMS MAJOR MINOR PATCH)
        file(STRINGS "${HIREDIS_INCLUDE_DIR}/hiredis/hiredis.h" line REGEX "^#define HIREDIS_${part} +[0-9]+")
        string(REGEX REPLACE "[^0-9]" "" line "${line}")
        list(APPEND Hiredis_VERSION "${line}")
    endforeach()
    list(JOIN Hiredis_VERSION "." Hiredis_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Hiredis
    REQUIRED_VARS HIREDIS_LIBRARY HIREDIS_INCLUDE_DIR VERSION_VAR Hiredis_VERSION)

if(Hiredis_FOUND AND NOT TARGET hiredis::hiredis)
    add_library(hiredis::hiredis UNKNOWN IMPORTED)
    set_target_properties(hiredis::hiredis PROPERTIES
        IMPORTED_LOCATION "${HIREDIS_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${HIREDIS_INCLUDE_DIR}")
endif()
