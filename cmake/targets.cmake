# gossip_add_library(name [LINK target...] HEADERS path...)
#
# Makes gossip::<name> from headers given relative to include/gossip. The list is the library's public surface: what
# stands in it is installed and is compiled alone by the tests, and hygiene.headers compares it with the tree.
function(gossip_add_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS;LINK")
    list(TRANSFORM arg_HEADERS PREPEND "${PROJECT_SOURCE_DIR}/include/gossip/")

    add_library(gossip_${name} INTERFACE)
    add_library(gossip::${name} ALIAS gossip_${name})
    set_target_properties(gossip_${name} PROPERTIES EXPORT_NAME ${name})
    target_sources(gossip_${name} INTERFACE
        FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${arg_HEADERS})
    target_compile_features(gossip_${name} INTERFACE cxx_std_20)
    target_link_libraries(gossip_${name} INTERFACE ${arg_LINK})

    if(GOSSIP_INSTALL)
        gossip_install_library(${name})
    endif()
endfunction()
