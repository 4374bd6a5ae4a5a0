# What gossip::redis needs, and what it uses where it is found.
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
find_package(Hiredis 0.14 REQUIRED)
find_package(nlohmann_json 3.9 REQUIRED)
set(gossip_redis_needs hiredis::hiredis nlohmann_json::nlohmann_json)

# zstd compresses large data; a build without it says so when it meets some.
find_path(GOSSIP_ZSTD_INCLUDE zstd.h)
find_library(GOSSIP_ZSTD_LIBRARY zstd)
mark_as_advanced(GOSSIP_ZSTD_INCLUDE GOSSIP_ZSTD_LIBRARY)
set(gossip_has_zstd FALSE)
if(GOSSIP_ZSTD_INCLUDE AND GOSSIP_ZSTD_LIBRARY)
    set(gossip_has_zstd TRUE)
endif()
option(GOSSIP_ZSTD "Let gossip::redis compress large data with zstd" ${gossip_has_zstd})

# What the list of headers cannot say about the target.
function(gossip_finish_redis)
    if(GOSSIP_INSTALL)
        install(FILES "${PROJECT_SOURCE_DIR}/cmake/FindHiredis.cmake" DESTINATION "${gossip_config_dir}")
    endif()
    if(GOSSIP_ZSTD)
        if(NOT gossip_has_zstd)
            message(FATAL_ERROR "gossip: GOSSIP_ZSTD is ON and zstd was not found")
        endif()
        target_compile_definitions(gossip_redis INTERFACE GOSSIP_HAS_ZSTD=1)
        target_include_directories(gossip_redis SYSTEM INTERFACE "$<BUILD_INTERFACE:${GOSSIP_ZSTD_INCLUDE}>")
        target_link_libraries(gossip_redis INTERFACE
            "$<BUILD_INTERFACE:${GOSSIP_ZSTD_LIBRARY}>" "$<INSTALL_INTERFACE:zstd>")
    endif()
endfunction()
